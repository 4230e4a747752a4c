"""p(x|z) of a block of columns: what a likelihood is, and the table of their names.

Owns densities, features, expected values and draws of cells, and how the cells of a block are
standardised. Knows no rows, no networks and no tables. To add a likelihood: a file with a class
that extends `Likelihood`, and its row in LIKELIHOODS.
"""

from skvae.likelihoods.base import (
    Constants,
    Head,
    LevelLink,
    Likelihood,
    Params,
    Slopes,
    Values,
)
from skvae.likelihoods.bernoulli import Bernoulli
from skvae.likelihoods.block import Block
from skvae.likelihoods.categorical import Categorical
from skvae.likelihoods.continuous_bernoulli import ContinuousBernoulli
from skvae.likelihoods.counts import NegativeBinomial, Poisson
from skvae.likelihoods.empirical import Empirical
from skvae.likelihoods.gaussian import Gaussian, GaussianDiag
from skvae.likelihoods.levels import known_levels
from skvae.likelihoods.lognormal import LogNormal
from skvae.likelihoods.numbers import noise_variance
from skvae.likelihoods.ordinal import Ordinal
from skvae.likelihoods.statistics import moments, resolution, varies
from skvae.likelihoods.student_t import StudentT

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "Block",
    "Categorical",
    "Constants",
    "ContinuousBernoulli",
    "Empirical",
    "Gaussian",
    "GaussianDiag",
    "Head",
    "LevelLink",
    "Likelihood",
    "LogNormal",
    "NegativeBinomial",
    "Ordinal",
    "Params",
    "Poisson",
    "Slopes",
    "StudentT",
    "Values",
    "known_levels",
    "moments",
    "noise_variance",
    "resolution",
    "varies",
]

LIKELIHOODS: dict[str, type[Likelihood]] = {
    "gaussian": Gaussian,
    "gaussian_diag": GaussianDiag,
    "student_t": StudentT,
    "lognormal": LogNormal,
    "empirical": Empirical,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "categorical": Categorical,
    "ordinal": Ordinal,
    "poisson": Poisson,
    "negative_binomial": NegativeBinomial,
}
