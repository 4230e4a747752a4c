"""Methods: skvae and what people use in its place.

The table ``METHODS`` ends the module. Every method is an object with ``fit(X)``,
``transform(X)`` and ``inverse_transform(Z)``, and ``score_samples(X)`` where it has a density.
``Method`` adds what the benchmark must know: whether it takes sparse rows, whether the data
must be non-negative, and how many rows it can be fitted on in reasonable time (more are
thinned by the seed; the test rows are the same for all).

Each competitor is run as its documentation would have it: defaults, except where the default
cannot do the job, and then the docstring or the comment beside it says why.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import NMF, PCA, FactorAnalysis, KernelPCA

from benchmarks.costs import fit_seconds
from benchmarks.loop import TutorialLoop
from skvae import VAETransformer


@dataclass(frozen=True)
class Method:
    """One line of the table: ``build(X, latent_dim, seed)`` and what it can be given."""

    build: Callable[[Any, int, int], Any]
    sparse: bool = False
    nonnegative: bool = False
    max_train_rows: int | None = None

    def accepts(self, X) -> bool:
        """Return whether the method can be fitted on rows like these."""
        if sparse.issparse(X) and not self.sparse:
            return False
        return not self.nonnegative or X.min() >= 0


def fit(name: str, X, latent_dim: int, seed: int) -> tuple[Any, float]:
    """Return a method fitted on (at most ``max_train_rows`` of) the rows, and its seconds."""
    method = METHODS[name]
    if method.max_train_rows is not None and X.shape[0] > method.max_train_rows:
        X = X[np.random.default_rng(seed).permutation(X.shape[0])[: method.max_train_rows]]
    model = method.build(X, latent_dim, seed)
    return model, fit_seconds(model, X)


class InvertibleFactorAnalysis(FactorAnalysis):
    """FactorAnalysis with the reconstruction that scikit-learn's lacks: the mean given z."""

    def inverse_transform(self, Z):
        return Z @ self.components_ + self.mean_


def _skvae(X, latent_dim, seed):
    return VAETransformer(latent_dim, random_state=seed)


def _skvae_random_init(X, latent_dim, seed):
    return VAETransformer(latent_dim, init="random", random_state=seed)


def exact_pca(X, latent_dim, seed):
    """Return PCA that is to be fitted to such rows, by the solver that does not approximate."""
    # "auto" may take a randomised solver, whose noise variance is some nats a row too large.
    exact = "covariance_eigh" if X.shape[0] >= X.shape[1] else "full"
    return PCA(latent_dim, svd_solver="auto" if sparse.issparse(X) else exact, random_state=seed)


def _factor_analysis(X, latent_dim, seed):
    return InvertibleFactorAnalysis(latent_dim, random_state=seed)


def _kernel_pca(X, latent_dim, seed):
    return KernelPCA(
        latent_dim,
        kernel="rbf",
        # The default, 1 / n_features, presumes columns of variance one; this is SVC's "scale".
        gamma=1 / (X.shape[1] * X.var()),
        fit_inverse_transform=True,
        # The default of 1 shrinks reconstructions to zero.
        alpha=1e-3,
        random_state=seed,
    )


def _nmf(X, latent_dim, seed):
    return NMF(latent_dim, random_state=seed)


def _tutorial_loop(X, latent_dim, seed):
    return TutorialLoop(latent_dim, seed)


METHODS = {
    "skvae": Method(_skvae, sparse=True),
    "skvae_random_init": Method(_skvae_random_init, sparse=True),
    "pca": Method(exact_pca, sparse=True),
    "factor_analysis": Method(_factor_analysis, max_train_rows=10000),
    "kernel_pca": Method(_kernel_pca, max_train_rows=2000),
    "nmf": Method(_nmf, sparse=True, nonnegative=True, max_train_rows=10000),
    "tutorial_loop": Method(_tutorial_loop),
}
