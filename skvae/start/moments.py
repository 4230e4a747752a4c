"""Mean and covariance of rows that come batch by batch: those of all of them together.

Batches are merged by what their own moments are and how far their means lie apart (Chan, Golub &
LeVeque, 1983). Of the covariance a root is kept, root' root, which halves the digits that squares
would need. Up to 2048 columns nothing is lost; of more, the leading directions are kept, as many
as make 32 MB (Ross et al., 2008), and the variance outside of them. numpy, float64.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from skvae.data.batches import Values, batches, refuse_overflow
from skvae.start.ppca import ProbabilisticPCA
from skvae.start.spectrum import ROUTES, Routes, Spectrum, is_rounding, leading

_KEPT_CELLS = 4_194_304  # of the root: 32 MB, and all directions of 2048 columns


@dataclass(frozen=True)
class Moments:
    """Of n rows in d columns, weighted.

    The mean is origin + shift: near the rows, differences from the origin are exact. Root and lost
    are in units of 2^exponent, in which squares neither overflow nor vanish.
    """

    n_rows: int
    weight: float  # the rows' together
    origin: np.ndarray  # (d,)
    shift: np.ndarray  # (d,)
    root: np.ndarray  # (k, d), k at most d; root' root is the covariance by weights that sum to 1
    exponent: int
    lost: float  # variance outside of the root, all columns together

    @classmethod
    def of_start(cls, start: ProbabilisticPCA) -> "Moments":
        """Those that a linear start tells of its rows: exact along its directions."""
        exponent = int(np.frexp(start.scale)[1])
        unit, divisor = float(np.ldexp(start.scale, -exponent)), max(start.n_rows - 1, 1)
        share = divisor / start.n_rows  # variances of the start divide by n - 1
        rest = max(start.total_variance - float(start.variances.sum()), 0.0)
        return cls(
            start.n_rows,
            float(start.n_rows),
            start.mean,
            np.zeros_like(start.mean),
            unit * np.sqrt(share * start.variances)[:, None] * start.components,
            exponent,
            unit**2 * share * rest,
        )

    @property
    def mean(self) -> np.ndarray:
        """Shape (d,), user's units."""
        return self.origin + self.shift

    def merged(
        self,
        X: Values,
        sample_weight: np.ndarray | None,
        fewest: int,
        kept_cells: int = _KEPT_CELLS,
    ) -> "Moments":
        """The moments of these rows and of others, dense or sparse; at least so many directions."""
        limit = _most_directions(X.shape[1], fewest, kept_cells)
        weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
        moments = self
        for rows in batches(*X.shape):
            x = X[rows]
            x = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64)
            refuse_overflow(float(np.abs(x).max()))
            moments = moments._with(x, weight[rows], limit)
        return moments

    def _with(self, x: np.ndarray, weight: np.ndarray, limit: int) -> "Moments":
        """Count in a few rows that are held densely."""
        total = float(weight.sum())
        share = weight / total
        centred = x - self.origin
        mean = share @ centred
        centred -= mean
        apart = mean - self.shift
        largest = max(float(np.abs(centred).max()), float(np.abs(apart).max()))
        exponent = int(np.frexp(largest)[1]) if largest else self.exponent
        if self.root.any():
            exponent = max(exponent, self.exponent)
        own = Moments(len(x), total, self.origin, mean, np.sqrt(share)[:, None] * centred, 0, 0.0)
        return self._and(own, apart, exponent, limit)

    def joined(self, other: "Moments", fewest: int, kept_cells: int = _KEPT_CELLS) -> "Moments":
        """The moments of the rows of both, which have one origin."""
        if not (self.n_rows and other.n_rows):
            return other if other.n_rows else self
        apart = other.shift - self.shift
        largest = float(np.abs(apart).max())
        own = int(np.frexp(largest)[1]) if largest else min(self.exponent, other.exponent)
        exponent = max(own, self.exponent, other.exponent)
        limit = _most_directions(len(self.origin), fewest, kept_cells)
        return self._and(other, apart, exponent, limit)

    def _and(self, other: "Moments", apart: np.ndarray, exponent: int, limit: int) -> "Moments":
        """Those of both, given how far their means lie apart and the unit of the root."""
        weight = self.weight + other.weight
        ours, theirs = self.weight / weight, other.weight / weight
        stacked = np.concatenate(
            [
                np.sqrt(ours) * np.ldexp(self.root, self.exponent - exponent),
                np.sqrt(theirs) * np.ldexp(other.root, other.exponent - exponent),
                np.sqrt(ours * theirs) * np.ldexp(apart, -exponent)[None],
            ]
        )
        root, lost = _compressed(stacked, limit)
        before = sum(
            share * float(np.ldexp(part.lost, 2 * (part.exponent - exponent)))
            for share, part in ((ours, self), (theirs, other))
        )
        return Moments(
            self.n_rows + other.n_rows,
            weight,
            self.origin,
            self.shift + theirs * apart,
            root,
            exponent,
            before + lost,
        )

    def spectrum(self, limit: int, routes: Routes = ROUTES) -> Spectrum:
        """The leading directions, limit at most, as those of a matrix."""
        n, d = self.n_rows, len(self.origin)
        limit = min(limit, n, d, len(self.root))
        correction = n / max(n - 1, 1)
        variance = correction * (float(np.square(self.root).sum()) + self.lost) / d
        if is_rounding(variance, self.mean, self.exponent):
            return Spectrum(self.mean, 1.0, 0.0, np.zeros(limit), np.eye(limit, d), 0.0, ())
        singular, components, rounding = leading(self.root, limit, routes)
        variances = correction * np.square(singular) / variance
        scale = float(np.ldexp(np.sqrt(variance), self.exponent))
        return Spectrum(
            self.mean, scale, float(d), variances, components, rounding * variances[0], ()
        )


def no_moments(X: Values) -> Moments:
    """Those of no rows, to begin with the first of X."""
    first = X[:1]
    origin = np.asarray(first.toarray() if sparse.issparse(first) else first, np.float64)[0]
    d = len(origin)
    return Moments(0, 0.0, origin, np.zeros(d), np.zeros((0, d)), 0, 0.0)


def _most_directions(n_columns: int, fewest: int, kept_cells: int) -> int:
    """That a root keeps."""
    return min(max(kept_cells // n_columns, fewest), n_columns)


def _compressed(stacked: np.ndarray, limit: int) -> tuple[np.ndarray, float]:
    """A root of no more than limit rows, and the variance that it leaves out."""
    n, d = stacked.shape
    if n <= limit:
        return stacked, 0.0
    if d <= limit:
        return np.asarray(np.linalg.qr(stacked, mode="r")), 0.0
    variances, vectors = np.linalg.eigh(stacked @ stacked.T)
    root = vectors[:, : -limit - 1 : -1].T @ stacked
    return root, float(np.maximum(variances[:-limit], 0.0).sum())
