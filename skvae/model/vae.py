"""The model: a linear path and a nonlinear branch in encoder and decoder.

It lives in the space of the principal scores (linear.py): x are scores, shape (batch, k), and
residual is each row's squared length outside them, shape (batch,), which the model cannot change
but has to pay for. With zero branches it is the probabilistic PCA that it was built from, exactly.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skvae.model.networks import Architecture, counted_products, evaluating
from skvae.model.posterior import Posterior
from skvae.model.priors import Prior
from skvae.start.ppca import ProbabilisticPCA

# Inputs of the branches are clipped softly at so many standard deviations: far rows see the linear
# path.
_CLIP_AT = 6.0
# Where draws for rows come from where posteriors were not trained as such.
GUARDED = (1.0, 1.0, 1.0, 0.0)
NOISE_FLOOR = 1e-7  # float32 cannot tell rows apart below it
LINEAR_RATE = 0.1  # share of the learning rate that the linear path gets
# Largest factor, as a logarithm, by which a branch may change a posterior variance.
_LOG_VARIANCE_RANGE = 4.0
_LOG_2PI = math.log(2 * math.pi)


class Rows(NamedTuple):
    """Rows in score space: scores (n, k), residual energy (n,), weights (n,) or None."""

    scores: Tensor
    residual: Tensor
    weight: Tensor | None = None

    def drawn(self, generator: torch.Generator) -> "Rows":
        """The same rows: none of their values are probabilities."""
        return self

    @property
    def is_masked(self) -> bool:
        """Whether cells are hidden that the training knows: never here."""
        return False

    @property
    def is_fixed_shape(self) -> bool:
        """Whether all batches of so many rows are tensors of the same shapes."""
        return True

    @property
    def n_rows(self) -> int:
        return len(self.scores)

    def unmasked(self, n: int) -> "Rows":
        """The same rows: none of their cells is hidden."""
        return self

    @property
    def n_inputs(self) -> int:
        """Numbers per row that a model is fitted to."""
        return self.scores.shape[1]

    def take(self, index: Tensor) -> "Rows":
        weight = None if self.weight is None else self.weight[index]
        # Several times as fast as the same by brackets.
        return Rows(self.scores.index_select(0, index), self.residual[index], weight)

    def load(self, index: Tensor) -> "tuple[Rows, Tensor]":
        """Rows that hold those of the index, and where: all are at hand."""
        return self, index

    def batches(self, index: Tensor, size: int, generator: torch.Generator) -> "Iterator[Rows]":
        """Rows as the steps of the training see them."""
        return map(self.take, index.split(size))

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for one draw from each row's posterior, shape (n, q)."""
        return self.scores.new_empty(self.n_rows, latent_dim).normal_(generator=generator)

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over the rows of values, shape (n,) or (n, ...)."""
        return weighted_mean(values, self.weight)


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over rows of values, shape (n,) or (n, ...)."""
    if weight is None:
        return values.mean(0)
    return torch.tensordot(weight, values, 1) / weight.sum()


