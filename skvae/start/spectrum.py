"""The principal directions of dense or sparse rows, whatever the number of units.

Rows are centred and divided by one common scale, the root mean variance of a column. Few rows or
columns are decomposed directly, more of them through their covariance, many by iteration.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, NamedTuple

import joblib
import numpy as np
from scipy import linalg, sparse

from skvae.data.batches import BATCH_CELLS, Values, batches, refuse_overflow

_SHARED_BYTES = 2**27  # that remembered spectra may take together
_EPSILON = float(np.finfo(np.float64).eps)
_SURE = 1e-8  # share of the largest variance from which on a covariance has half of its digits


class Routes(NamedTuple):
    """Up to what sizes rows are decomposed how, and how many are held at once."""

    # Up to this cost the singular values come from the rows themselves, not from their squares.
    direct_cost: float = 1e8
    # Up to this size a covariance or Gram matrix is decomposed exactly; beyond, by iteration.
    exact_size: int = 2048
    n_iterations: int = 3  # in single precision, before those in double
    batch_cells: int = BATCH_CELLS  # of rows that are held densely


ROUTES = Routes()


class Spectrum(NamedTuple):
    """Principal directions of rows, whatever the number of units; scaled but for mean and scale."""

    mean: np.ndarray
    scale: float
    total_variance: float
    variances: np.ndarray
    components: np.ndarray
    rounding: float  # variances up to this one are those of rounding
    rng_state: Any  # of the generator, once it has been found

    @property
    def n_bytes(self) -> int:
        return self.mean.nbytes + self.variances.nbytes + self.components.nbytes


class Spectra:
    """Spectra of the rows seen last: a search fits the same rows for every candidate."""

    def __init__(self, most_bytes: int = _SHARED_BYTES) -> None:
        self.most_bytes = most_bytes
        self._known: OrderedDict[str, Spectrum] = OrderedDict()
        self._lock = Lock()  # candidates may be fitted in threads

    def of(
        self, X: Values, sample_weight: np.ndarray | None, limit: int, rng: np.random.RandomState
    ) -> Spectrum:
        """The spectrum of rows, found or remembered; rng ends in the same state either way."""
        key = joblib.hash((X, sample_weight, limit, rng.get_state()))
        with self._lock:
            spectrum = self._known.pop(key, None)
        if spectrum is None:
            spectrum = find_spectrum(X, sample_weight, limit, rng)
        rng.set_state(spectrum.rng_state)
        with self._lock:
            self._known[key] = spectrum
            while sum(known.n_bytes for known in self._known.values()) > self.most_bytes:
                self._known.popitem(last=False)
        return spectrum


def find_spectrum(
    X: Values,
    sample_weight: np.ndarray | None,
    limit: int,
    rng: np.random.RandomState,
    routes: Routes = ROUTES,
) -> Spectrum:
    """The leading directions of dense or sparse rows, limit at most."""
    rows = _Rows(X, sample_weight, routes.batch_cells)
    variances, components, rounding = _decompose(rows, limit, rng, routes)
    return Spectrum(
        rows.mean, rows.scale, rows.total_variance, variances, components, rounding, rng.get_state()
    )


def farthest_cell(X: Values, names: Sequence[str] | None = None) -> str:
    """The column whose farthest value is the most standard deviations from its mean, in words."""
    rows = _Rows(_without_gaps(X), None)
    variance, farthest = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for _, x in rows:
        variance += np.square(x).sum(0)
        farthest = np.maximum(farthest, np.abs(x).max(0))
    deviations = farthest * np.sqrt((X.shape[0] - 1) / np.maximum(variance, np.finfo(float).tiny))
    column = int(deviations.argmax())
    name = column if names is None else repr(names[column])
    return (
        f"the value farthest out, {deviations[column]:.3g} standard deviations from its mean, is "
        f"in column {name}: clip or transform that column, scale the columns before fit, or train "
        "with a smaller learning_rate and with clip_norm"
    )


def _without_gaps(X: Values) -> Values:
    """Rows with missing cells at their column's mean."""
    if sparse.issparse(X) or not np.isnan(X).any():
        return X
    n_there = np.maximum((~np.isnan(X)).sum(0), 1)
    return np.where(np.isnan(X), np.nansum(X, 0) / n_there, X)


