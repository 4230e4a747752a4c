"""Passes over the rows that an annealing takes."""

import torch
from torch import Tensor

from skvae.training.record import Record


class Passes:
    """Passes over the rows that an annealing takes: so many steps, or rows, are one."""

    def __init__(self, record: Record, size: int) -> None:
        self.record, self.size = record, size
        self.n, self.losses = 0, list[Tensor]()

    def add(self, loss: Tensor, n: int) -> None:
        """Count some of a pass, with their loss."""
        self.losses.append(loss)
        self.n += n
        if self.n >= self.size:
            self.n -= self.size
            self._count()

    def _count(self) -> None:
        self.record.losses.append(torch.stack(self.losses).mean())
        self.record.n_passes += 1
        self.losses = []

    def __enter__(self) -> "Passes":
        return self

    def __exit__(self, *_: object) -> None:
        """What was begun counts as a pass."""
        if self.losses:
            self._count()
