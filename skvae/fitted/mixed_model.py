"""What fit leaves behind of a table, and what can be asked of it.

Rows go in and come out as values in the user's units, codes of levels, NaN where missing; the
module inside knows cells (units.py). Everything is computed in double precision.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skvae.data.batches import batches
from skvae.data.table import Table
from skvae.fitted.model import (
    HIDDEN_CELLS,
    N_DRAWS,
    N_HELD,
    Model,
    collected,
    shared_draws,
    to_numpy,
)
from skvae.likelihoods import Block, noise_variance
from skvae.model.bounds import Proposals, importance_bound, places, weigher
from skvae.model.diagnostics import CodeUse, Diagnosis, code_use, diagnose
from skvae.model.mixed import MASKED_SHARE, Cells, MixedStart, MixedVAE, branch_sizes, constants_of
from skvae.start.calibration import has_levels
from skvae.start.glm import fit_mixed
from skvae.start.spectrum import Spectra

N_RESAMPLING_DRAWS = 128  # from each component, of which multiple imputations are chosen
N_CONDITIONAL_DRAWS = 1024
_MORE_DRAWS = 8  # times as many, for rows with no more known cells than codes
_N_PLAUSIBLE = 1000  # draws whose range, three times as wide, is what a column can be
_FEWEST_DRAWS = 5.0  # that have to carry the weight, for a condition to have support
_USE_ROWS = 1000  # by which codes are measured
# Rows by which the linear start is scored: as many as so many cells allow.
_FEWEST_SCORED, _MOST_SCORED, _SCORED_CELLS = 50, 10_000, 2_000_000


@dataclass(frozen=True)
class MixedModel(Model):
    """A fitted model of a table; start is a MixedStart, weights the state of a MixedVAE."""

    module: ClassVar[Any] = MixedVAE
    branch_sizes: ClassVar[Any] = staticmethod(branch_sizes)

    @staticmethod
    def fit_start(
        X: Table,
        latent_dim: int,
        weight: np.ndarray | None,
        rng,
        spectra: Spectra | None = None,
        tail: float | None = None,
    ) -> Any:
        """The linear start of a table, which is another for every number of units."""
        return fit_mixed(X.drawn(rng), latent_dim, weight, rng)

    @staticmethod
    def rows(start: Any, X: Table, weight: np.ndarray | None, dtype, device) -> Any:
        """Cells as training takes them; weights have mean 1."""
        values = start.units.cells(X.values, dtype)
        missing = missing_share(values)
        if not sparse.issparse(values):
            values = torch.from_numpy(values).to(device)
        share = None if weight is None else torch.from_numpy(weight.astype(dtype)).to(device)
        fewest, slope, most = MASKED_SHARE
        masked_share = min(fewest + slope * missing, most)
        drawn = torch.zeros(start.units.n_cells, dtype=torch.bool)
        for likelihood, columns, _ in start.parts:
            drawn[torch.tensor(columns)] = likelihood.is_stochastic
        probabilities = drawn.to(device) if drawn.any() else None
        return Cells(
            values,
            share,
            masked_share=masked_share,
            probabilities=probabilities,
            has_gaps=missing > 0,
        )

    @staticmethod
    def log_jacobian(start: Any, X: Table) -> np.ndarray:
        """What the log-density of each row's cells gains in the user's units, nats, shape (n,)."""
        return start.units.log_jacobian(X.values)

    @staticmethod
    def start_use(start: Any, X: Table, weight: np.ndarray | None = None) -> CodeUse:
        """What the codes of the linear start hold, measured on some of the rows."""
        vae, some = MixedVAE(start).requires_grad_(False), _spread(X.shape[0], _USE_ROWS)
        share = None if weight is None else torch.from_numpy(weight[some] / weight[some].mean())
        return code_use(vae, _cells(start, X.values[some], "cpu")._replace(weight=share))

    @staticmethod
    @torch.inference_mode()
    def start_score(start: Any, X: Table, weight: np.ndarray | None, is_own: bool = True) -> float:
        """Mean log-likelihood of rows under the linear start (some, if many)."""
        few = max(_FEWEST_SCORED, min(_MOST_SCORED, _SCORED_CELLS // max(len(start.bias), 1)))
        some = _spread(X.shape[0], few)
        rows, vae = X.values[some], MixedVAE(start)
        w = None if weight is None else weight[some]
        bounds = [
            importance_bound(vae, _cells(start, rows[part], "cpu"), shared_draws(start.latent_dim))
            for part in _slices(start, rows.shape[0])
        ]
        return float(np.average(to_numpy(bounds) + start.units.log_jacobian(rows), weights=w))

    @torch.inference_mode()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Expected rows of latent points, shape (n, d): levels are the most probable."""
        vae = self.vae(torch.float64)
        units = np.zeros((len(z), self.start.latent_dim))
        units[:, self.order] = z[:, : self.start.latent_dim]
        x = np.empty((len(z), self.start.n_features))
        for rows in batches(len(z), len(self.start.bias) + HIDDEN_CELLS):
            eta = vae.decode(torch.as_tensor(units[rows], device=self.device))
            x[rows] = self.start.units.values(_decided(vae, eta))
        return x

    @torch.inference_mode()
    def expected(self, z: np.ndarray, n_levels: np.ndarray) -> np.ndarray:
        """Expected cells of latent points; of columns with levels their probabilities."""
        vae = self.vae(torch.float64)
        units = np.zeros((len(z), self.start.latent_dim))
        units[:, self.order] = z
        eta = vae.decode(torch.as_tensor(units, device=self.device))
        table = self.start.units
        numbers = table.values(_means(vae, eta))
        cells = [
            np.zeros((len(z), n)) if n else numbers[:, [j]] for j, n in enumerate(n_levels.tolist())
        ]
        for (likelihood, own, constants), (block, part) in zip(
            table.parts, vae.split(eta), strict=True
        ):
            if likelihood.is_coded:
                known = likelihood.known(constants)
                found = _probabilities(block, part, [len(levels) for levels in known])
                for j, levels, p in zip(table.columns[own], known, found, strict=True):
                    cells[j][:, levels] = p
        return np.concatenate(cells, -1)

    @torch.inference_mode()
    def diagnose(self, X, n_draws: int = N_DRAWS) -> Diagnosis:
        """What rows say of the posterior, by units in the order of the codes."""
        draws = shared_draws(self.start.latent_dim, n_draws).to(self.device)
        rows = _cells(self.start, X, self.device)
        found = diagnose(self.vae(torch.float64), rows, draws)
        return found.in_users_units(self.order, float(self.start.units.log_jacobian(X).mean()))

    @torch.inference_mode()
    def log_prob(self, X, n_draws: int = N_DRAWS) -> np.ndarray:
        """Importance-weighted bound on the log-density of the observed cells, in nats.

        Rows of which hardly a cell is known have more draws: their posterior is little guide.
        """
        few = _is_little_known(self.start, X)
        if not few.any():
            return self._bounds(X, n_draws)
        log_prob = np.empty(X.shape[0])
        for which, n in ((few, _MORE_DRAWS * n_draws), (~few, n_draws)):
            if which.any():
                log_prob[which] = self._bounds(X[which], n)
        return log_prob

    def _bounds(self, X, n_draws: int) -> np.ndarray:
        draws = shared_draws(self.start.latent_dim, n_draws).to(self.device)
        components = self._components()
        parts = (
            _cells(self.start, X[rows], self.device) for rows in _slices(self.start, X.shape[0])
        )
        each = (
            [importance_bound(vae, rows, draws) + share for vae, share in components]
            for rows in parts
        )
        bounds = collected(X.shape[0], (torch.stack(of).logsumexp(0) for of in each))
        return bounds + self.start.units.log_jacobian(X)

    @torch.inference_mode()
    def sample(self, n_samples: int, rng: np.random.RandomState, dtype=None) -> np.ndarray:
        """Draws from the mixture, noise included, shape (n_samples, c)."""
        x, generator = np.empty((n_samples, self.start.n_features)), _generator(rng, self.device)
        density = self._density()
        chosen = rng.choice(len(density), n_samples, p=[share for _, share in density])
        for n, (vae, _) in enumerate(density):
            own = np.flatnonzero(chosen == n)
            for part in batches(len(own), len(self.start.bias) + HIDDEN_CELLS):
                z = vae.sample_prior(len(own[part]), generator)
                x[own[part]] = self.start.units.values(_drawn(vae, vae.decode(z), generator))
        return x

    @torch.inference_mode()
    def impute(self, X: np.ndarray) -> np.ndarray:
        """Cells with missing ones at their conditional mean, levels at the most probable.

        That is what the posterior mean given the observed cells decodes to: exact for a linear
        model, and what training with hidden cells teaches a nonlinear one.
        """
        filled, vae = X.copy(), self.vae(torch.float64)
        for index in self._incomplete(X):
            rows = _cells(self.start, X[index], self.device)
            eta = vae.decode(vae.encode(rows).mean)
            _fill(filled, index, self.start.units.values(_decided(vae, eta, rows.values)))
        return filled

    @torch.inference_mode()
    def draw_missing(
        self, X: np.ndarray, n_draws: int, rng: np.random.RandomState
    ) -> list[np.ndarray]:
        """Cells with missing ones drawn given the others, n_draws times (importance resampling)."""
        copies = [X.copy() for _ in range(n_draws)]
        generator, components = _generator(rng, self.device), self._components()
        for index in self._incomplete(X):
            rows = _cells(self.start, X[index], self.device)
            chosen = _resample(components, rows, n_draws, N_RESAMPLING_DRAWS, generator)[0]
            for copy, values in zip(copies, chosen, strict=True):
                _fill(copy, index, self.start.units.values(values))
        return copies

    def _incomplete(self, X: np.ndarray) -> Iterator[np.ndarray]:
        """Positions of the rows with missing cells, as many as are held at once."""
        incomplete = np.flatnonzero(np.isnan(X).any(1))
        return (incomplete[part] for part in _slices(self.start, len(incomplete)))

    @torch.inference_mode()
    def sample_given(
        self, row: np.ndarray, names: Sequence, n_samples: int, rng: np.random.RandomState
    ) -> np.ndarray:
        """Draws that share the observed cells of one row, shape (n_samples, c)."""
        self._check_plausible(row, names, rng)
        generator = _generator(rng, self.device)
        rows = _cells(self.start, row[None], self.device)
        n_draws = max(N_CONDITIONAL_DRAWS, n_samples)
        chosen, effective = _resample(self._components(), rows, n_samples, n_draws, generator)
        if not effective >= _FEWEST_DRAWS:
            raise ValueError(
                "the condition has no support in this model: none of its rows comes near. Give "
                "fewer columns, or values that the training rows have."
            )
        return np.where(np.isnan(row), self.start.units.values(np.concatenate(chosen)), row)

    def _check_plausible(self, row: np.ndarray, names: Sequence, rng) -> None:
        drawn = self.sample(_N_PLAUSIBLE, rng)
        low, high = drawn.min(0), drawn.max(0)
        far = (row < low - (high - low)) | (row > high + (high - low))
        for likelihood, own, _ in self.start.units.parts:
            if has_levels(likelihood):  # those of fit are known, and have no range
                far[self.start.units.columns[own]] = False
        if far.any():
            j = int(far.argmax())
            raise ValueError(
                f"given {names[j]!r}={row[j]:g} has no support: this model's rows have {low[j]:g} "
                f"to {high[j]:g} there."
            )

    @property
    def mean(self) -> np.ndarray:
        """Column means, shares of booleans, NaN for levels; shape (c,)."""
        return self.start.units.of_columns("center", self.start.units.fixed.values)

    @property
    def scale(self) -> np.ndarray | float:
        """What columns are divided by: one number, or one per column with NaN for levels."""
        units = self.start.units
        if units.scale is not None:
            return units.scale
        return units.of_columns("scale", np.ones(len(units.fixed.columns)))

    @property
    def noise_variances(self) -> np.ndarray | float:
        """Of normal columns, squared units; NaN for the others. One number where all share it."""
        units = self.start.units
        variances = np.full(units.n_columns, np.nan)
        variances[units.fixed.columns] = np.where(units.fixed.is_normal, 0.0, np.nan)
        for block, part in zip(self.vae(torch.float64).blocks, units.parts, strict=True):
            if block.likelihood.is_gaussian:
                deviation = noise_variance(block).sqrt().numpy(force=True)
                own = units.columns[block.columns]
                variances[own] = np.square(deviation * part.constants["scale"])
        return variances if np.ndim(self.scale) else float(variances.max())

    @property
    def reported_start_weight(self) -> float:
        """Weight of the linear start's density."""
        return self.start_weight

    def _density(self) -> list[tuple[MixedVAE, float]]:
        """Components and their weights: the trained model and the linear start, or the latter."""
        starts = self._starts()
        if self.architecture is None:
            return starts
        trained = self.vae(torch.float64), 1.0 - self.start_weight
        return [trained, *((start, self.start_weight * share) for start, share in starts)]

    def _starts(self) -> list[tuple[MixedVAE, float]]:
        """The linear start, as a mixture."""
        return [(MixedVAE(self.start).to(self.device).requires_grad_(False), 1.0)]

    def vae(self, dtype: torch.dtype) -> Any:
        """The module, rebuilt in a dtype, on the device.

        What training left as it was is not rounded as weights are: the posterior of a complete row
        is then the same with the others of its batch complete or not.
        """
        vae = super().vae(dtype)
        for name, value in constants_of(self.start).items():
            getattr(vae, name).copy_(torch.tensor(value))
        return vae

    def _components(self) -> list[tuple[MixedVAE, float]]:
        """The components of the mixture and their log-weights."""
        return [(vae, math.log(share)) for vae, share in self._density()]

    def _batches(self, X, dtype) -> Iterator[tuple[MixedVAE, Cells]]:
        vae = self.vae(torch.float64)
        for rows in _slices(self.start, X.shape[0]):
            yield vae, _cells(self.start, X[rows], self.device)


