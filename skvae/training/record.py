"""What training leaves beside the weights: the bounds, and how things stood at each of them."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.training.evaluation import Evaluation
from skvae.training.listener import Stop


@dataclass
class Record:
    """What training leaves beside the weights."""

    losses: list[Tensor] = field(default_factory=list)  # minus the bound, one per pass
    bounds: list[float] = field(default_factory=list)  # held out; the first is the start's
    history: list[dict[str, float]] = field(default_factory=list)  # a row per bound
    n_passes: int = 0
    converged: bool = False
    interrupted: bool = False  # by Ctrl-C
    stopped: bool = False  # by who followed it
    # Of every restart its best bound, and how far its codes agree with those of the best.
    restarts: list[tuple[float, float]] = field(default_factory=list)
    # What mean log-densities gain in the user's units: of the training rows, of the held-out ones.
    log_jacobians: tuple[float, ...] = (0.0, 0.0)
    # The weights, where the linear start was kept in their place.
    left: dict[str, np.ndarray] | None = None
    began: float = field(default_factory=time.perf_counter)

    @property
    def was_cut(self) -> bool:
        """Whether it ended before its end."""
        return self.interrupted or self.stopped

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self.began

    @property
    def is_judged(self) -> bool:
        """Whether there was an evaluation after the last pass."""
        return self.history[-1]["n_pass"] == self.n_passes

    def copy(self) -> "Record":
        """One that can go on by itself."""
        return replace(
            self, losses=list(self.losses), bounds=list(self.bounds), history=list(self.history)
        )

    def cut_by(self, end: KeyboardInterrupt) -> None:
        """Note what has ended it."""
        if isinstance(end, Stop):
            self.stopped = True
        else:
            self.interrupted = True

    def add(self, evaluation: Evaluation, **state: float) -> None:
        """Note what an evaluation found, and how things stood."""
        self.bounds.append(evaluation.bound)
        seen = {"n_pass": self.n_passes, "seconds": self.seconds}
        self.history.append(seen | evaluation._asdict() | state)

    def to_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What a training that goes on adds to, as arrays and as JSON values."""
        losses = np.stack([loss.numpy(force=True) for loss in self.losses] or [np.zeros(())])
        values = {
            "n_passes": self.n_passes,
            "converged": self.converged,
            "stopped": self.stopped,
            "bounds": list(self.bounds),
            "history": [dict(row) for row in self.history],
            "seconds": self.seconds,
        }
        return {"losses": losses[: len(self.losses)]}, values

    @classmethod
    def from_state(
        cls, arrays: dict[str, np.ndarray], values: dict[str, Any], device: torch.device
    ) -> "Record":
        """The record that was written; the time in between is not counted."""
        return cls(
            losses=list(torch.from_numpy(arrays["losses"]).to(device)),
            bounds=list(values["bounds"]),
            history=[dict(row) for row in values["history"]],
            n_passes=values["n_passes"],
            converged=values["converged"],
            stopped=values["stopped"],
            began=time.perf_counter() - values["seconds"],
        )
