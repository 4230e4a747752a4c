"""Networks that stand beside the linear path of encoder and decoder, and the table of their names.

An architecture is a component, or any callable, called with (n_in, n_out): it returns a module
that maps (batch, n_in) to (batch, n_out) and, in evaluation mode, treats every row on its own. Its
last layer must be linear, because a network starts at zero. Where an architecture's attribute
`of_columns` is true, it sees and makes columns, such as pixels; otherwise their principal scores.
To add one: a file with a component, and its row in ARCHITECTURES.
"""

from sklearn.base import BaseEstimator

from skvae.model.networks.base import Architecture
from skvae.model.networks.conv import Conv
from skvae.model.networks.counting import counted_products, evaluating
from skvae.model.networks.layers import (
    ACTIVATIONS,
    NORMALIZATIONS,
    Dropout,
    Residual,
    draw_with,
    dropouts_of,
)
from skvae.model.networks.linear import Linear
from skvae.model.networks.mlp import AUTO_SIZES, MANY_SCORES, MLP, auto_sizes

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "AUTO_SIZES",
    "MANY_SCORES",
    "MLP",
    "NORMALIZATIONS",
    "Architecture",
    "Conv",
    "Dropout",
    "Linear",
    "Residual",
    "auto_sizes",
    "counted_products",
    "draw_with",
    "dropouts_of",
    "evaluating",
]

ARCHITECTURES: dict[str, type[BaseEstimator]] = {"mlp": MLP, "conv": Conv, "linear": Linear}
