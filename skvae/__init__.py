"""skvae: a variational autoencoder that stands where PCA stands in a scikit-learn Pipeline."""

from skvae.estimator import VERSION, VAETransformer
from skvae.held_out import DivergenceError
from skvae.networks import MLP, Linear

__version__ = VERSION

__all__ = ["MLP", "DivergenceError", "Linear", "VAETransformer"]
