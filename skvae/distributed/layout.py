"""Where the rows of all processes are: in the order of all, and in shards.

All rows stand in one order, whoever has them. Blocks of it go to the shards in turn, so that a
shard has rows from everywhere; what a shard holds does not depend on who had the rows.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skvae.distributed.pieces import Pieces
from skvae.team import Team

_BLOCK_ROWS = 65_536
_BLOCKS = 64  # of a shard, at least, where there are rows enough


@dataclass(frozen=True)
class Layout:
    """The order of all rows."""

    team: Team
    firsts: dict[int, int]  # by place of a piece, where it begins among all rows
    n_rows: int

    @classmethod
    def of(cls, team: Team, pieces: Pieces) -> "Layout":
        """That of the pieces of all processes."""
        sizes = dict(sorted(one for own in team.gather(pieces.sizes) for one in own.items()))
        ends = np.cumsum([0, *sizes.values()]).tolist()
        return cls(team, dict(zip(sizes, ends[:-1], strict=True)), ends[-1])

    @property
    def block(self) -> int:
        """Rows that stay together."""
        enough = math.ceil(self.n_rows / (_BLOCKS * self.team.n_shards))
        return max(1, min(_BLOCK_ROWS, enough))

    def drawn(self, n: int) -> np.ndarray:
        """So many places of all rows, in order: every row has the same chance."""
        rng = np.random.default_rng(0)
        return np.sort(rng.choice(self.n_rows, min(n, self.n_rows), replace=False, shuffle=False))

    def parts_of(self, first: int, end: int) -> list[tuple[int, int, int]]:
        """Rows of a piece by shard: the shard, and where its part begins and ends among all."""
        if not self.team.has_one_order:
            return [(self.team.rank, first, end)]
        edges = [first, *range((first // self.block + 1) * self.block, end, self.block), end]
        n_shards = self.team.n_shards
        return [
            ((begins // self.block) % n_shards, begins, ends)
            for begins, ends in pairwise(edges)
            if begins < ends
        ]

    def owner(self, shard: int) -> int:
        """The process that has a shard."""
        nodes = self.team.nodes
        return next(rank for rank, (first, end) in enumerate(nodes) if first <= shard < end)
