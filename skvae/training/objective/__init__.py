"""What training maximises: the evidence lower bound and its relatives, by their names.

All in nats per row, summed over columns. To add an objective: a file with a class that extends
`Objective`, and its row in OBJECTIVES.
"""

from skvae.training.objective.autoencoder import Autoencoder
from skvae.training.objective.base import Objective, Terms
from skvae.training.objective.elbo import POINT_WEIGHT, Denoising, Elbo
from skvae.training.objective.iwae import Iwae
from skvae.training.objective.mmd import Mmd, mmd
from skvae.training.objective.terms import explained, shrinkage_undone
from skvae.training.objective.total_correlation import TotalCorrelation, total_correlation

__all__ = [
    "OBJECTIVES",
    "POINT_WEIGHT",
    "Autoencoder",
    "Denoising",
    "Elbo",
    "Iwae",
    "Mmd",
    "Objective",
    "Terms",
    "TotalCorrelation",
    "explained",
    "mmd",
    "shrinkage_undone",
    "total_correlation",
]

OBJECTIVES: dict[str, type[Objective]] = {
    "elbo": Elbo,
    "iwae": Iwae,
    "tc": TotalCorrelation,
    "mmd": Mmd,
    "autoencoder": Autoencoder,
    "denoising": Denoising,
}
