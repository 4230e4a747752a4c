"""What fit gets of a table: values, and the likelihoods of its columns."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from skvae.likelihoods import Likelihood


class Table(NamedTuple):
    """What fit gets of a table."""

    values: np.ndarray | sparse.csr_array  # (n, c) float64, NaN where missing
    likelihoods: tuple[tuple[Likelihood, np.ndarray], ...]  # with their columns
    n_levels: np.ndarray  # of each column, 0 where it has none

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape

    @property
    def probabilities(self) -> np.ndarray:
        """Columns whose values are probabilities, of which training draws."""
        found = [columns for likelihood, columns in self.likelihoods if likelihood.is_stochastic]
        return np.concatenate([np.zeros(0, int), *found])

    def drawn(self, rng: np.random.RandomState) -> "Table":
        """The same table with 0 or 1 drawn for every probability."""
        columns = self.probabilities
        if not len(columns):
            return self
        values = self.values.copy()
        share = values[:, columns]
        values[:, columns] = np.where(
            np.isnan(share), share, rng.random_sample(share.shape) < share
        )
        return self._replace(values=values)
