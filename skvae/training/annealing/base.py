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
    """Base class of annealing: random changes during, after or instead of training by gradients."""

    follows_training: ClassVar[bool] = True  # by gradients

    def n_steps_after(self) -> int:
        """Number of steps after training. The budget of `max_iter` can allow fewer."""
        return 0

    def perturbation(self, state: TrainingState) -> Perturbation | None:
        """Function that adds noise to each gradient, or None."""
        return None

    def refine(
        self, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> None:
        """Continue from the trained state, and end at the best state."""

    def check(self) -> None:
        """Check the options.

        Raises
        ------
        ValueError
            If an option is invalid.
        """


def check_above_zero(name: str, value: Any) -> None:
    """Raise a ValueError where a value is no number above 0."""
    if not (isinstance(value, Real) and 0.0 < float(value) < math.inf):
        raise ValueError(f"{name}={value!r} must be above 0.")


def check_sizes(name: str, value: Any) -> None:
    """Raise a ValueError where a value is no pair of sizes."""
    is_pair = isinstance(value, (tuple, list)) and len(value) == 2
    if not (is_pair and all(isinstance(v, Real) and 0.0 < float(v) < math.inf for v in value)):
        raise ValueError(
            f"{name}={value!r} must be two numbers above 0, the first and the last size."
        )