def _slices(start: MixedStart, n_rows: int) -> Iterator[slice]:
    """Rows that are held at once: of each with gaps the posterior has a matrix of its own."""
    return batches(n_rows, N_HELD * len(start.bias) + HIDDEN_CELLS + start.latent_dim**2)


def _resample(components, rows: Cells, n_chosen: int, n_draws: int, generator):
    """Cells at draws of z chosen by their weights; the number of draws that carry the weight.

    Whichever draw has the greatest weight plus Gumbel noise is chosen with probability
    proportional to its weight, so draws are met one at a time and none is kept.
    """
    shape = (n_chosen, rows.n_rows)
    best: Tensor | None = None
    chosen: list[Tensor] = []
    weights = []
    for vae, log_share in components:
        q = vae.encode(rows)
        proposals = Proposals(q, places(vae, n_draws))
        weigh = weigher(vae, rows, proposals)
        z = q.mean.new_empty((*shape, q.mean.shape[1]))
        top = q.mean.new_full(shape, -torch.inf)
        for number in range(n_draws):
            drawn = proposals.draw(number, rows.draw_noise(vae.latent_dim, generator))
            weight = weigh(drawn) + log_share
            weights.append(weight)
            uniform = torch.rand(shape, generator=generator, device=top.device, dtype=top.dtype)
            perturbed = weight - torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
            better = perturbed > top
            top = torch.where(better, perturbed, top)
            z = torch.where(better[..., None], drawn, z)
        for i in range(n_chosen):
            values = torch.from_numpy(_drawn(vae, vae.decode(z[i]), generator, rows.values)).to(
                top.device
            )
            if best is None:
                chosen.append(values)
            else:
                chosen[i] = torch.where((top[i] > best[i])[:, None], values, chosen[i])
        best = top if best is None else torch.maximum(best, top)
    stacked = torch.stack(weights)
    shares = (stacked - stacked.logsumexp(0)).exp()
    effective = 1.0 / shares.square().sum(0).max()
    return [values.numpy(force=True) for values in chosen], float(effective)


