"""Probabilities of intervals under a normal density, to the last digits also of small ones.

Intervals (lower, upper) are in deviations from the mean, with finite ends. Short ones are
integrated by a series in their length; others by scaled error functions, of the side where the
density is thin.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_SHORT, _FLAT = 0.02, 0.25  # length, and length times distance, of intervals for the series
_FARTHEST = 11.0  # beyond which the probability above is nothing


class IntervalSlopes(NamedTuple):
    """Logs of probabilities, and what they gain as an interval moves and as it is stretched."""

    log_prob: Tensor
    of_shift: Tensor  # by c, of (lower + c, upper + c)
    of_stretch: Tensor  # by the logarithm of t, of (t lower, t upper)


def log_interval(lower: Tensor, upper: Tensor) -> Tensor:
    """Log of the probability of intervals."""
    is_short = _is_short(lower, upper)
    m, w = _short(is_short, lower, upper)
    short = w.log() - 0.5 * m.square() - _LOG_ROOT_2PI + _series(m, w).log()
    low, high = _long(is_short, lower, upper)
    return torch.where(
        is_short, short, torch.special.log_ndtr(high) + torch.log1p(-_ratio(low, high))
    )


def interval_slopes(lower: Tensor, upper: Tensor) -> IntervalSlopes:
    """The same with slopes, written out."""
    is_short = _is_short(lower, upper)
    m, w = _short(is_short, lower, upper)
    series, square, square_m = _series(m, w), w.square(), m.square()
    fourth = square.square() / 480
    of_m = m * square / 12 + m * (square_m - 3) * fourth
    of_w = (square_m - 1) * square / 12 + (square_m.square() - 6 * square_m + 3) * fourth
    short = w.log() - 0.5 * square_m - _LOG_ROOT_2PI + series.log()
    short_shift = of_m / series - m
    short_stretch = m * short_shift + 1.0 + of_w / series
    low, high = _long(is_short, lower, upper)
    falls, top = _falls(low, high), torch.special.erfcx(_up(high))
    ratio = torch.special.erfcx(_up(low)) / top * falls
    log_below = (0.5 * top).log() - 0.5 * high.clamp(max=_FARTHEST).square()
    of_high = math.sqrt(2 / math.pi) / top / (1.0 - ratio)
    of_low = of_high * falls
    sign = torch.where(lower + upper > 0, -1.0, 1.0).to(low)
    return IntervalSlopes(
        torch.where(is_short, short, log_below + torch.log1p(-ratio)),
        torch.where(is_short, short_shift, sign * (of_high - of_low)),
        torch.where(is_short, short_stretch, high * of_high - low * of_low),
    )


def _is_short(lower: Tensor, upper: Tensor) -> Tensor:
    length = upper - lower
    return (length < _SHORT) & (0.5 * (lower + upper).abs() * length < _FLAT)


def _short(is_short: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Middles and lengths of short intervals; of others something harmless."""
    middle, length = 0.5 * (lower + upper), upper - lower
    return torch.where(is_short, middle, 0.0), torch.where(is_short, length, _SHORT)


def _long(is_short: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Ends of the others, turned so that the middle is below 0."""
    is_above = lower + upper > 0
    low, high = torch.where(is_above, -upper, lower), torch.where(is_above, -lower, upper)
    return torch.where(is_short, -1.0, low), torch.where(is_short, 0.0, high)


def _series(m: Tensor, w: Tensor) -> Tensor:
    """Mean of the density over an interval, over the density in its middle."""
    square, square_m = w.square(), m.square()
    second = (square_m - 1) * square / 24
    return 1.0 + second + (square_m.square() - 6 * square_m + 3) * square.square() / 1920


def _ratio(low: Tensor, high: Tensor) -> Tensor:
    """Probability below the lower end over that below the upper one."""
    scaled = torch.special.erfcx(_up(low)) / torch.special.erfcx(_up(high))
    return scaled * _falls(low, high)


def _falls(low: Tensor, high: Tensor) -> Tensor:
    """Density at the lower end over that at the upper one."""
    return (0.5 * (high - low) * (high + low)).exp()


def _up(end: Tensor) -> Tensor:
    """What the scaled error function is asked, within what it can answer."""
    return -end.clamp(max=_FARTHEST) / math.sqrt(2)
