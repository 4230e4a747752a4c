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
    """A factor that changes with the share of the budget that is used up."""

    waits: ClassVar[bool] = False  # for the held-out bound to settle

    @abstractmethod
    def factor(self, share: float) -> float:
        """The factor.

        Parameters
        ----------
        share : float
            Share of the passes that are done, from 0 to 1.

        Returns
        -------
        factor : float
            From 0 to 1.
        """

    @property
    def end(self) -> float:
        """Share of the budget after which the factor stays as it is."""
        return 0.0

    @property
    def drops(self) -> tuple[float, ...]:
        """Factors by which the rate is lower once the held-out bound has settled so often."""
        return ()

    def check(self) -> None:
        """Refuse options that make no sense.

        Raises
        ------
        ValueError
            If an option is out of range.
        """


class Constant(Schedule):
    """The same all the time."""

    def factor(self, share: float) -> float:
        return 1.0


class LinearWarmUp(Schedule):
    """From 0 to 1 along a line (Bowman et al., 2016; Sonderby et al., 2016).

    Parameters
    ----------
    warm_up : float, default=0.2
        Share of the budget that it takes.
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
    """From 0 to 1 along a logistic curve, rescaled to begin at 0 and to end at 1.

    Parameters
    ----------
    warm_up : float, default=0.2
        Share of the budget that it takes.
    steepness : float, default=10.0
        Of the curve: its slope in the middle is a quarter of this per `warm_up`.
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
    """Several times from 0 to 1, each time along a line (Fu et al., 2019).

    Parameters
    ----------
    n_cycles : int, default=4
        How often.
    ramp : float, default=0.5
        Share of a cycle on the line; the factor is 1 in the rest.
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
    """Up along a cosine, then down to zero along another (Smith & Topin, 2019).

    Parameters
    ----------
    warm_up : float, default=0.15
        Share of the budget until the peak.
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
    """Down to zero along a cosine (Loshchilov & Hutter, 2017)."""

    def factor(self, share: float) -> float:
        return _fall(share)

    @property
    def end(self) -> float:
        return 1.0


class Settle(Schedule):
    """Full rate until the held-out bound settles, then along a line to zero: the default."""

    waits: ClassVar[bool] = True

    def factor(self, share: float) -> float:
        return 1.0


class Plateau(Schedule):
    """Lower by a factor each time the held-out bound settles, and end after the last time.

    Parameters
    ----------
    drop : float, default=0.3
        The factor.
    n_drops : int, default=3
        How often.
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
