"""Averages of paired figures and their errors, as all tables of the benchmark take them."""

from collections.abc import Iterable

import numpy as np
from scipy import stats


def geometric_mean(values: Iterable[float]) -> float:
    """Return the geometric mean of the values that are there, NaN without any."""
    found = np.asarray(list(values), dtype="float64")
    found = found[~np.isnan(found)]
    return float(np.exp(np.mean(np.log(found)))) if len(found) else float("nan")


def standard_error(values: Iterable[float]) -> float:
    """Return the standard error of a mean, NaN for a single value."""
    found = np.asarray(list(values), dtype="float64")
    return float(found.std(ddof=1) / np.sqrt(len(found))) if len(found) > 1 else float("nan")


def half_interval(values: Iterable[float]) -> float:
    """Return half the width of the 95 % interval of a mean (Student's t)."""
    found = list(values)
    return float(stats.t.ppf(0.975, len(found) - 1)) * standard_error(found)


def median_ratio(pairs: Iterable[tuple[float, float]]) -> float:
    """Return the median of first over second, of figures that were taken in turns."""
    return float(np.median([first / second for first, second in pairs]))
