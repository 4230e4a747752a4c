"""Methods: skvae and what people use in its place.

The table ``METHODS`` ends the module. Every method is an object with ``fit(X)``,
``transform(X)`` and ``inverse_transform(Z)``, and ``score_samples(X)`` where it has a density.
``Method`` adds what the benchmark must know: whether it takes sparse rows, whether the data
must be non-negative, and how many rows it can be fitted on in reasonable time (more are
thinned by the seed; the test rows are the same for all).

Each competitor is run as its documentation would have it: defaults, except where the default
cannot do the job, and then the docstring or the comment beside it says why.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import NMF, PCA, FactorAnalysis, KernelPCA
from torch import nn
from torch.nn import functional as F

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


class Fit(NamedTuple):
    """A fitted model, what it took, and the names of the warnings it gave."""

    model: Any
    seconds: float
    warnings: list[str]


def fit(name: str, X, latent_dim: int, seed: int) -> Fit:
    """Fit a method on (at most ``max_train_rows`` of) the rows and time it."""
    method = METHODS[name]
    if method.max_train_rows is not None and X.shape[0] > method.max_train_rows:
        rows = np.random.default_rng(seed).permutation(X.shape[0])[: method.max_train_rows]
        X = X[rows]
    return timed(method.build(X, latent_dim, seed), X)


def timed(model, X, clock: Callable[[], float] = perf_counter) -> Fit:
    """Fit a model on all the rows and time it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = clock()
        model.fit(X)
        seconds = clock() - start
    return Fit(model, seconds, sorted({w.category.__name__ for w in caught}))


class InvertibleFactorAnalysis(FactorAnalysis):
    """FactorAnalysis with the reconstruction that scikit-learn's lacks: the mean given z."""

    def inverse_transform(self, Z):
        return Z @ self.components_ + self.mean_


class PlainVAE(TransformerMixin, BaseEstimator):
    """A variational autoencoder as tutorials write it.

    Two hidden layers (512 and 256 units, ReLU) on either side, Adam at 1e-3, batches of 128, no
    early stopping: 20 passes over the data, and more on small data until 2000 steps are made.
    Values in [0, 1] are left as they are and the loss is cross-entropy + KL divergence; other
    columns are standardised, as a tutorial's notebook does beforehand, and the loss is squared
    error + KL divergence; all summed over columns. Codes are posterior means. Neither loss is a
    density of the data in their units, so there is no likelihood to compare.
    """

    def __init__(self, latent_dim=2, random_state=0):
        self.latent_dim = latent_dim
        self.random_state = random_state

    def fit(self, X, y=None):
        self.pixels_ = bool(X.min() >= 0 and X.max() <= 1)
        self.mean_ = 0.0 if self.pixels_ else X.mean(axis=0)
        self.scale_ = 1.0 if self.pixels_ else np.where(X.std(axis=0) > 0, X.std(axis=0), 1.0)
        x = self._scaled(X)
        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            self.encoder_ = _two_hidden_layers(x.shape[1], 512, 256, 2 * self.latent_dim)
            self.decoder_ = _two_hidden_layers(self.latent_dim, 256, 512, x.shape[1])
            self._train(x)
        return self

    def _train(self, x):
        parameters = [*self.encoder_.parameters(), *self.decoder_.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        steps_per_pass = -(-len(x) // 128)
        for _ in range(max(20, -(-2000 // steps_per_pass))):
            for batch in torch.randperm(len(x)).split(128):
                optimizer.zero_grad()
                self._loss(x[batch]).backward()
                optimizer.step()

    def _loss(self, x):
        mean, log_variance = self.encoder_(x).chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        distance = F.binary_cross_entropy_with_logits if self.pixels_ else F.mse_loss
        error = distance(self.decoder_(z), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean**2 - log_variance.exp())
        return (error + kl) / len(x)

    def _scaled(self, X):
        return torch.from_numpy(((X - self.mean_) / self.scale_).astype("float32"))

    @torch.no_grad()
    def transform(self, X):
        return self.encoder_(self._scaled(X))[:, : self.latent_dim].numpy()

    @torch.no_grad()
    def inverse_transform(self, Z):
        x = self.decoder_(torch.from_numpy(Z))
        return (torch.sigmoid(x) if self.pixels_ else x).numpy() * self.scale_ + self.mean_


def _two_hidden_layers(n_in, first, second, n_out):
    return nn.Sequential(
        nn.Linear(n_in, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, n_out),
    )


def _skvae(X, latent_dim, seed):
    return VAETransformer(latent_dim, random_state=seed)


def _skvae_random_init(X, latent_dim, seed):
    return VAETransformer(latent_dim, init="random", random_state=seed)


def _pca(X, latent_dim, seed):
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


def _plain_vae(X, latent_dim, seed):
    return PlainVAE(latent_dim, random_state=seed)


METHODS = {
    "skvae": Method(_skvae, sparse=True),
    "skvae_random_init": Method(_skvae_random_init, sparse=True),
    "pca": Method(_pca, sparse=True),
    "factor_analysis": Method(_factor_analysis, max_train_rows=10000),
    "kernel_pca": Method(_kernel_pca, max_train_rows=2000),
    "nmf": Method(_nmf, sparse=True, nonnegative=True, max_train_rows=10000),
    "plain_vae": Method(_plain_vae),
}
