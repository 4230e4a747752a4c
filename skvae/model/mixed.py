"""The model of tables: one likelihood per block of columns, missing cells, the same two paths.

Cells are the values of the columns that vary, standardised (units.py), NaN where missing; features
are what the encoder sees of them (likelihoods.py), and densities are those of cells. The encoder's
linear path is the exact posterior of the factor model of the features given what is observed
(factors.py); the decoder's is a generalised linear model of every block. With zero branches that
is the linear start. Beside them, as in vae.py, stand branches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skvae.data.units import Part, Units
from skvae.likelihoods import Block
from skvae.model.networks import Architecture
from skvae.model.posterior import Posterior
from skvae.model.priors import Prior
from skvae.model.tails import precision, tail_weights
from skvae.model.vae import (
    LINEAR_RATE,
    LatentModel,
    branch_parameters,
    of_columns,
    prior_parameters,
    soft_clip,
    weighted_mean,
)
from skvae.start.factors import FactorModel

_CLIP_AT = 6.0  # standard deviations toward which inputs of the encoder's branch bend
# Of draws in turn: the posterior, and bridges to where rare levels are far likelier.
_BRIDGED = (1.0, 0.5, 1.0, 0.125, 1.0, 0.25, 1.0, 0.0)
_CELL_COST = 20_000
DISPERSION_RATE = 1.0  # share of the learning rate
# Share of the batches in training that have cells hidden: of complete rows, what a share of
# missing cells adds to it, and at most; then the largest share of cells that are hidden.
MASKED_SHARE = (0.1, 5.0, 0.5)
MOST_HIDDEN = 0.5


class Cells(NamedTuple):
    """Rows of a table: values (n, c), dense or CSR, and weights (n,) or None.

    Some batches of the training, as many as masked_share says, have cells hidden: targets then
    has them as well. Where nobody says whether cells are missing, the values are asked.
    """

    values: Any  # Tensor, or CSR before rows are taken
    weight: Tensor | None = None
    targets: Tensor | None = None
    masked_share: float = 0.0
    probabilities: Tensor | None = None  # (c,) of which columns training draws
    has_gaps: bool | None = None  # whether cells are missing

    @property
    def is_fixed_shape(self) -> bool:
        """Whether all batches of so many rows are tensors of the same shapes."""
        return False

    @property
    def n_rows(self) -> int:
        return self.values.shape[0]

    @property
    def n_inputs(self) -> int:
        """Numbers per row that a model is fitted to."""
        return self.values.shape[1]

    def take(self, index: Tensor) -> "Cells":
        """Some of the rows, dense."""
        weight = None if self.weight is None else self.weight[index]
        if isinstance(self.values, Tensor):
            values = self.values.index_select(0, index)  # several times as fast as brackets
        else:
            rows = self.values[index.numpy(force=True)].toarray()
            values = torch.from_numpy(rows).to(index.device)
        return Cells(values, weight, probabilities=self.probabilities, has_gaps=self.has_gaps)

    def load(self, index: Tensor) -> "tuple[Cells, Tensor]":
        """Rows that hold those of the index, and where: all are at hand."""
        return self, index

    def drawn(self, generator: torch.Generator) -> "Cells":
        """The same rows with 0 or 1 drawn for every probability."""
        if self.probabilities is None:
            return self
        values = self.values
        draw = torch.empty_like(values).uniform_(generator=generator) < values
        values = torch.where(self.probabilities & ~values.isnan(), draw.to(values), values)
        return self._replace(values=values, probabilities=None)

    def batches(self, index: Tensor, size: int, generator: torch.Generator) -> "Iterator[Cells]":
        """Rows as the steps of the training see them: in some batches with cells hidden."""
        parts = index.split(size)
        # All at once, so that no step has to wait for the device.
        draws = torch.empty(len(parts), 2, dtype=torch.float32, device=index.device)
        for part, (rate, luck) in zip(
            parts, draws.uniform_(generator=generator).tolist(), strict=True
        ):
            rows = self.take(part).drawn(generator)
            yield rows if luck >= self.masked_share else rows._hiding(rate, generator)

    def _hiding(self, rate: float, generator: torch.Generator) -> "Cells":
        """The same rows, a share of their cells hidden."""
        hidden = torch.empty_like(self.values).uniform_(generator=generator) < rate * MOST_HIDDEN
        values = self.values.masked_fill(hidden, torch.nan)
        return self._replace(values=values, targets=self.values, has_gaps=True)

    @property
    def is_masked(self) -> bool:
        """Whether cells are hidden that the training knows."""
        return self.targets is not None

    def unmasked(self, n: int) -> "Cells":
        """The same rows, the first n with all their cells."""
        if self.targets is None:
            return self
        return self._replace(values=torch.cat([self.targets[:n], self.values[n:]]))

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for one draw from each row's posterior, shape (n, q)."""
        return self.values.new_empty(self.n_rows, latent_dim).normal_(generator=generator)

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over the rows of values, shape (n,) or (n, ...)."""
        return weighted_mean(values, self.weight)


@dataclass(frozen=True)
class MixedStart:
    """The linear start of a table."""

    units: Units  # of the table: how its values become cells
    factors: FactorModel  # of the features, in the order of the parts
    loadings: np.ndarray  # (width, q) of the decoder; width is the blocks' together
    bias: np.ndarray  # (width,)
    masked: np.ndarray  # (c,) cells with missing cells in fit: those are inputs as well
    basis: np.ndarray | None  # (k, n_features): of wide tables the branch sees these directions
    latent_dim: int  # units in use, at most the rank
    rank: int  # of the features

    @property
    def parts(self) -> tuple[Part, ...]:
        """Blocks of the cells."""
        return self.units.parts

    @property
    def scale(self) -> float:
        """Of codes: that of the columns, where they share one."""
        return self.units.scale or 1.0

    @property
    def n_features(self) -> int:
        """Columns of the table."""
        return self.units.n_columns

    @property
    def n_directions(self) -> int:
        """That a model can be fitted to, at most."""
        return self.rank

    @property
    def unit_kl(self) -> np.ndarray:
        """Mean KL of each unit's posterior from the prior, in nats, shape (q,)."""
        return 0.5 * np.log1p(_gain(self.factors))


