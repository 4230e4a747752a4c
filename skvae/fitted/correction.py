"""A local correction of conditional means: what rows like a row had beyond what the model expects.

Of every column the model is asked what it expects of the stored rows that have a cell there, with
that cell hidden. A regression learns what is left of the cell from what the model then knows of
the row: its other cells, missing ones as they are expected, its code, and the expected cell. A row
whose cell is missing gets what the regression says of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from skvae.data.batches import batches
from skvae.fitted.expectations import Expectations
from skvae.fitted.neighbours import Neighbours
from skvae.fitted.regression import Lesson, Regression
from skvae.fitted.stored_rows import StoredRows
from skvae.fitted.trees import Trees
from skvae.model.cell_observation import CellDecoder
from skvae.model.rows import CellRows
from skvae.start.cell_representation import CellRepresentation

if TYPE_CHECKING:
    from skvae.fitted.model import FittedModel

MOST_BYTES = 2**29  # of what is learnt of columns: some twenty of 5000 rows, or more of fewer
_FEWEST_ROWS = 100  # that have a cell of a column: fewer have little in common


class Known(NamedTuple):
    """What a model knows of rows, and what it expects of their cells."""

    features: np.ndarray  # (n, p): all features, missing ones as they are expected, and codes
    expected: np.ndarray  # (n, k), as `Expectations` has them


class Residual(NamedTuple):
    """What a regression says of the residuals of a column."""

    regression: Regression
    size: float  # of residuals, by which they are divided
    low: np.ndarray  # (k,) least and greatest of what was observed
    high: np.ndarray


class Correction:
    """Local corrections of a model's conditional means, by the rows that it stores.

    What is learnt of a column is learnt when a cell of it is first missing, and kept while there
    is room. Where there is none it is learnt once for all rows that are asked for together. Threads
    that ask at once may learn it twice, and learn the same.

    Parameters
    ----------
    model : FittedModel
        A model that is asked about cells.
    stored : StoredRows
        Rows that it keeps.
    regression : type
        How residuals are predicted.
    most_bytes : int
        Memory of what is kept, and as much again while rows are corrected.
    """

    def __init__(
        self,
        model: "FittedModel",
        stored: StoredRows,
        regression: type[Regression],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._model, self._stored, self._regression = model, stored, regression
        self._vae = model.module(torch.float64)
        self._decoder = cast(CellDecoder, self._vae.observation)
        self._cells = cast(CellRepresentation, model.representation)
        self._expectations = Expectations(self._cells.units, self._decoder)
        self._residuals: dict[int, Residual | None] = {}
        self._most_bytes = self._room = most_bytes

    def correct(self, X: np.ndarray, filled: np.ndarray, parts: Sequence[np.ndarray]) -> None:
        """Correct cells that X (n, d) lacks where they are filled by the model; parts are rows."""
        places = self._cells.units.columns
        is_missing = np.zeros(len(places), bool)
        for index in parts:
            is_missing |= np.isnan(X[index]).any(0)[places]
        for learnt in self._learnt_together(np.flatnonzero(is_missing).tolist()):
            for index in parts:
                filled[index] = self._corrected(X[index], filled[index], learnt)

    def _learnt_together(self, cells: Iterable[int]) -> Iterator[dict[int, Residual]]:
        """What is learnt of columns, of as many at a time as there is room for."""
        held: dict[int, Residual] = {}
        room = self._most_bytes
        for cell in cells:
            residual = self._residual(cell)
            if residual is None:
                continue
            held[cell] = residual
            if cell not in self._residuals:  # nobody else keeps it
                room -= residual.regression.n_bytes
            if room < 0:
                yield held
                held, room = {}, self._most_bytes
        if held:
            yield held

    def _corrected(
        self, values: np.ndarray, guess: np.ndarray, learnt: dict[int, Residual]
    ) -> np.ndarray:
        """Guesses of rows, shape (n, d), with missing cells of some columns corrected."""
        rows = self._cells.whole_rows(values, self._model.device)
        is_missing, known = rows.values.isnan().numpy(force=True), self._known(rows)
        expected, changed = known.expected.copy(), np.zeros_like(is_missing)
        for cell, residual in learnt.items():
            missing = changed[:, cell] = is_missing[:, cell]
            own = np.ix_(missing, self._expectations.owners == cell)
            before, size = expected[own], residual.size
            shift = size * residual.regression.predict(known.features[missing], before / size)
            low, high = np.minimum(before, residual.low), np.maximum(before, residual.high)
            expected[own] = np.clip(before + shift, low, high)
        where = np.zeros(guess.shape, bool)
        where[:, self._cells.units.columns] = changed
        return np.where(where, self._expectations.decided(expected), guess)

    def _residual(self, cell: int) -> Residual | None:
        """What is learnt of a column's residuals; None where that is nothing."""
        if cell in self._residuals:
            return self._residuals[cell]
        learnt = self._learnt(cell)
        n_bytes = 0 if learnt is None else learnt.regression.n_bytes
        if n_bytes <= self._room:
            self._room -= n_bytes
            self._residuals[cell] = learnt
        return learnt

    @torch.inference_mode()
    def _learnt(self, cell: int) -> Residual | None:
        stored, own = self._stored, self._expectations.owners == cell
        values = stored.values
        there = ~np.isnan(values[:, self._cells.units.columns[cell]])
        rows = self._cells.whole_rows(values[there], self._model.device)
        observed = self._expectations.known(values[there], rows.values)[:, own]
        is_seen = ~np.isnan(observed).any(1)
        if is_seen.sum() < _FEWEST_ROWS:
            return None
        chosen = np.flatnonzero(there)[is_seen]
        known, observed = self._without(values[chosen], cell), observed[is_seen]
        expected = known.expected[:, own]
        size = np.abs(observed - expected).max()
        if not 0.0 < size < np.inf:  # nothing is left, or what is expected is no number
            return None
        weight = np.ones(len(chosen)) if stored.weight is None else stored.weight[chosen]
        is_own = np.zeros(known.features.shape[1], bool)  # codes, which come last, are of no cell
        is_own[: len(self._decoder.owner)] = self._decoder.owner.numpy(force=True) == cell
        lesson = Lesson(known.features, is_own, expected / size, observed / size, weight)
        learnt = self._regression.fit(lesson, stored.seed)
        return Residual(learnt, float(size), observed.min(0), observed.max(0))

    def _without(self, values: np.ndarray, cell: int) -> Known:
        """What the model knows of rows of which a cell is hidden."""
        hidden = values.copy()
        hidden[:, self._cells.units.columns[cell]] = np.nan
        parts = batches(len(hidden), self._cells.row_cost, self._model.batch_cells)
        known = [
            self._known(self._cells.whole_rows(hidden[part], self._model.device)) for part in parts
        ]
        return Known(*map(np.concatenate, zip(*known, strict=True)))

    def _known(self, rows: CellRows) -> Known:
        vae, decoder = self._vae, self._decoder
        z = vae.encode(rows).mean
        decoded, seen = vae.decode(z), decoder.seen(rows)
        features = decoder.reconstruction(decoded)
        if seen.observed is None:
            features = seen.features
        else:
            there = seen.observed.index_select(1, decoder.owner)
            features = torch.where(there, seen.features, features)
        all_of_it = torch.cat([features, z * vae.scale.code_scale], 1).numpy(force=True)
        return Known(all_of_it, self._expectations.of(decoded, rows.values))


def check_refinement(refine: Any, are_stored: bool, n_draws: Any) -> None:
    """Raise a ValueError where a refinement cannot be.

    "auto" is what can be done: without stored rows the conditional mean, of draws nothing.
    """
    if refine in (None, "auto"):
        return
    if not isinstance(refine, str) or refine not in REFINEMENTS:
        names = ", ".join(map(repr, REFINEMENTS))
        raise ValueError(f"refine={refine!r:.80} must be one of {names}, or None.")
    if n_draws is not None:
        raise ValueError(
            f"refine={refine!r} corrects conditional means, but n_draws={n_draws!r} requests "
            "draws from the model: leave one of them out."
        )
    if not are_stored:
        raise ValueError(
            f"refine={refine!r} needs stored training rows, but none were stored: fit with "
            "store_rows=True."
        )


# How `impute` refines the model's conditional mean; None is that mean.
REFINEMENTS: dict[str, type[Regression]] = {
    "auto": Trees,
    "neighbours": Neighbours,
    "trees": Trees,
}