def is_rounding(variance: float, mean: np.ndarray, exponent: int) -> bool:
    """Whether a variance, in units of 4^exponent, is no more than that of rounding at the mean."""
    rounding = _EPSILON * float(np.abs(mean).max())
    return bool(np.ldexp(np.sqrt(variance), exponent) <= 2 * rounding)


class _Rows:
    """Training rows centred, scaled, and weighted so that their squares sum to the covariance."""

    def __init__(
        self, X: Values, sample_weight: np.ndarray | None, batch_cells: int = BATCH_CELLS
    ) -> None:
        self.batch_cells = batch_cells
        self.n_rows, self.n_features = X.shape
        self.X = X
        w = np.ones(self.n_rows) if sample_weight is None else sample_weight
        share = w / w.sum()
        self.mean, exponent = self._locate(share)
        # A power of two first: squares of columns at 1e200 would overflow.
        total: float = 0.0
        shift = np.zeros(self.n_features)
        for rows in batches(X.shape[0], X.shape[1], batch_cells):
            x = np.ldexp(self._batch(rows) - self.mean, -exponent)
            shift += share[rows] @ x
            total += float(share[rows] @ np.einsum("ij,ij->i", x, x))
        self.mean = self.mean + np.ldexp(shift, exponent)
        total -= float(shift @ shift)
        n = np.count_nonzero(w)
        variance = max(total, 0.0) / self.n_features * n / (n - 1)
        self.is_constant = is_rounding(variance, self.mean, exponent)
        self.scale = 1.0 if self.is_constant else float(np.ldexp(np.sqrt(variance), exponent))
        self.total_variance = 0.0 if self.is_constant else float(self.n_features)
        self.root_weight = np.sqrt(share * n / (n - 1))

    def _locate(self, share: np.ndarray) -> tuple[np.ndarray, int]:
        mean, largest = np.zeros(self.n_features), 0.0
        for rows in batches(self.n_rows, self.n_features, self.batch_cells):
            x = self._batch(rows)
            mean += share[rows] @ x
            largest = max(largest, float(np.abs(x).max()))
        refuse_overflow(largest)
        return mean, int(np.frexp(largest)[1])

    def _batch(self, rows: slice) -> np.ndarray:
        x = self.X[rows]
        return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64, order="C")

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        for rows in batches(self.n_rows, self.n_features, self.batch_cells):
            x = self._batch(rows) - self.mean
            x /= self.scale  # whose inverse is no number where it is the smallest there are
            x *= self.root_weight[rows, None]
            yield rows, x

    def transposed_times(self, Q: np.ndarray) -> np.ndarray:
        """Rows' @ Q, shape (d, Q's columns), in the dtype of Q."""
        return sum(x.astype(Q.dtype, copy=False).T @ Q[rows] for rows, x in self)

    def covariance(self) -> np.ndarray:
        return sum(x.T @ x for _, x in self)

    def covariance_within(self, Q: np.ndarray) -> np.ndarray:
        """That of the rows' coordinates along orthonormal columns of Q."""
        parts = (x @ Q for _, x in self)
        return sum(part.T @ part for part in parts)

    def covariance_times(self, Q: np.ndarray) -> np.ndarray:
        """Rows' @ rows @ Q, shape (d, Q's columns), in the dtype of Q, by one reading."""
        total = np.zeros_like(Q)
        for _, x in self:
            x = x.astype(Q.dtype, copy=False)
            total += x.T @ (x @ Q)
        return total

    def gram(self) -> np.ndarray:
        columns = self.X.tocsc() if sparse.issparse(self.X) else self.X
        gram = np.zeros((self.n_rows, self.n_rows))
        for cols in batches(self.n_features, self.n_rows, self.batch_cells):
            x = columns[:, cols]
            x = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64)
            x = (x - self.mean[cols]) / self.scale * self.root_weight[:, None]
            gram += x @ x.T
        return gram


