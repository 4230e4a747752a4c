"""The mean residual of the nearest rows, as far as it holds for rows that are left out."""

import numpy as np

from skvae.data.batches import batches
from skvae.fitted.regression import Regression

_N_NEIGHBOURS = 30
_N_LEFT_OUT = 1000  # rows that say how far neighbours are to be trusted, at most
_TICK = 2.0**-20  # squared distances that differ by less are ties, which are broken by position
_FLOOR = 1e-9  # weight of the farthest neighbour
_SPREAD = 3.29  # of a normal distribution, between its quantiles at 5 and at 95 %


class Neighbours(Regression):
    """A weighted mean over the nearest rows, whose weights fall to zero at the farthest of them.

    Features are divided by their spread, and their tails drawn in by asinh, so that no far value
    decides alone. The mean is shrunk by what it explains of rows that are left out of it.
    """

    def __init__(
        self, features: np.ndarray, residuals: np.ndarray, weight: np.ndarray | None
    ) -> None:
        low, self._center, high = np.quantile(features, [0.05, 0.5, 0.95], axis=0)
        spread = np.where(high > low, (high - low) / _SPREAD, features.std(0))
        self._spread = np.where(spread > 0, spread, 1.0)
        self._rows = self._squashed(features).astype(np.float32)
        self._residuals = residuals
        self._weight = np.ones(len(features)) if weight is None else weight
        self._share = 1.0
        self._share = self._trusted()

    @classmethod
    def fit(
        cls, features: np.ndarray, residuals: np.ndarray, weight: np.ndarray | None, seed: int
    ) -> "Neighbours":
        return cls(features, residuals, weight)

    def predict(self, features: np.ndarray) -> np.ndarray:
        if self._share == 0.0:
            return np.zeros((len(features), self._residuals.shape[1]))
        return self._share * self._means(self._squashed(features))

    def _trusted(self) -> float:
        """Share of the mean that fits rows best which are left out of it, by least squares."""
        some = slice(_N_LEFT_OUT)
        told, weight = self._residuals[some], self._weight[some, None]
        means = self._means(self._rows[some], are_own=True)
        explained, size = (weight * told * means).sum(), (weight * means**2).sum()
        return float(np.clip(explained / size, 0.0, 1.0)) if size > 0 else 0.0

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

    def _squashed(self, features: np.ndarray) -> np.ndarray:
        return np.arcsinh((features - self._center) / self._spread)
