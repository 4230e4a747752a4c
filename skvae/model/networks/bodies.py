"""Bodies of the nonlinear branches: what stands beside the linear path of encoder and decoder.

An architecture is a component, or any callable, called with (n_in, n_out): it returns a module
that maps (batch, n_in) to (batch, n_out) and, in evaluation mode, treats every row on its own. Its
last layer must be linear, because a branch starts at zero. A module whose class says
`is_capturable` does the same at every call, by tensors alone, so that a graph can hold it. Where
an architecture's attribute `of_columns` is true, it sees and makes columns, such as pixels;
otherwise their principal scores. To add one: a component here, a row in ARCHITECTURES.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "tanh": nn.Tanh,
}


class _LoneRows:
    """Batch normalisation that takes its running statistics for a row that comes alone."""

    def forward(self: Any, x: Tensor) -> Tensor:
        is_alone = self.training and x.numel() == x.shape[1]
        if is_alone:
            self.eval()
        x = super().forward(x)  # type: ignore[misc]
        if is_alone:
            self.train()
        return x


class _BatchNorm1d(_LoneRows, nn.BatchNorm1d):
    is_capturable: ClassVar[bool] = True


class _BatchNorm2d(_LoneRows, nn.BatchNorm2d):
    is_capturable: ClassVar[bool] = True


# Of units, and of maps of units.
NORMALIZATIONS: dict[str, tuple[Callable[[int], nn.Module], Callable[[int], nn.Module]]] = {
    "batch": (_BatchNorm1d, _BatchNorm2d),
    "layer": (nn.LayerNorm, partial(nn.GroupNorm, 1)),
}

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

Architecture = Callable[[int, int], nn.Module]

_Size = tuple[int, int]  # height and width


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, which `draw_with` sets.

    Parameters
    ----------
    p : float
        Share of numbers that training sets to zero.
    """

    is_capturable: ClassVar[bool] = True

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.generator: torch.Generator | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        if self.generator is None:
            raise RuntimeError("Dropout has no generator to draw from; call draw_with first.")
        # In single precision always: a half's uniform numbers are too coarse for a share.
        uniform = torch.empty_like(x, dtype=torch.float32).uniform_(generator=self.generator)
        return x * (uniform >= self.p) / (1.0 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def __getstate__(self) -> dict[str, Any]:
        # Not every generator can be copied, and two modules that draw alike would be no use.
        return self.__dict__ | {"generator": None}


def draw_with(module: nn.Module, generator: torch.Generator) -> None:
    """Let every `Dropout` inside draw from the generator, which is on the module's device."""
    for part in module.modules():
        if isinstance(part, Dropout):
            part.generator = generator


class Residual(nn.Module):
    """A layer that adds to its input."""

    is_capturable: ClassVar[bool] = True

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)


class _Body(BaseEstimator):
    """Hidden layers and the options that they share."""

    of_columns = False
    activation: str
    dropout: float
    normalization: str | None

    def _check_hidden(self) -> None:
        _check_name("activation", self.activation, ACTIVATIONS)
        if self.normalization is not None:
            _check_name("normalization", self.normalization, NORMALIZATIONS, " or None")
        if not isinstance(self.dropout, Real) or not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout={self.dropout!r} must be a share from 0 up to, not including, 1, "
                "such as 0.1."
            )

    @property
    def _bias(self) -> bool:
        """Whether a hidden layer needs one: normalization of batches would take it away."""
        return self.normalization != "batch"

    def _dense(self, n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Linear(n_in, n_out, bias=self._bias), *self._after(n_out)]

    def _after(self, n_units: int, of_maps: bool = False) -> list[nn.Module]:
        """What follows the linear part of a hidden layer."""
        layers: list[nn.Module] = []
        if self.normalization is not None:
            layers.append(NORMALIZATIONS[self.normalization][of_maps](n_units))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout:
            layers.append(Dropout(self.dropout))
        return layers


