"""A network of dense layers and SiLU, forward and backward written out, in memory made once."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


def is_dense(network: nn.Module | None) -> bool:
    """Whether a network is dense layers with SiLU between them, and all of it is trained."""
    if not isinstance(network, nn.Sequential) or type(network) is not nn.Sequential:
        return False
    n_between = len(network) // 2
    kinds = [type(layer) for layer in network.children()]
    parameters = list(network.parameters())  # fewer, of a layer without bias or that comes twice
    return (
        kinds == [nn.Linear, nn.SiLU] * n_between + [nn.Linear]
        and len(parameters) == 2 * (n_between + 1)
        and all(parameter.requires_grad for parameter in parameters)
    )


class DenseLayer(NamedTuple):
    """Weights of a layer, and where their gradient goes."""

    weight: Tensor  # (n_out, n_in)
    weight_slope: Tensor
    bias: Tensor  # (n_out,)
    bias_slope: Tensor


class DenseNetwork:
    """A network of dense layers and SiLU for batches of one size.

    Parameters
    ----------
    layers : list of DenseLayer
        From the inputs to the outputs.
    n_rows : int
        Of a batch.
    """

    def __init__(self, layers: list[DenseLayer], n_rows: int) -> None:
        self.layers = layers
        like = layers[0].weight
        self.one = like.new_ones(())
        self.inputs = like  # of the last call
        self.hidden = [like.new_empty(n_rows, len(layer.bias)) for layer in layers[:-1]]
        self.derivatives = [torch.empty_like(hidden) for hidden in self.hidden]
        self.outputs = like.new_empty(n_rows, len(layers[-1].bias))

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of a batch, shape (n_rows, n_out), which the next call overwrites."""
        x = self.inputs = inputs
        for layer, hidden, derivative in zip(
            self.layers, self.hidden, self.derivatives, strict=False
        ):
            torch.addmm(layer.bias, x, layer.weight.T, out=hidden)
            share = torch.sigmoid(hidden, out=derivative)
            x = hidden.mul_(share)
            # With s the sigmoid of x, that of s x is s + (1 - s) s x.
            torch.lerp(share, self.one, x, out=derivative)
        return torch.addmm(self.layers[-1].bias, x, self.layers[-1].weight.T, out=self.outputs)

    def backward(self, slope: Tensor) -> Tensor:
        """Fill the slopes of all layers by that of the outputs; that of what layer 0 adds up."""
        for before in reversed(range(len(self.hidden))):
            layer, hidden = self.layers[before + 1], self.hidden[before]
            _fill(layer, slope, hidden)
            # What is hidden is needed no more.
            slope = torch.mm(slope, layer.weight, out=hidden).mul_(self.derivatives[before])
        _fill(self.layers[0], slope, self.inputs)
        return slope

    def backward_to_inputs(self, slope: Tensor) -> Tensor:
        """The same, and the slope of the inputs, shape (n_rows, n_in)."""
        return torch.mm(self.backward(slope), self.layers[0].weight)


def _fill(layer: DenseLayer, slope: Tensor, inputs: Tensor) -> None:
    torch.mm(slope.T, inputs, out=layer.weight_slope)
    torch.sum(slope, 0, out=layer.bias_slope)
