"""Cells given the others of their row: the expected ones, and draws by importance resampling.

A model is asked about cells (`FittedModel.of_cells`); rows are in the user's units, codes of
levels, NaN where missing.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import batches
from skvae.data.units import Units
from skvae.devices import seeded
from skvae.fitted.correction import Correction
from skvae.model.bounds import Proposals, places, weigher
from skvae.model.cell_observation import CellDecoder
from skvae.model.rows import CellRows
from skvae.model.vae import VAE
from skvae.start.calibration import has_levels
from skvae.start.cell_representation import CellRepresentation

if TYPE_CHECKING:
    from skvae.fitted.model import FittedModel

_RESAMPLING_DRAWS = 512  # from each component, of which multiple imputations are chosen
_CONDITIONAL_DRAWS = 1024  # of z given cells, at least; as many as rows are asked for, up to
_MOST_DRAWS = 2**20
_N_PLAUSIBLE = 1000  # draws whose range, three times as wide, is what a column can be
_FEWEST_DRAWS = 5.0  # that have to carry the weight, for a condition to have support


def impute(model: "FittedModel", X: np.ndarray, correction: Correction | None = None) -> np.ndarray:
    """Cells with missing ones at their conditional mean, levels at the most probable.

    That is what the posterior mean given the observed cells decodes to: exact for a linear
    model, and what training with hidden cells teaches a nonlinear one. A correction adds what
    rows that are alike had beyond it. Means of counts are rounded, so that the model takes what it
    has filled.
    """
    filled, vae = X.copy(), model.module(torch.float64)
    cells = _cells_of(model)
    decoder = cast(CellDecoder, vae.observation)
    parts = list(_incomplete(X, model))
    for index in parts:
        rows = cells.whole_rows(X[index], model.device)
        decoded = vae.decode(vae.encode(rows).mean)
        _fill(filled, index, cells.units.values(decoder.expected(decoded, rows.values).numpy()))
    if correction is not None:
        correction.correct(X, filled, parts)
    whole = cells.units.whole_columns
    filled[:, whole] = np.rint(filled[:, whole])
    return filled


def draw_missing(
    model: "FittedModel",
    X: np.ndarray,
    n_draws: int,
    generator: torch.Generator,
    n_proposals: int = _RESAMPLING_DRAWS,
) -> list[np.ndarray]:
    """Cells with missing ones drawn given the others, n_draws times."""
    copies = [X.copy() for _ in range(n_draws)]
    cells = _cells_of(model)
    for index in _incomplete(X, model):
        rows = cells.whole_rows(X[index], model.device)
        chosen = _resample(model, rows, n_draws, n_proposals, generator)
        for copy, values in zip(copies, chosen, strict=True):
            _fill(copy, index, cells.units.values(values))
    return copies


def sample_given(
    model: "FittedModel",
    row: np.ndarray,
    names: Sequence[Hashable],
    n_samples: int,
    rng: np.random.RandomState,
    n_proposals: int = _CONDITIONAL_DRAWS,
) -> np.ndarray:
    """Draws that share the observed cells of one row, shape (n_samples, d)."""
    cells = _cells_of(model)
    _check_plausible(model, cells.units, row, names, rng)
    generator = seeded(rng, model.device)
    n_draws = min(max(n_proposals, n_samples), _MOST_DRAWS)
    parts = [_weighted(model, vae, share, row, n_draws, generator) for vae, share in model.density]
    shares = torch.softmax(torch.cat([part.log_weight for part in parts]), 0)
    if not 1.0 / shares.square().sum() >= _FEWEST_DRAWS:
        raise ValueError(
            "the condition has no support in this model: none of its rows comes near. Give "
            "fewer columns, or values that the training rows have."
        )
    chosen = torch.multinomial(shares, n_samples, replacement=True, generator=generator)
    drawn, first = np.empty((n_samples, len(row))), 0
    for part in parts:
        is_own = (chosen >= first) & (chosen < first + len(part.z))
        own = torch.nonzero(is_own)[:, 0].numpy(force=True)
        for some in batches(len(own), cells.row_cost, model.batch_cells):
            drawn[own[some]] = part.cells(chosen[own[some]] - first, generator)
        first += len(part.z)
    return np.where(np.isnan(row), cells.units.values(drawn), row)


class Weighted(NamedTuple):
    """Draws of z given some cells of a row, by one component of the density."""

    vae: VAE
    z: Tensor  # (m, q)
    log_weight: Tensor  # (m,)
    row: Tensor  # (1, c): its cells

    def cells(self, index: Tensor, generator: torch.Generator) -> np.ndarray:
        """Cells drawn at those of an index, shape (n, c)."""
        decoder = cast(CellDecoder, self.vae.observation)
        decoded = self.vae.decode(self.z[index])
        row = self.row.expand(len(index), -1)
        return decoder.draw(decoded, generator, row).numpy(force=True)


def _weighted(
    model: "FittedModel",
    vae: VAE,
    share: float,
    row: np.ndarray,
    n_draws: int,
    generator: torch.Generator,
) -> Weighted:
    """So many draws, or a few more: copies of the row are asked at once, each for every place."""
    cells, proposed = _cells_of(model), places(vae, len(vae.proposals))
    z, weights = [], []
    n_copies = math.ceil(n_draws / len(proposed))
    for part in batches(n_copies, cells.row_cost, model.batch_cells):
        copies = np.tile(row, (part.stop - part.start, 1))
        rows = cells.whole_rows(copies, model.device)
        proposals = Proposals(vae, vae.encode(rows), proposed, generator)
        weigh = weigher(rows, proposals)
        for number in range(len(proposed)):
            z.append(proposals.draw(number, rows.draw_noise(vae.latent_dim, generator)))
            weights.append(weigh(z[-1]))
    log_weight = torch.cat(weights) + math.log(share / len(proposed) / n_copies)
    return Weighted(vae, torch.cat(z), log_weight, rows.values[:1])


def _cells_of(model: "FittedModel") -> CellRepresentation:
    return cast(CellRepresentation, model.representation)


def _incomplete(X: np.ndarray, model: "FittedModel") -> Iterator[np.ndarray]:
    """Positions of the rows with missing cells, as many as are held at once, of one block."""
    row_cost = model.representation.row_cost
    for block in batches(*X.shape):
        incomplete = block.start + np.flatnonzero(np.isnan(X[block]).any(1))
        for part in batches(len(incomplete), row_cost, model.batch_cells):
            yield incomplete[part]


def _fill(X: np.ndarray, index: np.ndarray, guess: np.ndarray) -> None:
    """Put guesses of rows at an index where their cells are missing."""
    cells = X[index]
    X[index] = np.where(np.isnan(cells), guess, cells)


def _check_plausible(
    model: "FittedModel",
    units: Units,
    row: np.ndarray,
    names: Sequence[Hashable],
    rng: np.random.RandomState,
) -> None:
    drawn = model.sample(_N_PLAUSIBLE, rng, np.dtype(np.float64))
    low, high = drawn.min(0), drawn.max(0)
    far = (row < low - (high - low)) | (row > high + (high - low))
    for likelihood, own, _ in units.parts:
        if has_levels(likelihood):  # those of fit are known, and have no range
            far[units.columns[own]] = False
    if far.any():
        j = int(far.argmax())
        raise ValueError(
            f"given {names[j]!r}={row[j]:g} has no support: rows of this model range from "
            f"{low[j]:g} to {high[j]:g} there."
        )


def _resample(
    model: "FittedModel", rows: CellRows, n_chosen: int, n_draws: int, generator: torch.Generator
) -> list[np.ndarray]:
    """Cells at draws of z chosen by their weights.

    Whichever draw has the greatest weight plus Gumbel noise is chosen with probability
    proportional to its weight, so draws are met one at a time and none is kept.
    """
    shape = (n_chosen, rows.n_rows)
    best: Tensor | None = None
    chosen: list[Tensor] = []
    for vae, share in model.density:
        q = vae.encode(rows)
        proposals = Proposals(vae, q, places(vae, n_draws), generator)
        weigh = weigher(rows, proposals)
        z = q.mean.new_empty((*shape, q.mean.shape[1]))
        top = q.mean.new_full(shape, -torch.inf)
        for number in range(n_draws):
            drawn = proposals.draw(number, rows.draw_noise(vae.latent_dim, generator))
            weight = weigh(drawn) + math.log(share)
            uniform = torch.rand(shape, generator=generator, device=top.device, dtype=top.dtype)
            perturbed = weight - torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
            better = perturbed > top
            top = torch.where(better, perturbed, top)
            z = torch.where(better[..., None], drawn, z)
        decoder = cast(CellDecoder, vae.observation)
        for i in range(n_chosen):
            values = decoder.draw(vae.decode(z[i]), generator, rows.values).to(top.device)
            if best is None:
                chosen.append(values)
            else:
                chosen[i] = torch.where((top[i] > best[i])[:, None], values, chosen[i])
        best = top if best is None else torch.maximum(best, top)
    return [values.numpy(force=True) for values in chosen]
