"""Probabilistic PCA in closed form: the linear start (Tipping & Bishop, 1999).

Rows are centred and divided by one common scale (the root mean variance of a column), so that
the mean variance is 1 whatever the user's units. Everything below is in those scaled units unless
it says "user's units". Scores are coordinates on the leading principal directions; what a row has
outside them is its residual energy. Shapes: n rows, d columns, k directions kept, q latent units.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Lock, Timer, current_thread
from typing import NamedTuple

import joblib
import numpy as np
from scipy import linalg, sparse

# Up to this cost the singular values come from the rows themselves, not from their squares.
_DIRECT_COST = 1e8
# Up to this size a covariance or Gram matrix is decomposed exactly; beyond, by subspace iteration.
_EXACT_SIZE = 2048
_N_ITERATIONS = 3  # in single precision, before those in double
# Directions that training may see: past them the residual is carried as a number per row.
_MAX_DIRECTIONS = 512
# A tail that holds less than this share of what latent_dim units leave cannot change a model much.
FINE_TAIL = 0.02
# Past the first directions networks that see scores, not columns, do without one of this share.
COARSE_TAIL = 0.05
_FIRST_DIRECTIONS = 128
# Share of the last unit's variance that is not noise, at least.
_LEAST_SIGNAL = 1e-6
# latent_dim="auto" looks at no more units than this, on this many folds.
_MAX_AUTO_DIM = 32
_N_FOLDS = 5
# Spectra that are remembered may take this much memory together, and for so long after the last
# was asked for: where a fit takes longer than that, its spectrum is a small part of it.
_SHARED_BYTES = 2**27
_SHARED_SECONDS = 60.0
# Squares of larger values, and their sums, are not numbers any more.
LARGEST = 1e153
# Cells of a dense batch: 32 MB in float64, whatever the number of columns.
_BATCH_CELLS = 4_194_304


def batches(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices that cover n_rows rows, each small enough to be held densely."""
    step = max(1, min(8192, _BATCH_CELLS // max(n_columns, 1)))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


@dataclass(frozen=True)
class ProbabilisticPCA:
    """x = mean + scale * (components' W z + noise), with W = diag(sqrt(variances - noise))."""

    mean: np.ndarray  # (d,), user's units
    scale: float  # user's units per scaled unit
    components: np.ndarray  # (k, d), orthonormal rows, signs as scikit-learn's PCA
    variances: np.ndarray  # (k,), descending
    noise_variance: float
    total_variance: float  # summed over the d columns
    latent_dim: int  # units in use, at most the rank
    n_rows: int  # that it was fitted on
    rank: int  # of those rows, or the number of directions looked for

    @property
    def n_features(self) -> int:
        return self.mean.shape[0]

    @property
    def n_directions(self) -> int:
        """That a model can be fitted to, at most."""
        return len(self.variances)

    @property
    def weights(self) -> np.ndarray:
        """Spread of the data along each latent unit, sqrt(variance - noise), shape (q,)."""
        return np.sqrt(self.variances[: self.latent_dim] - self.noise_variance)

    @property
    def unit_kl(self) -> np.ndarray:
        """Mean KL of each unit's posterior from the prior, in nats, shape (q,)."""
        return 0.5 * np.log(self.variances[: self.latent_dim] / self.noise_variance)

    @property
    def noise_variances(self) -> tuple[float, ...]:
        """Noise variances of the density, mixed in equal parts.

        With fewer rows than columns the maximum-likelihood noise, spread over directions that no
        row has shown, is small, and new rows far out pay dearly for it. scikit-learn's PCA
        averages over fewer directions; its density is then the other half of this one.
        """
        q, shown = self.latent_dim, min(self.n_rows, self.n_features)
        if self.n_rows > self.n_features or q >= min(shown, self.rank):
            return (self.noise_variance,)
        return (self.noise_variance, self._rest(q) / (shown - q))

    def mean_log_prob(self, X, sample_weight: np.ndarray | None = None) -> float:
        """Mean of log_prob over the rows it was fitted on; mostly from the variances alone."""
        if len(self.noise_variances) > 1:
            return float(np.average(self.log_prob(*self.project(X)), weights=sample_weight))
        q, d, noise = self.latent_dim, self.n_features, self.noise_variance
        quadratic = (1.0 - 1.0 / self.n_rows) * (q + self._rest(q) / noise)
        log_det = np.log(self.variances[:q]).sum() + (d - q) * np.log(noise)
        return float(-0.5 * (quadratic + log_det + d * np.log(2 * np.pi)))

    def _rest(self, q: int) -> float:
        return max(self.total_variance - float(self.variances[:q].sum()), 0.0)

    def with_latent_dim(self, latent_dim: int) -> "ProbabilisticPCA":
        """The model of the same rows with fewer units; at most as many as there are directions."""
        q = min(latent_dim, self.latent_dim)
        noise = self.noise_variance
        if q < self.latent_dim:
            mean_rest = self._rest(q) / (self.n_features - q)
            noise = _noise(mean_rest, self.variances[q - 1]) or noise
        return replace(self, latent_dim=q, noise_variance=noise)

    def scores(self, X, dtype: np.dtype) -> np.ndarray:
        """Scores of dense or sparse rows, shape (n, k), computed in dtype."""
        components = self.components.astype(dtype, copy=False)
        scores = np.empty((X.shape[0], len(components)), dtype)
        for rows in batches(*X.shape):
            scores[rows] = self._standardise(X[rows], dtype) @ components.T
        return scores

    @np.errstate(over="ignore", invalid="ignore")  # a row too far off for its square is infinite
    def project(self, X, dtype: type = np.float64) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n, k) and residual energy (n,): centred in float64, returned in dtype.

        The product is in the dtype of the components: float64, but for copies of this model.
        """
        n, k = X.shape[0], len(self.components)
        scores, residual = np.empty((n, k), dtype), np.zeros(n, dtype)
        for rows in batches(*X.shape):
            x = self._standardise(X[rows], np.float64)
            s = x.astype(self.components.dtype, copy=False) @ self.components.T
            scores[rows] = s
            if k < self.n_features:
                energy = np.einsum("ij,ij->i", x, x) - np.einsum("ij,ij->i", s, s)
                # Squares beyond the largest number, minus such, are no number.
                residual[rows] = np.where(np.isnan(energy), np.inf, np.maximum(energy, 0.0))
        return scores, residual

    def restore(self, scores: np.ndarray) -> np.ndarray:
        """Rows in the user's units from scores, shape (n, d), in the dtype of the scores."""
        x = scores @ self.components.astype(scores.dtype, copy=False)
        x *= self.scale
        x += self.mean.astype(scores.dtype, copy=False)
        return x

    @np.errstate(over="ignore")  # such a row has no density
    def log_prob(self, scores: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Exact log-density per row, nats of scaled units (Tipping & Bishop, 1999, eq. 4)."""
        q, d = self.latent_dim, self.n_features
        inside = (np.square(scores[:, :q]) / self.variances[:q]).sum(1)
        outside = np.square(scores[:, q:]).sum(1) + residual
        constant = np.log(self.variances[:q]).sum() + d * np.log(2 * np.pi)
        parts = [
            -0.5 * (constant + inside + outside / noise + (d - q) * np.log(noise))
            for noise in self.noise_variances
        ]
        return np.logaddexp.reduce(parts) - np.log(len(parts))

    @property
    def log_jacobian(self) -> float:
        """What a log-density in scaled units gains when it is told in the user's units."""
        return -self.n_features * float(np.log(self.scale))

    def _standardise(self, x, dtype) -> np.ndarray:
        # In one order of memory, whose products round alike for a frame and for its array.
        x = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=dtype, order="C")
        return (x - self.mean.astype(dtype, copy=False)) / x.dtype.type(self.scale)


class Spectrum(NamedTuple):
    """Principal directions of rows, whatever the number of units; scaled but for mean and scale."""

    mean: np.ndarray
    scale: float
    total_variance: float
    variances: np.ndarray
    components: np.ndarray
    rng_state: tuple  # of the generator, once it has been found

    @property
    def n_bytes(self) -> int:
        return self.mean.nbytes + self.variances.nbytes + self.components.nbytes


class Spectra:
    """Spectra of the rows seen last: a search fits the same rows for every candidate.

    Nobody says when a search has ended, so they are forgotten when none was asked for in a while.
    """

    def __init__(self, most_bytes: int = _SHARED_BYTES, seconds: float = _SHARED_SECONDS) -> None:
        self.most_bytes, self.seconds = most_bytes, seconds
        self._known: OrderedDict[str, Spectrum] = OrderedDict()
        self._lock = Lock()
        self._end: Timer | None = None

    def of(self, X, sample_weight: np.ndarray | None, limit: int, rng) -> Spectrum:
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
            self._forget_later()
        return spectrum

    def _forget_later(self) -> None:
        """Forget everything after so many seconds, counted from now."""
        if self._end is not None:
            self._end.cancel()
        self._end = Timer(self.seconds, self._forget)
        self._end.daemon = True
        self._end.start()

    def _forget(self) -> None:
        with self._lock:
            if self._end is current_thread():  # and nobody has asked in between
                self._known.clear()
                self._end = None


def find_spectrum(X, sample_weight: np.ndarray | None, limit: int, rng) -> Spectrum:
    """The leading directions of dense or sparse rows, limit at most."""
    rows = _Rows(X, sample_weight)
    variances, components = _decompose(rows, limit, rng)
    return Spectrum(
        rows.mean, rows.scale, rows.total_variance, variances, components, rng.get_state()
    )


def fit_linear(
    X,
    latent_dim: int,
    sample_weight: np.ndarray | None = None,
    rng=None,
    spectra: Spectra | None = None,
    tail: float = FINE_TAIL,
) -> ProbabilisticPCA:
    """The maximum-likelihood probabilistic PCA of dense or sparse rows.

    Variances divide by n - 1 as scikit-learn's PCA does. A latent_dim at or above the rank is cut
    to the rank, and the noise then takes a floor instead of the 0 that the formula gives. Past the
    first directions those are left out that hold less than tail of what the units leave.
    """
    find = find_spectrum if spectra is None else spectra.of
    limit = min(most_directions(latent_dim), *X.shape)
    spectrum = find(X, sample_weight, limit, rng or np.random.RandomState(0))
    return linear_start(spectrum, X.shape[0], latent_dim, tail)


def most_directions(latent_dim: int) -> int:
    """Directions that training may see, at most."""
    return max(_MAX_DIRECTIONS, 2 * latent_dim)


def linear_start(
    rows: Spectrum, n_rows: int, latent_dim: int, tail: float, fewest: int = 1
) -> ProbabilisticPCA:
    """The start of rows of this spectrum, with at least so many directions where there are."""
    variances, n_features = rows.variances, len(rows.mean)
    limit = len(variances)
    tolerance = variances[0] * max(n_rows, n_features) * np.finfo(np.float64).eps
    rank = int((variances > tolerance).sum())
    q = min(latent_dim, rank)
    left = np.maximum(rows.total_variance - np.cumsum(variances), 0.0)
    if q < rank:
        noise = _noise(left[q - 1] / (n_features - q), variances[q - 1])
    else:  # no noise is no density; far below the smallest variance it is one, and exact
        noise = min(1e-6, 1e-3 * variances[q - 1]) if q else 1e-6
    k = min(max(_n_directions(left, q, tail), fewest), max(rank, 1), limit)
    return ProbabilisticPCA(
        mean=rows.mean,
        scale=rows.scale,
        components=rows.components[:k],
        variances=variances[:k],
        noise_variance=float(noise),
        total_variance=rows.total_variance,
        latent_dim=q,
        n_rows=n_rows,
        rank=rank,
    )


def _n_directions(left: np.ndarray, q: int, tail: float) -> int:
    """Directions that training is to see, by the variance left after each."""
    if q == 0:
        return 1
    fine, coarse = (
        int(np.searchsorted(-left, -share * left[q - 1])) + 1 for share in (FINE_TAIL, tail)
    )
    return max(2 * q, min(fine, _FIRST_DIRECTIONS), coarse)


def _noise(mean_rest: float, variance: float) -> float:
    """Noise by the variance left per direction, below that of the last unit.

    Where all directions have the same variance, rounding decides which is greater.
    """
    return float(min(mean_rest, (1.0 - _LEAST_SIGNAL) * variance))


def choose_latent_dim(X, sample_weight: np.ndarray | None, rng: np.random.RandomState) -> int:
    """Smallest number of units within a standard error of the best held-out likelihood.

    Five folds of probabilistic PCA, all numbers of units up to 32 from one decomposition each.
    """
    n, d = X.shape
    if n < 3:
        return 1
    most = max(1, min(_MAX_AUTO_DIM, d - 1, (n - n // _N_FOLDS) - 2))
    fold = rng.permutation(n) % min(_N_FOLDS, n)
    log_prob = np.empty((n, most))
    for held_out in (fold == i for i in range(fold.max() + 1)):
        weight = None if sample_weight is None else sample_weight[~held_out]
        model = fit_linear(X[~held_out], most, weight, rng)
        scores, residual = model.project(X[held_out])
        for q in range(1, most + 1):
            log_prob[held_out, q - 1] = model.with_latent_dim(q).log_prob(scores, residual)
            log_prob[held_out, q - 1] += model.log_jacobian
    mean = np.average(log_prob, axis=0, weights=sample_weight)
    best = int(mean.argmax())
    behind = log_prob[:, [best]] - log_prob
    share = np.full(n, 1.0 / n) if sample_weight is None else sample_weight / sample_weight.sum()
    # Of a weighted mean: few rows that weigh much tell as little as few rows.
    error = np.sqrt(np.square(share) @ np.square(behind - (mean[best] - mean)))
    return int(np.argmax(mean[best] - mean <= error)) + 1


def latent_dim_of_share(
    X, share: float, sample_weight: np.ndarray | None, rng: np.random.RandomState
) -> int:
    """Smallest number of directions that hold more than a share of the variance, as PCA has it."""
    most = min(X.shape)
    limit = min(_MAX_DIRECTIONS, most)
    while True:
        found = find_spectrum(X, sample_weight, limit, rng)
        held = np.cumsum(found.variances)
        total = held[-1] if limit == most else found.total_variance  # where rounding is the same
        if limit == most or held[-1] > share * total:
            return min(int(np.searchsorted(held, share * total, side="right")) + 1, most)
        limit = min(2 * limit, most)


def farthest_cell(X, names=None) -> str:
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


def _without_gaps(X):
    """Rows with missing cells at their column's mean."""
    if sparse.issparse(X) or not np.isnan(X).any():
        return X
    n_there = np.maximum((~np.isnan(X)).sum(0), 1)
    return np.where(np.isnan(X), np.nansum(X, 0) / n_there, X)


def is_rounding(variance: float, mean: np.ndarray, exponent: int) -> bool:
    """Whether a variance, in units of 4^exponent, is no more than that of rounding at the mean."""
    rounding = np.finfo(np.float64).eps * float(np.abs(mean).max())
    return bool(np.ldexp(np.sqrt(variance), exponent) <= 2 * rounding)


def refuse_overflow(largest: float) -> None:
    """Raise a ValueError where the squares of values of this size are no numbers."""
    if largest > LARGEST:
        raise ValueError(
            f"X holds a value of size {largest:.3g}; variances of values beyond {LARGEST:.0e} "
            "cannot be represented. Divide the columns first (StandardScaler)."
        )


class _Rows:
    """Training rows centred, scaled, and weighted so that their squares sum to the covariance."""

    def __init__(self, X, sample_weight: np.ndarray | None) -> None:
        self.n_rows, self.n_features = X.shape
        self.X = X
        w = np.ones(self.n_rows) if sample_weight is None else sample_weight
        share = w / w.sum()
        self.mean, exponent = self._locate(share)
        # A power of two first: squares of columns at 1e200 would overflow.
        total: float = 0.0
        shift = np.zeros(self.n_features)
        for rows in batches(*X.shape):
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
        for rows in batches(*self.X.shape):
            x = self._batch(rows)
            mean += share[rows] @ x
            largest = max(largest, float(np.abs(x).max()))
        refuse_overflow(largest)
        return mean, int(np.frexp(largest)[1])

    def _batch(self, rows: slice) -> np.ndarray:
        x = self.X[rows]
        return np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64, order="C")

    def __iter__(self) -> Iterator[tuple[slice, np.ndarray]]:
        for rows in batches(*self.X.shape):
            x = self._batch(rows) - self.mean
            x /= self.scale  # whose inverse is no number where it is the smallest there are
            x *= self.root_weight[rows, None]
            yield rows, x

    def transposed_times(self, Q: np.ndarray) -> np.ndarray:
        """Rows' @ Q, shape (d, Q's columns), in the dtype of Q."""
        return sum(x.astype(Q.dtype, copy=False).T @ Q[rows] for rows, x in self)

    def covariance(self) -> np.ndarray:
        return sum(x.T @ x for _, x in self)

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
        for cols in batches(self.n_features, self.n_rows):
            x = columns[:, cols]
            x = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=np.float64)
            x = (x - self.mean[cols]) / self.scale * self.root_weight[:, None]
            gram += x @ x.T
        return gram


def _decompose(rows: _Rows, limit: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Leading variances and directions (limit, d) of the rows, largest first."""
    n, d = rows.n_rows, rows.n_features
    if rows.is_constant:
        return np.zeros(limit), np.eye(limit, d)
    if n * d * min(n, d) <= _DIRECT_COST:
        x = np.concatenate([x for _, x in rows])
        singular, components = np.linalg.svd(x, full_matrices=False)[1:]
    elif d <= min(n, _EXACT_SIZE):
        variances, vectors = np.linalg.eigh(rows.covariance())
        singular, components = np.sqrt(np.maximum(variances[::-1], 0)), vectors[:, ::-1].T
    elif n <= _EXACT_SIZE:
        basis = np.linalg.eigh(rows.gram())[1][:, : -limit - 1 : -1]
        singular, components = _within(rows.transposed_times(basis))
    else:
        singular, components = _subspace_iteration(rows, limit, rng)
    return np.square(singular[:limit]), _with_signs(components[:limit])


def leading(root: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Singular values and directions (limit, d) of a root of a covariance, largest first."""
    k, d = root.shape
    if k * d * min(k, d) <= _DIRECT_COST:
        singular, components = np.linalg.svd(root, full_matrices=False)[1:]
    else:
        basis = linalg.eigh(root @ root.T, subset_by_index=(k - limit, k - 1))[1]
        singular, components = _within(root.T @ basis)
    return singular[:limit], _with_signs(components[:limit])


def _within(B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values and left vectors, as rows, of a tall matrix (d, k)."""
    vectors, singular, _ = np.linalg.svd(B, full_matrices=False)
    return singular, vectors.T


def _subspace_iteration(rows: _Rows, limit: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Randomised subspace iteration (Halko, Martinsson & Tropp, 2011).

    Single precision finds the subspace, double precision the directions in it.
    """
    width = min(limit + 10, rows.n_rows, rows.n_features)
    Q = rng.standard_normal((rows.n_features, width))
    for _ in range(_N_ITERATIONS):  # between them any basis will do, and LU's is the quickest
        Q = rows.covariance_times(linalg.lu(Q.astype(np.float32), permute_l=True)[0])
    Q = linalg.qr(Q.astype(np.float64), mode="economic")[0]
    # Where B = rows @ Q, of which no row is kept, B (B' B)^(-1/2) is an orthonormal basis.
    C = rows.covariance_times(Q)
    variances, vectors = np.linalg.eigh(Q.T @ C)
    least = width * np.finfo(np.float64).eps * variances[-1]
    return _within(C @ (vectors / np.sqrt(np.maximum(variances, least))))


def _with_signs(components: np.ndarray) -> np.ndarray:
    """The largest entry of every direction positive, as in scikit-learn's PCA."""
    largest = np.abs(components).argmax(axis=1)
    return components * np.sign(components[np.arange(len(components)), largest])[:, None]