class MLP(_Body):
    """Options of a fully connected body.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Units of each hidden layer, for encoder and decoder alike; "auto" goes by the matrix and
        `latent_dim`. Below 32 codes: (256, 256), with 4000 rows or more (256, 256, 256), with 128
        principal scores or more (256, 256, 512). From 32 codes on: (256, 256), with 128 scores or
        more (512, 512). Where `fit` sees fewer than 4000 cells: (64, 64). Tables, which are
        anything but numbers without gaps, have (256, 256).
    activation : {"silu", "relu", "leaky_relu", "gelu", "elu", "selu", "tanh"}, default="silu"
        Nonlinearity after each hidden layer.
    dropout : float, default=0.0
        Share of each hidden layer's units that training sets to zero, others at every step.
    normalization : {"batch", "layer"} or None, default=None
        What brings the units of each hidden layer to mean 0 and variance 1 before the
        nonlinearity: each unit over the rows of a batch, or each row over its units.
    residual : bool, default=False
        Whether each hidden layer adds to its input, where it has as many units.

    Examples
    --------
    >>> from skvae import MLP, VAETransformer
    >>> VAETransformer(latent_dim=2, architecture=MLP(hidden_layer_sizes=(64,)))
    VAETransformer(architecture=MLP(hidden_layer_sizes=(64,)))
    """

    def __init__(
        self,
        *,
        hidden_layer_sizes="auto",
        activation="silu",
        dropout=0.0,
        normalization=None,
        residual=False,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization
        self.residual = residual

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the module.

        Parameters
        ----------
        n_in, n_out : int
            Columns in and columns out.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out).

        Raises
        ------
        ValueError
            If an option cannot be.
        """
        self._check_hidden()
        if not isinstance(self.residual, bool | np.bool_):
            raise ValueError(f"residual={self.residual!r} must be True or False.")
        sizes = self.hidden_layer_sizes
        if _is_auto(sizes):
            sizes = AUTO_SIZES["few scores"]
        layers: list[nn.Module] = []
        for size in _whole_numbers("hidden_layer_sizes", sizes, "'auto' or ", "(256, 256)"):
            layer = self._dense(n_in, size)
            skips = self.residual and size == n_in
            layers += [Residual(nn.Sequential(*layer))] if skips else layer
            n_in = size
        return nn.Sequential(*layers, nn.Linear(n_in, n_out))

    def with_auto_sizes(self, sizes: tuple[int, ...]) -> "MLP":
        """Settle the sizes of hidden layers where they were left to "auto".

        Parameters
        ----------
        sizes : tuple of int
            Sizes.

        Returns
        -------
        MLP
            A body with these sizes, or this one.
        """
        if not _is_auto(self.hidden_layer_sizes):
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


class Conv(_Body):
    """Options of a convolutional body, for rows that are images.

    A row is an image's pixels, flattened with the colours first: all of the first colour, line by
    line, then all of the second. Each entry of `channels` halves height and width in the encoder,
    by a convolution of stride 2; the decoder mirrors it with transposed convolutions.

    Parameters
    ----------
    image_shape : "auto", (height, width) or (colours, height, width), default="auto"
        Shape of a row's image; "auto" is a square one, grey or of three colours.
    channels : tuple of int, default=(32, 64)
        Maps after each halving.
    kernel_size : int, default=3
        Height and width of the convolutions, odd.
    hidden_units : int or None, default=256
        Units of a dense layer between the smallest maps and the codes; None leaves it out.
    activation : {"silu", "relu", "leaky_relu", "gelu", "elu", "selu", "tanh"}, default="silu"
        Nonlinearity after each hidden layer.
    dropout : float, default=0.0
        Share of each hidden layer's numbers that training sets to zero, others at every step.
    normalization : {"batch", "layer"} or None, default=None
        What brings each hidden layer to mean 0 and variance 1 before the nonlinearity: each map
        over the rows of a batch, or each row over all its maps.

    Examples
    --------
    >>> from skvae import Conv, VAETransformer
    >>> VAETransformer(latent_dim=16, architecture=Conv(image_shape=(13, 21)))
    VAETransformer(architecture=Conv(image_shape=(13, 21)), latent_dim=16)
    """

    of_columns = True

    def __init__(
        self,
        *,
        image_shape="auto",
        channels=(32, 64),
        kernel_size=3,
        hidden_units=256,
        activation="silu",
        dropout=0.0,
        normalization=None,
    ):
        self.image_shape = image_shape
        self.channels = channels
        self.kernel_size = kernel_size
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the module: the encoder where an image fits in, otherwise the decoder.

        Parameters
        ----------
        n_in, n_out : int
            Columns in and columns out. Columns in after those of the image, such as flags of
            missing cells, go past the convolutions.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out).

        Raises
        ------
        ValueError
            If an option cannot be, or an image neither fits in nor comes out.
        """
        self._check_hidden()
        self._check_sizes()
        shape = self._shape(n_in, n_out)
        n_pixels = math.prod(shape)
        if n_in >= n_pixels:
            return self._encoder(shape, n_in - n_pixels, n_out)
        if n_out == n_pixels:
            return self._decoder(shape, n_in)
        raise ValueError(
            f"Conv takes or makes one number per pixel, {n_pixels} for images of shape {shape}, "
            f"but {n_in} columns go in and {n_out} come out; give the image_shape of the rows, "
            "and a likelihood of one parameter per pixel."
        )

    def of_rows(self, n_columns: int) -> "Conv":
        """The same options with the shape of the image that rows are.

        Parameters
        ----------
        n_columns : int
            Columns of a row.

        Returns
        -------
        Conv
            A copy.

        Raises
        ------
        ValueError
            If they are none of the given shape, or the shape is "auto" and they are no square.
        """
        shape = _square(n_columns) if _is_auto(self.image_shape) else self._shape(0, 0)
        if shape is None or math.prod(shape) != n_columns:
            what = "" if shape is None else f", which has {math.prod(shape)} pixels"
            raise ValueError(
                f"image_shape={self.image_shape!r}{what}, is no shape of rows of {n_columns} "
                "columns ('auto' is a square image, grey or of three colours); give "
                "Conv(image_shape=(height, width)) or (colours, height, width)."
            )
        return clone(self).set_params(image_shape=shape)

    def _check_sizes(self) -> None:
        if not _is_count(self.kernel_size) or self.kernel_size < 3 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={self.kernel_size!r} must be odd, from 3 up.")
        if self.hidden_units is not None and not _is_count(self.hidden_units):
            raise ValueError(
                f"hidden_units={self.hidden_units!r} must be a whole number from 1 up, or None."
            )

    def _shape(self, n_in: int, n_out: int) -> tuple[int, ...]:
        """Colours, height and width."""
        if _is_auto(self.image_shape):
            return _guess_shape(n_in, n_out)
        example = "(height, width) or (colours, height, width)"
        shape = _whole_numbers("image_shape", self.image_shape, "'auto' or ", example)
        if len(shape) not in (2, 3):
            raise ValueError(f"image_shape={shape} must be 'auto', {example}.")
        return (1, *shape)[-3:]

    def _widths(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Colours of the image, and maps after each halving."""
        channels = _whole_numbers("channels", self.channels, "", "(32, 64)")
        if not channels:
            raise ValueError("channels=() must hold a number for each halving, such as (32, 64).")
        return (shape[0], *channels)

    def _encoder(self, shape: tuple[int, ...], n_others: int, n_out: int) -> nn.Module:
        k, widths = self.kernel_size, self._widths(shape)
        layers: list[nn.Module] = [_Maps(1, shape)]
        for n, n_maps in pairwise(widths):
            layers.append(_Down(n, n_maps, k, stride=2, padding=k // 2, bias=self._bias))
            layers += self._after(n_maps, of_maps=True)
        n_units = widths[-1] * math.prod(self._sizes(shape)[-1]) + n_others
        dense: list[nn.Module] = []
        if self.hidden_units is not None:
            dense = self._dense(n_units, self.hidden_units)
            n_units = self.hidden_units
        maps = nn.Sequential(*layers, nn.Flatten())
        return _ImageEncoder(maps, nn.Sequential(*dense, nn.Linear(n_units, n_out)), shape)

    def _decoder(self, shape: tuple[int, ...], n_in: int) -> nn.Module:
        widths, sizes = self._widths(shape), self._sizes(shape)
        layers: list[nn.Module] = []
        if self.hidden_units is not None:
            layers = self._dense(n_in, self.hidden_units)
            n_in = self.hidden_units
        smallest = (widths[-1], *sizes[-1])
        layers += [nn.Linear(n_in, math.prod(smallest)), _Maps(1, smallest)]
        for n in reversed(range(len(self.channels))):
            layers += self._after(widths[n + 1], of_maps=True)
            bias = n == 0 or self._bias
            layers.append(self._up(widths[n + 1], widths[n], sizes[n + 1], sizes[n], bias))
        return nn.Sequential(*layers, nn.Flatten())

    def _up(self, n_in: int, n_out: int, size: _Size, to: _Size, bias: bool) -> nn.Module:
        """From maps of a size to those of twice that size, or of one less."""
        padding = (to[0] - 2 * size[0] + 1, to[1] - 2 * size[1] + 1)
        return _Up(
            n_in,
            n_out,
            self.kernel_size,
            stride=2,
            padding=self.kernel_size // 2,
            output_padding=padding,
            bias=bias,
        )

    def _sizes(self, shape: tuple[int, ...]) -> list[_Size]:
        """Height and width of the image and after each halving."""
        sizes = [(shape[1], shape[2])]
        for _ in self.channels:
            height, width = sizes[-1]
            sizes.append(((height + 1) // 2, (width + 1) // 2))
        return sizes


class _Maps(nn.Unflatten):
    """Rows as maps, in the order of memory in which convolutions are fastest."""

    is_capturable: ClassVar[bool] = True

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous(memory_format=torch.channels_last)


class _Narrow:
    """A convolution that is in single precision where maps are narrow.

    In bfloat16 on processors with AMX, that of torch 2.13 then reads memory that nobody has
    written, such as NaN.
    """

    def forward(self: Any, x: Tensor) -> Tensor:
        if x.shape[-1] > 2 or not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)  # type: ignore[misc]
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())  # type: ignore[misc]


class _Down(_Narrow, nn.Conv2d):
    """To maps of half the size."""

    is_capturable: ClassVar[bool] = True


class _Up(_Narrow, nn.ConvTranspose2d):  # type: ignore[misc]
    """To maps of twice the size."""

    is_capturable: ClassVar[bool] = True


class _ImageEncoder(nn.Module):
    """Convolutions of a row's image; dense layers of the maps and of the row's other columns."""

    is_capturable: ClassVar[bool] = True

    def __init__(self, maps: nn.Module, dense: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.maps, self.dense, self.n_pixels = maps, dense, math.prod(shape)

    def forward(self, x: Tensor) -> Tensor:
        image, others = x[:, : self.n_pixels], x[:, self.n_pixels :]
        return self.dense(torch.cat([self.maps(image), others], 1))


def _guess_shape(n_in: int, n_out: int) -> tuple[int, int, int]:
    """The square image, grey or of three colours, of the wider side."""
    n_pixels = max(n_in, n_out)
    shape = _square(n_pixels)
    if shape is None:
        raise ValueError(
            f"image_shape='auto' is a square image, grey or of three colours, and {n_pixels} "
            "numbers are none; give Conv(image_shape=(height, width)) or (colours, height, width)."
        )
    if n_in < n_out <= 2 * n_in and _square(n_in):
        raise ValueError(
            f"image_shape='auto' cannot tell whether {n_in} or {n_out} columns are the image; "
            "give Conv(image_shape=(height, width)) or (colours, height, width)."
        )
    return shape


def _square(n_pixels: int) -> tuple[int, int, int] | None:
    for n_colours in (1, 3):
        side = math.isqrt(n_pixels // n_colours)
        if n_colours * side**2 == n_pixels:
            return n_colours, side, side
    return None


def _check_name(option: str, name: object, table: dict, more: str = "") -> None:
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{option}={name!r} is unknown; known: {sorted(table)}{more}.")


def _is_auto(value: object) -> bool:
    return isinstance(value, str) and value == "auto"


def _is_count(value: object) -> bool:
    return isinstance(value, Integral) and int(value) >= 1


def _whole_numbers(option: str, values: Any, alternative: str, example: str) -> tuple[int, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(
            f"{option}={values!r} must be {alternative}a tuple of whole numbers, such as {example}."
        )
    values = tuple(values)
    if not all(map(_is_count, values)):
        raise ValueError(f"{option}={values} must be whole numbers from 1 up, such as {example}.")
    return tuple(map(int, values))


class Linear(BaseEstimator):
    """A body of one linear layer: the linear VAE, whose optimum is probabilistic PCA."""

    of_columns = False

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the module.

        Parameters
        ----------
        n_in, n_out : int
            Columns in and columns out.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out).
        """
        return nn.Linear(n_in, n_out)


@contextmanager
def counted_products(module: nn.Module) -> Iterator[list[int]]:
    """Multiplications per row that the layers inside do while this lasts."""
    found: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Every number of a layer's output, or of its input where that spreads, takes a kernel.
        spreads = isinstance(layer, nn.ConvTranspose2d)
        per_kernel = inputs[0] if spreads else output
        kernel: Any = layer.weight
        found.append(per_kernel[0].numel() * kernel[0].numel())

    kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)
    layers = [layer for layer in module.modules() if isinstance(layer, kinds)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while: layers keep no statistics; the module's own mode comes back."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


ARCHITECTURES: dict[str, type[BaseEstimator]] = {"mlp": MLP, "conv": Conv, "linear": Linear}
