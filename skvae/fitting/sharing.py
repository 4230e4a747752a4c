"""Fits that several processes share: which rows are trained on where."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from skvae.limits import Limits
from skvae.model.rows import Rows
from skvae.team import Team
from skvae.training.shards import Shard, ShardSampler, even_shards, n_even

Value = TypeVar("Value")


@dataclass(frozen=True)
class Sharing:
    """A fit of several processes.

    All of them know the same rows, by which a model is begun and judged: all rows, or, of very
    many, some of them. Each trains on shards of its own.
    """

    team: Team
    n_rows: int  # of all processes
    own: "dict[int, Rows] | None" = None  # by shard; None where all know all rows
    n_trained: int = 0  # rows of a pass, where they do not

    def n_training(self, training: Tensor) -> int:
        """Rows of a pass."""
        if self.own is not None:
            return self.n_trained
        return n_even(len(training), self.team.n_shards)

    def sampler(
        self, rows: Rows, training: Tensor, generator: torch.Generator, limits: Limits
    ) -> ShardSampler:
        """What gives the batches of this process."""
        if self.own is None:
            shards = even_shards(self.team, rows, training)
        else:
            shards = {v: self._shard(own, training.device) for v, own in self.own.items()}
        return ShardSampler(self.team, shards, generator, limits)

    def _shard(self, rows: Rows, device: torch.device) -> Shard:
        share = 1.0 / self.team.n_shards
        if not self.team.has_one_order:
            share = rows.n_rows / self.n_trained
        return Shard(rows, torch.arange(rows.n_rows, device=device), share)


def is_first(sharing: Sharing | None) -> bool:
    """Whether this is the first of the processes, or the only one."""
    return sharing is None or sharing.team.rank == 0


def as_first_has(sharing: Sharing | None, value: Value) -> Value:
    """What the first of the processes has, so that all go on with the same."""
    return value if sharing is None else sharing.team.first(value)
