"""What a regression of residuals is: what rows that are alike have in common beyond the model."""

from abc import ABC, abstractmethod

import numpy as np


class Regression(ABC):
    """Predicts residuals of rows from what the model knows of them without the cell in question."""

    @classmethod
    @abstractmethod
    def fit(
        cls, features: np.ndarray, residuals: np.ndarray, weight: np.ndarray | None, seed: int
    ) -> "Regression":
        """Learn from rows, shape (m, p), and their residuals, (m, k), in units of their size."""

    @abstractmethod
    def predict(self, features: np.ndarray) -> np.ndarray:
        """Residuals of other rows, shape (n, k), each row on its own."""