class LatentModel(nn.Module):
    """What a model of scores (VAE) and one of tables (MixedVAE) have in common.

    center and spread place the prior's coordinates among those of the networks; width is added to
    the logarithm of the posterior's variances.
    """

    code_scale: Tensor
    center: Tensor
    spread: Tensor
    width: Tensor
    has_exact_posterior = False  # a linear model with normal noise may say that it has

    # What the models do each in its own way.
    encode: Callable[[Any], Posterior]
    encode_inputs: Callable[[Tensor], Posterior]
    decode: Callable[[Tensor], Tensor]
    inputs: Callable[[Any], Tensor]
    reconstruct: Callable[[Tensor], Tensor]
    squared_error: Callable[[Any, Tensor], Tensor]
    log_likelihood: Callable[[Any, Tensor], Tensor]
    update_noise: Callable[[Tensor, float], None]
    misfit: Callable[[Any, Tensor], Tensor]
    likelihood_of: Callable[[Tensor], Tensor]
    fit_noise: Callable[[Any, Tensor, Tensor, Tensor], bool]
    gain: Callable[[Tensor, Tensor], Tensor]
    know_columns: Callable[[Any], None]
    forget_start: Callable[[], None]
    unshrink_posterior_mean: Callable[[], None]

    def __init__(
        self,
        latent_dim: int,
        encoder: nn.Module | None,
        decoder: nn.Module | None,
        prior: nn.Module | None,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.prior: Any = prior
        self.register_buffer("center", torch.zeros(latent_dim, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(latent_dim, dtype=torch.float64))
        self.register_buffer("width", torch.zeros(latent_dim, dtype=torch.float64))
        self.latent_dim = latent_dim
        self.in_bfloat16 = False  # the products of the branches, while they are trained

    @property
    def rates(self) -> list[tuple[list[nn.Parameter], float, bool]]:
        """Parameters with their share of the learning rate, and whether they decay to zero."""
        raise NotImplementedError

    @property
    def proposals(self) -> tuple[float, ...]:
        """Where draws for rows come from in turn: 1 is the posterior, 0 a standard normal.

        Posteriors that were not trained as such, as those of an autoencoder, may be too narrow.
        """
        return GUARDED if self.width.any() else (1.0,)

    @property
    def likelihood_cost(self) -> int:
        """Arithmetic of a row beside that of the networks."""
        return 0

    @property
    def n_inputs(self) -> int:
        """Numbers per row that `encode_inputs` takes."""
        raise NotImplementedError

    @torch.no_grad()
    def products(self) -> int:
        """Multiplications of a row on its way through the branches."""
        with counted_products(self) as found, evaluating(self):
            z = self.encode_inputs(self.center.new_zeros(1, self.n_inputs)).mean
            self.decode(z)
        return sum(found)

    @torch.no_grad()
    def update_units(self, rows: Any) -> None:
        """Move and stretch the coordinates: over rows, they get the prior's mean and variance.

        Of all priors with independent normal units, that of the aggregate posterior has the
        greatest bound (Tomczak & Welling, 2018); here the prior stays and the units change. A
        trained prior goes where the codes are by itself.
        """
        if self.prior is not None:
            return
        center, spread = aggregate(self.encode(rows), rows)
        self.center += self.spread * center
        self.spread *= spread

    def log_prior(self, z: Tensor) -> Tensor:
        """Log p(z) of points, shape (n,)."""
        if self.prior is not None:
            return self.prior.log_prob(z, self)
        return -0.5 * (z.square() + _LOG_2PI).sum(-1)

    def sample_prior(self, n: int, generator: torch.Generator) -> Tensor:
        """Draws of z, shape (n, q)."""
        if self.prior is not None:
            return self.prior.sample(n, self, generator)
        return self.center.new_empty(n, self.latent_dim).normal_(generator=generator)

    def kl(self, q: Posterior, z: Tensor, noise: Tensor) -> Tensor:
        """KL(q(z|x) || p(z)) per row, in nats; by the one draw z where it has no closed form."""
        if self.prior is None:
            return q.kl().sum(-1)
        return q.log_density(noise) - self.log_prior(z)

    def branch(self, body: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What a branch adds. Half the width of numbers is for its products, and for them alone."""
        if not (self.training and self.in_bfloat16):
            return body(x)
        # Inside an autocast of others a cache would outlive the weights that it was made of.
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            return body(x).to(x.dtype)

    def apart(self) -> AbstractContextManager[None]:
        """Let the encoder see what is no row, of which its layers keep no statistics."""
        return nullcontext() if self.encoder is None else evaluating(self.encoder)

    def codes(self, rows: Any) -> Tensor:
        """Point codes: the posterior mean with its shrinkage undone (Tipping & Bishop, 1999)."""
        return self.encode(rows).mean * self.code_scale

    def _changed(self, change: Tensor, mean: Tensor, log_variance: Tensor) -> Posterior:
        """A linear posterior with what the encoder's branch adds, in the prior's coordinates."""
        shift, log_factor = change.split(self.latent_dim, -1)
        log_factor = _LOG_VARIANCE_RANGE * torch.tanh(log_factor / _LOG_VARIANCE_RANGE)
        mean = (mean + shift - self.center) / self.spread
        return Posterior(mean, log_variance + self.width + log_factor)


class VAE(LatentModel):
    """Encoder, decoder and noise of a Gaussian model; a branch of None adds nothing."""

    is_capturable: ClassVar[bool] = True  # it does the same at every step, by tensors alone
    noise_variance: Tensor
    log_variance: Tensor
    clip_limit: Tensor
    components: Tensor

    def __init__(
        self,
        start: ProbabilisticPCA,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        prior: nn.Module | None = None,
        of_columns: bool = False,
    ) -> None:
        q, k = start.latent_dim, len(start.variances)
        super().__init__(q, encoder, decoder, prior)
        variances, noise = start.variances, start.noise_variance
        self.register_buffer("clip_limit", _tensor(_CLIP_AT * np.sqrt(variances)))
        self.encoder_path = nn.Parameter(_diagonal(start.weights / variances[:q], (q, k)))
        self.decoder_path = nn.Parameter(_diagonal(start.weights, (k, q)))
        self.register_buffer("log_variance", _tensor(np.log(noise / variances[:q])))
        self.register_buffer("noise_variance", _tensor(noise))
        self.register_buffer("code_scale", _tensor(variances[:q] / start.weights**2))
        self.n_features = start.n_features
        self.of_columns = of_columns
        if of_columns:
            self.know_columns(start)

    @classmethod
    def from_architecture(
        cls,
        start: ProbabilisticPCA,
        architecture: Architecture | None,
        prior: Prior | None = None,
    ) -> "VAE":
        """The model with branches of an architecture, or with none."""
        if architecture is None:
            return cls(start)
        encoder, decoder = (architecture(*sizes) for sizes in branch_sizes(start, architecture))
        module = prior.module(start.latent_dim, len(start.variances)) if prior else None
        return cls(start, encoder, decoder, module, of_columns(architecture))

    def know_columns(self, start: ProbabilisticPCA) -> None:
        """Keep the way from scores to columns and back; as state, if the branches need it."""
        components = _tensor(start.components).to(self.clip_limit)
        self.register_buffer("components", components, persistent=self.of_columns)

    @torch.no_grad()
    def forget_start(self) -> None:
        """Leave the linear start for the prior: what a model without it begins with."""
        for name in ("encoder_path", "decoder_path", "log_variance"):
            getattr(self, name).zero_()
        for name in ("noise_variance", "code_scale"):
            getattr(self, name).fill_(1.0)

    @torch.no_grad()
    def unshrink_posterior_mean(self) -> None:
        """Make the posterior mean the point code: the linear start is then PCA without noise."""
        self.encoder_path.mul_(self.code_scale[:, None])
        self.code_scale.fill_(1.0)

    @property
    def n_inputs(self) -> int:
        return len(self.clip_limit)

    def inputs(self, rows: Rows) -> Tensor:
        """What `encode_inputs` takes, of rows."""
        return rows.scores

    def encode_inputs(self, inputs: Tensor) -> Posterior:
        """The posterior of inputs, shape (n, k), that need not be those of a row."""
        with self.apart():
            return self.encode(Rows(inputs, inputs.new_zeros(len(inputs))))

    def encode(self, rows: Rows) -> Posterior:
        """The posterior of rows."""
        x = rows.scores
        mean = F.linear(x, self.encoder_path)
        if self.encoder is None:
            return Posterior(mean, self.log_variance.expand_as(mean))
        clipped = soft_clip(x, self.clip_limit)
        change = self.branch(
            self.encoder, clipped @ self.components if self.of_columns else clipped
        )
        return self._changed(change, mean, self.log_variance - 2.0 * self.spread.log())

    def decode(self, z: Tensor) -> Tensor:
        """The mean scores of latent points."""
        if self.decoder is None:
            return F.linear(z, self.decoder_path)
        z = torch.addcmul(self.center, self.spread, z)
        change = self.branch(self.decoder, z)
        if self.of_columns:
            change = F.linear(change, self.components)
        return F.linear(z, self.decoder_path) + change

    def corrupt(self, rows: Rows, noise: float, masking: float, generator: torch.Generator) -> Rows:
        """Rows with noise, in standard deviations, and a share of their columns set to the mean."""
        x = rows.scores
        if masking:
            columns = x @ self.components
            there = torch.empty_like(columns).uniform_(generator=generator) >= masking
            x = F.linear(columns * there, self.components)
        if noise:
            x = x + noise * torch.empty_like(x).normal_(generator=generator)
        return rows._replace(scores=x)

    def reconstruct(self, z: Tensor) -> Tensor:
        """What `squared_error` compares with rows."""
        return self.decode(z)

    def squared_error(self, rows: Rows, mean: Tensor) -> Tensor:
        """Squared distance between rows and their reconstruction over all d columns, per row."""
        mean, scores = torch.broadcast_tensors(mean, rows.scores)
        return F.mse_loss(mean, scores, reduction="none").sum(-1) + rows.residual

    def energy(self, rows: Rows) -> Tensor:
        """Squared distance of rows from the mean row."""
        return rows.scores.square().sum(-1) + rows.residual

    def misfit(self, rows: Rows, mean: Tensor) -> Tensor:
        """What noise of any variance is blamed for, per row: the squared error."""
        return self.squared_error(rows, mean)

    def likelihood_of(self, misfit: Tensor) -> Tensor:
        """Log p(x|z) per row by its squared error, nats of scaled units."""
        return -0.5 * (misfit / self.noise_variance + self._log_noise())

    def log_likelihood(self, rows: Rows, mean: Tensor) -> Tensor:
        """Log p(x|z) per row, nats of scaled units, given the decoded z."""
        return self.likelihood_of(self.misfit(rows, mean))

    def update_noise(self, log_likelihood: Tensor, rate: float) -> None:
        """Move the noise toward the mean squared error behind a mean log-likelihood."""
        s2 = self.noise_variance
        error = -s2 * (2.0 * log_likelihood + self._log_noise())
        s2.lerp_((error / self.n_features).clamp(min=NOISE_FLOOR), rate)

    def fit_noise(self, rows: Rows, misfit: Tensor, share: Tensor, widest: Tensor) -> bool:
        """Set the noise to the mean squared error of rows, each counted by its share."""
        error = rows.mean(share * misfit)
        noise = error / rows.mean(share).clamp(min=1e-6) / self.n_features
        largest = widest / self.n_features
        self.noise_variance.copy_(noise.clamp(max=largest).clamp(min=NOISE_FLOOR))
        return True

    def gain(self, error_gain: Tensor, density_gain: Tensor) -> Tensor:
        """What has to rise for training to be kept: PCA is judged by its error."""
        return error_gain

    @property
    def rates(self) -> list[tuple[list[nn.Parameter], float, bool]]:
        """Parameters with their share of the learning rate, and whether they decay to zero."""
        linear = [self.encoder_path, self.decoder_path]
        return [
            (linear, LINEAR_RATE, False),
            (prior_parameters(self), 1.0, False),
            (branch_parameters(self), 1.0, True),
        ]

    def _log_noise(self) -> Tensor:
        return self.n_features * (_LOG_2PI + torch.log(self.noise_variance))


def soft_clip(x: Tensor, limit: Tensor | float) -> Tensor:
    """Values far out brought within a limit: x / sqrt(1 + (x / limit)^2)."""
    return x * (x / limit).square().add_(1.0).rsqrt_()


def of_columns(architecture: Architecture | None) -> bool:
    """Whether branches see and make columns, such as pixels, and not their principal scores."""
    return getattr(architecture, "of_columns", False)


def branch_sizes(
    start: ProbabilisticPCA, architecture: Architecture | None = None
) -> list[tuple[int, int]]:
    """Columns in and out of the encoder's branch and of the decoder's."""
    q, k = start.latent_dim, len(start.variances)
    width = start.n_features if of_columns(architecture) else k
    return [(width, 2 * q), (q, width)]


def branch_parameters(vae) -> list[nn.Parameter]:
    """Trained parameters of both branches."""
    branches = [branch for branch in (vae.encoder, vae.decoder) if branch is not None]
    return [p for branch in branches for p in branch.parameters() if p.requires_grad]


def prior_parameters(vae) -> list[nn.Parameter]:
    """Trained parameters of the prior."""
    return [] if vae.prior is None else [p for p in vae.prior.parameters() if p.requires_grad]


def aggregate(q: Posterior, rows) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the aggregate posterior of rows, each of shape (q,)."""
    mean = rows.mean(q.mean)
    variance = rows.mean((q.mean - mean).square() + q.variance)
    return mean, variance.sqrt().clamp(min=1e-3)


def _tensor(array: np.ndarray | float) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)


def _diagonal(values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    matrix = torch.zeros(shape, dtype=torch.float64)
    matrix.diagonal()[: len(values)] = _tensor(values)
    return matrix
