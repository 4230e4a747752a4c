"""What an optimizer is: how it moves a part of the weights, and the options that all have."""

import math
from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from skvae._sklearn import Documented
from skvae.training.schedules import RATE_SCHEDULES, Schedule


class Part(NamedTuple):
    """Some of a model's weights: views of the one tensor, and what an optimizer remembers."""

    weights: Tensor
    gradient: Tensor
    moments: list[Tensor]  # as many as the optimizer has
    step: Tensor
    share: float  # of the learning rate
    decays: bool
    shape: tuple[int, ...] | None  # of the one matrix or kernel that it is, None if it is more


class Optimizer(Documented, ABC):
    """Base class of optimizers, with the options that all of them have."""

    n_moments: ClassVar[int] = 2
    by_matrix: ClassVar[bool] = False  # each matrix of a network is a part of its own

    def __init__(
        self,
        *,
        learning_rate: float | str = "auto",
        schedule: str | Schedule = "settle",
        weight_decay: float | str = "auto",
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
    ) -> None:
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.averaging = averaging

    @abstractmethod
    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        """Update the weights of a part in place.

        Parameters
        ----------
        part : Part
            Weights, gradient and moments.
        rate : float
            Learning rate of this step.
        weight_decay : float
            Weight decay. With decoupled decay a weight loses the share rate * weight_decay.
        """

    def full_rate(self, auto: float) -> float:
        """Learning rate at the schedule's factor 1.

        Parameters
        ----------
        auto : float
            Learning rate for "auto".

        Returns
        -------
        rate : float
            Learning rate.
        """
        return auto if isinstance(self.learning_rate, str) else float(self.learning_rate)

    def decay_levels(self, auto: tuple[float, ...]) -> tuple[float, ...]:
        """Levels of weight decay, in the order in which training takes them.

        Parameters
        ----------
        auto : tuple of float
            Levels for "auto".

        Returns
        -------
        levels : tuple of float
            The given weight decay alone, or the levels for "auto".
        """
        if isinstance(self.weight_decay, str):
            return auto
        return (float(self.weight_decay),)

    def course(self) -> Schedule:
        """Schedule of the learning rate."""
        if isinstance(self.schedule, Schedule):
            return self.schedule
        return RATE_SCHEDULES[self.schedule]()

    def check(self) -> None:
        """Check the options.

        Raises
        ------
        ValueError
            If an option is invalid.
        """
        is_auto = isinstance(self.learning_rate, str) and self.learning_rate == "auto"
        rate = 1.0 if is_auto else self.learning_rate
        if not is_within(rate, 0.0, math.inf) or rate == 0:
            raise ValueError(f"learning_rate={rate!r} must be a number above 0, or 'auto'.")
        is_name = isinstance(self.schedule, str) and self.schedule in RATE_SCHEDULES
        known = is_name or isinstance(self.schedule, tuple(RATE_SCHEDULES.values()))
        if not known:
            raise ValueError(
                f"schedule={self.schedule!r} is unknown; known: {sorted(RATE_SCHEDULES)}."
            )
        self.course().check()
        is_auto = isinstance(self.weight_decay, str) and self.weight_decay == "auto"
        if not (is_auto or is_within(self.weight_decay, 0.0, math.inf)):
            raise ValueError(
                f"weight_decay={self.weight_decay!r} must be a number from 0 up, or 'auto'."
            )
        no_norm = not is_within(self.clip_norm, 0.0, math.inf) or self.clip_norm == 0
        if self.clip_norm is not None and no_norm:
            raise ValueError(f"clip_norm={self.clip_norm!r} must be above 0, or None.")
        if not is_within(self.averaging, 0.0, 1.0):
            raise ValueError(f"averaging={self.averaging!r} must be at least 0 and below 1.")


def is_within(value: Any, low: float, high: float) -> bool:
    """Whether this is a number from low up and below high."""
    return isinstance(value, Real) and low <= float(value) < high
