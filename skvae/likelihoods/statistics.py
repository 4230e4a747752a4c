"""Statistics of the observed cells of columns, with weights of rows."""

import numpy as np
from scipy import sparse

from skvae.likelihoods.base import Values

_ROUNDING = 4 * float(np.finfo(float).eps)  # of a number, relative to its size


def varies(values: np.ndarray) -> np.ndarray:
    """Whether the observed cells of each column differ by more than rounding, shape (c,)."""
    least, most = (
        extreme(values, axis=0, initial=start, where=~np.isnan(values))
        for extreme, start in ((np.min, np.inf), (np.max, -np.inf))
    )
    size = np.maximum(np.abs(least), np.abs(most))
    return most - least > _ROUNDING * size


def resolution(values: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
    """Smallest positive difference between values of each column, shape (c,).

    Values that differ by rounding alone, of numbers of their size, are one value.
    """
    gaps = np.zeros(values.shape[1])
    for j, column in enumerate(values.T):
        distinct, where = np.unique(column[~np.isnan(column)], return_index=True)
        own = np.abs(distinct) if size is None else size[~np.isnan(column), j][where]
        steps = np.diff(distinct)
        steps = steps[steps > _ROUNDING * np.maximum(own[1:], own[:-1])]
        gaps[j] = steps.min() if len(steps) else 0.0
    return gaps


def means(values: Values, weight: np.ndarray | None = None) -> np.ndarray:
    """Mean of each column's cells."""
    if sparse.issparse(values):
        w = np.ones(values.shape[0]) if weight is None else weight
        return np.asarray(values.T @ (w / w.sum())).ravel()
    there = ~np.isnan(values)
    w = there * (1.0 if weight is None else np.asarray(weight)[:, None])
    return (np.where(there, values, 0.0) * w).sum(0) / w.sum(0)


def moments(values: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column's cells, the latter 0 where nothing varies.

    A power of two first, so that no square overflows or vanishes; then the mean, then the rest.
    """
    largest = np.max(np.abs(values), axis=0, initial=0.0, where=~np.isnan(values))
    exponent = np.frexp(largest)[1]
    y = np.ldexp(values, -exponent)
    mean = means(y, weight)
    y -= mean
    shift = means(y, weight)  # what rounding left in the mean
    y -= shift
    n = counts(values, weight)
    variance = means(np.square(y), weight) * n / np.maximum(n - 1, 1)
    sd = np.where(varies(values), np.ldexp(np.sqrt(variance), exponent), 0.0)
    return np.ldexp(mean + shift, exponent), sd


def or_one(scale: np.ndarray) -> np.ndarray:
    """Scales that can be divided by."""
    return np.where(scale > 0, scale, 1.0)


def counts(values: Values, weight: np.ndarray | None = None) -> np.ndarray:
    """Cells of each column that are there; with weights as many as would say as much (Kish)."""
    w = np.ones(values.shape[0]) if weight is None else weight
    if sparse.issparse(values):
        return np.full(values.shape[1], w.sum() ** 2 / np.square(w).sum())
    there = ~np.isnan(values)
    return np.square(w @ there) / np.maximum(np.square(w) @ there, np.finfo(float).tiny)


def quantiles(
    values: np.ndarray, shares: float | list[float] | np.ndarray, weight: np.ndarray | None
) -> np.ndarray:
    """Quantiles of some numbers; between two they are interpolated, with weights as without."""
    if weight is None:
        return np.quantile(values, np.asarray(shares))
    order = values.argsort(kind="stable")
    middle = weight[order].cumsum() - 0.5 * weight[order]
    place = (middle - middle[0]) / max(middle[-1] - middle[0], np.finfo(float).tiny)
    return np.interp(np.asarray(shares), place, values[order])


def median_and_scale(
    values: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted median of each column, and its scale by quartiles: a few far cells change neither.

    Where more than half of the cells are alike, the scale is that of how far the others are.
    """
    centers, scales = np.zeros((2, values.shape[1]))
    for j, column in enumerate(values.T):
        there = ~np.isnan(column)
        x, w = column[there], None if weight is None else weight[there]
        low, centers[j], high = quantiles(x, [0.25, 0.5, 0.75], w)
        scales[j] = (high - low) / 1.349
        away = np.abs(x - centers[j])
        other = away > 0
        if scales[j] == 0 and other.any():
            scales[j] = quantiles(away[other], 0.5, None if w is None else w[other]) / 0.6745
    return centers, scales


def row_sums(values: Values) -> np.ndarray:
    """Sum of each row's cells that are there."""
    return np.asarray(values.sum(1) if sparse.issparse(values) else np.nansum(values, 1)).ravel()
