"""What changes while training goes on: the weight of the KL term, the learning rate.

A schedule is a factor from 0 to 1 as a function of the share of the budget that is used up,
where the budget is what `max_iter` passes come to. Two schedules of the learning rate have no
fixed course: they wait until the bound of the held-out rows settles.
"""

import math
from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar

from skvae._sklearn import Documented


class Schedule(Documented, ABC):
    """Base class of schedules: a factor that changes with the used share of the budget."""

    waits: ClassVar[bool] = False  # for the held-out bound to settle

    @abstractmethod
    def factor(self, share: float) -> float:
        """Factor at a share of the budget.

        Parameters
        ----------
        share : float
            Share of `max_iter` passes that are done, from 0 to 1.

        Returns
        -------
        factor : float
            Factor of the KL weight or of the learning rate, from 0 to 1.
        """

    @property
    def end(self) -> float:
        """Share of the budget after which the factor is constant."""
        return 0.0

    @property
    def drops(self) -> tuple[float, ...]:
        """Factors of the learning rate, one for each time that the held-out bound settles."""
        return ()

    def check(self) -> None:
        """Check the options.

        Raises
        ------
        ValueError
            If an option is invalid.
        """


class Constant(Schedule):
    """Constant factor of 1.

    Examples
    --------
    >>> from skvae import Constant
    >>> Constant().factor(0.3)
    1.0
    """

    def factor(self, share: float) -> float:
        return 1.0


class LinearWarmUp(Schedule):
    """Linear rise of the factor from 0 to 1 [1]_ [2]_, then constant.

    Parameters
    ----------
    warm_up : float, default=0.2
        Share of the budget in which the factor rises, between 0 and 1.

    References
    ----------
    .. [1] Bowman, S. R. et al. (2016). Generating sentences from a continuous space. CoNLL.
    .. [2] Sonderby, C. K. et al. (2016). Ladder variational autoencoders. NeurIPS.

    Examples
    --------
    >>> from skvae import LinearWarmUp
    >>> LinearWarmUp(warm_up=0.2).factor(0.1)
    0.5
    """

    def __init__(self, *, warm_up: float = 0.2) -> None:
        self.warm_up = warm_up

    def factor(self, share: float) -> float:
        return min(1.0, share / self.warm_up)

    @property
    def end(self) -> float:
        return self.warm_up

    def check(self) -> None:
        _check_share("warm_up", self.warm_up)


class Sigmoid(Schedule):
    """Rise of the factor along a logistic curve, then constant.

    The curve 1 / (1 + exp(-steepness (share / warm_up - 1/2))) is rescaled to run from 0 to 1.

    Parameters
    ----------
    warm_up : float, default=0.2
        Share of the budget in which the factor rises, between 0 and 1.
    steepness : float, default=10.0
        Steepness of the curve, from 0.001 to 1000.

    Examples
    --------
    >>> from skvae import Sigmoid
    >>> Sigmoid(warm_up=0.2).factor(0.1)
    0.5
    """

    def __init__(self, *, warm_up: float = 0.2, steepness: float = 10.0) -> None:
        self.warm_up = warm_up
        self.steepness = steepness

    def factor(self, share: float) -> float:
        if share >= self.warm_up:
            return 1.0
        low, here = (
            1.0 / (1.0 + math.exp(-self.steepness * (x - 0.5))) for x in (0.0, share / self.warm_up)
        )
        return (here - low) / (1.0 - 2.0 * low)

    @property
    def end(self) -> float:
        return self.warm_up

    def check(self) -> None:
        _check_share("warm_up", self.warm_up)
        if not (isinstance(self.steepness, Real) and 1e-3 <= float(self.steepness) <= 1000.0):
            raise ValueError(f"steepness={self.steepness!r} must be from 0.001 to 1000.")


class Cyclical(Schedule):
    """Repeated linear rise of the factor from 0 to 1 [1]_.

    Parameters
    ----------
    n_cycles : int, default=4
        Number of cycles.
    ramp : float, default=0.5
        Share of a cycle in which the factor rises, between 0 and 1. Then it is 1.

    References
    ----------
    .. [1] Fu, H. et al. (2019). Cyclical annealing schedule: a simple approach to mitigating KL
       vanishing. NAACL.

    Examples
    --------
    >>> from skvae import Cyclical
    >>> schedule = Cyclical(n_cycles=2)
    >>> [schedule.factor(share) for share in (0.0, 0.125, 0.25, 0.5)]
    [0.0, 0.5, 1.0, 0.0]
    """

    def __init__(self, *, n_cycles: int = 4, ramp: float = 0.5) -> None:
        self.n_cycles = n_cycles
        self.ramp = ramp

    def factor(self, share: float) -> float:
        if share >= self.end:
            return 1.0
        return min(1.0, (share * self.n_cycles) % 1.0 / self.ramp)

    @property
    def end(self) -> float:
        return (self.n_cycles - 1 + self.ramp) / self.n_cycles

    def check(self) -> None:
        _check_share("ramp", self.ramp)
        check_count("n_cycles", self.n_cycles)


