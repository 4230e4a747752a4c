"""What annealing is: chances that gradients do not take, and how its options are checked."""

import math
from abc import ABC
from numbers import Real
from typing import Any, ClassVar

from torch import Tensor

from skvae._sklearn import Documented
from skvae.model.rows import Rows
from skvae.training.evaluation import Evaluator
from skvae.training.state import Perturbation, TrainingState


class Annealing(Documented, ABC):
    """What chance does, during training, after it or instead of it."""

    follows_training: ClassVar[bool] = True  # by gradients

    def n_steps_after(self) -> int:
        """Steps that it would take after the training; what a budget cannot pay for is left out."""
        return 0

    def perturbation(self, state: TrainingState) -> Perturbation | None:
        """What is added to every gradient."""
        return None

    def refine(
        self, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> None:
        """Go on from where training ended; leave the best state."""

    def check(self) -> None:
        """Refuse options that make no sense.

        Raises
        ------
        ValueError
            If an option is out of range.
        """


def check_above_zero(name: str, value: Any) -> None:
    """Raise a ValueError where a value is no number above 0."""
    if not (isinstance(value, Real) and 0.0 < float(value) < math.inf):
        raise ValueError(f"{name}={value!r} must be above 0.")


def check_sizes(name: str, value: Any) -> None:
    """Raise a ValueError where a value is no pair of sizes."""
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not (is_pair and all(isinstance(v, Real) and 0.0 < float(v) < math.inf for v in value)):
        raise ValueError(f"{name}={value!r} must be two numbers above 0: the first, the last.")
