"""A local correction of conditional means: what rows like a row had beyond what the model expects.

Of every column the model is asked what it expects of the stored rows that have a cell there, with
that cell hidden. A regression learns what is left of the cell from what the model then knows of
the row: its other cells, missing ones as they are expected, its code, and the expected cell. A row
whose cell is missing gets what the regression says of it.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch

from skvae.data.batches import batches
from skvae.fitted.expectations import Expectations
from skvae.fitted.neighbours import Neighbours
from skvae.fitted.regression import Regression
from skvae.fitted.stored_rows import StoredRows
from skvae.fitted.trees import Trees
from skvae.model.cell_observation import CellDecoder
from skvae.model.rows import CellRows
from skvae.start.cell_representation import CellRepresentation

if TYPE_CHECKING:
    from skvae.fitted.model import FittedModel

_MOST_BYTES = 2**27  # of what is learnt of all columns, that are kept
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
    is room. Threads that ask at once may learn it twice, and learn the same.

    Parameters
    ----------
    model : FittedModel
        A model that is asked about cells.
    stored : StoredRows
        Rows that it keeps.
    regression : type
        How residuals are predicted.
    """

    def __init__(
        self, model: "FittedModel", stored: StoredRows, regression: type[Regression]
    ) -> None:
        self._model, self._stored, self._regression = model, stored, regression
        self._vae = model.module(torch.float64)
        self._decoder = cast(CellDecoder, self._vae.observation)
        self._cells = cast(CellRepresentation, model.representation)
        self._expectations = Expectations(self._cells.units, self._decoder)
        self._residuals: dict[int, Residual | None] = {}
        self._room = _MOST_BYTES

    def corrected(self, rows: CellRows, guess: np.ndarray) -> np.ndarray:
        """Values of rows, shape (n, d), as the model guesses them, with missing ones corrected."""
        is_missing = rows.values.isnan().numpy(force=True)
        if not is_missing.any():
            return guess
        known, columns = self._known(rows), self._cells.units.columns
        expected, changed = known.expected.copy(), np.zeros_like(is_missing)
        for cell in np.flatnonzero(is_missing.any(0)).tolist():
            residual = self._residual(cell)
            if residual is None:
                continue
            missing = changed[:, cell] = is_missing[:, cell]
            own = np.ix_(missing, self._expectations.owners == cell)
            shift = residual.size * residual.regression.predict(known.features[missing])
            before = expected[own]
            low, high = np.minimum(before, residual.low), np.maximum(before, residual.high)
            expected[own] = np.clip(before + shift, low, high)
        if changed.any():
            values, where = self._expectations.decided(expected), np.zeros(guess.shape, bool)
            where[:, columns] = changed
            guess = np.where(where, values, guess)
        return guess

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
        residuals = observed - known.expected[:, own]
        size = np.abs(residuals).max()
        if not 0.0 < size < np.inf:  # nothing is left, or what is expected is no number
            return None
        weight = None if stored.weight is None else stored.weight[chosen]
        learnt = self._regression.fit(known.features, residuals / size, weight, stored.seed)
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
    "auto": Neighbours,
    "neighbours": Neighbours,
    "trees": Trees,
}
