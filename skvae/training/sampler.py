"""The order in which rows are trained on, pass by pass."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from skvae.limits import Limits
from skvae.model.rows import Rows


class Sampler(ABC):
    """What gives the batches of a training."""

    @abstractmethod
    def one_pass(self, rows: Rows, training: Tensor, n_steps: int, size: int) -> Iterator[Rows]:
        """So many batches of so many of the rows[training], in random order."""

    @abstractmethod
    def to_state(self) -> dict[str, np.ndarray]:
        """What is still to come in this round."""

    @abstractmethod
    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on with what was still to come."""


class RowSampler(Sampler):
    """Rows in random order, pass by pass.

    Where they are too many for one pass, it takes blocks of neighbours, which a file gives fast,
    and mixes their rows; every row comes before any comes again.
    """

    def __init__(self, generator: torch.Generator, limits: Limits) -> None:
        self.generator, self.limits = generator, limits
        self.sorted: Tensor | None = None
        self.blocks = torch.zeros(0, dtype=torch.int64)  # that are still to come in this round
        self.places = torch.zeros(0, dtype=torch.int64)  # those of the last block that are

    def one_pass(self, rows: Rows, training: Tensor, n_steps: int, size: int) -> Iterator[Rows]:
        loaded, order = rows.load(self.next(training, n_steps * size))
        return loaded.batches(order, size, self.generator)

    def next(self, rows: Tensor, n: int) -> Tensor:
        """The next n of the rows."""
        some = (
            rows if n_parts(len(rows), self.limits.pass_rows) == 1 else self._next_blocks(rows, n)
        )
        return some.index_select(0, self._shuffled(len(some), rows.device)[:n])

    def _next_blocks(self, rows: Tensor, n: int) -> Tensor:
        if self.sorted is None:
            # Those of a shard are in order, and many: sorting holds several times as much.
            in_order = bool((rows[1:] >= rows[:-1]).all())
            self.sorted = rows if in_order else rows.sort().values
        size, places = self.limits.block_rows, self.places.to(rows.device)
        within = torch.arange(size, device=rows.device)
        while len(places) < n:
            if not len(self.blocks):
                self.blocks = self._shuffled(math.ceil(len(rows) / size), rows.device)
            n_blocks = math.ceil((n - len(places)) / size)
            taken, self.blocks = self.blocks[:n_blocks], self.blocks[n_blocks:]
            found = (size * taken.sort().values[:, None] + within).flatten()
            places = torch.cat([places, found[found < len(rows)]])  # the last block may be short
        self.places = places[n:]
        return self.sorted[places[:n]]

    def _shuffled(self, n: int, device: torch.device) -> Tensor:
        return torch.randperm(n, generator=self.generator, device=device)

    def to_state(self) -> dict[str, np.ndarray]:
        return {
            "blocks": self.blocks.numpy(force=True).copy(),
            "places": self.places.numpy(force=True).copy(),
        }

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        self.blocks, self.places = (
            torch.from_numpy(arrays[name]).to(self.generator.device)
            for name in ("blocks", "places")
        )


def n_parts(n_rows: int, pass_rows: int) -> int:
    """Passes of so many rows at most that it takes to see all of them."""
    return math.ceil(n_rows / pass_rows)


def steps_of_pass(n_rows: int, batch_size: int, pass_rows: int) -> int:
    """Whole batches in a pass."""
    return max(1, n_rows // n_parts(n_rows, pass_rows) // batch_size)
