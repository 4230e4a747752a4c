"""What a regression of residuals is: what rows that are alike have in common beyond the model."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

_SPREAD = 3.29  # of a normal distribution, between its quantiles at 5 and at 95 %


class Lesson(NamedTuple):
    """Rows with a cell of a column, and what the model knows of them without that cell.

    Values are in units of the largest residual. A column of k levels has k values.
    """

    features: np.ndarray  # (m, p)
    is_own: np.ndarray  # (p,) whether a feature is of the column itself: it is as expected
    expected: np.ndarray  # (m, k) values that the model expects
    observed: np.ndarray  # (m, k) values that were there
    weight: np.ndarray  # (m,)

    @property
    def residuals(self) -> np.ndarray:
        """What the model does not expect, shape (m, k)."""
        return self.observed - self.expected


class Regression(ABC):
    """Predicts residuals of rows from what the model knows of them without the cell in question."""

    @classmethod
    @abstractmethod
    def fit(cls, lesson: Lesson, seed: int) -> "Regression":
        """Learn a column."""

    @abstractmethod
    def predict(self, features: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Residuals of other rows, shape (n, k), each row on its own."""

    @property
    @abstractmethod
    def n_bytes(self) -> int:
        """Memory that it takes, about."""


class Scale:
    """Features centred, and divided by their own spread."""

    def __init__(self, features: np.ndarray) -> None:
        low, self._center, high = np.quantile(features, [0.05, 0.5, 0.95], axis=0)
        spread = np.where(high > low, (high - low) / _SPREAD, features.std(0))
        self._spread = np.where(spread > 0, spread, 1.0)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        return (features - self._center) / self._spread


def share_of(told: np.ndarray, said: np.ndarray, weight: np.ndarray) -> float:
    """Share of what is said of residuals that fits them best, by least squares: from 0 up."""
    explained, size = (weight[:, None] * told * said).sum(), (weight[:, None] * said**2).sum()
    return float(max(explained / size, 0.0)) if size > 0 else 0.0
