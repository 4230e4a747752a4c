"""Where the axis of a map begins and ends: of all rows, and at first.

A few far rows would squeeze all others into a corner. Where they would, the first view is that of
the others; a map says how many rows lie outside, and can show the whole.
"""

import math
from typing import NamedTuple

import numpy as np

Ends = tuple[float, float]

_MARGIN = 0.06  # of the range, on both sides
_FEWEST = 10  # values, of which some can be far from the others


class Extent(NamedTuple):
    """Ends of an axis."""

    whole: Ends  # of all values
    first: Ends  # of the bulk, where the others are few and far; else the same


def extent_of(
    values: np.ndarray, share: float = 0.01, reach: float = 0.5, times: float = 3.0
) -> Extent:
    """Ends of an axis for values; those that are not finite have no place on it.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Places on the axis.
    share : float
        Share of the values that may be far, at either end; two may be in any case.
    reach : float
        How far the bulk reaches beyond the others, in the range of these.
    times : float
        How many times as long as the range of the bulk that of all has to be.
    """
    known = np.sort(np.asarray(values, dtype=np.float64))
    known = known[np.isfinite(known)]
    if not len(known):
        return Extent((0.0, 1.0), (0.0, 1.0))
    whole = _ends(known)
    if len(known) < _FEWEST:
        return Extent(whole, whole)
    n_far = max(2, math.ceil(share * len(known)))
    low, high = known[n_far], known[-1 - n_far]
    room = reach * (high - low)
    bulk = known[(known >= low - room) & (known <= high + room)]
    is_squeezed = 0 < times * np.ptp(bulk) < np.ptp(known)
    return Extent(whole, _ends(bulk) if is_squeezed else whole)


def _ends(known: np.ndarray) -> Ends:
    low, high = float(known.min()), float(known.max())
    margin = _MARGIN * (high - low or 1.0)
    return low - margin, high + margin


def outside(places: np.ndarray, ends: list[Ends]) -> int:
    """How many rows lie outside of a view; places have shape (n, d), and each of d axes ends."""
    low, high = np.array(ends).T
    return int(((places < low) | (places > high)).any(axis=1).sum())
