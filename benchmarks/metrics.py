"""Metrics: what is measured on a fitted method, all of it on held-out rows.

The table ``METRICS`` ends the module: name -> function of an ``Evaluation``. A metric that a
method, or a data set without classes, does not offer is None: never a stand-in.

Sparse rows are made dense one batch at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import datasets
from benchmarks.datasets import Source, Split
from benchmarks.methods import exact_pca

N_ROWS_PER_BATCH = 2048
N_ROWS_OF_PROBE = 10000


@dataclass
class Evaluation:
    """A fitted model, the rows, and PCA with as many codes fitted on the same training rows.

    ``n_restored`` of the held-out rows are brought back from their codes; None stands for all.
    """

    split: Split
    model: Any
    baseline: PCA
    fit_seconds: float
    n_restored: int | None = None

    @cached_property
    def codes_train(self):
        return codes(self.model, self.split.X_train)

    @cached_property
    def codes_test(self):
        return codes(self.model, self.split.X_test)

    @cached_property
    def log_densities(self):
        """Log-likelihood of every held-out row; None where the method has no density."""
        if isinstance(self.model, PCA):
            return pca_log_densities(self.model, self.split.X_test)
        if not hasattr(self.model, "score_samples"):
            return None
        return np.asarray(self.model.score_samples(self.split.X_test), dtype="float64")


@lru_cache(maxsize=1)
def baseline(
    name: str, source: Source, seed: int, max_train_rows: int | None, latent_dim: int
) -> PCA:
    """Return PCA on the training rows of a data set, fitted once for all methods that follow.

    In double precision, so that no rounding of the baseline's decides about a row.
    """
    X = datasets.split(name, source, seed, max_train_rows).X_train.astype("float64")
    return exact_pca(X, latent_dim, seed).fit(X)


def codes(model, X) -> np.ndarray:
    """Return the codes of all rows."""
    return np.concatenate([model.transform(rows) for rows in batches(X)])


def squared_error(model, X) -> float:
    """Return the mean squared error of a model's reconstruction over all cells."""
    total = 0.0
    for rows in batches(X):
        difference = _dense(rows) - model.inverse_transform(model.transform(rows))
        total += np.sum(np.square(difference, dtype="float64"))
    return float(total / np.prod(X.shape))


def pca_log_densities(pca: PCA, X) -> np.ndarray:
    """Return what ``PCA.score_samples`` returns, for sparse rows and many columns too.

    scikit-learn inverts the full covariance, n_features squared; the same number follows from
    the codes and what they leave unexplained.
    """
    noise, variances = pca.noise_variance_, pca.explained_variance_.astype("float64")
    n_features, n_codes = pca.components_.shape[1], len(variances)
    log_det = np.sum(np.log(variances)) + (n_features - n_codes) * np.log(noise)
    log_densities = []
    for rows in batches(X):
        centred = _dense(rows).astype("float64") - pca.mean_
        codes = centred @ pca.components_.T
        unexplained = np.sum((centred - codes @ pca.components_) ** 2, axis=1)
        distance = unexplained / noise + np.sum(codes**2 / variances, axis=1)
        log_densities.append(-0.5 * (n_features * np.log(2 * np.pi) + log_det + distance))
    return np.concatenate(log_densities)


def mse_ratio(evaluation) -> float | None:
    """Mean squared error of the reconstruction, over all cells, divided by PCA's."""
    if evaluation.n_restored == 0:
        return None
    X = evaluation.split.X_test[: evaluation.n_restored]
    return squared_error(evaluation.model, X) / squared_error(evaluation.baseline, X)


def log_likelihood_gain(evaluation) -> float | None:
    """Log-likelihood of a row minus ``PCA.score``, in nats."""
    gains = _row_gains(evaluation)
    return None if gains is None else float(np.mean(gains))


def row_guarantee(evaluation) -> bool | None:
    """Whether no row loses more than log(1 / start_weight_) nats against PCA.

    The slack is for rounding: 100 units in the last place of the density, in the rows' precision.
    """
    weight = getattr(evaluation.model, "start_weight_", None)
    gains = _row_gains(evaluation)
    if weight is None or gains is None:
        return None
    densities = evaluation.log_densities
    slack = 100 * np.finfo(evaluation.split.X_test.dtype).eps * np.abs(densities) + 1e-6
    return bool(np.all(gains >= np.log(weight) - slack))


def _row_gains(evaluation):
    if evaluation.log_densities is None:
        return None
    return evaluation.log_densities - pca_log_densities(
        evaluation.baseline, evaluation.split.X_test
    )


def knn1(evaluation) -> float | None:
    """Accuracy of the nearest neighbour on the codes, as ``transform`` returns them."""
    return _knn(evaluation, 1)


def knn5(evaluation) -> float | None:
    """Accuracy of five nearest neighbours on the codes."""
    return _knn(evaluation, 5)


def _knn(evaluation, n_neighbors):
    split = evaluation.split
    if split.y_train is None or len(split.y_train) < n_neighbors:
        return None
    classifier = KNeighborsClassifier(n_neighbors).fit(evaluation.codes_train, split.y_train)
    return float(classifier.score(evaluation.codes_test, split.y_test))


def linear_probe(evaluation) -> float | None:
    """Accuracy of logistic regression on standardised codes (10000 training rows at most)."""
    split = evaluation.split
    if split.y_train is None:
        return None
    rows = slice(N_ROWS_OF_PROBE)
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(evaluation.codes_train[rows], split.y_train[rows])
    return float(probe.score(evaluation.codes_test, split.y_test))


def fit_seconds(evaluation) -> float:
    """Wall-clock time of ``fit``."""
    return evaluation.fit_seconds


def batches(X):
    """Yield the rows, some thousand at a time."""
    for start in range(0, X.shape[0], N_ROWS_PER_BATCH):
        yield X[start : start + N_ROWS_PER_BATCH]


def _dense(X):
    return X.toarray() if sparse.issparse(X) else X


METRICS: dict[str, Callable[[Evaluation], float | bool | None]] = {
    "mse_ratio": mse_ratio,
    "log_likelihood_gain": log_likelihood_gain,
    "row_guarantee": row_guarantee,
    "knn1": knn1,
    "knn5": knn5,
    "linear_probe": linear_probe,
    "fit_seconds": fit_seconds,
}
