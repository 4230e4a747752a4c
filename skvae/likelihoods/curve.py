"""Normal scores of a column: what its values would be if they were standard normal.

A value x is a rising function of its score u. Between knots the function is a line; at a point of
mass, a value that many cells share, it is level: all scores of an interval are that value. So a
standard normal score has the column's own distribution, points of mass included. numpy, float64.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

FARTHEST = 1e6  # where scores end
MOST_MASSES = 256  # points of mass of a column all of whose values are such
_NEW = 0.05  # share of new values to be expected, up to which they all are
_LEAST_SHARE, _FEWEST = 0.01, 5  # cells of a point of mass beside values that differ
_MOST_LINES = 64  # of equally many cells; toward the ends of fewer
_FEWEST_OF_LINE = 20  # cells


class Curve(NamedTuple):
    """Values by scores; before the first and after the last knot the outer lines go on."""

    u: np.ndarray  # (k,) scores of the knots, rising
    x: np.ndarray  # (k,) their values; alike on both sides of a point of mass
    is_known: np.ndarray  # (k - 1,) whether a cell was there, between two knots
    new: float  # probability of values where none was

    @property
    def is_mass(self) -> np.ndarray:
        """Whether there is a point of mass between two knots, shape (k - 1,)."""
        return self.x[1:] == self.x[:-1]

    @property
    def log_shares(self) -> np.ndarray:
        """Log-probability that a value is a known one; of each part that is not, its own."""
        n_new = max((~self.is_known).sum(), 1)
        return np.where(
            self.is_known, math.log1p(-self.new), math.log(max(self.new, 1e-300) / n_new)
        )

    @property
    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest scores that are drawn as what is between two knots, each (k - 1,).

        What was never seen is drawn as the next point of mass below, or else above.
        """
        low, high, known = self.u[:-1].copy(), self.u[1:].copy(), self.is_known
        between = np.flatnonzero(known[:-2] & ~known[1:-1])
        high[between] = high[between + 1]
        if not known[0]:
            low[1] = -FARTHEST
        if not known[-1]:
            high[np.flatnonzero(known)[-1]] = FARTHEST
        return low, high

    def lines(self, x: np.ndarray) -> np.ndarray:
        """Between which knots values lie, shape (n,); at a point of mass between its own."""
        rises = np.flatnonzero(~self.is_mass)
        line = rises[np.searchsorted(self.x[rises[1:]], x, side="right")]
        masses = np.flatnonzero(self.is_mass)
        if len(masses):
            place = np.searchsorted(self.x[masses], x).clip(max=len(masses) - 1)
            line = np.where(self.x[masses[place]] == x, masses[place], line)
        return line

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Scores of values, shape (n,); of a point of mass the middle of its own."""
        line = self.lines(x)
        low, width = self.x[line], self.x[line + 1] - self.x[line]
        share = np.where(width > 0, (x - low) / np.where(width > 0, width, 1.0), 0.5)
        return self.u[line] + share * (self.u[line + 1] - self.u[line])

    def lines_of_scores(self, u: np.ndarray) -> np.ndarray:
        """Between which knots scores lie, shape (n,)."""
        return np.searchsorted(self.u, u, side="right").clip(1, len(self.u) - 1) - 1

    def values(self, u: np.ndarray) -> np.ndarray:
        """Values of scores, shape (n,)."""
        line = self.lines_of_scores(u)
        share = (u - self.u[line]) / (self.u[line + 1] - self.u[line])
        return self.x[line] + share * (self.x[line + 1] - self.x[line])

    def log_slopes(self, x: np.ndarray) -> np.ndarray:
        """Log-density of values over that of their scores, shape (n,).

        That is the slope of the score; 0 at points of mass; where no cell was, a density of its
        own: even between points of mass, half a normal one beyond the outer ones.
        """
        line = self.lines(x)
        width = self.x[line + 1] - self.x[line]
        log_width = np.log(np.where(width > 0, width, 1.0))
        slope = np.log(self.u[line + 1] - self.u[line]) - log_width
        is_below, is_above = line == 0, line == len(self.is_known) - 1
        away = np.where(is_below, self.x[1] - x, x - self.x[line]) / np.where(width > 0, width, 1.0)
        beyond = 0.5 * math.log(2 / math.pi) - 0.5 * np.square(away)
        own = np.where(is_below | is_above, beyond, 0.0) - log_width
        return np.where(width > 0, np.where(self.is_known[line], slope, own), 0.0)

    def resolution(self, x: np.ndarray) -> float:
        """Score between neighbours among values, the median over cells outside points of mass."""
        values, count = np.unique(x, return_counts=True)
        steps = np.diff(self.scores(values))
        is_line = ~self.is_mass[self.lines(values)]
        chosen = is_line[1:] & is_line[:-1]
        return (
            float(np.median(np.repeat(steps[chosen], count[1:][chosen]))) if chosen.any() else 0.0
        )


class _Pieces:
    """Pieces of a curve from below, with what they weigh; those without cells weigh nothing."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []
        self.masses: list[float] = []

    def add(self, ends: np.ndarray, masses: np.ndarray) -> None:
        self.ends += zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)
        self.masses += masses.tolist()


