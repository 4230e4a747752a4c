"""Layers of images: rows as maps, maps of half and of twice the size, shapes that fit a row."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


class Maps(nn.Unflatten):
    """Rows as maps, in the order of memory in which convolutions are fastest."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous(memory_format=torch.channels_last)


def _in_single(convolve: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A convolution that is in single precision where maps are narrow.

    In bfloat16 on processors with AMX, that of torch 2.13 then reads memory that nobody has
    written, such as NaN.
    """
    if x.shape[-1] > 2 or not torch.is_autocast_enabled(x.device.type):
        return convolve(x)
    with torch.autocast(x.device.type, enabled=False):
        return convolve(x.float())


class Down(nn.Conv2d):
    """To maps of half the size."""

    def forward(self, x: Tensor) -> Tensor:
        return _in_single(super().forward, x)


class Up(nn.ConvTranspose2d):
    """To maps of twice the size."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return _in_single(partial(super().forward, output_size=output_size), x)


class ImageEncoder(nn.Module):
    """Convolutions of a row's image; dense layers of the maps and of the row's other columns."""

    def __init__(self, maps: nn.Module, dense: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.maps, self.dense, self.n_pixels = maps, dense, math.prod(shape)

    def forward(self, x: Tensor) -> Tensor:
        image, others = x[:, : self.n_pixels], x[:, self.n_pixels :]
        return self.dense(torch.cat([self.maps(image), others], 1))


def guess_shape(n_in: int, n_out: int) -> tuple[int, int, int]:
    """The square image, grey or of three colours, of the wider side."""
    n_pixels = max(n_in, n_out)
    shape = square(n_pixels)
    if shape is None:
        raise ValueError(
            f"image_shape='auto' needs a square image with one or three colours, not {n_pixels} "
            "numbers; use Conv(image_shape=(height, width)) or (colours, height, width)."
        )
    if n_in < n_out <= 2 * n_in and square(n_in):
        raise ValueError(
            f"image_shape='auto' is ambiguous: {n_in} inputs and {n_out} outputs could both be "
            "images; use Conv(image_shape=(height, width)) or (colours, height, width)."
        )
    return shape


def square(n_pixels: int) -> tuple[int, int, int] | None:
    """Colours, height and width of a square image of so many pixels, grey or of three colours."""
    for n_colours in (1, 3):
        side = math.isqrt(n_pixels // n_colours)
        if n_colours * side**2 == n_pixels:
            return n_colours, side, side
    return None
