"""Convolutions of images as nodes, and the way back.

onnxruntime convolves in single precision alone. In double precision a pixel is a product of a
matrix with the pixels around it, which are looked up. Shapes: n rows, maps of h by w.
"""

from typing import Any, NamedTuple, cast

import numpy as np
from torch import nn

from skvae.export.graph import Value


class Convolution(NamedTuple):
    """Weights (m_in or m_out, the other, k, k), with what is between the pixels of a step."""

    weight: np.ndarray
    bias: np.ndarray | None
    stride: int
    padding: int
    spreads: bool  # whether it is a transposed one, whose first axis is of maps that come in

    @classmethod
    def of(cls, module: nn.Module) -> "Convolution":
        layer = cast(nn.Conv2d, module)
        bias = None if layer.bias is None else layer.bias.numpy(force=True)
        weight = layer.weight.numpy(force=True)
        padding = cast(tuple[int, int], layer.padding)[0]
        spreads = isinstance(module, nn.ConvTranspose2d)
        return cls(weight, bias, layer.stride[0], padding, spreads)

    def reversed(self) -> "Convolution":
        """The way back."""
        return self._replace(bias=None, spreads=not self.spreads)

    def of_maps(self, x: Value, size: tuple[int, ...], to: tuple[int, ...]) -> Value:
        """Maps of a size, shape (n, m, h, w), made of such of another."""
        made = self._single(x, size, to) if x.dtype == np.float32 else self._double(x, size, to)
        return made if self.bias is None else made + self.bias[:, None, None]

    def _single(self, x: Value, size: tuple[int, ...], to: tuple[int, ...]) -> Value:
        options: dict[str, Any] = {"strides": [self.stride] * 2, "pads": [self.padding] * 4}
        if self.spreads:
            k = self.weight.shape[-1]
            smallest = [(each - 1) * self.stride - 2 * self.padding + k for each in size]
            options["output_padding"] = [own - each for own, each in zip(to, smallest, strict=True)]
        op = "ConvTranspose" if self.spreads else "Conv"
        return x.graph.node(op, x, self.weight, **options)

    def _double(self, x: Value, size: tuple[int, ...], to: tuple[int, ...]) -> Value:
        k, graph = self.weight.shape[-1], x.graph
        ends = graph.constant(np.array([0, 0, 0, 0, 0, 1]), np.int64)  # one pixel more, of 0
        padded = graph.node("Pad", x.shaped(0, 0, size[0] * size[1]), ends)
        around = padded.take(self._places(size, to), axis=2)  # (n, m, pixels, k * k)
        n_in = self.weight.shape[0 if self.spreads else 1]
        rows = around.turned(0, 2, 1, 3).shaped(0, to[0] * to[1], n_in * k * k)
        by_input = self.weight.transpose((0, 2, 3, 1) if self.spreads else (1, 2, 3, 0))
        made = (rows @ by_input.reshape(n_in * k * k, -1)).turned(0, 2, 1)
        return made.shaped(0, 0, *to)

    def _places(self, size: tuple[int, ...], to: tuple[int, ...]) -> np.ndarray:
        """Which pixel each pixel that is made has under each weight, shape (pixels, k * k)."""
        k = self.weight.shape[-1]
        sides = []
        for own, made in zip(size, to, strict=True):
            at, tap = np.arange(made)[:, None], np.arange(k)
            if self.spreads:
                place, left = np.divmod(at + self.padding - tap, self.stride)
                there = left == 0
            else:
                place = at * self.stride - self.padding + tap
                there = np.ones(place.shape, bool)
            sides.append(np.where(there & (place >= 0) & (place < own), place, -1))
        y, x = (
            sides[0][:, None, :, None] + 0 * sides[1][None, :, None],
            sides[1][None, :, None] + 0 * sides[0][:, None, :, None],
        )
        found = np.where((y >= 0) & (x >= 0), y * size[1] + x, size[0] * size[1])
        return found.reshape(to[0] * to[1], k * k)