def _fill(X: np.ndarray, index: np.ndarray, guess: np.ndarray) -> None:
    """Put guesses of rows at an index where their cells are missing."""
    cells = X[index]
    X[index] = np.where(np.isnan(cells), guess, cells)


def _means(vae: MixedVAE, eta: Tensor) -> np.ndarray:
    """Expected cells; of levels nothing."""
    parts = [
        eta.new_zeros(len(eta), len(block.columns))
        if block.likelihood.is_coded
        else block.expectation(part)
        for block, part in vae.split(eta)
    ]
    return _assembled(vae, eta, parts)


def _probabilities(block: Block, eta: Tensor, n_levels: list[int]) -> list[np.ndarray]:
    """Those of the levels of each column, shape (n, its levels)."""
    last = torch.tensor(n_levels, dtype=eta.dtype, device=eta.device) - 1
    log_prob = torch.stack(
        [block.log_prob(last.clamp(max=k).expand(len(eta), -1), eta) for k in range(max(n_levels))]
    )
    p = log_prob.exp().numpy(force=True)
    return [p[:n, :, i].T for i, n in enumerate(n_levels)]


def _decided(vae: MixedVAE, eta: Tensor, x: Tensor | None = None) -> np.ndarray:
    """Cells that are expected; x are the rows' cells, where some are known."""
    parts = [
        block.decide(block.expectation(part, None if x is None else x[:, block.columns]))
        for block, part in vae.split(eta)
    ]
    return _assembled(vae, eta, parts)


