"""skvae: a variational autoencoder that stands where PCA stands in a scikit-learn Pipeline."""

from skvae.estimator import VAETransformer
from skvae.held_out import DivergenceError
from skvae.networks import MLP, Linear

__version__ = "0.1.0"

__all__ = ["MLP", "DivergenceError", "Linear", "VAETransformer"]
