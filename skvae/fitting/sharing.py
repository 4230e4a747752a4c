"""Fits that several processes share: which rows are trained on where."""

from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import Values
from skvae.limits import Limits
from skvae.model.rows import Rows
from skvae.start.moments import Moments, no_moments
from skvae.start.ppca import Directions, ProbabilisticPCA, linear_start
from skvae.start.tables import TrainingTable
from skvae.team import Team
from skvae.training.shards import Shard, ShardSampler, even_shards, n_even

Value = TypeVar("Value")


class OwnRows(NamedTuple):
    """The rows of a shard."""

    ranges: list[tuple[int, int]]  # their places among all rows, in order
    values: Values
    weight: np.ndarray | None

    @property
    def total_weight(self) -> tuple[float, int]:
        """Of its rows together, and how many they are."""
        n = self.values.shape[0]
        return (float(n) if self.weight is None else float(self.weight.sum())), n

    def index_of(self, places: np.ndarray) -> np.ndarray:
        """Where rows of these places are, those that are here."""
        begins, ends = np.array(self.ranges, np.int64).reshape(-1, 2).T
        offsets = np.cumsum(ends - begins) - (ends - begins)
        which = np.searchsorted(begins, places, side="right") - 1
        is_here = (which >= 0) & (places < np.append(ends, 0)[which])
        own = which[is_here]
        return np.asarray(offsets[own] + places[is_here] - begins[own])


@dataclass(frozen=True)
class Sharing:
    """A fit of several processes.

    All of them know the same rows, by which a model is begun and judged: all rows, or, of very
    many, some of them. Each trains on shards of its own.
    """

    team: Team
    n_rows: int  # of all processes
    places: np.ndarray | None = None  # of the rows that all know; None where these are all rows
    own: dict[int, OwnRows] | None = None  # by shard, where all do not know all rows
    shards: dict[int, Shard] | None = None  # what is trained on of them
    n_trained: int = 0  # rows of a pass over them

    def matrix_start(self, X: Values, latent_dim: int, directions: Directions) -> ProbabilisticPCA:
        """The linear start of the rows of all processes, of which X are some.

        Moments of shards are merged as the shards are in the tree, whoever has found them.
        """
        own = self.own or {}
        origin, fewest = no_moments(X), 2 * latent_dim
        moments = {v: origin.merged(rows.values, rows.weight, fewest) for v, rows in own.items()}
        everyone = {v: each for found in self.team.gather(moments) for v, each in found.items()}
        together = merged([everyone[v] for v in sorted(everyone)], fewest)
        spectrum = together.spectrum(directions.limit(latent_dim))
        return linear_start(spectrum, together.n_rows, latent_dim, directions)

    def prepared(self, shards: dict[int, Rows], held_out: np.ndarray) -> "Sharing":
        """With the rows of its shards, as the model takes them, but for those held out."""
        if self.own is None or self.places is None:
            return self
        left = {}
        for v, own in self.own.items():
            is_left = np.ones(own.values.shape[0], bool)
            is_left[own.index_of(self.places[held_out])] = False
            left[v] = np.flatnonzero(is_left)
        counts = [len(index) for index in left.values()]
        everyone = [count for found in self.team.gather(counts) for count in found]
        in_order = self.team.has_one_order
        n_trained = len(everyone) * min(everyone) if in_order else sum(everyone)
        made = {}
        for v, index in left.items():
            share = 1.0 / len(everyone) if in_order else len(index) / n_trained
            made[v] = Shard(shards[v], torch.from_numpy(index), share)
        return replace(self, shards=made, n_trained=n_trained)

    def leaving_out(self, held_out: np.ndarray) -> "Sharing":
        """The same, where other rows are held out."""
        shards = self.shards or {}
        return self.prepared({v: shard.rows for v, shard in shards.items()}, held_out)

    def n_training(self, training: Tensor) -> int:
        """Rows of a pass."""
        if self.shards is not None:
            return self.n_trained
        return n_even(len(training), self.team.n_shards)

    def sampler(
        self, rows: Rows, training: Tensor, generator: torch.Generator, limits: Limits
    ) -> ShardSampler:
        """What gives the batches of this process."""
        shards = self.shards
        if shards is None:
            shards = even_shards(self.team, rows, training)
        return ShardSampler(self.team, shards, generator, limits)


def merged(parts: list[Moments], fewest: int) -> Moments:
    """Moments of parts, as many as a power of two or all of their own, by pairs."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        rest = parts[-1:] if len(parts) % 2 else []
        parts = [one.joined(other, fewest) for one, other in pairs] + rest
    return parts[0]


def is_first(sharing: Sharing | None) -> bool:
    """Whether this is the first of the processes, or the only one."""
    return sharing is None or sharing.team.rank == 0


def n_rows_of(sharing: Sharing | None, X: TrainingTable) -> int:
    """Rows of all processes."""
    return X.n_rows if sharing is None or sharing.own is None else sharing.n_rows


def as_first_has(sharing: Sharing | None, value: Value) -> Value:
    """What the first of the processes has, so that all go on with the same."""
    return value if sharing is None else sharing.team.first(value)
