"""The best weights that the held-out rows have seen in an annealing."""

import copy

import torch

from skvae.training.evaluation import Evaluator
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

    def __exit__(self, kind: type | None, *_: object) -> bool:
        """Go back to it, also where a person has had enough, once anything has been criteriond."""
        self.training.go_back(self.weights)
        is_enough = kind is KeyboardInterrupt and len(self.record.bounds) > 1
        self.record.interrupted |= is_enough
        return is_enough
