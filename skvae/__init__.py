"""skvae: a variational autoencoder that stands where PCA stands in a scikit-learn Pipeline."""

from skvae.estimator import VERSION, VAETransformer
from skvae.held_out import DivergenceError
from skvae.likelihoods import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    GaussianDiag,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
)
from skvae.networks import MLP, Linear

__version__ = VERSION

__all__ = [
    "MLP",
    "Bernoulli",
    "Categorical",
    "ContinuousBernoulli",
    "DivergenceError",
    "Gaussian",
    "GaussianDiag",
    "Linear",
    "LogNormal",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
    "VAETransformer",
]