def _drawn(
    vae: MixedVAE, eta: Tensor, generator: torch.Generator, x: Tensor | None = None
) -> np.ndarray:
    parts = [
        block.sample(part, generator, None if x is None else x[:, block.columns])
        for block, part in vae.split(eta)
    ]
    return _assembled(vae, eta, parts)


def _assembled(vae: MixedVAE, eta: Tensor, parts: list[Tensor]) -> np.ndarray:
    cells = np.empty((len(eta), sum(part.shape[1] for part in parts)))
    for block, part in zip(vae.blocks, parts, strict=True):
        cells[:, block.columns] = part.numpy(force=True)
    return cells


def _is_little_known(start: MixedStart, X) -> np.ndarray:
    """Which rows have gaps, and no more known cells than codes; what never varies is no cell."""
    if sparse.issparse(X):
        return np.zeros(X.shape[0], bool)
    n_known = np.count_nonzero(~np.isnan(X[:, start.units.columns]), axis=1)
    return (n_known < start.units.n_cells) & (n_known <= start.latent_dim)


def missing_share(values) -> float:
    """Share of the cells that are missing."""
    is_full = sparse.issparse(values) or not values.size
    return 0.0 if is_full else float(np.isnan(values).mean())


def _generator(rng: np.random.RandomState, device: str) -> torch.Generator:
    return torch.Generator(device).manual_seed(int(rng.randint(np.iinfo(np.int32).max)))


def _spread(n_rows: int, most: int) -> np.ndarray:
    """Positions of so many rows, evenly over all of them: tables are often sorted."""
    n = min(n_rows, most)
    return np.arange(n) * n_rows // n


def _cells(start: MixedStart, values, device: str) -> Cells:
    """Rows in the user's units as the module takes them, dense."""
    cells = start.units.cells(values)
    cells = cells.toarray() if sparse.issparse(cells) else cells
    return Cells(torch.from_numpy(cells).to(device))
