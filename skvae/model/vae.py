"""The model: networks beside a linear path from rows to codes and back.

Inference says what rows tell of z, observation what z tells of rows; both begin as the closed form
of a linear start, and with networks that add nothing the model is that start, exactly. Rows are
principal scores of a matrix or cells of a table: the model is the same.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skvae.model.columns import ColumnMap
from skvae.model.inference import Evidence, Inference
from skvae.model.latent_scale import LatentScale
from skvae.model.networks import counted_products, evaluating
from skvae.model.observation import Observation
from skvae.model.posterior import Posterior
from skvae.model.priors import PriorModule, StandardNormal
from skvae.model.rows import Rows

LINEAR_RATE = 0.1  # share of the learning rate that the linear path gets
DISPERSION_RATE = 1.0  # and dispersions
# Where draws for rows come from in turn, from 0, a standard normal, to 1, the posterior:
TRAINED = (1.0,)
GUARDED = (1.0, 1.0, 1.0, 0.0)  # where posteriors were not trained as such
BRIDGED = (1.0, 0.5, 1.0, 0.125, 1.0, 0.25, 1.0, 0.0)  # to where what is observed is likelier


class Networks(NamedTuple):
    """What is nonlinear in a model, beside its linear path."""

    encoder: nn.Module
    decoder: nn.Module
    columns: ColumnMap | None = None  # the way to columns, where they see and make these
    are_of_columns: bool = False  # whether they ask for columns


class VAE(nn.Module):
    """A variational autoencoder of rows; without networks, a linear one.

    Parameters
    ----------
    inference : Inference
        The linear path of the encoder.
    observation : Observation
        The linear path of the decoder, and the density of rows.
    scale : LatentScale
        Where the prior's coordinates lie.
    networks : Networks or None
        What they add.
    prior : PriorModule or None
        Of z; None is the standard normal.
    is_exact : bool
        Whether posteriors are those of the model: then one draw tells a row's density.
    """

    def __init__(
        self,
        inference: Inference,
        observation: Observation,
        scale: LatentScale,
        networks: Networks | None = None,
        prior: PriorModule | None = None,
        is_exact: bool = False,
    ) -> None:
        super().__init__()
        self.inference, self.observation, self.scale = inference, observation, scale
        self.encoder = networks.encoder if networks else None
        self.decoder = networks.decoder if networks else None
        self.columns = networks.columns if networks else None
        self.prior = prior or StandardNormal(self.latent_dim)
        self.is_exact = is_exact
        self.in_bfloat16 = False  # the products of the networks, while they are trained

    @property
    def latent_dim(self) -> int:
        return len(self.scale.center)

    @property
    def n_inputs(self) -> int:
        """Numbers per row that `encode_inputs` takes."""
        return self.inference.n_inputs

    def encode(self, rows: Rows) -> Posterior:
        """The posterior of rows, given what is observed of them."""
        return self._posterior(self.evidence(rows))

    def evidence(self, rows: Rows) -> Evidence:
        """What the linear path makes of rows: where it stays as it is, it may be known of them."""
        known = rows.evidence
        return self.inference.evidence(self.observation.seen(rows)) if known is None else known

    def encode_inputs(self, inputs: Tensor) -> Posterior:
        """The posterior of complete inputs, shape (n, n_inputs), that need not be those of a row.

        Layers of the encoder keep no statistics of them.
        """
        with self._apart():
            return self._posterior(self.inference.of_inputs(inputs))

    def inputs(self, rows: Rows) -> Tensor:
        """What `encode_inputs` takes, of rows: missing inputs as they are expected."""
        return self.evidence(rows).inputs

    def _posterior(self, evidence: Evidence) -> Posterior:
        change = None
        if self.encoder is not None:
            inputs = self.inference.network_inputs(evidence, self.columns, self._product)
            change = self._product(self.encoder, inputs)
        return self.inference.posterior(evidence, change, self.scale)

    def decode(self, z: Tensor) -> Tensor:
        """What the observation makes of latent points: mean scores, or parameters of blocks."""
        if self.decoder is None:
            return self.observation.decode(z, None)
        z = self.scale.place(z)
        change = self._product(self.decoder, z)
        if self.columns is not None:
            change = self.columns.gather(change)
        return self.observation.decode(z, change)

    def codes(self, rows: Rows) -> Tensor:
        """Point codes: the posterior mean with its shrinkage undone (Tipping & Bishop, 1999)."""
        return self.encode(rows).mean * self.scale.code_scale

    def reconstruct(self, z: Tensor) -> Tensor:
        """Features of the expected rows of latent points."""
        return self.observation.reconstruction(self.decode(z))

    def log_likelihood(self, rows: Rows, decoded: Tensor) -> Tensor:
        """Log p(x|z) per row, nats, given the decoded z."""
        return self.observation.log_likelihood(rows, decoded)

    def log_prior(self, z: Tensor) -> Tensor:
        """Log p(z) of points, shape (n,)."""
        return self.prior.log_prob(z, self)

    def sample_prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws of z, shape (n, q)."""
        return self.prior.sample(n, self, generator)

    def kl(self, q: Posterior, z: Tensor, noise: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)) per row, in nats; by the one draw z where it has no closed form."""
        return self.prior.kl(q, z, noise, self)

    @property
    def proposals(self) -> tuple[float, ...]:
        """Where draws for rows come from in turn: 1 is the posterior, 0 a standard normal.

        Of complete numbers alone posteriors are trained as such; those of an autoencoder, which
        are not, may be too narrow. So may be those of cells, whatever is observed of them.
        """
        if self.is_exact:
            return TRAINED
        if self.inference.takes_gaps:
            return BRIDGED
        return GUARDED if self.scale.width.any() else TRAINED

    @torch.no_grad()
    def forget_start(self) -> None:
        """Leave the linear start for the prior: what a model without a start begins with."""
        self.inference.forget_start()
        self.observation.forget_start()

    @torch.no_grad()
    def unshrink_posterior_mean(self) -> None:
        """Make the posterior mean the point code: the linear start is then PCA without noise."""
        self.inference.unshrink_posterior_mean(self.scale.code_scale)
        self.scale.code_scale.fill_(1.0)

    @torch.no_grad()
    def update_units(self, rows: Rows) -> None:
        """Move and stretch the coordinates: over rows, they get the prior's mean and variance.

        Of all priors with independent normal units, that of the aggregate posterior has the
        greatest bound (Tomczak & Welling, 2018); here the prior stays and the units change. A
        trained prior goes where the codes are by itself.
        """
        if not self.prior.is_standard:
            return
        center, spread = aggregate(self.encode(rows), rows)
        self.scale.center += self.scale.spread * center
        self.scale.spread *= spread

    @property
    def rates(self) -> list[tuple[list[nn.Parameter], float, bool]]:
        """Parameters with their share of the learning rate, and whether they decay to zero."""
        linear = self.inference.linear_parameters + self.observation.linear_parameters
        return [
            (linear, LINEAR_RATE, False),
            (self.observation.dispersions, DISPERSION_RATE, False),
            (_trained(self.prior), 1.0, False),
            (network_parameters(self), 1.0, True),
        ]

    @torch.no_grad()
    def products(self) -> int:
        """Multiplications of a row on its way through the networks."""
        with counted_products(self) as found, evaluating(self):
            z = self.encode_inputs(self.scale.center.new_zeros(1, self.n_inputs)).mean
            self.decode(z)
        return sum(found)

    def _product(self, network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What a network makes of x; half the width of numbers is for its products alone."""
        if not (self.training and self.in_bfloat16):
            return network(x)
        # Inside an autocast of others a cache would outlive the weights that it was made of.
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            return network(x).to(x.dtype)

    def _apart(self) -> AbstractContextManager[None]:
        return nullcontext() if self.encoder is None else evaluating(self.encoder)


def aggregate(q: Posterior, rows: Rows) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the aggregate posterior of rows, each of shape (q,)."""
    mean = rows.mean(q.mean)
    variance = rows.mean((q.mean - mean).square() + q.variance)
    return mean, variance.sqrt().clamp(min=1e-3)


def network_parameters(vae: VAE) -> list[nn.Parameter]:
    """Trained parameters of both networks."""
    return _trained(vae.encoder) + _trained(vae.decoder)


def _trained(module: nn.Module | None) -> list[nn.Parameter]:
    """Parameters of a module that gradients move."""
    return [] if module is None else [p for p in module.parameters() if p.requires_grad]
