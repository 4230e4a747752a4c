"""Priors of the latent points: where codes come from, and the table of their names.

A component builds the density that a model holds. To add a prior: a file with a component that
extends `Prior` and a density that extends `PriorModule`, and its row in PRIORS.
"""

from skvae.model.priors.aggregate import Aggregate, AggregatePrior
from skvae.model.priors.base import Encoder, Normals, Prior, PriorModule
from skvae.model.priors.mixture import ExPost, Mixture, MixturePrior
from skvae.model.priors.normal import Normal, StandardNormal
from skvae.model.priors.vamp import Vamp, VampPrior

__all__ = [
    "PRIORS",
    "Aggregate",
    "AggregatePrior",
    "Encoder",
    "ExPost",
    "Mixture",
    "MixturePrior",
    "Normal",
    "Normals",
    "Prior",
    "PriorModule",
    "StandardNormal",
    "Vamp",
    "VampPrior",
]

PRIORS: dict[str, type[Prior]] = {
    "normal": Normal,
    "mixture": Mixture,
    "vamp": Vamp,
    "ex_post": ExPost,
    "aggregate": Aggregate,
}
