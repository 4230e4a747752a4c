"""Passes over the rows that an annealing takes."""

import numpy as np
import torch
from torch import Tensor

from skvae.training.record import Record
from skvae.training.saved import Saved, to_arrays


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

    def to_state(self) -> Saved:
        """What there is of the pass that was begun."""
        losses = torch.stack(self.losses) if self.losses else torch.zeros(0)
        return to_arrays({"losses": losses}), {"n": self.n}

    def load_state(self, saved: Saved, device: torch.device) -> None:
        """Go on with a pass that was begun."""
        losses: np.ndarray = saved[0]["losses"]
        self.losses, self.n = list(torch.tensor(losses, device=device)), saved[1]["n"]

    def __enter__(self) -> "Passes":
        return self

    def __exit__(self, *_: object) -> None:
        """What was begun counts as a pass."""
        if self.losses:
            self._count()
