"""Some of the rows of a stream: all of them while they are few, later an even sample.

Every row that comes gets a random number, and those with the least are kept. Which rows only judge,
and are never learnt from, is told by their cells: so it is the same in every pass over them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from skvae.data.batches import batches, dense


class SampleSize(NamedTuple):
    """Of how many rows a sample is."""

    most_rows: int = 4096
    most_cells: int = 4_194_304  # 32 MB
    fewest_rows: int = 256  # however many columns

    def of(self, n_columns: int) -> int:
        """Rows of so many columns, at most."""
        return min(self.most_rows, max(self.fewest_rows, self.most_cells // n_columns))


_SIZE = SampleSize()


@dataclass(frozen=True)
class Reservoir:
    """m rows of n that came."""

    n_rows: int  # that came
    values: np.ndarray  # (m, c) float64
    weight: np.ndarray  # (m,)
    keys: np.ndarray  # (m,) random numbers, of n the least

    @classmethod
    def empty(cls, n_columns: int) -> "Reservoir":
        return cls(0, np.empty((0, n_columns)), np.empty(0), np.empty(0))

    def with_rows(
        self,
        X,
        sample_weight: np.ndarray | None,
        rng: np.random.RandomState,
        size: SampleSize = _SIZE,
    ) -> "Reservoir":
        """With rows, dense or sparse, counted in."""
        n, c = X.shape
        keys = np.concatenate([self.keys, rng.random_sample(n)])
        kept = np.sort(keys.argsort()[: size.of(c)])
        ours, theirs = kept[kept < len(self.keys)], kept[kept >= len(self.keys)] - len(self.keys)
        weight = np.ones(n) if sample_weight is None else sample_weight
        return Reservoir(
            self.n_rows + n,
            np.concatenate([self.values[ours], dense(X[theirs])]),
            np.concatenate([self.weight[ours], weight[theirs]]),
            keys[kept],
        )

    def weight_of(self, chosen) -> np.ndarray | None:
        """Of some of the rows; None where they are equal."""
        weight = self.weight[chosen]
        return weight if len(weight) and (weight != weight[0]).any() else None


def lots(X, seed: int) -> np.ndarray:
    """A number from 0 to 1 for every row, as random as the seed, but by its cells alone."""
    factors = np.random.RandomState(seed).randint(2**62, size=X.shape[1], dtype=np.uint64)
    factors = 2 * factors + 1
    drawn = np.empty(X.shape[0])
    for rows in batches(*X.shape):
        cells = np.where(np.isnan(x := dense(X[rows])), np.nan, x + 0.0)  # one NaN, one zero
        bits = cells.view(np.uint64)
        mixed = ((bits ^ (bits >> np.uint64(29))) * factors).sum(1, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)
        drawn[rows] = mixed / 2.0**64
    return drawn
