"""How many codes a model has, by what a person gives for `latent_dim`."""

from numbers import Integral

import numpy as np

from skvae.data.batches import Values
from skvae.start.ppca import fit_linear
from skvae.start.spectrum import find_spectrum
from skvae.start.tables import TrainingTable

# "auto" looks at no more units than this, on this many folds.
_MAX_AUTO_DIM = 32
_N_FOLDS = 5
_FIRST_DIRECTIONS = 512  # among which those of a share are looked for first


def latent_dim_of(
    choice: int | float | str | None,
    X: TrainingTable,
    weight: np.ndarray | None,
    seed: int,
) -> int:
    """The number given; as many as there can be; that of a share of the variance, or "auto".

    The last two are of the linear start: of a matrix, or of the features of a table.
    """
    if isinstance(choice, Integral):
        return int(choice)
    if choice is None:
        return min(X.shape)
    rows = X.features(weight)
    rng = np.random.RandomState(seed)
    if isinstance(choice, str):
        return choose_latent_dim(rows, weight, rng)
    return latent_dim_of_share(rows, float(choice), weight, rng)


def choose_latent_dim(
    X: Values, sample_weight: np.ndarray | None, rng: np.random.RandomState
) -> int:
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
            log_prob[held_out, q - 1] = model.with_latent_dim(q).log_density(scores, residual)
            log_prob[held_out, q - 1] += model.log_jacobian
    mean = np.average(log_prob, axis=0, weights=sample_weight)
    best = int(mean.argmax())
    behind = log_prob[:, [best]] - log_prob
    share = np.full(n, 1.0 / n) if sample_weight is None else sample_weight / sample_weight.sum()
    # Of a weighted mean: few rows that weigh much tell as little as few rows.
    error = np.sqrt(np.square(share) @ np.square(behind - (mean[best] - mean)))
    return int(np.argmax(mean[best] - mean <= error)) + 1


def latent_dim_of_share(
    X: Values, share: float, sample_weight: np.ndarray | None, rng: np.random.RandomState
) -> int:
    """Smallest number of directions that hold more than a share of the variance, as PCA has it."""
    most = min(X.shape)
    limit = min(_FIRST_DIRECTIONS, most)
    while True:
        found = find_spectrum(X, sample_weight, limit, rng)
        held = np.cumsum(found.variances)
        total = held[-1] if limit == most else found.total_variance  # where rounding is the same
        if limit == most or held[-1] > share * total:
            return min(int(np.searchsorted(held, share * total, side="right")) + 1, most)
        limit = min(2 * limit, most)
