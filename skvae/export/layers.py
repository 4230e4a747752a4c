"""Layers of networks as nodes, and the way back: what a slope by their output is by their input.

A layer is given its module, in evaluation mode, what goes in, and the shape of that of a row; it
returns what comes out and the way back. To add one: a function, and its row in LAYERS.
"""

import math
from collections.abc import Callable
from itertools import chain
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from skvae.export.graph import Value
from skvae.export.images import Convolution
from skvae.export.normal import density, probability_below
from skvae.model.networks import Dropout, Residual
from skvae.model.networks.images import Down, ImageEncoder, Maps, Up
from skvae.model.networks.layers import BatchNorm1d, BatchNorm2d

Back: TypeAlias = Callable[[Value], Value]
Shape: TypeAlias = tuple[int, ...]
Layer: TypeAlias = Callable[[nn.Module, Value, Shape], tuple[Value, Back]]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def through(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    """What a network makes of x, and the way back.

    Raises
    ------
    TypeError
        If there is a layer in it that is not known here.
    """
    if type(module) not in LAYERS:
        known = ", ".join(sorted(each.__name__ for each in LAYERS))
        raise TypeError(
            f"architecture has the layer {type(module).__name__}, which cannot be exported to "
            f"ONNX; use 'mlp', 'linear', 'conv' or layers among {known}."
        )
    return LAYERS[type(module)](module, x, shape)


def shape_after(module: nn.Module, shape: Shape) -> Shape:
    """Shape of what a layer makes of a row."""
    like = next(chain(module.parameters(), module.buffers()), torch.zeros(0))
    return tuple(module(like.new_zeros(1, *shape)).shape[1:])


def array_of(tensor: "Tensor | nn.Module") -> np.ndarray:
    """Numbers of a tensor."""
    return cast(Tensor, tensor).numpy(force=True)


def _same(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    return x, lambda slope: slope


def _in_turn(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    ways = []
    for layer in module.children():
        x, back = through(layer, x, shape)
        shape = shape_after(layer, shape)
        ways.append(back)

    def all_back(slope: Value) -> Value:
        for back in reversed(ways):
            slope = back(slope)
        return slope

    return x, all_back


def _linear(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    layer = cast(nn.Linear, module)
    weight = x.graph.constant(array_of(layer.weight), x.dtype)
    inputs = [x, weight]
    if layer.bias is not None:
        inputs.append(x.graph.constant(array_of(layer.bias), x.dtype))
    return x.graph.node("Gemm", *inputs, transB=1), lambda slope: slope @ weight


def _residual(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    added, back = through(cast(Residual, module).layer, x, shape)
    return x + added, lambda slope: slope + back(slope)


def _batch_norm(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    """By the running statistics: one factor and one number for each unit or map."""
    layer = cast(nn.BatchNorm1d, module)
    if layer.running_var is None or layer.running_mean is None:
        raise TypeError(
            "architecture has a BatchNorm without running statistics; use track_running_stats=True."
        )
    factor = 1.0 / np.sqrt(array_of(layer.running_var).astype(np.float64) + layer.eps)
    added = np.zeros_like(factor)
    if layer.affine:
        factor, added = factor * array_of(layer.weight), array_of(layer.bias)
    added = added - array_of(layer.running_mean) * factor
    of_maps = (-1, 1, 1) if isinstance(module, nn.BatchNorm2d) else (-1,)
    factors, others = factor.reshape(of_maps), added.reshape(of_maps)
    return x * factors + others, lambda slope: slope * factors


def _layer_norm(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    layer = cast(nn.LayerNorm, module)
    own = [None if each is None else array_of(each) for each in (layer.weight, layer.bias)]
    return _normalized(x, (1,), own[0], own[1], (layer.normalized_shape[0], layer.eps))


def _group_norm(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    """Of all maps of a row together."""
    layer = cast(nn.GroupNorm, module)
    if layer.num_groups != 1:
        raise TypeError(
            f"architecture has the layer {layer}; only layers with one group can be exported to "
            "ONNX."
        )
    own = [None if each is None else array_of(each)[:, None, None] for each in _affine(layer)]
    return _normalized(x, (1, 2, 3), own[0], own[1], (math.prod(shape), layer.eps))


def _affine(layer: nn.GroupNorm) -> tuple[Tensor | None, Tensor | None]:
    return layer.weight, layer.bias


def _normalized(
    x: Value,
    axes: tuple[int, ...],
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    by: tuple[int, float],
) -> tuple[Value, Back]:
    """Mean 0 and variance 1 over some axes, then a factor and a number for each unit."""
    count, eps = by
    centred = x - x.sum(*axes, keep=True) / count
    deviation = ((centred * centred).sum(*axes, keep=True) / count + eps).apply("Sqrt")
    y = normal = centred / deviation
    if weight is not None:
        y = y * weight
    if bias is not None:
        y = y + bias

    def back(slope: Value) -> Value:
        own = slope if weight is None else slope * weight
        along = (own * normal).sum(*axes, keep=True) / count
        return (own - own.sum(*axes, keep=True) / count - normal * along) / deviation

    return y, back


def _silu(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    share = 1.0 / ((-x).apply("Exp") + 1.0)  # onnxruntime's own is less exact
    return x * share, lambda slope: slope * (share * (x * (1.0 - share) + 1.0))


def _relu(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    return x.apply("Relu"), lambda slope: x.graph.where(x > 0.0, slope, 0.0)


def _leaky_relu(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    below = cast(nn.LeakyReLU, module).negative_slope
    where = x.graph.where
    return where(x > 0.0, x, x * below), lambda slope: where(x > 0.0, slope, slope * below)


def _gelu(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    if cast(nn.GELU, module).approximate != "none":
        raise TypeError(
            "architecture has an approximate GELU, which cannot be exported to ONNX; use GELU()."
        )
    share = probability_below(x)
    return x * share, lambda slope: slope * (share + x * density(x))


def _exponential(x: Value, alpha: float, scale: float) -> tuple[Value, Back]:
    """A line above 0, and below it an exponential function that ends at -alpha."""
    rises, where = x.clipped(None, 0.0).apply("Exp"), x.graph.where
    y = where(x > 0.0, x, (rises - 1.0) * alpha) * scale
    return y, lambda slope: slope * (where(x > 0.0, x.like(1.0), rises * alpha) * scale)


def _elu(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    return _exponential(x, cast(nn.ELU, module).alpha, 1.0)


def _selu(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    return _exponential(x, _SELU_ALPHA, _SELU_SCALE)


def _tanh(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    y = x.apply("Tanh")
    return y, lambda slope: slope * (1.0 - y * y)


def _image_encoder(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    layer = cast(ImageEncoder, module)
    n, (width,) = layer.n_pixels, shape
    maps, maps_back = through(layer.maps, x.between(0, n), (n,))
    (n_units,) = shape_after(layer.maps, (n,))
    n_seen = n_units + width - n
    both = x.graph.joined([maps, x.between(n, width)])
    y, dense_back = through(layer.dense, both, (n_seen,))

    def back(slope: Value) -> Value:
        slope = dense_back(slope)
        others = slope.between(n_units, n_seen)
        return x.graph.joined([maps_back(slope.between(0, n_units)), others])

    return y, back


def _maps(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    after = shape_after(module, shape)
    return x.shaped(0, *after), lambda slope: slope.shaped(0, *shape)


def _convolution(module: nn.Module, x: Value, shape: Shape) -> tuple[Value, Back]:
    own, size, after = Convolution.of(module), shape[1:], shape_after(module, shape)[1:]
    return own.of_maps(x, size, after), lambda slope: own.reversed().of_maps(slope, after, size)


LAYERS: dict[type[nn.Module], Layer] = {
    nn.Sequential: _in_turn,
    nn.Linear: _linear,
    nn.Identity: _same,
    nn.Dropout: _same,
    Dropout: _same,
    Residual: _residual,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    BatchNorm1d: _batch_norm,
    BatchNorm2d: _batch_norm,
    nn.LayerNorm: _layer_norm,
    nn.GroupNorm: _group_norm,
    nn.SiLU: _silu,
    nn.ReLU: _relu,
    nn.LeakyReLU: _leaky_relu,
    nn.GELU: _gelu,
    nn.ELU: _elu,
    nn.SELU: _selu,
    nn.Tanh: _tanh,
    ImageEncoder: _image_encoder,
    Maps: _maps,
    nn.Unflatten: _maps,
    nn.Flatten: _maps,
    Down: _convolution,
    Up: _convolution,
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _convolution,
}
