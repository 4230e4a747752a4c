"""Marginals: every column on its own, what a model of a table must beat.

Numbers have a normal density in their units, categories their frequencies. Cells that are
missing count neither in ``fit`` nor in ``score_samples``.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.frames import is_number


class Normal(NamedTuple):
    """Mean and deviation of the observed cells; no deviation below that of rounding."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, column: pd.Series) -> "Normal":
        values = np.sort(column.dropna().to_numpy(dtype="float64"))
        gaps = np.diff(values)
        # A column that is constant in the training rows says nothing on its rounding.
        resolution = gaps[gaps > 0].min(initial=np.inf) if np.any(gaps > 0) else 1.0
        return cls(values.mean(), max(values.std(), resolution / np.sqrt(12)))

    def log_densities(self, column: pd.Series) -> np.ndarray:
        z = (column.to_numpy(dtype="float64", na_value=np.nan) - self.mean) / self.deviation
        return -0.5 * (np.square(z) + np.log(2 * np.pi)) - np.log(self.deviation)


class Frequencies(NamedTuple):
    """Log-probabilities of the levels, each counted once too often, and of one not yet seen."""

    levels: pd.Series
    unseen: float

    @classmethod
    def of(cls, column: pd.Series) -> "Frequencies":
        counts = column.dropna().astype(object).value_counts()
        total = counts.sum() + len(counts) + 1
        return cls(np.log((counts + 1) / total), -np.log(total))

    def log_densities(self, column: pd.Series) -> np.ndarray:
        found = column.astype(object).map(self.levels).to_numpy(dtype="float64")
        return np.where(np.isnan(found) & column.notna(), self.unseen, found)


class Marginals:
    """Independent columns, with the methods of a model of tables."""

    def fit(self, X) -> "Marginals":
        self.frame_ = _frame(X)
        self.columns_ = {
            name: (Normal if is_number(column) else Frequencies).of(column)
            for name, column in self.frame_.items()
        }
        return self

    def score_samples(self, X) -> np.ndarray:
        """Return the log-likelihood of the observed cells of every row, in nats."""
        densities = [self.columns_[name].log_densities(cells) for name, cells in _frame(X).items()]
        return np.nansum(densities, axis=0)

    def sample(self, n_samples: int, random_state: int) -> pd.DataFrame:
        """Return rows whose cells are drawn from the training rows, column by column."""
        rng = np.random.default_rng(random_state)
        n_rows = len(self.frame_)
        columns = {
            name: column.iloc[rng.integers(n_rows, size=n_samples)].reset_index(drop=True)
            for name, column in self.frame_.items()
        }
        return pd.DataFrame(columns)


def _frame(X):
    """Return a table as a frame; an array is one of zeros and ones."""
    return X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X) != 0)