class MixedVAE(LatentModel):
    """Encoder, decoder and likelihoods of a table; a branch of None adds nothing."""

    blocks: Any  # a list of Block
    factor_center: Tensor
    factor_loadings: Tensor
    factor_noise: Tensor
    linear_gain: Tensor
    basis: Tensor
    factor_df: Tensor
    tailed: Tensor  # features whose noise has heavy tails
    owner: Tensor
    places: Tensor  # of the cells among the columns, where branches see an image of all
    mask_inputs: Tensor
    coded: Tensor  # whether the values of a column are codes of levels

    def __init__(
        self,
        start: MixedStart,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
        prior: nn.Module | None = None,
        of_columns: bool = False,
    ) -> None:
        q = start.latent_dim
        super().__init__(q, encoder, decoder, prior)
        self.blocks = nn.ModuleList(Block(*part) for part in start.parts)
        self.decoder_path = nn.Parameter(_tensor(start.loadings))
        self.decoder_bias = nn.Parameter(_tensor(start.bias))
        constants = constants_of(start)
        constants |= {"code_scale": _code_scale(start.factors), "linear_gain": np.ones(q)}
        self.has_tails = start.factors.has_tails
        self.has_basis = start.basis is not None and not of_columns
        if start.basis is not None and not of_columns:
            constants["basis"] = start.basis
        for name, value in constants.items():
            self.register_buffer(name, _tensor(value))
        self.register_buffer("owner", torch.tensor(start.factors.owner))
        self.register_buffer("tailed", torch.tensor(np.flatnonzero(start.factors.degrees)))
        self.is_image = of_columns and _is_one_number_per_cell(start)
        self.n_columns = start.n_features
        if self.is_image:
            self.register_buffer("places", torch.tensor(_places(start)))
        self.register_buffer("mask_inputs", torch.tensor(np.flatnonzero(start.masked)))
        coded = torch.zeros(start.units.n_cells, dtype=torch.bool)
        for part in start.parts:
            coded[torch.tensor(part.columns)] = part.likelihood.is_coded
        self.register_buffer("coded", coded)

    @classmethod
    def from_architecture(
        cls,
        start: MixedStart,
        architecture: Architecture | None,
        prior: Prior | None = None,
    ) -> "MixedVAE":
        """The model with branches of an architecture, or with none."""
        if architecture is None:
            return cls(start)
        encoder, decoder = (architecture(*sizes) for sizes in branch_sizes(start, architecture))
        module = prior.module(start.latent_dim, len(start.factors.owner)) if prior else None
        return cls(start, encoder, decoder, module, of_columns(architecture))

    def know_columns(self, start: MixedStart) -> None:
        """Nothing: cells are columns."""

    @torch.no_grad()
    def forget_start(self) -> None:
        """Leave the linear decoder for the mean row: what a model without a start begins with."""
        self.decoder_path.zero_()

    @torch.no_grad()
    def unshrink_posterior_mean(self) -> None:
        """Make the posterior mean the point code; as in vae.py."""
        self.linear_gain.mul_(self.code_scale)
        self.code_scale.fill_(1.0)

    @property
    def n_inputs(self) -> int:
        return len(self.owner)

    @property
    def proposals(self) -> tuple[float, ...]:
        """Only where all columns are normal is the start's posterior exact."""
        if all(block.likelihood.is_gaussian for block in self.blocks):
            return super().proposals
        return _BRIDGED

    def inputs(self, rows: Cells) -> Tensor:
        """What `encode_inputs` takes, of rows: centred features, missing ones as expected."""
        return self._linear_posterior(rows)[1]

    def encode_inputs(self, inputs: Tensor) -> Posterior:
        """The posterior of complete features, shape (n, f), that need not be those of a row."""
        with self.apart():
            return self._with_branch(self._complete_posterior(inputs), inputs, None)

    def encode(self, rows: Cells) -> Posterior:
        """The posterior of rows given their observed cells."""
        with torch.no_grad():
            linear, features, observed = self._linear_posterior(rows)
        return self._with_branch(linear, features, observed)

    def _with_branch(
        self, linear: Posterior, features: Tensor, observed: Tensor | None
    ) -> Posterior:
        if self.encoder is None:
            return linear
        change = self.branch(self.encoder, self._inputs(features, observed))
        q = self._changed(change, linear.mean * self.linear_gain, linear.log_variance)
        if linear.root is None:
            return q._replace(log_variance=q.log_variance - 2.0 * self.spread.log())
        return q._replace(root=linear.root / self.spread[:, None])

    def _linear_posterior(self, rows: Cells) -> tuple[Posterior, Tensor, Tensor | None]:
        """Of the factor model; features with missing ones at their conditional mean.

        Of columns with heavy tails far features are taken for nearer ones, by their weights.
        """
        observed = self._observed(rows)
        features = self._features(rows.values) - self.factor_center
        if observed is None and not self.has_tails:
            return self._complete_posterior(features), features, None
        q = self.latent_dim
        weights = torch.ones_like(features) if observed is None else observed[:, self.owner]
        features = features.masked_fill(weights == 0, 0.0)
        loadings, noise = self.factor_loadings, self.factor_noise
        if self.has_tails:
            own = (loadings, noise, self.factor_df, self.tailed)
            weights = tail_weights(features, weights, *own)
        factor = torch.linalg.cholesky(precision(weights, loadings, noise))
        told = (weights * features) @ (loadings / noise[:, None])
        mean = torch.cholesky_solve(told[..., None], factor)[..., 0]
        identity = torch.eye(q, dtype=mean.dtype, device=mean.device)
        root = torch.linalg.solve_triangular(factor, identity, upper=False).mT
        features = (mean @ loadings.T).lerp(features, weights.to(features).clamp(max=1.0))
        return Posterior(mean, torch.zeros_like(mean), root), features, observed

    def _complete_posterior(self, features: Tensor) -> Posterior:
        """Of the factor model, for centred features without missing ones."""
        scaled = self.factor_loadings / self.factor_noise[:, None]
        precision = 1.0 + (self.factor_loadings * scaled).sum(0)
        mean = features @ scaled / precision
        return Posterior(mean, -precision.log().expand_as(mean))

    def _inputs(self, features: Tensor, observed: Tensor | None) -> Tensor:
        """What the encoder's branch sees: bent features, and which cells are there."""
        x = features
        if self.has_basis:
            x = self.branch(partial(F.linear, weight=self.basis), x)
        x = soft_clip(x, _CLIP_AT)
        if self.is_image:  # of which columns that never vary are a part
            x = x.new_zeros(len(x), self.n_columns).index_copy(1, self.places, x)
        if not len(self.mask_inputs):
            return x
        if observed is None:
            return torch.cat([x, x.new_ones(len(x), len(self.mask_inputs))], -1)
        return torch.cat([x, observed[:, self.mask_inputs].to(x)], -1)

    def decode(self, z: Tensor) -> Tensor:
        """The likelihoods' parameters at latent points, shape (batch, width)."""
        if self.decoder is None:
            return F.linear(z, self.decoder_path, self.decoder_bias)
        z = torch.addcmul(self.center, self.spread, z)
        change = self.branch(self.decoder, z)
        if self.is_image:
            change = change.index_select(1, self.places)
        return F.linear(z, self.decoder_path, self.decoder_bias) + change

    def corrupt(
        self, rows: Cells, noise: float, masking: float, generator: torch.Generator
    ) -> Cells:
        """Rows with noise on their numbers, in standard deviations, and a share of cells missing.

        Where cells are hidden, those that there were are the targets.
        """
        values = rows.values
        if noise:
            values = values.clone()
            for block in self.blocks:
                if block.likelihood.takes_noise:
                    draw = torch.empty_like(values[:, block.columns]).normal_(generator=generator)
                    values[:, block.columns] += noise * block.likelihood.spread(block) * draw
        if masking:
            hidden = torch.empty_like(values).uniform_(generator=generator) < masking
            values = values.masked_fill(hidden, torch.nan)
        targets = rows.values if masking and rows.targets is None else rows.targets
        has_gaps = True if masking else rows.has_gaps
        return rows._replace(values=values, targets=targets, has_gaps=has_gaps)

    def log_likelihood(self, rows: Cells, eta: Tensor) -> Tensor:
        """Log p(observed cells | z) per row, nats."""
        observed = self._observed(rows, unseen_too=True)
        total = torch.zeros(rows.n_rows, dtype=eta.dtype, device=eta.device)
        for block, x, part in self._parts(rows.values, eta):
            log_prob = block.log_prob(x, part)
            if observed is not None:
                log_prob = log_prob.masked_fill(~self._columns(observed, block), 0.0)
            total = total + log_prob.sum(-1)
        return total

    def reconstruct(self, z: Tensor) -> Tensor:
        """Features of the expected row: what `squared_error` compares with rows."""
        eta = self.decode(z)
        return _joined(eta, [b.expected_features(part) for b, part in self.split(eta)])

    def squared_error(self, rows: Cells, features: Tensor) -> Tensor:
        """Squared distance of rows from features over the observed cells, per row."""
        error = self._features(rows.values) - features
        observed = self._observed(rows)
        if observed is not None:
            error = error.masked_fill(~observed[:, self.owner], 0.0)
        return error.square().sum(-1)

    def energy(self, rows: Cells) -> Tensor:
        """Squared distance of rows from the mean row."""
        return self.squared_error(rows, self.factor_center)

    def update_noise(self, log_likelihood: Tensor, rate: float) -> None:
        """Nothing: dispersions are trained."""

    def misfit(self, rows: Cells, eta: Tensor) -> Tensor:
        """Minus the log-likelihood of rows, which no noise that all share explains."""
        return -self.log_likelihood(rows, eta)

    def likelihood_of(self, misfit: Tensor) -> Tensor:
        """The log-likelihood that it is minus of."""
        return -misfit

    def fit_noise(self, rows: Cells, misfit: Tensor, share: Tensor, widest: Tensor) -> bool:
        """Nothing: dispersions are trained."""
        return False

    def gain(self, error_gain: Tensor, density_gain: Tensor) -> Tensor:
        """What has to rise for training to be kept: what all kinds of columns have in common."""
        return density_gain

    @property
    def likelihood_cost(self) -> int:
        """Arithmetic of a row beside that of the networks: special functions of every cell."""
        return _CELL_COST * len(self.decoder_bias)

    @property
    def rates(self) -> list[tuple[list[nn.Parameter], float, bool]]:
        """Parameters with their share of the learning rate, and whether they decay to zero."""
        linear = [self.decoder_path, self.decoder_bias]
        dispersions = [block.dispersion for block in self.blocks]
        return [
            (linear, LINEAR_RATE, False),
            (dispersions, DISPERSION_RATE, False),
            (prior_parameters(self), 1.0, False),
            (branch_parameters(self), 1.0, True),
        ]

    def split(self, eta: Tensor) -> Iterator[tuple[Block, Tensor]]:
        """Every block with its share of the decoder's output."""
        return zip(self.blocks, eta.split([b.width for b in self.blocks], -1), strict=True)

    def _parts(self, values: Tensor, eta: Tensor) -> Iterator[tuple[Block, Tensor, Tensor]]:
        for block, part in self.split(eta):
            yield block, self._columns(values, block), part

    def _columns(self, values: Tensor, block: Block) -> Tensor:
        return values if len(self.blocks) == 1 else values.index_select(1, block.where)

    def _features(self, values: Tensor) -> Tensor:
        return _joined(values, [b.features(self._columns(values, b)) for b in self.blocks])

    def _observed(self, rows: Cells, unseen_too: bool = False) -> Tensor | None:
        """Which cells tell something, None if all do; of an unseen level only the likelihood."""
        if rows.has_gaps is False:
            return None
        missing = rows.values.isnan()
        if not unseen_too:
            missing |= self.coded & (rows.values < 0)
        return ~missing if rows.has_gaps or missing.any() else None


