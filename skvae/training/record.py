"""What training leaves beside the weights: the bounds, and how things stood at each of them."""

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.training.evaluation import Evaluation


class Progress(NamedTuple):
    """What a progress bar shows."""

    n_passes: int
    last_pass: int
    bounds: list[float]  # the first is the linear start's


@dataclass
class Record:
    """What training leaves beside the weights."""

    losses: list[Tensor] = field(default_factory=list)  # minus the bound, one per pass
    bounds: list[float] = field(default_factory=list)  # held out; the first is the start's
    history: list[dict[str, float]] = field(default_factory=list)  # a row per bound
    n_passes: int = 0
    converged: bool = False
    interrupted: bool = False
    # Of every restart its best bound, and how far its codes agree with those of the best.
    restarts: list[tuple[float, float]] = field(default_factory=list)
    # What mean log-densities gain in the user's units: of the training rows, of the held-out ones.
    log_jacobians: tuple[float, ...] = (0.0, 0.0)
    # The weights, where the linear start was kept in their place.
    left: dict[str, np.ndarray] | None = None
    began: float = field(default_factory=time.perf_counter)

    def add(self, evaluation: Evaluation, **state: float) -> None:
        """Note what an evaluation found, and how things stood."""
        self.bounds.append(evaluation.bound)
        seconds = time.perf_counter() - self.began
        seen = {"n_pass": self.n_passes, "seconds": seconds}
        self.history.append(seen | evaluation._asdict() | state)

    def to_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """What a training that goes on adds to, as arrays and as JSON values."""
        losses = np.stack([loss.numpy(force=True) for loss in self.losses] or [np.zeros(())])
        values = {
            "n_passes": self.n_passes,
            "converged": self.converged,
            "bounds": list(self.bounds),
            "history": [dict(row) for row in self.history],
            "seconds": time.perf_counter() - self.began,
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
            began=time.perf_counter() - values["seconds"],
        )