def points_of_mass(count: np.ndarray) -> np.ndarray:
    """Which distinct values, of so many cells each, have a probability of their own.

    All of them, where hardly a new one is to be expected (Good & Turing: the share of those seen
    once); else those that many cells share, as no value of a density does.
    """
    n = count.sum()
    if len(count) <= MOST_MASSES and (count == 1).sum() <= _NEW * n:
        return np.ones(len(count), bool)
    return count >= max(_FEWEST, _LEAST_SHARE * n)


def curve_of(cells: np.ndarray, weight: np.ndarray | None = None) -> Curve:
    """The curve of a column's observed cells, shape (n,), with weights of rows."""
    values, where, count = np.unique(cells, return_inverse=True, return_counts=True)
    mass = np.bincount(where, weight, minlength=len(values)).astype(float)
    mass *= count.sum() / max(mass.sum(), np.finfo(float).tiny)
    is_mass = points_of_mass(count)
    masses = np.flatnonzero(is_mass)
    pieces = _Pieces()
    bounds = [-1, *masses.tolist(), len(values)]
    for before, after in itertools.pairwise(bounds):
        low, high = max(before, 0), min(after, len(values) - 1)
        if before + 1 < after:
            between = slice(before + 1, after)
            cuts, weighs = _cut(values[between], mass[between], count.sum())
            pieces.add(np.r_[values[low], cuts, values[high]], weighs)
        elif low < high and before >= 0:  # no cell was between two points of mass
            pieces.add(values[[low, high]], np.zeros(1))
        if after < len(values):
            pieces.add(values[[after, after]], mass[[after]])
    n_new = (count == 1).sum() if is_mass.all() else 0
    return _joined(pieces, values, (n_new + 0.5) / (count.sum() + 1.0))


def _cut(values: np.ndarray, mass: np.ndarray, n: float) -> tuple[np.ndarray, np.ndarray]:
    """Where lines through neighbouring values meet, and what each weighs.

    Lines are of equally many cells; in the tails of half as many, and so on, so that they bend.
    """
    most = max(n / _MOST_LINES, _FEWEST_OF_LINE)
    up_to = np.cumsum(mass)
    total = up_to[-1]
    even = np.arange(1, max(int(total / most), 1)) * total / max(int(total / most), 1)
    halves = most / 2.0 ** np.arange(1, 1 + max(0, int(math.log2(most / _FEWEST_OF_LINE))))
    wanted = np.unique(np.r_[halves, even, total - halves])
    wanted = wanted[(wanted >= _FEWEST_OF_LINE) & (wanted <= total - _FEWEST_OF_LINE)]
    last = np.unique(np.searchsorted(up_to, wanted))
    last = last[last < len(values) - 1]
    bounds = np.r_[0.0, up_to[last], total]
    return 0.5 * values[last] + 0.5 * values[last + 1], np.diff(bounds)


def _joined(pieces: _Pieces, values: np.ndarray, unseen: float) -> Curve:
    """Pieces one after another; what was never seen shares a small probability."""
    mass = np.array(pieces.masses)
    unseen = min(unseen, 0.5)
    is_known = mass > 0
    each = unseen / ((~is_known).sum() + 2)
    share = np.where(is_known, (1.0 - unseen) * mass / max(mass.sum(), 1e-300), each)
    # Both tails, as one of them may be too small to be 1 less the other.
    below, above = np.cumsum(np.r_[each, share]), np.cumsum(np.r_[each, share[::-1]])[::-1]
    u = np.where(below < 0.5, ndtri(below), -ndtri(above))
    x = np.array([pieces.ends[0][0], *(right for _, right in pieces.ends)])
    spread = (
        max(values.std(), 4 * np.spacing(np.abs(values).max()))
        if len(values) > 1
        else np.abs(values[0]) or 1.0
    )
    steps = [
        spread if x[i] == x[j] else (x[j] - x[i]) / (u[j] - u[i]) for i, j in ((0, 1), (-2, -1))
    ]
    is_known = np.r_[x[0] != x[1], is_known, x[-2] != x[-1]]
    return Curve(
        np.r_[u[0] - 1.0, u, u[-1] + 1.0],
        np.r_[x[0] - steps[0], x, x[-1] + steps[1]],
        is_known,
        0.0 if is_known.all() else unseen,
    )
