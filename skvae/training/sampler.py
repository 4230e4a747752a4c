"""The order in which rows are trained on, pass by pass."""

import math

import numpy as np
import torch
from torch import Tensor

PASS_ROWS = 131_072  # that a pass takes at most: after it the held-out rows are evaluated
BLOCK_ROWS = 256  # neighbours that come together where a pass does not take all the rows


class RowSampler:
    """Rows in random order, pass by pass.

    Where they are too many for one pass, it takes blocks of neighbours, which a file gives fast,
    and mixes their rows; every row comes before any comes again.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.sorted: Tensor | None = None
        self.blocks = torch.zeros(0, dtype=torch.int64)  # that are still to come in this round
        self.places = torch.zeros(0, dtype=torch.int64)  # those of the last block that are

    def next(self, rows: Tensor, n: int) -> Tensor:
        """The next n of the rows."""
        some = rows if n_parts(len(rows)) == 1 else self._next_blocks(rows, n)
        return some[self._shuffled(len(some), rows.device)][:n]

    def _next_blocks(self, rows: Tensor, n: int) -> Tensor:
        if self.sorted is None:
            self.sorted = rows.sort().values
        places = self.places.to(rows.device)
        within = torch.arange(BLOCK_ROWS, device=rows.device)
        while len(places) < n:
            if not len(self.blocks):
                self.blocks = self._shuffled(math.ceil(len(rows) / BLOCK_ROWS), rows.device)
            n_blocks = math.ceil((n - len(places)) / BLOCK_ROWS)
            taken, self.blocks = self.blocks[:n_blocks], self.blocks[n_blocks:]
            found = (BLOCK_ROWS * taken.sort().values[:, None] + within).flatten()
            places = torch.cat([places, found[found < len(rows)]])  # the last block may be short
        self.places = places[n:]
        return self.sorted[places[:n]]

    def _shuffled(self, n: int, device: torch.device) -> Tensor:
        return torch.randperm(n, generator=self.generator, device=device)

    def to_state(self) -> dict[str, np.ndarray]:
        """What is still to come in this round."""
        return {
            "blocks": self.blocks.numpy(force=True).copy(),
            "places": self.places.numpy(force=True).copy(),
        }

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on with what was still to come."""
        self.blocks, self.places = (
            torch.from_numpy(arrays[name]).to(self.generator.device)
            for name in ("blocks", "places")
        )


def n_parts(n_rows: int) -> int:
    """Passes that it takes to see all the rows."""
    return math.ceil(n_rows / PASS_ROWS)


def steps_of_pass(n_rows: int, batch_size: int) -> int:
    """Whole batches in a pass."""
    return max(1, n_rows // n_parts(n_rows) // batch_size)
