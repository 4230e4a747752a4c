"""How the weights move against the gradient: optimizers and their options.

All weights of a model lie in one tensor (weights.py), whose parts differ in their share of the
learning rate. An optimizer moves one part at a time and keeps nothing: its moments belong to the
part. torch's functional forms do the work, because its classes take a second to import a compiler.
"""

import math
from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, ClassVar, NamedTuple

from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from skvae._sklearn import Documented
from skvae.training.schedules import RATE_SCHEDULES, Schedule

_BETAS = (0.9, 0.99)
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # of Muon, and how often it is applied
_N_ITERATIONS = 5
_MOMENTUM = 0.95


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
    """Options that all optimizers have; how they move a part is their own."""

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
        """Move the weights of a part against their gradient, in place.

        Parameters
        ----------
        part : Part
            Weights, gradient and moments.
        rate : float
            Learning rate of this step.
        weight_decay : float
            Share of a weight, per unit of rate, that a step takes off.
        """

    def full_rate(self, auto: float) -> float:
        """The learning rate that the schedule is a share of.

        Parameters
        ----------
        auto : float
            That which "auto" stands for.

        Returns
        -------
        rate : float
            This, or the one that was given.
        """
        return auto if isinstance(self.learning_rate, str) else float(self.learning_rate)

    def decay_levels(self, auto: tuple[float, ...]) -> tuple[float, ...]:
        """The levels of weight decay, to be taken one after another.

        Parameters
        ----------
        auto : tuple of float
            Those that "auto" stands for.

        Returns
        -------
        levels : tuple of float
            One, or these.
        """
        if isinstance(self.weight_decay, str):
            return auto
        return (float(self.weight_decay),)

    def course(self) -> Schedule:
        """The schedule of the learning rate."""
        if isinstance(self.schedule, Schedule):
            return self.schedule
        return RATE_SCHEDULES[self.schedule]()

    def check(self) -> None:
        """Refuse options that make no sense.

        Raises
        ------
        ValueError
            If an option is unknown or out of range.
        """
        is_auto = isinstance(self.learning_rate, str) and self.learning_rate == "auto"
        rate = 1.0 if is_auto else self.learning_rate
        if not _is_within(rate, 0.0, math.inf) or rate == 0:
            raise ValueError(f"learning_rate={rate!r} must be a number above 0, or 'auto'.")
        is_name = isinstance(self.schedule, str) and self.schedule in RATE_SCHEDULES
        known = is_name or isinstance(self.schedule, tuple(RATE_SCHEDULES.values()))
        if not known:
            raise ValueError(
                f"schedule={self.schedule!r} is unknown; known: {sorted(RATE_SCHEDULES)}."
            )
        self.course().check()
        is_auto = isinstance(self.weight_decay, str) and self.weight_decay == "auto"
        if not (is_auto or _is_within(self.weight_decay, 0.0, math.inf)):
            raise ValueError(
                f"weight_decay={self.weight_decay!r} must be a number from 0 up, or 'auto'."
            )
        no_norm = not _is_within(self.clip_norm, 0.0, math.inf) or self.clip_norm == 0
        if self.clip_norm is not None and no_norm:
            raise ValueError(f"clip_norm={self.clip_norm!r} must be above 0, or None.")
        if not _is_within(self.averaging, 0.0, 1.0):
            raise ValueError(f"averaging={self.averaging!r} must be at least 0 and below 1.")


class AdamW(Optimizer):
    """Adam whose weight decay is apart from the gradient (Loshchilov & Hutter, 2019).

    Parameters
    ----------
    learning_rate : float or "auto", default="auto"
        Of the networks; the linear path has a tenth of it. "auto" is 0.006 for small networks of a
        matrix, of fewer than 20000 weights, and 0.004 for all others.
    schedule : str or component, default="settle"
        Of the learning rate: "settle" holds it until the held-out bound settles and lets it fall
        to zero; "one_cycle", "cosine" and "constant" follow a fixed course over all of
        `max_iter`; "plateau" lowers it in steps.
    weight_decay : float or "auto", default="auto"
        Of the networks; "auto" raises it from 0.0001 as far as 1 where training rows are learnt
        by heart.
    clip_norm : float or None, default=1.0
        Largest norm of the gradient; None leaves it as it is.
    averaging : float, default=0.99
        Share of the running average of the weights that a step keeps. The averaged weights are
        those that are judged and kept; 0 keeps the last ones.

    Examples
    --------
    >>> from skvae import AdamW, VAETransformer
    >>> VAETransformer(optimizer=AdamW(schedule="one_cycle", learning_rate=0.002))
    VAETransformer(optimizer=AdamW(learning_rate=0.002, schedule='one_cycle'))
    """

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        _adam(part, rate, weight_decay)


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015); weight decay is added to the gradient, as in its paper's time.

    Parameters
    ----------
    learning_rate, schedule, weight_decay, clip_norm, averaging
        As of `AdamW`; the rate is 0.004 and `weight_decay` 0 unless given.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 4e-3,
        schedule: str | Schedule = "settle",
        weight_decay: float | str = 0.0,
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            averaging=averaging,
        )

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        if weight_decay and part.decays:
            part.gradient.add_(part.weights, alpha=weight_decay)
        _adam(part, rate, 0.0)


