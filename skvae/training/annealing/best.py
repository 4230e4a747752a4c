"""The best weights that the held-out rows have seen in an annealing."""

import copy
import math

import torch

from skvae.training.evaluation import Evaluator
from skvae.training.listener import Stop
from skvae.training.saved import Saved, to_arrays, to_tensors
from skvae.training.state import TrainingState


class Best:
    """The best weights that the held-out rows have seen, to begin with those of the training."""

    def __init__(self, state: TrainingState, evaluator: Evaluator) -> None:
        self.training, self.evaluator, self.record = state, evaluator, state.record
        self.weights = copy.deepcopy(state.averaged.state_dict())
        self.bound = evaluator.calibrate_and_evaluate(state.averaged).bound

    def to_state(self) -> Saved:
        """The weights, and their bound."""
        return to_arrays(self.weights), {"bound": self.bound}

    def load_state(self, saved: Saved, device: torch.device) -> None:
        """Let these be the best so far."""
        self.weights, self.bound = to_tensors(saved[0], device), saved[1]["bound"]

    def evaluate(self, temperature: float, n_proposals: int, accepted: float) -> None:
        """Evaluate the weights as they are; keep them if they are the best so far."""
        state = self.training
        state.averaged.load_state_dict(state.vae.state_dict())
        evaluation = self.evaluator.calibrate_and_evaluate(state.averaged)
        self.record.add(
            evaluation,
            step=state.step,
            gradient_norm=float(state.gradient_norm),
            temperature=temperature,
            proposals=n_proposals,
            accepted=accepted,
        )
        if evaluation.bound > self.bound:
            self.weights, self.bound = copy.deepcopy(state.averaged.state_dict()), evaluation.bound

    def __enter__(self) -> "Best":
        return self

    def __exit__(self, _: object, error: BaseException | None, *__: object) -> bool:
        """Go back to it, also where a person has had enough, once anything has been judged."""
        if isinstance(error, Stop) and not self.has_judged:
            self.evaluate(math.nan, 0, math.nan)
        self.training.go_back(self.weights)
        if not (isinstance(error, KeyboardInterrupt) and self.has_judged):
            return False
        self.record.cut_by(error)
        return True

    @property
    def has_judged(self) -> bool:
        """Whether held-out rows have seen more than the linear start."""
        return len(self.record.bounds) > 1
