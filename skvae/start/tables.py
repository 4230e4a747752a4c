"""What fit gets: a matrix of complete numbers, or a table of columns with their likelihoods.

Each has a linear start of its own kind, and of rows that come batch by batch a way to follow it.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from scipy import sparse

from skvae.data.batches import Values
from skvae.likelihoods import Likelihood
from skvae.start.base import LinearStart
from skvae.start.glm import features_of, fit_factor_start
from skvae.start.moments import Moments, no_moments
from skvae.start.ppca import DIRECTIONS, Directions, ProbabilisticPCA, fit_linear
from skvae.start.spectrum import Spectra
from skvae.start.streams import MatrixStream, StartStream, TableStream


class TrainingTable(ABC):
    """Rows that a model is fitted to."""

    values: Values  # (n, d) dense or sparse, NaN where missing

    @property
    def shape(self) -> tuple[int, int]:
        return self.values.shape

    @property
    def n_rows(self) -> int:
        return self.shape[0]

    @abstractmethod
    def with_values(self, values: Values) -> "TrainingTable":
        """Other rows of the same columns."""

    @property
    @abstractmethod
    def level_counts(self) -> tuple[int, ...]:
        """Number of levels of each column, 0 where it has none."""

    @abstractmethod
    def begin_stream(self, start: LinearStart | None) -> StartStream:
        """What is kept of rows that come batch by batch: these first, or after those of a start."""

    @abstractmethod
    def features(self, weight: np.ndarray | None) -> Values:
        """A matrix whose principal directions tell how many codes there are to be."""

    @abstractmethod
    def fit_start(
        self,
        latent_dim: int,
        weight: np.ndarray | None,
        rng: np.random.RandomState,
        spectra: Spectra | None = None,
        directions: Directions = DIRECTIONS,
    ) -> LinearStart:
        """The linear start of the rows."""


@dataclass(frozen=True)
class Matrix(TrainingTable):
    """Complete numbers that share a unit, as PCA takes them."""

    values: Values

    def with_values(self, values: Values) -> "Matrix":
        return Matrix(values)

    @property
    def level_counts(self) -> tuple[int, ...]:
        return (0,) * self.shape[1]

    def begin_stream(self, start: LinearStart | None) -> StartStream:
        if start is None:
            return MatrixStream(no_moments(self.values))
        return MatrixStream(Moments.of_start(cast(ProbabilisticPCA, start)))

    def features(self, weight: np.ndarray | None) -> Values:
        return self.values

    def fit_start(
        self,
        latent_dim: int,
        weight: np.ndarray | None,
        rng: np.random.RandomState,
        spectra: Spectra | None = None,
        directions: Directions = DIRECTIONS,
    ) -> LinearStart:
        return fit_linear(self.values, latent_dim, weight, rng, spectra, directions)


@dataclass(frozen=True)
class Table(TrainingTable):
    """Columns of any kind: numbers in the user's units, codes of levels, NaN where missing."""

    values: np.ndarray | sparse.csr_array  # (n, d) float64
    likelihoods: tuple[tuple[Likelihood, np.ndarray], ...]  # with their columns
    n_levels: np.ndarray  # of each column, 0 where it has none

    def with_values(self, values: Values) -> "Table":
        return replace(self, values=values)

    @property
    def level_counts(self) -> tuple[int, ...]:
        return tuple(self.n_levels.tolist())

    def begin_stream(self, start: LinearStart | None) -> StartStream:
        return TableStream()

    def features(self, weight: np.ndarray | None) -> np.ndarray:
        return features_of(self.values, self.likelihoods, weight)

    def fit_start(
        self,
        latent_dim: int,
        weight: np.ndarray | None,
        rng: np.random.RandomState,
        spectra: Spectra | None = None,
        directions: Directions = DIRECTIONS,
    ) -> LinearStart:
        """It is another for every number of units."""
        values = self._drawn(rng)
        return fit_factor_start(values, self.likelihoods, latent_dim, weight, rng)

    def _drawn(self, rng: np.random.RandomState) -> Values:
        """Values with 0 or 1 drawn for every probability."""
        found = [columns for likelihood, columns in self.likelihoods if likelihood.is_stochastic]
        columns = np.concatenate([np.zeros(0, int), *found])
        if not len(columns):
            return self.values
        values = self.values.copy()
        share = values[:, columns]
        values[:, columns] = np.where(
            np.isnan(share), share, rng.random_sample(share.shape) < share
        )
        return values
