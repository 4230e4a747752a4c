"""Methods: skvae and what people use in its place.

The table ``METHODS`` ends the module. Every method is an object with ``fit(X)``,
``transform(X)`` and ``inverse_transform(Z)``, and ``score_samples(X)`` where it has a density.
``Method`` adds what the benchmark must know: whether it takes sparse rows, whether the data
must be non-negative, how many rows it can be fitted on in reasonable time (more are
thinned by the seed; the test rows are the same for all), and how many it can bring back.

Each competitor is run as its documentation would have it: defaults, except where the default
cannot do the job, and then the docstring or the comment beside it says why.
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
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
    max_restored_rows: int | None = None
    max_restored_codes: int | None = None

    def n_restored(self, latent_dim: int) -> int | None:
        """Return how many test rows are brought back from so many codes; None is all of them."""
        too_many = self.max_restored_codes is not None and latent_dim > self.max_restored_codes
        return 0 if too_many else self.max_restored_rows

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


class SeededUMAP:
    """UMAP with its defaults; given a seed, it computes in one thread."""

    def __init__(self, latent_dim, seed):
        with kept_threads():
            self.model = imported("umap").UMAP(n_components=latent_dim, random_state=seed)

    def fit(self, X):
        with kept_threads():
            self.model.fit(X)
        return self

    def transform(self, X):
        with kept_threads():
            return self.model.transform(X)

    def inverse_transform(self, Z):
        with kept_threads():
            return self.model.inverse_transform(Z)


@contextmanager
def kept_threads() -> Iterator[None]:
    """Keep the number of threads of torch, which is OpenMP's and which numba changes."""
    n_threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


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


def _umap(X, latent_dim, seed):
    _warm_up_umap()
    return SeededUMAP(latent_dim, seed)


@cache
def _warm_up_umap():
    """Fit a few rows, once per process: the first call compiles what it runs."""
    X = np.random.default_rng(0).random((64, 8), dtype="float32")
    SeededUMAP(2, 0).fit(X).transform(X[:8])


def imported(name: str) -> Any:
    """Return a module that comes with the extra ``peers``."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"{package} is missing: pip install 'skvae[peers]'") from error


METHODS = {
    "skvae": Method(_skvae, sparse=True),
    "skvae_random_init": Method(_skvae_random_init, sparse=True),
    "pca": Method(exact_pca, sparse=True),
    "factor_analysis": Method(_factor_analysis, max_train_rows=10000),
    "kernel_pca": Method(_kernel_pca, max_train_rows=2000),
    "nmf": Method(_nmf, sparse=True, nonnegative=True, max_train_rows=10000),
    "tutorial_loop": Method(_tutorial_loop),
    # Its inverse triangulates the codes, which from 8 on does not end, and then takes a tenth of a
    # second for each row.
    "umap": Method(_umap, max_train_rows=2000, max_restored_rows=100, max_restored_codes=4),
}