class OneCycle(Schedule):
    """Rise of the learning rate along a cosine, then fall to zero along another [1]_.

    Parameters
    ----------
    warm_up : float, default=0.15
        Share of the budget in which the learning rate rises, between 0 and 1.

    References
    ----------
    .. [1] Smith, L. N. and Topin, N. (2019). Super-convergence: very fast training of neural
       networks using large learning rates. SPIE.

    Examples
    --------
    >>> from skvae import OneCycle
    >>> schedule = OneCycle(warm_up=0.2)
    >>> [schedule.factor(share) for share in (0.0, 0.2, 1.0)]
    [0.0, 1.0, 0.0]
    """

    def __init__(self, *, warm_up: float = 0.15) -> None:
        self.warm_up = warm_up

    def factor(self, share: float) -> float:
        if share < self.warm_up:
            return _fall(1.0 - share / self.warm_up)
        return _fall((share - self.warm_up) / (1.0 - self.warm_up))

    @property
    def end(self) -> float:
        return 1.0

    def check(self) -> None:
        _check_share("warm_up", self.warm_up)


class Cosine(Schedule):
    """Fall of the learning rate to zero along a cosine [1]_.

    References
    ----------
    .. [1] Loshchilov, I. and Hutter, F. (2017). SGDR: stochastic gradient descent with warm
       restarts. ICLR.

    Examples
    --------
    >>> from skvae import Cosine
    >>> [Cosine().factor(share) for share in (0.0, 1.0)]
    [1.0, 0.0]
    """

    def factor(self, share: float) -> float:
        return _fall(share)

    @property
    def end(self) -> float:
        return 1.0


class Settle(Schedule):
    """Full learning rate until the held-out bound settles, then a linear fall to zero.

    This is the default. With `batch_size="auto"` batches can grow first.

    Examples
    --------
    >>> from skvae import AdamW, Settle
    >>> AdamW(schedule=Settle())
    AdamW(schedule=Settle())
    """

    waits: ClassVar[bool] = True

    def factor(self, share: float) -> float:
        return 1.0


class Plateau(Schedule):
    """Lower the learning rate each time the held-out bound settles.

    Training ends when the bound settles after the last drop. With `batch_size="auto"` batches can
    grow before the first drop.

    Parameters
    ----------
    drop : float, default=0.3
        Factor of the learning rate at each drop, between 0 and 1.
    n_drops : int, default=3
        Number of drops.

    Examples
    --------
    >>> from skvae import Plateau
    >>> Plateau(drop=0.5).drops
    (0.5, 0.25, 0.125)
    """

    waits: ClassVar[bool] = True

    def __init__(self, *, drop: float = 0.3, n_drops: int = 3) -> None:
        self.drop = drop
        self.n_drops = n_drops

    def factor(self, share: float) -> float:
        return 1.0

    @property
    def drops(self) -> tuple[float, ...]:
        return tuple(self.drop**n for n in range(1, self.n_drops + 1))

    def check(self) -> None:
        _check_share("drop", self.drop)
        check_count("n_drops", self.n_drops)


def _fall(share: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * min(max(share, 0.0), 1.0)))


def _check_share(name: str, value: Any) -> None:
    if not (isinstance(value, Real) and 0.0 < float(value) < 1.0):
        raise ValueError(f"{name}={value!r} must lie between 0 and 1.")


def check_count(name: str, value: Any) -> None:
    """Raise a ValueError where a value is no number of things."""
    if not (isinstance(value, Integral) and int(value) >= 1):
        raise ValueError(f"{name}={value!r} must be a whole number from 1 up.")


KL_SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "linear": LinearWarmUp,
    "sigmoid": Sigmoid,
    "cyclical": Cyclical,
}
RATE_SCHEDULES: dict[str, type[Schedule]] = {
    "settle": Settle,
    "one_cycle": OneCycle,
    "cosine": Cosine,
    "constant": Constant,
    "plateau": Plateau,
}
