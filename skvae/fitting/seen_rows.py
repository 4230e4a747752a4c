"""The rows of a fit, and what it learned of them in the attributes of an estimator."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skvae.data.reading import Reading
from skvae.fitted.attributes import Curves, learned
from skvae.fitted.model import FittedModel
from skvae.fitting.fit import with_stored_rows
from skvae.fitting.options import Options
from skvae.fitting.sharing import n_rows_of
from skvae.start.base import LinearStart
from skvae.start.tables import TrainingTable
from skvae.training.record import Record


@dataclass(frozen=True)
class SeenRows:
    """The rows of a fit."""

    reading: Reading
    X: TrainingTable
    weight: np.ndarray | None
    options: Options
    curves: Curves  # of the fits before
    is_own: bool  # whether the linear start is of these rows
    goes_on: bool  # whether another fit may go on from this one
    scores: dict[int, float] = field(default_factory=dict)

    def learned(self, model: FittedModel, record: Record) -> dict[str, Any]:
        """What a fit has learned of them, by the names of attributes."""
        kept = {
            "_online": None,
            "_seed": self.options.seed,
            "_left": record.left if self.goes_on else None,
        }
        pca_score, n_rows = self._pca_score(model.start), n_rows_of(self.options.sharing, self.X)
        model = with_stored_rows(model, self.X, self.weight, self.options)
        return learned(self.reading, model, record, pca_score, self.curves, n_rows) | kept

    def _pca_score(self, start: LinearStart) -> float:
        """Mean log-likelihood of the rows under a start, which may take long: found once."""
        if id(start) not in self.scores:
            self.scores[id(start)] = start.score(self.X.values, self.weight, is_own=self.is_own)
        return self.scores[id(start)]
