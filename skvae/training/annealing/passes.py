"""Passes over the rows that an annealing takes."""

import numpy as np
import torch
from torch import Tensor

from skvae.training.listener import Stop
from skvae.training.saved import Saved, to_arrays
from skvae.training.state import TrainingState


class Passes:
    """Passes over the rows that an annealing takes: so many steps, or rows, are one."""

    def __init__(self, state: TrainingState, size: int) -> None:
        self.state, self.size = state, size
        self.n, self.losses = 0, list[Tensor]()
        self.has_begun = False

    def add(self, loss: Tensor, n: int) -> None:
        """Count some of a pass, with their loss.

        Raises
        ------
        Stop
            If who hears of it ends the annealing with this pass.
        """
        if not self.has_begun:
            self.has_begun = True
            self.state.listener.begin_pass()
        self.losses.append(loss)
        self.n += n
        if self.n >= self.size:
            self.n -= self.size
            if self._count():
                raise Stop

    def _count(self) -> bool:
        """Whether it shall be the last one."""
        record = self.state.record
        record.losses.append(torch.stack(self.losses).mean())
        record.n_passes += 1
        self.losses, self.has_begun = [], False
        return self.state.listener.end_pass(self.state, None)

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
