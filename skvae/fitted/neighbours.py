"""The mean residual of the nearest rows, as far as it holds for rows that are left out."""

import numpy as np

from skvae.data.batches import batches
from skvae.fitted.regression import Lesson, Regression, Scale, share_of

_N_NEIGHBOURS = 30
_N_LEFT_OUT = 1000  # rows that say how far neighbours are to be trusted, at most
_TICK = 2.0**-20  # squared distances that differ by less are ties, which are broken by position
_FLOOR = 1e-9  # weight of the farthest neighbour


class Neighbours(Regression):
    """A weighted mean over the nearest rows, whose weights fall to zero at the farthest of them.

    The mean is shrunk by what it explains of rows that are left out of it.
    """

    def __init__(self, lesson: Lesson) -> None:
        self._scale = Scale(lesson.features)
        self._rows = self._placed(lesson.features).astype(np.float32)
        self._residuals, self._weight = lesson.residuals, lesson.weight
        some = slice(_N_LEFT_OUT)
        left_out = self._means(self._rows[some], are_own=True)
        self._share = min(share_of(self._residuals[some], left_out, self._weight[some]), 1.0)

    @classmethod
    def fit(cls, lesson: Lesson, seed: int) -> "Neighbours":
        return cls(lesson)

    def predict(self, features: np.ndarray, expected: np.ndarray) -> np.ndarray:
        if self._share == 0.0:
            return np.zeros_like(expected)
        return self._share * self._means(self._placed(features))

    @property
    def n_bytes(self) -> int:
        return self._rows.nbytes + self._residuals.nbytes

    def _means(self, rows: np.ndarray, are_own: bool = False) -> np.ndarray:
        """Of the residuals of each row's neighbours; rows that are its own are not theirs."""
        own = self._rows.astype(np.float64)
        squares, place = np.square(own).sum(1), np.arange(len(own))
        means = np.empty((len(rows), self._residuals.shape[1]))
        n_nearest = min(_N_NEIGHBOURS, len(own) - 2) + 1
        for part in batches(len(rows), len(own)):
            x = rows[part].astype(np.float64)
            distance = np.square(x).sum(1)[:, None] + squares - 2.0 * (x @ own.T)
            ticks = np.rint(np.maximum(distance, 0.0) / _TICK)
            if are_own:
                ticks[np.arange(len(x)), place[part]] = np.inf
            # Rounding, which may hang on the rows that come together, breaks no ties.
            order = ticks * len(own) + place
            nearest = np.argpartition(order, n_nearest - 1, axis=1)[:, :n_nearest]
            ticks = np.take_along_axis(ticks, nearest, 1)
            near = 1.0 - ticks / np.maximum(ticks.max(1, keepdims=True), 1.0) + _FLOOR
            near *= self._weight[nearest]
            near /= near.sum(1, keepdims=True)
            means[part] = np.einsum("nm,nmk->nk", near, self._residuals[nearest])
        return means

    def _placed(self, features: np.ndarray) -> np.ndarray:
        """With tails drawn in, so that no far value decides alone."""
        return np.arcsinh(self._scale(features))
