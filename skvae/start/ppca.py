"""Probabilistic PCA in closed form: the linear start (Tipping & Bishop, 1999).

Rows are centred and divided by one common scale (the root mean variance of a column), so that
the mean variance is 1 whatever the user's units. Everything below is in those scaled units unless
it says "user's units". Scores are coordinates on the leading principal directions; what a row has
outside them is its residual energy. Shapes: n rows, d columns, k directions kept, q latent units.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, cast

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skvae.data.batches import BATCH_CELLS, Values, batches
from skvae.model.columns import ColumnMap, ScoreColumns, of_columns
from skvae.model.diagnostics import CodeUse
from skvae.model.inference import CLIP_AT, ScoreInference
from skvae.model.latent_scale import LatentScale
from skvae.model.networks import Architecture, auto_sizes
from skvae.model.priors import PriorModule
from skvae.model.rows import Rows, ScoreRows
from skvae.model.score_observation import ScoreObservation
from skvae.model.vae import VAE, Networks
from skvae.start.base import LinearStart, Scorer, State, View
from skvae.start.coordinates import carried
from skvae.start.gap_view import GapView
from skvae.start.representation import Representation
from skvae.start.score_representation import ScoreRepresentation
from skvae.start.spectrum import Spectra, Spectrum, find_spectrum

# Share of the last unit's variance that is not noise, at least.
_LEAST_SIGNAL = 1e-6
_LITTLE = 1e-8  # share of the variance that differences of all of it cannot tell


class Directions(NamedTuple):
    """Which principal directions training sees; of the others it knows a row's residual alone.

    A tail that holds less than a share of what the units leave cannot change a model much. Among
    the first directions that share is `fine`, past them `tail`.
    """

    tail: float = 0.02
    fine: float = 0.02
    first: int = 128
    most: int = 512  # or twice as many as there are units

    def limit(self, latent_dim: int) -> int:
        """The most for so many units."""
        return max(self.most, 2 * latent_dim)


DIRECTIONS = Directions()


@dataclass(frozen=True)
class ProbabilisticPCA(LinearStart):
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
    def noises(self) -> tuple[float, ...]:
        """Noise variances of the density, mixed in equal parts.

        With fewer rows than columns the maximum-likelihood noise, spread over directions that no
        row has shown, is small, and new rows far out pay dearly for it. scikit-learn's PCA
        averages over fewer directions; its density is then the other half of this one.
        """
        q, shown = self.latent_dim, min(self.n_rows, self.n_features)
        if self.n_rows > self.n_features or q >= min(shown, self.rank):
            return (self.noise_variance,)
        return (self.noise_variance, self._rest(q) / (shown - q))

    @property
    def representation(self) -> Representation:
        return ScoreRepresentation(self)

    def of_cells(self) -> View:
        return GapView(self)

    @property
    def n_inputs(self) -> int:
        return len(self.variances)

    @property
    def code_unit(self) -> float:
        return self.scale

    @property
    def column_means(self) -> np.ndarray:
        return self.mean

    @property
    def column_scales(self) -> float:
        return self.scale

    def noise_variances(self, state: State) -> float:
        return float(state["observation.shared_noise"]) * self.scale**2

    @property
    def pca_share(self) -> float:
        return 1.0 / len(self.noises)

    def module(
        self,
        networks: Networks | None = None,
        prior: PriorModule | None = None,
        knows_columns: bool = False,
    ) -> VAE:
        q, k = self.latent_dim, len(self.variances)
        variances, noise = self.variances, self.noise_variance
        inference = ScoreInference(
            _diagonal(self.weights / variances[:q], (q, k)),
            _tensor(np.log(noise / variances[:q])),
            _tensor(CLIP_AT * np.sqrt(variances)),
        )
        components = _tensor(self.components) if knows_columns else None
        path = _diagonal(self.weights, (k, q))
        observation = ScoreObservation(path, _tensor(noise), self.n_features, components)
        scale = LatentScale(_tensor(variances[:q] / self.weights**2))
        return VAE(inference, observation, scale, networks, prior)

    def network_sizes(self, architecture: Architecture) -> list[tuple[int, int]]:
        width = self.n_features if of_columns(architecture) else len(self.variances)
        return [(width, 2 * self.latent_dim), (self.latent_dim, width)]

    def columns(self, architecture: Architecture) -> ColumnMap | None:
        return ScoreColumns(_tensor(self.components)) if of_columns(architecture) else None

    def auto_sizes(self, n_rows: float) -> tuple[int, ...]:
        return auto_sizes(n_rows, self.n_features, self.n_directions, self.latent_dim)

    def code_use(self, X: Values, weight: np.ndarray | None = None) -> CodeUse:
        """In closed form."""
        q = self.latent_dim
        variances = self.variances[:q]
        return CodeUse(
            order=np.arange(q),
            spread=self.weights,
            deviation=np.sqrt(variances) / self.weights,
            explained_variance_ratio=variances / (self.total_variance or 1.0),
            kl=self.unit_kl,
            is_active=(variances - self.noise_variance) / variances > 0.01,
        )

    def score(self, X: Values, weight: np.ndarray | None = None, is_own: bool = True) -> float:
        if is_own:
            return self.mean_log_prob(X, weight) + self.log_jacobian
        parts = [
            self.log_density(*self.project(X[rows]))
            for rows in batches(X.shape[0], self.representation.row_cost)
        ]
        return float(np.average(np.concatenate(parts), weights=weight)) + self.log_jacobian

    def scorer(self, device: str) -> Scorer:
        """The density in closed form: no draws are needed."""

        def log_prob(rows: Rows, draws: Tensor) -> Tensor:
            own = cast(ScoreRows, rows)
            scores, residual = (a.numpy(force=True) for a in (own.scores, own.residual))
            return torch.from_numpy(self.log_density(scores, residual))

        return log_prob

    def densities(self) -> list[tuple[VAE, float]]:
        starts = [replace(self, noise_variance=noise) for noise in self.noises]
        return [(start.module(), 1.0 / len(starts)) for start in starts]

    def carried(self, state: State, vae: VAE, old: LinearStart) -> State | None:
        return carried(state, vae, cast(ProbabilisticPCA, old), self)

    def mean_log_prob(self, X: Values, sample_weight: np.ndarray | None = None) -> float:
        """Mean of log_density over the rows it was fitted on; mostly from the variances alone."""
        if len(self.noises) > 1:
            return float(np.average(self.log_density(*self.project(X)), weights=sample_weight))
        q, d, noise = self.latent_dim, self.n_features, self.noise_variance
        quadratic = (1.0 - 1.0 / self.n_rows) * (q + self._rest(q) / noise)
        log_det = np.log(self.variances[:q]).sum() + (d - q) * np.log(noise)
        return float(-0.5 * (quadratic + log_det + d * np.log(2 * np.pi)))

    def _rest(self, q: int) -> float:
        """The variance that so many units leave: all of it is told, or it is a difference."""
        if len(self.variances) == self.n_features:
            return float(self.variances[q:].sum())
        return max(self.total_variance - float(self.variances[:q].sum()), 0.0)

    def with_latent_dim(self, latent_dim: int) -> "ProbabilisticPCA":
        """The model of the same rows with fewer units; at most as many as there are directions."""
        q = min(latent_dim, self.latent_dim)
        noise = self.noise_variance
        if q < self.latent_dim:
            mean_rest = self._rest(q) / (self.n_features - q)
            noise = _noise(mean_rest, self.variances[q - 1]) or noise
        return replace(self, latent_dim=q, noise_variance=noise)

    @np.errstate(over="ignore", invalid="ignore")  # a row too far off has no finite scores
    def scores(self, X: Values, dtype: np.dtype) -> np.ndarray:
        """Scores of dense or sparse rows, shape (n, k), computed in dtype."""
        components = self.components.astype(dtype, copy=False)
        scores = np.empty((X.shape[0], len(components)), dtype)
        for rows in batches(*X.shape):
            scores[rows] = self._standardise(X[rows], dtype) @ components.T
        return scores

    @np.errstate(over="ignore", invalid="ignore")  # a row too far off for its square is infinite
    def project(
        self, X: Values, dtype: type = np.float64, batch_cells: int = BATCH_CELLS
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores (n, k) and residual energy (n,): centred in float64, returned in dtype.

        The product is in the dtype of the components: float64, but for copies of this model.
        """
        n, k = X.shape[0], len(self.components)
        scores, residual = np.empty((n, k), dtype), np.zeros(n, dtype)
        for rows in batches(X.shape[0], X.shape[1], batch_cells):
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
    def log_density(self, scores: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """Exact log-density per row, nats of scaled units (Tipping & Bishop, 1999, eq. 4)."""
        q, d = self.latent_dim, self.n_features
        inside = (np.square(scores[:, :q]) / self.variances[:q]).sum(1)
        outside = np.square(scores[:, q:]).sum(1) + residual
        constant = np.log(self.variances[:q]).sum() + d * np.log(2 * np.pi)
        parts = [
            -0.5 * (constant + inside + outside / noise + (d - q) * np.log(noise))
            for noise in self.noises
        ]
        return np.logaddexp.reduce(parts) - np.log(len(parts))

    @property
    def log_jacobian(self) -> float:
        """What a log-density in scaled units gains when it is told in the user's units."""
        return -self.n_features * float(np.log(self.scale))

    def _standardise(self, x: Values, dtype: np.dtype | type) -> np.ndarray:
        # In one order of memory, whose products round alike for a frame and for its array.
        x = np.asarray(x.toarray() if sparse.issparse(x) else x, dtype=dtype, order="C")
        return (x - self.mean.astype(dtype, copy=False)) / x.dtype.type(self.scale)


def fit_linear(
    X: Values,
    latent_dim: int,
    sample_weight: np.ndarray | None = None,
    rng: np.random.RandomState | None = None,
    spectra: Spectra | None = None,
    directions: Directions = DIRECTIONS,
) -> ProbabilisticPCA:
    """The maximum-likelihood probabilistic PCA of dense or sparse rows.

    Variances divide by n - 1 as scikit-learn's PCA does. A latent_dim at or above the rank is cut
    to the rank, and the noise then takes a floor instead of the 0 that the formula gives. Past the
    first directions those of a tail are left out that hold little of what the units leave.
    """
    find = find_spectrum if spectra is None else spectra.of
    limit = min(directions.limit(latent_dim), *X.shape)
    spectrum = find(X, sample_weight, limit, rng or np.random.RandomState(0))
    return linear_start(spectrum, X.shape[0], latent_dim, directions)


def linear_start(
    rows: Spectrum,
    n_rows: int,
    latent_dim: int,
    directions: Directions = DIRECTIONS,
    fewest: int = 1,
) -> ProbabilisticPCA:
    """The start of rows of this spectrum, with at least so many directions where there are."""
    variances, n_features = rows.variances, len(rows.mean)
    limit = len(variances)
    rank = int((variances > rows.rounding).sum())
    q = min(latent_dim, rank)
    left = _left(rows, min(n_rows, n_features))
    if q < rank:
        noise = _noise(left[q - 1] / (n_features - q), variances[q - 1])
    else:  # no noise is no density; far below the smallest variance it is one, and exact
        noise = min(1e-6, 1e-3 * variances[q - 1]) if q else 1e-6
    k = max(_n_directions(left, q, directions), fewest)
    if q and left[q - 1] < _LITTLE * rows.total_variance:  # too little to be told by differences
        k = limit
    k = min(k, max(rank, 1), limit)
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


def _left(rows: Spectrum, n_all: int) -> np.ndarray:
    """The variance left after each direction: what others have, and what is outside of them."""
    variances = rows.variances
    outside = 0.0
    if len(variances) < n_all:
        outside = max(rows.total_variance - float(variances.sum()), 0.0)
    return np.append(np.cumsum(variances[:0:-1])[::-1], 0.0) + outside


def _n_directions(left: np.ndarray, q: int, seen: Directions) -> int:
    """Directions that training is to see, by the variance left after each."""
    if q == 0:
        return 1
    fine, coarse = (
        int(np.searchsorted(-left, -share * left[q - 1])) + 1 for share in (seen.fine, seen.tail)
    )
    return max(2 * q, min(fine, seen.first), coarse)


def _noise(mean_rest: float, variance: float) -> float:
    """Noise by the variance left per direction, below that of the last unit.

    Where all directions have the same variance, rounding decides which is greater.
    """
    return float(min(mean_rest, (1.0 - _LEAST_SIGNAL) * variance))


def _tensor(array: np.ndarray | float) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)


def _diagonal(values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    matrix = torch.zeros(shape, dtype=torch.float64)
    matrix.diagonal()[: len(values)] = _tensor(values)
    return matrix
