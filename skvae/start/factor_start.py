"""The linear start of a table: factors of its features, and a linear head for every block.

With networks that add nothing, the posterior is the exact one of the factors and the decoder a
generalised linear model of every block.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import Values, batches
from skvae.data.units import Part, Units
from skvae.likelihoods import Block, noise_variance
from skvae.model.bounds import importance_bound, shared_draws
from skvae.model.cell_observation import CellObservation
from skvae.model.columns import CellColumns, ColumnMap, of_columns
from skvae.model.diagnostics import CodeUse, code_use
from skvae.model.inference import FactorInference, Factors
from skvae.model.latent_scale import LatentScale
from skvae.model.networks import AUTO_SIZES, Architecture
from skvae.model.priors import PriorModule
from skvae.model.rows import CellRows
from skvae.model.vae import VAE, Networks
from skvae.start.base import LinearStart, Scorer, State, View
from skvae.start.cell_representation import CellRepresentation
from skvae.start.factors import FactorModel

_USE_ROWS = 1000  # by which codes are measured
# Rows by which the linear start is scored: as many as so many cells allow.
_FEWEST_SCORED, _MOST_SCORED, _SCORED_CELLS = 50, 10_000, 2_000_000


@dataclass(frozen=True)
class FactorStart(LinearStart):
    """Factors of the features of a table, and the heads that decode them."""

    units: Units  # of the table: how its values become cells
    factors: FactorModel  # of the features, in the order of the parts
    loadings: np.ndarray  # (width, q) of the decoder; width is the blocks' together
    bias: np.ndarray  # (width,)
    masked: np.ndarray  # (c,) cells with missing cells in fit: those are inputs as well
    basis: np.ndarray | None  # (k, n_features): of wide tables networks see these directions
    latent_dim: int
    rank: int  # of the features
    is_exact: bool = False  # whether its posteriors are those of its density, to the last digit

    @property
    def parts(self) -> tuple[Part, ...]:
        """Blocks of the cells."""
        return self.units.parts

    @property
    def representation(self) -> CellRepresentation:
        return CellRepresentation(self.units, len(self.bias), self.latent_dim)

    def of_cells(self) -> View:
        return self

    @property
    def n_features(self) -> int:
        return self.units.n_columns

    @property
    def n_directions(self) -> int:
        return self.rank

    @property
    def n_inputs(self) -> int:
        return len(self.factors.owner)

    @property
    def unit_kl(self) -> np.ndarray:
        return 0.5 * np.log1p(self._gain)

    @property
    def code_unit(self) -> float:
        return self.units.scale or 1.0

    @property
    def column_means(self) -> np.ndarray:
        """Means, shares of booleans, NaN for levels; shape (c,)."""
        return self.units.of_columns("center", self.units.fixed.values)

    @property
    def column_scales(self) -> np.ndarray | float:
        if self.units.scale is not None:
            return self.units.scale
        return self.units.of_columns("scale", np.ones(len(self.units.fixed.columns)))

    def noise_variances(self, state: State) -> np.ndarray | float:
        """Of normal columns; one number where all share it."""
        units = self.units
        variances = np.full(units.n_columns, np.nan)
        variances[units.fixed.columns] = np.where(units.fixed.is_normal, 0.0, np.nan)
        for number, part in enumerate(units.parts):
            if part.likelihood.is_gaussian:
                params = {
                    name: torch.tensor(state[f"observation.blocks.{number}.{name}"]).double()
                    for name in ("dispersion", "floor")
                }
                deviation = noise_variance(params).sqrt().numpy(force=True)
                own = units.columns[part.columns]
                variances[own] = np.square(deviation * part.constants["scale"])
        return variances if np.ndim(self.column_scales) else float(variances.max())

    @property
    def pca_share(self) -> float:
        return 1.0

    def module(
        self,
        networks: Networks | None = None,
        prior: PriorModule | None = None,
        knows_columns: bool = False,
    ) -> VAE:
        factors = self.factors
        basis = None if networks and networks.are_of_columns else self.basis
        inference = FactorInference(
            Factors(
                _tensor(factors.center),
                _tensor(factors.loadings),
                _tensor(factors.noise),
                _tensor(factors.degrees),
                torch.tensor(factors.owner),
            ),
            torch.tensor(np.flatnonzero(self.masked)),
            None if basis is None else _tensor(basis),
        )
        observation = CellObservation(
            [Block(*part) for part in self.parts],
            *map(_tensor, (self.loadings, self.bias, factors.center)),
        )
        code_scale = 1.0 + 1.0 / np.maximum(self._gain, 1e-6)
        scale = LatentScale(_tensor(code_scale))
        is_exact = self.is_exact or observation.is_gaussian
        return VAE(inference, observation, scale, networks, prior, is_exact and networks is None)

    def network_sizes(self, architecture: Architecture) -> list[tuple[int, int]]:
        q, width, n_inputs = self.latent_dim, len(self.bias), self.n_inputs
        if self.columns(architecture) is not None:
            n_inputs = width = self.n_features
        elif self.basis is not None and not of_columns(architecture):
            n_inputs = len(self.basis)
        return [(n_inputs + int(self.masked.sum()), 2 * q), (q, width)]

    def columns(self, architecture: Architecture) -> ColumnMap | None:
        """Where every cell is one feature and has one parameter, as a pixel does."""
        is_image = len(self.bias) == self.n_inputs == self.units.n_cells
        if not (of_columns(architecture) and is_image):
            return None
        places = self.units.columns[self.factors.owner]
        return CellColumns(torch.tensor(places), self.n_features)

    def auto_sizes(self, n_rows: float) -> tuple[int, ...]:
        return AUTO_SIZES["table"]

    def code_use(self, X: Values, weight: np.ndarray | None = None) -> CodeUse:
        """Measured on some of the rows."""
        some = _evenly(X.shape[0], _USE_ROWS)
        share = None if weight is None else torch.from_numpy(weight[some] / weight[some].mean())
        cells = self.representation.whole_rows(X[some], "cpu").values
        return code_use(self.module().requires_grad_(False), CellRows(cells, share))

    @torch.inference_mode()
    def score(self, X: Values, weight: np.ndarray | None = None, is_own: bool = True) -> float:
        few = max(_FEWEST_SCORED, min(_MOST_SCORED, _SCORED_CELLS // max(len(self.bias), 1)))
        some = _evenly(X.shape[0], few)
        rows, representation = X[some], self.representation
        draws, log_prob = shared_draws(self.latent_dim), self.scorer("cpu")
        bounds = [
            log_prob(representation.whole_rows(rows[part], "cpu"), draws)
            for part in batches(rows.shape[0], representation.row_cost)
        ]
        density = torch.cat(bounds).numpy(force=True) + self.units.log_jacobian(rows)
        return float(np.average(density, weights=None if weight is None else weight[some]))

    def scorer(self, device: str) -> Scorer:
        """Importance-weighted bounds."""
        return partial(importance_bound, self.module().to(device).requires_grad_(False))

    def densities(self) -> list[tuple[VAE, float]]:
        return [(self.module(), 1.0)]

    def carried(self, state: State, vae: VAE, old: LinearStart) -> State | None:
        """Nothing: other factors are other coordinates, in which networks begin anew."""
        return None

    @property
    def _gain(self) -> np.ndarray:
        """By how much each unit raises the features above their noise, in variances, shape (q,)."""
        factors = self.factors
        return np.square(factors.loadings / np.sqrt(factors.noise)[:, None]).sum(0)


def _evenly(n_rows: int, most: int) -> np.ndarray:
    """Positions of so many rows, evenly over all of them: tables are often sorted."""
    n = min(n_rows, most)
    return np.arange(n) * n_rows // n


def _tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)
