"""Layers of networks as `templates/decoder.js` evaluates them.

To add one: a function, its row in LAYERS, and what `layers` of decoder.js makes of its kind.
"""

from collections.abc import Callable
from itertools import chain
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from skvae.model.networks import Dropout, Residual
from skvae.model.networks.images import Maps, Up
from skvae.model.networks.layers import BatchNorm1d, BatchNorm2d

Shape = tuple[int, ...]
Layer = dict[str, Any]


class UnknownLayerError(TypeError):
    """A network has a layer that the page cannot evaluate."""


def layers_of(network: nn.Module, shape: Shape) -> list[Layer]:
    """The layers of a network, in their order; shape is that of what goes in, of a row.

    Raises
    ------
    UnknownLayerError
        If there is one that is not known here.
    """
    if isinstance(network, nn.Sequential):
        found = []
        for layer in network.children():
            found += layers_of(layer, shape)
            shape = _shape_after(layer, shape)
        return found
    if type(network) not in LAYERS:
        raise UnknownLayerError(type(network).__name__)
    return LAYERS[type(network)](network, shape)


def dense(weight: np.ndarray, bias: np.ndarray) -> Layer:
    """A linear map; its bias is in double precision, as it may be far larger than what it moves."""
    return {
        "kind": "dense",
        "weight": np.ascontiguousarray(weight, np.float32),
        "bias": np.asarray(bias, np.float64),
    }


def _shape_after(module: nn.Module, shape: Shape) -> Shape:
    like = next(chain(module.parameters(), module.buffers()), torch.zeros(0))
    return tuple(module(like.new_zeros(1, *shape)).shape[1:])


def _array(tensor: Any) -> np.ndarray:
    return cast(Tensor, tensor).numpy(force=True)


def _nothing(module: nn.Module, shape: Shape) -> list[Layer]:
    return []


def _linear(module: nn.Module, shape: Shape) -> list[Layer]:
    layer = cast(nn.Linear, module)
    bias = np.zeros(layer.out_features) if layer.bias is None else _array(layer.bias)
    return [dense(_array(layer.weight), bias)]


def _residual(module: nn.Module, shape: Shape) -> list[Layer]:
    return [{"kind": "residual", "layers": layers_of(cast(Residual, module).layer, shape)}]


def _batch_norm(module: nn.Module, shape: Shape) -> list[Layer]:
    """By the running statistics: a factor and a number for each unit or map."""
    layer = cast(nn.BatchNorm1d, module)
    if layer.running_var is None:
        raise UnknownLayerError("BatchNorm without running statistics")
    factor = 1.0 / np.sqrt(_array(layer.running_var) + layer.eps)
    added = np.zeros_like(factor)
    if layer.affine:
        factor, added = factor * _array(layer.weight), _array(layer.bias)
    added = added - _array(layer.running_mean) * factor
    return [{"kind": "line", "factor": factor, "added": added}]


def _normalized(module: nn.Module, shape: Shape) -> list[Layer]:
    """Mean 0 and variance 1 over all units or maps of a row."""
    layer = cast(nn.LayerNorm, module)
    if getattr(layer, "num_groups", 1) != 1:
        raise UnknownLayerError(str(layer))
    found: list[Layer] = [{"kind": "normalized", "eps": layer.eps}]
    if layer.weight is not None:
        added = np.zeros(len(layer.weight)) if layer.bias is None else _array(layer.bias)
        found.append({"kind": "line", "factor": _array(layer.weight), "added": added})
    return found


def _up(module: nn.Module, shape: Shape) -> list[Layer]:
    """A transposed convolution: every number of a map is spread by a kernel."""
    layer = cast(nn.ConvTranspose2d, module)
    after = _shape_after(module, shape)
    if layer.groups != 1 or layer.dilation != (1, 1):
        raise UnknownLayerError(str(layer))
    bias = np.zeros(layer.out_channels) if layer.bias is None else _array(layer.bias)
    return [
        {
            "kind": "up",
            "weight": _array(layer.weight).astype(np.float32),
            "bias": bias,
            "kernel": list(layer.kernel_size),
            "stride": list(layer.stride),
            "padding": [int(side) for side in layer.padding],
            "before": list(shape),
            "after": list(after),
        }
    ]


def _activation(name: str) -> Callable[[nn.Module, Shape], list[Layer]]:
    def found(module: nn.Module, shape: Shape) -> list[Layer]:
        options = {
            key: float(getattr(module, key))
            for key in ("negative_slope", "alpha")
            if hasattr(module, key)
        }
        if getattr(module, "approximate", "none") != "none":
            raise UnknownLayerError(str(module))
        return [{"kind": name} | options]

    return found


LAYERS: dict[type[nn.Module], Callable[[nn.Module, Shape], list[Layer]]] = {
    nn.Linear: _linear,
    nn.Identity: _nothing,
    nn.Dropout: _nothing,
    Dropout: _nothing,
    nn.Flatten: _nothing,  # numbers of a row lie in one order, whatever their shape
    nn.Unflatten: _nothing,
    Maps: _nothing,
    Residual: _residual,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    BatchNorm1d: _batch_norm,
    BatchNorm2d: _batch_norm,
    nn.LayerNorm: _normalized,
    nn.GroupNorm: _normalized,
    Up: _up,
    nn.ConvTranspose2d: _up,
    nn.SiLU: _activation("silu"),
    nn.ReLU: _activation("relu"),
    nn.LeakyReLU: _activation("leaky_relu"),
    nn.GELU: _activation("gelu"),
    nn.ELU: _activation("elu"),
    nn.SELU: _activation("selu"),
    nn.Tanh: _activation("tanh"),
}
