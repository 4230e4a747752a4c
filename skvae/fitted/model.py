"""What fit leaves behind: numpy arrays and plain values, and what can be asked of it.

Codes are what a person sees, t = spread * code_scale * posterior mean, in order of explained
variance (docs/theory.md); z are the prior's own coordinates, in the same order. Units past the
rank of the data are inactive: their codes are 0. Everything here is in the user's units.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import BATCH_CELLS, Values, batches
from skvae.devices import seeded
from skvae.fitted import conditional
from skvae.fitted.correction import REFINEMENTS, Correction
from skvae.fitted.regression import Regression
from skvae.fitted.state import KeptState, from_state, to_state
from skvae.fitted.stored_rows import StoredRows
from skvae.model.bounds import (
    N_DRAWS,
    even_draws,
    importance_bound,
    mixture,
    shared_draws,
)
from skvae.model.diagnostics import COLLAPSED, START_USE, CodeUse, Diagnosis, diagnose
from skvae.model.networks import Architecture
from skvae.model.priors import Prior
from skvae.model.refinement import refined_codes
from skvae.model.rows import Rows, ScoreRows, torch_dtype
from skvae.model.vae import VAE
from skvae.start.base import LinearStart, Scorer, State, View
from skvae.start.representation import Representation
from skvae.start.score_representation import ROUNDING

_DERIVATIVE_STEP = 1e-4  # in the prior's coordinates
_ASKED = ("view", "batch_cells")  # fields that say how it is asked, and not what it is
_MORE_DRAWS = 8  # times as many, for rows with no more known cells than codes
_SCORED_CELLS = 2**20  # numbers that scores hold at once: what networks make of them fits a cache


@dataclass(frozen=True)
class FittedModel:
    """A fitted model; weights is the state of its module."""

    start: LinearStart
    latent_dim: int  # as asked for, inactive units included
    architecture: Architecture | None  # None: the linear start was kept
    prior: Prior
    weights: State
    use: CodeUse
    start_weight: float
    kept: float  # share of the training, 0 for the linear start
    device: str
    stored: StoredRows | None = None  # rows of the training, None where none are kept
    view: View | None = None  # how rows are represented, where not as in the training
    batch_cells: int = BATCH_CELLS  # numbers that a question holds at once
    _modules: dict[torch.dtype, VAE] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"_modules": {}}

    def to_state(self) -> KeptState:
        """Arrays and JSON values that tell all of the model.

        Raises
        ------
        TypeError
            If its architecture is no component of skvae.
        """
        names = [f.name for f in fields(self) if f.init and f.name not in _ASKED]
        return to_state({name: getattr(self, name) for name in names})

    @classmethod
    def from_state(cls, state: KeptState) -> "FittedModel":
        """The model of a state.

        Raises
        ------
        ValueError
            If the state holds what is not kept.
        """
        return cls(**from_state(state))

    def new_module(self, dtype: torch.dtype, knows_columns: bool = False) -> VAE:
        """The module, built anew in a dtype, on the device."""
        vae = self.start.module_of(self.architecture, self.prior, knows_columns)
        state = {
            name: torch.tensor(array, dtype=dtype if array.dtype.kind == "f" else None)
            for name, array in self.weights.items()
        }
        vae.load_state_dict(state, assign=True)
        return vae.to(self.device, dtype).eval().requires_grad_(False)

    def module(self, dtype: torch.dtype) -> VAE:
        """The module as questions ask it: built once for a dtype, and not to be changed."""
        if dtype not in self._modules:
            # Also where the first question is one without gradients: scores need those of z.
            with torch.inference_mode(False):
                adapted = self._view.adapted(self.new_module(dtype))
            self._modules[dtype] = adapted.eval().requires_grad_(False)
        return self._modules[dtype]

    def of_cells(self) -> "FittedModel":
        """The same model, asked about rows with missing cells: made once, with its modules."""
        return self if self.representation.takes_gaps else self._of_cells

    @cached_property
    def _of_cells(self) -> "FittedModel":
        return replace(self, view=self.start.of_cells())

    @property
    def _view(self) -> View:
        return self.start if self.view is None else self.view

    @property
    def representation(self) -> Representation:
        """How rows become what the model takes, and come back."""
        return self._view.representation

    @torch.inference_mode(False)
    @torch.no_grad()
    def codes(self, X: Values, whiten: bool, refinement: int = 0) -> np.ndarray:
        """Point codes, refined by so many steps, shape (n, latent_dim), in the dtype of X."""
        parts = (refined_codes(vae, rows, refinement) for vae, rows in self._batches(X))
        codes = collected(X.shape[0], parts)[:, self.order]
        codes *= self.unit(whiten).astype(codes.dtype)
        return self._padded(codes)

    def reconstruct(self, codes: np.ndarray, whiten: bool) -> np.ndarray:
        """Rows from point codes, shape (n, d)."""
        z = codes[:, : self.start.latent_dim]
        return self.decode(z / self.unit(whiten).astype(z.dtype))

    @torch.inference_mode()
    def posterior(self, X: Values) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of q(z|x), each of shape (n, latent_dim)."""
        posteriors = (vae.encode(rows) for vae, rows in self._batches(X))
        moments = (torch.stack([q.mean, q.deviation], 1) for q in posteriors)
        mean, std = collected(X.shape[0], moments)[:, :, self.order].swapaxes(0, 1)
        return self._padded(mean), self._padded(std, fill=1.0)

    def _batches(self, X: Values) -> Iterator[tuple[VAE, Rows]]:
        representation = self.representation
        dtype = representation.dtype(X.dtype)
        vae = self.module(torch_dtype(dtype))
        for part in batches(X.shape[0], representation.row_cost, self.batch_cells):
            yield vae, representation.rows(X[part], dtype, self.device)

    @torch.inference_mode()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Mean rows of latent points, shape (n, d): levels are the most probable."""
        representation = self.representation
        dtype = representation.dtype(z.dtype)
        vae = self.module(torch_dtype(dtype))
        x = np.empty((len(z), self.start.n_features), dtype)
        for part in batches(len(z), representation.decoded_cost, self.batch_cells):
            x[part] = representation.expected(vae.observation, self._decoded(vae, z[part], dtype))
        return x

    @torch.inference_mode()
    def expected(self, z: np.ndarray, n_levels: np.ndarray) -> np.ndarray:
        """Expected cells of latent points, shape (n, cells): of levels their probabilities."""
        representation, vae = self.representation, self.module(torch.float64)
        return np.concatenate(
            [
                representation.expected_levels(
                    vae.observation, self._decoded(vae, z[part], np.dtype(np.float64)), n_levels
                )
                for part in batches(len(z), representation.decoded_cost, self.batch_cells)
            ]
        )

    def _decoded(self, vae: VAE, z: np.ndarray, dtype: np.dtype) -> Tensor:
        units = np.zeros((len(z), self.start.latent_dim), dtype)
        units[:, self.order] = z[:, : self.start.latent_dim]
        return vae.decode(torch.as_tensor(units, device=self.device))

    @torch.inference_mode()
    def prior_codes(self, n: int, rng: np.random.RandomState, whiten: bool) -> np.ndarray:
        """Codes drawn from the prior, shape (n, latent_dim)."""
        z = rng.standard_normal((n, self.latent_dim))[:, : self.start.latent_dim]
        vae = self.module(torch.float64)
        if not vae.prior.is_standard:
            z = vae.sample_prior(n, seeded(rng, self.device)).numpy(force=True)[:, self.order]
        return self._padded(z * self.unit(whiten))

    def loadings(self, codes: np.ndarray, whiten: bool, n_levels: np.ndarray) -> np.ndarray:
        """Mean change of the expected cells per unit of each code, shape (latent_dim, cells).

        A column with levels has as many cells: their probabilities. Central differences, in
        double precision.
        """
        unit = self.unit(whiten)
        z = codes[:, : len(unit)].astype(np.float64) / unit
        changes = []
        for step in _DERIVATIVE_STEP * np.eye(len(unit)):
            rise = self.expected(z + step, n_levels) - self.expected(z - step, n_levels)
            changes.append(rise.mean(0) / (2 * _DERIVATIVE_STEP))
        padded = np.zeros((self.latent_dim, self.expected(z[:1], n_levels).shape[1]))
        for row, change, size in zip(padded, changes, unit, strict=False):
            row[:] = change / size
        return padded

    @torch.inference_mode()
    def diagnose(self, X: Values, n_draws: int = N_DRAWS) -> Diagnosis:
        """What rows say of the posterior, by units in the order of the codes."""
        draws = shared_draws(self.start.latent_dim, n_draws).to(self.device)
        rows = self.representation.whole_rows(X, self.device)
        found = diagnose(self.module(torch.float64), rows, draws)
        return found.in_users_units(self.order, float(self.representation.log_jacobian(X).mean()))

    @torch.inference_mode(False)
    @torch.no_grad()
    def log_prob(self, X: Values, n_draws: int | None = None) -> np.ndarray:
        """Importance-weighted bound on the log-density of the mixture with the start, in nats.

        Rows of which hardly a cell is known have more draws: their posterior is little guide.
        """
        few = self.representation.is_little_known(X)
        vae = self._scoring_module(X.dtype)
        n_draws = n_draws or self.representation.n_draws
        if not few.any():
            return self._log_prob(vae, X, n_draws)
        log_prob = np.empty(X.shape[0], self.representation.dtype(X.dtype))
        for which, n, is_mended in ((few, _MORE_DRAWS * n_draws, False), (~few, n_draws, True)):
            if which.any():
                log_prob[which] = self._log_prob(vae, X[which], n, is_mended)
        return log_prob

    def _scoring_module(self, dtype: np.dtype) -> VAE:
        """In single precision where rows are, unless its rounding shows beside the noise."""
        vae = self.module(torch_dtype(self.representation.dtype(dtype)))
        noise = vae.observation.noise_variance
        return vae if noise is None or noise > ROUNDING else self.module(torch.float64)

    def _log_prob(self, vae: VAE, X: Values, n_draws: int, is_mended: bool = True) -> np.ndarray:
        representation = self.representation
        draws = even_draws(self.start.latent_dim, n_draws).to(self.device)
        log_prob = np.empty(X.shape[0], representation.dtype(X.dtype))
        cells = min(self.batch_cells, _SCORED_CELLS)
        for part in batches(X.shape[0], representation.row_cost, cells):
            rows = representation.whole_rows(X[part], self.device)
            density = self._start_scorer(rows, draws).cpu()
            if self.architecture is not None:
                bound = _bound(vae, rows, draws, is_mended).cpu()
                weight = torch.tensor(self.start_weight, dtype=torch.float64)
                density = mixture(bound, density, weight)
            log_prob[part] = density.numpy() + representation.log_jacobian(X[part])
        return log_prob

    @cached_property
    def _start_scorer(self) -> Scorer:
        return self._view.scorer(self.device)

    @cached_property
    def density(self) -> list[tuple[VAE, float]]:
        """Models and their weights: the trained one and the linear start, or the latter alone."""
        starts = [
            (vae.to(self.device).requires_grad_(False), share)
            for vae, share in self._view.densities()
        ]
        if self.architecture is None:
            return starts
        trained = self.module(torch.float64), 1.0 - self.start_weight
        return [trained, *((start, self.start_weight * share) for start, share in starts)]

    @torch.inference_mode()
    def sample(self, n_samples: int, rng: np.random.RandomState, dtype: np.dtype) -> np.ndarray:
        """Draws from the mixture, noise included, shape (n_samples, d)."""
        representation, generator = self.representation, seeded(rng, self.device)
        x = np.empty((n_samples, self.start.n_features), dtype)
        chosen = rng.choice(len(self.density), n_samples, p=[share for _, share in self.density])
        for number, (vae, _) in enumerate(self.density):
            own = np.flatnonzero(chosen == number)
            # Which draws a seed gives depends on these slices: they are those of the width alone.
            for part in batches(len(own), representation.drawn_cost):
                decoded = vae.decode(vae.sample_prior(len(own[part]), generator))
                x[own[part]] = representation.drawn(vae.observation, decoded, generator)
        return x

    @torch.inference_mode()
    def impute(self, X: np.ndarray, refine: str | None = "auto") -> np.ndarray:
        """Cells with missing ones at their conditional mean, levels at the most probable.

        Where rows are stored, that is corrected by what rows like them had beyond it.
        """
        of_cells, correction = self.of_cells(), None
        if refine is not None and self.stored is not None:
            regression = REFINEMENTS[refine]
            correction = of_cells._corrections.get(regression)
            if correction is None:
                made = Correction(of_cells, self.stored, regression)
                correction = of_cells._corrections.setdefault(regression, made)
        return conditional.impute(of_cells, X, correction)

    @cached_property
    def _corrections(self) -> dict[type[Regression], Correction]:
        """Those that were asked for: what they learn is kept for the next rows."""
        return {}

    @torch.inference_mode()
    def draw_missing(
        self, X: np.ndarray, n_draws: int, rng: np.random.RandomState
    ) -> list[np.ndarray]:
        """Cells with missing ones drawn given the others, n_draws times."""
        return conditional.draw_missing(self.of_cells(), X, n_draws, seeded(rng, self.device))

    @torch.inference_mode()
    def sample_given(
        self, row: np.ndarray, names: Sequence[Hashable], n_samples: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draws that share the observed cells of one row, shape (n_samples, d)."""
        return conditional.sample_given(self.of_cells(), row, names, n_samples, rng)

    @property
    def mean(self) -> np.ndarray:
        """Column means, NaN for levels; shape (d,)."""
        return self.start.column_means

    @property
    def scale(self) -> np.ndarray | float:
        """What columns are divided by: one number, or one per column with NaN for levels."""
        return self.start.column_scales

    @property
    def noise_variances(self) -> np.ndarray | float:
        """Of the decoder in every column, squared units; NaN where there is none."""
        return self.start.noise_variances(self.weights)

    @property
    def reported_start_weight(self) -> float:
        """Weight of PCA's density; the start may be a mixture of that and another."""
        return self.start_weight * self.start.pca_share

    @property
    def collapsed(self) -> np.ndarray:
        """Codes that say nothing, where the linear start had a use for more than are left."""
        silent = np.flatnonzero(self.use.kl < COLLAPSED)
        if self.architecture is None or len(self.use.kl) - len(silent) >= self.n_used_by_start:
            return np.zeros(0, int)
        return silent

    @property
    def n_used_by_start(self) -> int:
        """Number of codes that the linear start has a use for."""
        return int((self.start.unit_kl > START_USE).sum())

    @property
    def order(self) -> np.ndarray:
        return self.use.order

    @property
    def spread(self) -> np.ndarray:
        """Change of a row per unit of the prior's coordinate, in the user's units, shape (q,)."""
        return self.use.spread * self.start.code_unit

    def unit(self, whiten: bool) -> np.ndarray:
        """What a step of one in the prior's coordinate is in a code, shape (q,).

        Where it is nothing, as of rows that are all alike, codes stay in that coordinate.
        """
        unit = 1.0 / self.use.deviation if whiten else self.spread
        return np.where(unit > 0, unit, 1.0)

    def _padded(self, values: np.ndarray, fill: float = 0.0) -> np.ndarray:
        if values.shape[1] == self.latent_dim:
            return values
        padded = np.full((len(values), self.latent_dim), fill, values.dtype)
        padded[:, : values.shape[1]] = values
        return padded


def _bound(vae: VAE, rows: Rows, draws: Tensor, is_mended: bool) -> Tensor:
    """The model's bound, in its own precision; of rows too far off for that, minus infinity."""
    dtype = vae.scale.center.dtype
    own = rows.to(dtype) if isinstance(rows, ScoreRows) else rows
    bound = importance_bound(vae, own, draws.to(dtype), is_mended=is_mended).double()
    return bound.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)


def collected(n_rows: int, parts: Iterable[Tensor]) -> np.ndarray:
    """Answers of batches in one array, put there as they come.

    Small tensors that wait for the others would pin the memory of batches between them.
    """
    array, first = np.empty(0), 0
    for part in (tensor.numpy(force=True) for tensor in parts):
        if first == 0:
            array = np.empty((n_rows, *part.shape[1:]), part.dtype)
        array[first : first + len(part)] = part
        first += len(part)
    return array