def _decompose(
    rows: _Rows, limit: int, rng: np.random.RandomState, routes: Routes
) -> tuple[np.ndarray, np.ndarray, float]:
    """Leading variances and directions (limit, d) of the rows, largest first, and rounding."""
    n, d = rows.n_rows, rows.n_features
    if rows.is_constant:
        return np.zeros(limit), np.eye(limit, d), 0.0
    rounding = (max(n, d) * _EPSILON) ** 2  # of squares of what comes from the rows themselves
    if n * d * min(n, d) <= routes.direct_cost:
        x = np.concatenate([x for _, x in rows])
        singular, components = np.linalg.svd(x, full_matrices=False)[1:]
    elif d <= min(n, routes.exact_size):
        singular, components = _by_covariance(rows, rounding)
    elif n <= routes.exact_size:
        basis = np.linalg.eigh(rows.gram())[1][:, : -limit - 1 : -1]
        singular, components = _within(rows.transposed_times(basis))
        rounding = max(n, d) * _EPSILON
    else:
        singular, components = _subspace_iteration(rows, limit, rng, routes.n_iterations)
        rounding = max(n, d) * _EPSILON
    variances = np.square(singular[:limit])
    return variances, _with_signs(components[:limit]), rounding * float(variances[0])


def _by_covariance(rows: _Rows, rounding: float) -> tuple[np.ndarray, np.ndarray]:
    """Singular values and directions of all the rows' columns.

    A covariance is rounded at the size of its largest variance. Directions of much smaller ones
    are found anew, in what the larger leave of the rows, until what is left is rounding.
    """
    variances, vectors = _descending(rows.covariance())
    first, largest = 0, variances[0]
    while True:
        first += int((variances[first:] > _SURE * variances[first]).sum())
        if first == len(variances):
            break
        rest = vectors[:, first:]
        found, turn = _descending(rows.covariance_within(rest))
        variances[first:], vectors[:, first:] = found, rest @ turn
        if found[0] <= rounding * largest:
            break
    return np.sqrt(np.maximum(variances, 0.0)), vectors.T


def _descending(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    variances, vectors = np.linalg.eigh(covariance)
    return variances[::-1].copy(), vectors[:, ::-1].copy()


def leading(
    root: np.ndarray, limit: int, routes: Routes = ROUTES
) -> tuple[np.ndarray, np.ndarray, float]:
    """Singular values and directions (limit, d) of a root of a covariance, largest first.

    The third is the share of the largest variance up to which others are those of rounding.
    """
    k, d = root.shape
    rounding = max(k, d) * _EPSILON
    if k * d * min(k, d) <= routes.direct_cost:
        singular, components = np.linalg.svd(root, full_matrices=False)[1:]
        rounding = rounding**2
    else:
        basis = linalg.eigh(root @ root.T, subset_by_index=(k - limit, k - 1))[1]
        singular, components = _within(root.T @ basis)
    return singular[:limit], _with_signs(components[:limit]), rounding


def _within(B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values and left vectors, as rows, of a tall matrix (d, k)."""
    vectors, singular, _ = np.linalg.svd(B, full_matrices=False)
    return singular, vectors.T


def _subspace_iteration(
    rows: _Rows, limit: int, rng: np.random.RandomState, n_iterations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Randomised subspace iteration (Halko, Martinsson & Tropp, 2011).

    Single precision finds the subspace, double precision the directions in it.
    """
    width = min(limit + 10, rows.n_rows, rows.n_features)
    Q = rng.standard_normal((rows.n_features, width))
    for _ in range(n_iterations):  # between them any basis will do, and LU's is the quickest
        Q = rows.covariance_times(linalg.lu(Q.astype(np.float32), permute_l=True)[0])
    Q = linalg.qr(Q.astype(np.float64), mode="economic")[0]
    # Where B = rows @ Q, of which no row is kept, B (B' B)^(-1/2) is an orthonormal basis.
    C = rows.covariance_times(Q)
    variances, vectors = np.linalg.eigh(Q.T @ C)
    least = width * _EPSILON * variances[-1]
    return _within(C @ (vectors / np.sqrt(np.maximum(variances, least))))


def _with_signs(components: np.ndarray) -> np.ndarray:
    """The largest entry of every direction positive, as in scikit-learn's PCA."""
    largest = np.abs(components).argmax(axis=1)
    return components * np.sign(components[np.arange(len(components)), largest])[:, None]
