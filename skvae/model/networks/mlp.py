"""Fully connected networks, and the sizes of their layers where they are left to the rows."""

import numpy as np
from sklearn.base import clone
from torch import nn

from skvae.model.networks.base import HiddenLayers, is_auto, whole_numbers
from skvae.model.networks.layers import Residual

FEW_CELLS = 4000  # of a matrix, for which wide layers only take longer
MANY_ROWS = 4000  # which one layer more can learn from
MANY_SCORES = 128  # of a row, which more units can tell more of
MANY_CODES = 32  # which many layers of 256 units would hold back
# Hidden layers where they are left to "auto".
AUTO_SIZES = {
    "few cells": (64, 64),
    "few scores": (256, 256),
    "few scores, many rows": (256, 256, 256),
    "many scores": (256, 256, 512),
    "many scores and codes": (512, 512),
    "table": (256, 256),  # a level of a category is less than a column of numbers
}


class MLP(HiddenLayers):
    """Fully connected network (multilayer perceptron).

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Units of each hidden layer, in the encoder and in the decoder. "auto" depends on the data.

        - A matrix with fewer than 4000 cells: (64, 64).
        - Fewer than 128 principal scores: (256, 256). With at least 4000 rows and fewer than 32
          codes: (256, 256, 256).
        - At least 128 principal scores: (256, 256, 512). With at least 32 codes: (512, 512).
        - Other tables (missing cells, or columns that are not numbers): (256, 256).
    activation : {"silu", "relu", "leaky_relu", "gelu", "elu", "selu", "tanh"}, default="silu"
        Nonlinearity after each hidden layer.
    dropout : float, default=0.0
        Share of each hidden layer's units that every training step sets to zero, at random. At
        least 0 and below 1.
    normalization : {"batch", "layer"} or None, default=None
        Normalization to mean 0 and variance 1 before each nonlinearity. "batch" normalizes each
        unit over the rows of a batch, "layer" each row over its units.
    residual : bool, default=False
        Whether a hidden layer adds its output to its input. Only layers with as many inputs as
        units do so.

    Examples
    --------
    >>> from skvae import MLP, VAETransformer
    >>> VAETransformer(latent_dim=2, architecture=MLP(hidden_layer_sizes=(64,)))
    VAETransformer(architecture=MLP(hidden_layer_sizes=(64,)))
    """

    def __init__(
        self,
        *,
        hidden_layer_sizes: tuple[int, ...] | str = "auto",
        activation: str = "silu",
        dropout: float = 0.0,
        normalization: str | None = None,
        residual: bool = False,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization
        self.residual = residual

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the network.

        Parameters
        ----------
        n_in, n_out : int
            Number of input and output columns.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out), float tensors.

        Raises
        ------
        ValueError
            If an option is invalid.
        """
        self._check_hidden()
        if not isinstance(self.residual, bool | np.bool_):
            raise ValueError(f"residual={self.residual!r} must be True or False.")
        sizes = self.hidden_layer_sizes
        if is_auto(sizes):
            sizes = AUTO_SIZES["few scores"]
        layers: list[nn.Module] = []
        for size in whole_numbers("hidden_layer_sizes", sizes, "'auto' or ", "(256, 256)"):
            layer = self._dense(n_in, size)
            skips = self.residual and size == n_in
            layers += [Residual(nn.Sequential(*layer))] if skips else layer
            n_in = size
        return nn.Sequential(*layers, nn.Linear(n_in, n_out))

    def with_auto_sizes(self, sizes: tuple[int, ...]) -> "MLP":
        """Replace "auto" in `hidden_layer_sizes`.

        Parameters
        ----------
        sizes : tuple of int
            Units of each hidden layer.

        Returns
        -------
        MLP
            A copy with these sizes if they were "auto", otherwise this network.
        """
        if not is_auto(self.hidden_layer_sizes):
            return self
        return clone(self).set_params(hidden_layer_sizes=sizes)


def auto_sizes(n_rows: float, n_columns: int, n_scores: int, latent_dim: int) -> tuple[int, ...]:
    """Hidden layers for a matrix whose rows have so many principal scores and codes."""
    if n_rows * n_columns < FEW_CELLS:
        return AUTO_SIZES["few cells"]
    few_codes = latent_dim < MANY_CODES
    if n_scores < MANY_SCORES:
        may_be_deep = few_codes and n_rows >= MANY_ROWS
        return AUTO_SIZES["few scores, many rows" if may_be_deep else "few scores"]
    return AUTO_SIZES["many scores" if few_codes else "many scores and codes"]
