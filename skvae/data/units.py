"""The user's units of a table: how its values become the cells that models know, and back.

Values, shape (n, d), are what a person sees: numbers in their units, codes of levels, NaN where
missing. Cells, shape (n, c), are those of the columns that vary, standardised by their likelihoods
in double precision, whatever the precision of the model. A column that never varied in fit is no
cell: it comes back as it was, costs nothing, and another value there is as unlikely as a level
that was never seen.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skvae.data.batches import batches
from skvae.likelihoods import Constants, Likelihood, varies

_NEARLY_ALIKE = 4 * np.finfo(float).eps  # relative difference of numbers that rounding makes


class Part(NamedTuple):
    """A block of cells as numpy holds it."""

    likelihood: Likelihood
    columns: np.ndarray  # among the cells
    constants: Constants


class Fixed(NamedTuple):
    """Columns that never vary."""

    columns: np.ndarray  # of the table
    values: np.ndarray  # what all their cells are
    log_unseen: np.ndarray  # log-probability of anything else
    is_normal: np.ndarray  # whether their likelihood is that of a number, whose noise is 0
    is_coded: np.ndarray

    def log_prob(self, values: np.ndarray) -> np.ndarray:
        """Log-probability per row, shape (n,); missing cells cost nothing, as constants do."""
        own = values[:, self.columns]
        is_other = np.abs(own - self.values) > _NEARLY_ALIKE * np.abs(self.values)
        return np.where(is_other, self.log_unseen, 0.0).sum(1)


@dataclass(frozen=True)
class Units:
    """What fit has learnt of the columns, to turn values into cells and back."""

    parts: tuple[Part, ...]
    columns: np.ndarray  # (c,) of the table, that are cells
    fixed: Fixed
    scale: float | None  # that all columns share, as in PCA; None where each has its own

    @classmethod
    def of(cls, values, likelihoods, weight) -> "Units":
        """Those of dense or sparse rows, whose likelihoods come with their columns."""
        if not sparse.issparse(values):  # in one order of memory: sums round alike
            values = np.ascontiguousarray(values)
        columns = _varying(values, likelihoods)
        is_cell = np.isin(np.arange(values.shape[1]), columns)
        parts = []
        scale = _common_scale(values, likelihoods, weight)
        for likelihood, own in likelihoods:
            own = own[is_cell[own]]
            if len(own):
                learnt = likelihood.fit(values[:, own], weight, scale)
                parts.append(Part(likelihood, np.searchsorted(columns, own), learnt))
        parts.sort(key=lambda part: part.columns[0])  # as without the columns that never vary
        fixed = _fixed(values, likelihoods, np.flatnonzero(~is_cell))
        return cls(tuple(parts), columns, fixed, scale)

    @classmethod
    def of_cells(cls, part: Part, scale: float) -> "Units":
        """Those of a table of one block, whose columns share a scale."""
        nothing = np.zeros(0)
        fixed = Fixed(nothing.astype(int), nothing, nothing, nothing > 0, nothing > 0)
        return cls((part,), part.columns, fixed, scale)

    @property
    def n_cells(self) -> int:
        """Columns that are cells."""
        return len(self.columns)

    @property
    def n_columns(self) -> int:
        """Columns of the table."""
        return self.n_cells + len(self.fixed.columns)

    def with_parts(self, parts: tuple[Part, ...]) -> "Units":
        """The same columns, of whose likelihoods more is known."""
        return replace(self, parts=parts)

    def cells(self, values, dtype: type = np.float64):
        """Cells of dense values, shape (n, c), in a dtype; sparse rows are cells as they are."""
        if sparse.issparse(values):
            return values.astype(dtype)
        cells: np.ndarray = np.empty((len(values), self.n_cells), dtype)
        for rows in batches(len(values), self.n_cells):
            x = np.asarray(values[rows], np.float64)
            for likelihood, own, constants in self.parts:
                cells[rows, own] = likelihood.standardised(constants, x[:, self.columns[own]])
        return cells

    def values(self, cells: np.ndarray) -> np.ndarray:
        """Values of cells, shape (n, d)."""
        values = np.empty((len(cells), self.n_columns))
        values[:, self.fixed.columns] = self.fixed.values
        for rows in batches(len(cells), self.n_columns):
            for likelihood, own, constants in self.parts:
                restored = likelihood.restored(constants, cells[rows][:, own])
                values[rows, self.columns[own]] = restored
        return values

    def log_jacobian(self, values) -> np.ndarray:
        """What the log-density of each row's cells gains in the user's units, nats, shape (n,)."""
        total = np.zeros(values.shape[0])
        if sparse.issparse(values):
            return total
        for rows in batches(len(values), self.n_cells):
            x = np.asarray(values[rows], np.float64)
            total[rows] = self.fixed.log_prob(x)
            for likelihood, own, constants in self.parts:
                gain = likelihood.log_jacobian(constants, x[:, self.columns[own]])
                total[rows] += np.where(np.isnan(x[:, self.columns[own]]), 0.0, gain).sum(1)
        return total

    @property
    def whole_columns(self) -> np.ndarray:
        """Positions of the columns that hold whole numbers alone."""
        own = [self.columns[part.columns] for part in self.parts if part.likelihood.is_whole]
        return np.concatenate([np.zeros(0, int), *own])

    def masses(self, values) -> np.ndarray:
        """Which cells of rows have a probability beside others of a density, shape (n, c)."""
        found = np.zeros((values.shape[0], self.n_cells), bool)
        for likelihood, own, constants in self.parts:
            if likelihood.has_scores:
                found[:, own] = likelihood.has_mass(constants, values[:, self.columns[own]])
        return found

    def of_columns(self, name: str, fixed: np.ndarray) -> np.ndarray:
        """A constant of every column of numbers, shape (d,): NaN for levels."""
        found = np.full(self.n_columns, np.nan)
        for likelihood, own, constants in self.parts:
            if not likelihood.is_coded:
                found[self.columns[own]] = constants[name]
        found[self.fixed.columns] = np.where(self.fixed.is_coded, np.nan, fixed)
        return found


def _common_scale(values, likelihoods, weight) -> float | None:
    """One scale for all columns where all are Gaussian, as in PCA."""
    (first, *others) = likelihoods
    if others or not first[0].shares_scale:
        return None
    own = first[0].fit(values, weight)["scale"][varies(values)]
    largest = own.max(initial=0.0)
    if largest == 0.0:
        return 1.0
    return float(largest * np.sqrt(np.square(own / largest).sum() / values.shape[1]))


def _varying(values, likelihoods) -> np.ndarray:
    """Columns whose cells say something."""
    everything = np.arange(values.shape[1])
    (first, *others) = likelihoods
    if sparse.issparse(values) or (first[0].shares_scale and not others):
        return everything
    keeps = np.zeros(values.shape[1], bool)
    for likelihood, own in likelihoods:
        keeps[own] = likelihood.keeps_constants
    return everything[keeps | varies(values)]


def _fixed(values, likelihoods, columns: np.ndarray) -> Fixed:
    """What columns that never vary are."""
    is_normal, is_coded = np.zeros((2, values.shape[1]), bool)
    for likelihood, own in likelihoods:
        is_normal[own], is_coded[own] = likelihood.is_gaussian, likelihood.is_coded
    own = np.zeros((0, 0)) if sparse.issparse(values) else values[:, columns]
    there = ~np.isnan(own)
    first = there.argmax(0) if len(columns) else np.zeros(0, int)
    return Fixed(
        columns,
        own[first, np.arange(len(columns))],
        np.log(0.5 / (there.sum(0) + 1.0)),
        is_normal[columns],
        is_coded[columns],
    )
