"""skvae: a variational autoencoder that takes the place of PCA in a scikit-learn Pipeline."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skvae.data.doubts import ColumnWarning
from skvae.estimator import VAETransformer
from skvae.fitted.doubts import CollapseWarning
from skvae.likelihoods import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Empirical,
    Gaussian,
    GaussianDiag,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
)
from skvae.limits import Limits
from skvae.model.networks import MLP, Conv, Linear
from skvae.model.priors import Aggregate, ExPost, Mixture, Normal, Vamp
from skvae.persistence.checkpoints import DataChangedError
from skvae.persistence.container import LoadError
from skvae.persistence.tables import SKOPS_TRUSTED_TYPES
from skvae.pickles import VERSION
from skvae.registry import REGISTRY
from skvae.serving.batches import batch_function
from skvae.team import TeamError
from skvae.training.annealing import Langevin, Metropolis, RandomWalk
from skvae.training.evaluation import DivergenceError
from skvae.training.objective import Autoencoder, Denoising, Elbo, Iwae, Mmd, TotalCorrelation
from skvae.training.optimizers import SGD, Adam, AdamW, Muon, RMSprop
from skvae.training.schedules import (
    Constant,
    Cosine,
    Cyclical,
    LinearWarmUp,
    OneCycle,
    Plateau,
    Settle,
    Sigmoid,
)

if TYPE_CHECKING:
    from skvae.displays import (
        LatentDisplay,
        LatentUsageDisplay,
        LoadingsDisplay,
        LossCurveDisplay,
        ReconstructionDisplay,
        TraversalDisplay,
    )

__version__ = VERSION
load = VAETransformer.load
register = REGISTRY.register

__all__ = [
    "MLP",
    "SGD",
    "SKOPS_TRUSTED_TYPES",
    "Adam",
    "AdamW",
    "Aggregate",
    "Autoencoder",
    "Bernoulli",
    "Categorical",
    "CollapseWarning",
    "ColumnWarning",
    "Constant",
    "ContinuousBernoulli",
    "Conv",
    "Cosine",
    "Cyclical",
    "DataChangedError",
    "Denoising",
    "DivergenceError",
    "Elbo",
    "Empirical",
    "ExPost",
    "Gaussian",
    "GaussianDiag",
    "Iwae",
    "Langevin",
    "LatentDisplay",
    "LatentUsageDisplay",
    "Limits",
    "Linear",
    "LinearWarmUp",
    "LoadError",
    "LoadingsDisplay",
    "LogNormal",
    "LossCurveDisplay",
    "Metropolis",
    "Mixture",
    "Mmd",
    "Muon",
    "NegativeBinomial",
    "Normal",
    "OneCycle",
    "Ordinal",
    "Plateau",
    "Poisson",
    "RMSprop",
    "RandomWalk",
    "ReconstructionDisplay",
    "Settle",
    "Sigmoid",
    "StudentT",
    "TeamError",
    "TotalCorrelation",
    "TraversalDisplay",
    "VAETransformer",
    "Vamp",
    "batch_function",
    "load",
    "register",
]


def __getattr__(name: str) -> Any:
    """Import displays on first use, since most programs draw nothing."""
    if name in __all__:
        return getattr(import_module("skvae.displays"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