def constants_of(start: MixedStart) -> dict[str, np.ndarray]:
    """What training leaves of the factor model as it is, by the names of the buffers."""
    factors = start.factors
    return {
        "factor_center": factors.center,
        "factor_loadings": factors.loadings,
        "factor_noise": factors.noise,
        "factor_df": factors.degrees,
    }


def branch_sizes(
    start: MixedStart, architecture: Architecture | None = None
) -> list[tuple[int, int]]:
    """Columns in and out of the encoder's branch and of the decoder's."""
    q, width = start.latent_dim, len(start.bias)
    n_inputs = len(start.factors.owner)
    if of_columns(architecture) and _is_one_number_per_cell(start):
        n_inputs = width = start.n_features
    elif start.basis is not None and not of_columns(architecture):
        n_inputs = len(start.basis)
    return [(n_inputs + int(start.masked.sum()), 2 * q), (q, width)]


def _is_one_number_per_cell(start: MixedStart) -> bool:
    """Whether every cell is one feature and has one parameter, as a pixel does."""
    return len(start.bias) == len(start.factors.owner) == start.units.n_cells


def _places(start: MixedStart) -> np.ndarray:
    """Columns of the table that features and parameters belong to."""
    return start.units.columns[start.factors.owner]


def _joined(rows: Tensor, parts: list[Tensor]) -> Tensor:
    """What blocks say of rows, side by side; nothing of rows without blocks."""
    return torch.cat(parts, -1) if parts else rows.new_zeros(len(rows), 0)


def _gain(factors: FactorModel) -> np.ndarray:
    """By how much each unit raises the features above their noise, in variances, shape (q,)."""
    return np.square(factors.loadings / np.sqrt(factors.noise)[:, None]).sum(0)


def _code_scale(factors: FactorModel) -> np.ndarray:
    return 1.0 + 1.0 / np.maximum(_gain(factors), 1e-6)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)
