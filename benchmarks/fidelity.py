"""Fidelity: how like the rows of a table drawn rows are, and how near they come to single rows.

Columns on their own, pairs of numbers, and the distance from drawn rows to the closest training
row beside that from rows that are real and were not in the training: drawn rows that are closer
than those tell of training rows.
"""

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from benchmarks.frames import is_number

_MOST_ROWS = 1000  # whose closest row is looked for
_AT_A_TIME = 100


def distributions(real: pd.DataFrame, drawn: pd.DataFrame) -> dict[str, float]:
    """Return how far distributions are apart, as means over columns, and the worst of them.

    ``ks`` is the largest difference between the distributions of a column of numbers
    (Kolmogorov and Smirnov), ``tv`` half the sum of the differences between shares of levels
    (total variation); ``correlation_difference`` the mean absolute difference between
    correlations of two columns of numbers. All of them are of observed cells: drawn rows have no
    missing ones.
    """
    numbers = [name for name in real if is_number(real[name])]
    levels = [name for name in real if name not in numbers]
    farthest = [ks_2samp(real[n].dropna(), drawn[n].dropna()).statistic for n in numbers]
    apart = [_total_variation(real[name], drawn[name]) for name in levels]
    above = np.triu_indices(len(numbers), 1)
    change = (real[numbers].corr() - drawn[numbers].corr()).to_numpy()[above]
    return {
        "ks": _mean(farthest),
        "ks_worst": float(max(farthest, default=np.nan)),
        "tv": _mean(apart),
        "tv_worst": float(max(apart, default=np.nan)),
        "correlation_difference": _mean(np.abs(np.nan_to_num(change))),
    }


def closeness(rows: pd.DataFrame, train: pd.DataFrame) -> dict[str, float]:
    """Return quantiles of the distance to the closest training row, and the share of copies.

    A distance is the root of the sum of squares over columns: of numbers the difference in
    deviations of the training rows, of levels 1 where they differ; a cell that is missing
    differs by 1 from one that is not.
    """
    some = rows.iloc[np.linspace(0, len(rows) - 1, min(len(rows), _MOST_ROWS)).astype(int)]
    ours, theirs = _coordinates(some, train), _coordinates(train, train)
    starts = range(0, len(some), _AT_A_TIME)
    distance = np.concatenate([_closest(ours, theirs, slice(i, i + _AT_A_TIME)) for i in starts])
    low, middle = np.quantile(distance, [0.01, 0.5])
    return {
        "closest_1": float(low),
        "closest_50": float(middle),
        "copies": float(np.mean(distance == 0)),
    }


def _total_variation(real, drawn):
    shares = [column.astype(object).value_counts(normalize=True) for column in (real, drawn)]
    return 0.5 * float(shares[0].sub(shares[1], fill_value=0).abs().sum())


def _coordinates(rows, train):
    """Return for every column its numbers, NaN where missing, and whether it holds numbers."""
    coordinates = []
    for name, column in train.items():
        if is_number(column):
            values = rows[name].to_numpy(dtype="float64", na_value=np.nan)
            coordinates.append((values / (column.std(ddof=0) or 1.0), True))
        else:
            levels = pd.Index(column.dropna().astype(object).unique())
            codes = levels.get_indexer(rows[name].astype(object)).astype(float)
            codes[rows[name].isna().to_numpy()] = np.nan
            coordinates.append((codes, False))
    return coordinates


def _closest(ours, theirs, part):
    square = 0.0
    for (a, is_numeric), (b, _) in zip(ours, theirs, strict=True):
        a = a[part, None]
        apart = np.square(a - b) if is_numeric else 1.0 * (a != b)
        one_missing, both_missing = np.isnan(a) != np.isnan(b), np.isnan(a) & np.isnan(b)
        square = square + np.where(one_missing, 1.0, np.where(both_missing, 0.0, apart))
    return np.sqrt(np.min(square, axis=1))


def _mean(values):
    return float(np.mean(values)) if len(values) else float("nan")