class SGD(Optimizer):
    """Gradient descent with Nesterov's momentum.

    Parameters
    ----------
    learning_rate, schedule, weight_decay, clip_norm, averaging
        As of `AdamW`; the rate is 0.1 unless given.
    momentum : float, default=0.9
        Share of the last move in the next.
    """

    n_moments: ClassVar[int] = 1

    def __init__(
        self,
        *,
        learning_rate: float = 0.1,
        schedule: str | Schedule = "settle",
        weight_decay: float | str = "auto",
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            averaging=averaging,
        )
        self.momentum = momentum

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        part.step.add_(1)
        _decay(part, rate, weight_decay)
        momentum = list[Tensor | None](part.moments)
        sgd(
            params=[part.weights],
            d_p_list=[part.gradient],
            momentum_buffer_list=momentum,
            lr=float(rate) * part.share,
            momentum=self.momentum,
            weight_decay=0.0,
            dampening=0.0,
            nesterov=self.momentum > 0,
            maximize=False,
        )

    def check(self) -> None:
        super().check()
        if not _is_within(self.momentum, 0.0, 1.0):
            raise ValueError(f"momentum={self.momentum!r} must be at least 0 and below 1.")


class RMSprop(Optimizer):
    """Gradient divided by its running root mean square (Tieleman & Hinton, 2012).

    Parameters
    ----------
    learning_rate, schedule, weight_decay, clip_norm, averaging
        As of `AdamW`; the rate is 0.001 unless given.
    """

    n_moments: ClassVar[int] = 1

    def __init__(
        self,
        *,
        learning_rate: float = 1e-3,
        schedule: str | Schedule = "settle",
        weight_decay: float | str = "auto",
        clip_norm: float | None = 1.0,
        averaging: float = 0.99,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            schedule=schedule,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            averaging=averaging,
        )

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        _decay(part, rate, weight_decay)
        rmsprop(
            params=[part.weights],
            grads=[part.gradient],
            square_avgs=part.moments,
            grad_avgs=[],
            momentum_buffer_list=[],
            state_steps=[part.step],
            lr=float(rate) * part.share,
            alpha=_BETAS[1],
            eps=1e-8,
            weight_decay=0.0,
            momentum=0.0,
            centered=False,
        )


class Muon(Optimizer):
    """Momentum made orthogonal (Jordan, 2024) for the networks' matrices; AdamW for all else.

    The size of a move is that of AdamW's (Liu et al., 2025), so the same rates suit both.

    Parameters
    ----------
    learning_rate, schedule, weight_decay, clip_norm, averaging
        As of `AdamW`.
    """

    by_matrix: ClassVar[bool] = True

    def move(self, part: Part, rate: float, weight_decay: float) -> None:
        if part.shape is None or len(part.shape) < 2:
            _adam(part, rate, weight_decay)
            return
        part.step.add_(1)
        momentum = part.moments[0].lerp_(part.gradient, 1.0 - _MOMENTUM)
        ahead = part.gradient.lerp(momentum, _MOMENTUM)
        direction = orthogonal(ahead.view(part.shape[0], -1))
        size = 0.2 * max(direction.shape) ** 0.5
        _decay(part, rate, weight_decay)
        part.weights.add_(direction.reshape(-1), alpha=-rate * part.share * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest matrix with singular values of about 1, by Newton-Schulz iterations."""
    x = matrix if len(matrix) <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_N_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if len(matrix) <= matrix.shape[1] else x.T


def _is_within(value: Any, low: float, high: float) -> bool:
    """Whether this is a number from low up and below high."""
    return isinstance(value, Real) and low <= float(value) < high


def _adam(part: Part, rate: float, weight_decay: float) -> None:
    adamw(
        params=[part.weights],
        grads=[part.gradient],
        exp_avgs=part.moments[:1],
        exp_avg_sqs=part.moments[1:],
        max_exp_avg_sqs=[],
        state_steps=[part.step],
        fused=True,
        lr=rate * part.share,
        weight_decay=part.decays * weight_decay,
        beta1=_BETAS[0],
        beta2=_BETAS[1],
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


def _decay(part: Part, rate: float, weight_decay: float) -> None:
    if weight_decay and part.decays:
        part.weights.mul_(1.0 - rate * part.share * weight_decay)


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": SGD,
    "rmsprop": RMSprop,
    "muon": Muon,
}
