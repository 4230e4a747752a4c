"""Linear starts of rows that come batch by batch.

Of a matrix the start is that of all rows, by merged moments; of a table it is fitted again to a
sample of the rows, where that makes them likelier.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from skvae.data.batches import Values
from skvae.data.reservoir import Reservoir
from skvae.start.base import LinearStart
from skvae.start.factor_start import FactorStart
from skvae.start.moments import Moments
from skvae.start.ppca import Directions, linear_start

if TYPE_CHECKING:
    from skvae.start.tables import TrainingTable

_RENEWAL = 32  # rows that came since call for another look once they are one in so many
_LIKELIER = 0.01  # nats per cell by which another start has to be
_ALIKE = 0.9  # share of the rows by which two starts can be compared; below, the later one is it


class NewRows(NamedTuple):
    """Rows that came together, what is kept of all before, and what start is asked for."""

    X: "TrainingTable"
    weight: np.ndarray | None
    sample: Reservoir  # of all rows, these included
    is_of_stream: bool  # whether the sample stands for most of the rows
    latent_dim: int
    directions: Directions  # that training sees
    fewest: int  # directions that networks know already


class Followed(NamedTuple):
    """The start after new rows."""

    stream: "StartStream"
    start: LinearStart
    networks_stay: bool  # whether networks beside the start before can go on beside this one


class StartStream(ABC):
    """What is kept of rows that came, to know their linear start."""

    @abstractmethod
    def follow(
        self, new: NewRows, before: LinearStart | None, rng: np.random.RandomState
    ) -> Followed:
        """The start with new rows counted in."""


@dataclass(frozen=True)
class MatrixStream(StartStream):
    """The moments of a matrix: its start is that of all rows."""

    moments: Moments

    def follow(
        self, new: NewRows, before: LinearStart | None, rng: np.random.RandomState
    ) -> Followed:
        q = new.latent_dim
        moments = self.moments.merged(new.X.values, new.weight, 2 * q)
        spectrum = moments.spectrum(new.directions.limit(q))
        start = linear_start(spectrum, moments.n_rows, q, new.directions, new.fewest)
        return Followed(MatrixStream(moments), start, networks_stay=True)


@dataclass(frozen=True)
class TableStream(StartStream):
    """When the start of a table was found last."""

    n_started: int = 0  # rows in the sample's stream then
    n_levels: tuple[int, ...] = ()  # of the columns then

    def follow(
        self, new: NewRows, before: LinearStart | None, rng: np.random.RandomState
    ) -> Followed:
        """The start of the sample, where that is likelier than the one there is.

        Other factors are other coordinates: networks begin anew.
        """
        X, sample = new.X, new.sample
        n_levels = X.level_counts
        is_grown = bool(self.n_levels) and n_levels != self.n_levels
        is_due = has_grown(sample.n_rows, self.n_started) and new.is_of_stream
        if before is not None and not (is_due or is_grown):
            return Followed(self, before, networks_stay=True)
        rows, weight = X.with_values(sample.values), sample.weight_of(slice(None))
        if len(sample.values) == 1:  # which has no spread: it counts twice
            rows = rows.with_values(np.repeat(sample.values, 2, axis=0))
        start = rows.fit_start(new.latent_dim, weight, rng)
        found = TableStream(sample.n_rows, n_levels)
        if before is not None and not is_grown:
            alike = _alike(before, start, rows.values)
            if alike.mean() >= _ALIKE:
                own = None if weight is None else weight[alike]
                ours, theirs = (each.score(rows.values[alike], own) for each in (before, start))
                if theirs <= ours + _LIKELIER * X.shape[1]:
                    return Followed(found, before, networks_stay=True)
        return Followed(found, start, networks_stay=False)


def _alike(before: LinearStart, start: LinearStart, values: Values) -> np.ndarray:
    """Rows whose scores can be compared: of no cell has one a density, the other a probability."""
    units = [cast(FactorStart, each).units for each in (before, start)]
    if not any(part.likelihood.has_scores for part in units[1].parts):
        return np.ones(values.shape[0], bool)
    masses = [np.zeros(values.shape, bool) for _ in units]
    for known, found in zip(units, masses, strict=True):
        found[:, known.columns] = known.masses(values)
    return ~(masses[0] != masses[1]).any(1)


def has_grown(n_rows: int, before: int) -> bool:
    """Whether many rows have come since there were so many."""
    return _RENEWAL * (n_rows - before) >= n_rows
