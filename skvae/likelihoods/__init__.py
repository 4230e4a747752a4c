"""p(x|z) of a block of columns: what a likelihood is, and the table of their names.

Owns densities, features, expected values and draws of cells, and how the cells of a block are
standardised. Knows no rows, no networks and no tables.
"""

from skvae.likelihoods.base import (
    LIKELIHOODS,
    Bernoulli,
    Block,
    Categorical,
    Constants,
    ContinuousBernoulli,
    Gaussian,
    GaussianDiag,
    Likelihood,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
    moments,
    noise_variance,
    resolution,
    varies,
)

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Block",
    "Categorical",
    "Constants",
    "ContinuousBernoulli",
    "Gaussian",
    "GaussianDiag",
    "Likelihood",
    "LogNormal",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "StudentT",
    "moments",
    "noise_variance",
    "resolution",
    "varies",
]
