"""Convolutional networks, for rows that are images."""

import math
from itertools import pairwise

from sklearn.base import clone
from torch import nn

from skvae.model.networks.base import HiddenLayers, is_auto, is_count, whole_numbers
from skvae.model.networks.images import Down, ImageEncoder, Maps, Up, guess_shape, square

_Size = tuple[int, int]  # height and width


class Conv(HiddenLayers):
    """Convolutional network for rows that are images.

    A row holds the pixels of an image, flattened colour by colour and line by line. In the encoder
    each entry of `channels` is a convolution of stride 2, which halves height and width. The
    decoder mirrors this with transposed convolutions.

    Parameters
    ----------
    image_shape : "auto", (height, width) or (colours, height, width), default="auto"
        Shape of the image in a row, in pixels. "auto" is a square image with one or three colours.
    channels : tuple of int, default=(32, 64)
        Number of feature maps after each halving.
    kernel_size : int, default=3
        Height and width of the convolution kernels, in pixels; odd, at least 3.
    hidden_units : int or None, default=256
        Units of a dense layer between the smallest maps and the codes. None leaves it out.
    activation : {"silu", "relu", "leaky_relu", "gelu", "elu", "selu", "tanh"}, default="silu"
        Nonlinearity after each hidden layer.
    dropout : float, default=0.0
        Share of each hidden layer's units that every training step sets to zero, at random. At
        least 0 and below 1.
    normalization : {"batch", "layer"} or None, default=None
        Normalization to mean 0 and variance 1 before each nonlinearity. "batch" normalizes each
        map over the rows of a batch, "layer" each row over all its maps.

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
        image_shape: tuple[int, ...] | str = "auto",
        channels: tuple[int, ...] = (32, 64),
        kernel_size: int = 3,
        hidden_units: int | None = 256,
        activation: str = "silu",
        dropout: float = 0.0,
        normalization: str | None = None,
    ) -> None:
        self.image_shape = image_shape
        self.channels = channels
        self.kernel_size = kernel_size
        self.hidden_units = hidden_units
        self.activation = activation
        self.dropout = dropout
        self.normalization = normalization

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the encoder if the input holds an image, otherwise the decoder.

        Parameters
        ----------
        n_in, n_out : int
            Number of input and output columns. Input columns beyond the image, such as flags of
            missing cells, skip the convolutions.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out), float tensors.

        Raises
        ------
        ValueError
            If an option is invalid, or neither input nor output is an image.
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
            f"Conv needs one number per pixel as input or output, {n_pixels} for images of shape "
            f"{shape}, but it has {n_in} inputs and {n_out} outputs; set image_shape to that of "
            "the rows, and use a likelihood with one parameter per pixel."
        )

    def of_rows(self, n_columns: int) -> "Conv":
        """Copy the network with the image shape of rows.

        Parameters
        ----------
        n_columns : int
            Number of columns of a row.

        Returns
        -------
        Conv
            A copy whose `image_shape` is a tuple.

        Raises
        ------
        ValueError
            If `n_columns` does not match `image_shape`. With "auto": if rows are not square images.
        """
        shape = square(n_columns) if is_auto(self.image_shape) else self._shape(0, 0)
        if shape is None or math.prod(shape) != n_columns:
            what = "" if shape is None else f", which has {math.prod(shape)} pixels"
            raise ValueError(
                f"image_shape={self.image_shape!r}{what}, does not match rows of {n_columns} "
                "columns ('auto' is a square image with one or three colours); use "
                "Conv(image_shape=(height, width)) or (colours, height, width)."
            )
        return clone(self).set_params(image_shape=shape)

    def _check_sizes(self) -> None:
        if not is_count(self.kernel_size) or self.kernel_size < 3 or self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={self.kernel_size!r} must be odd, from 3 up.")
        if self.hidden_units is not None and not is_count(self.hidden_units):
            raise ValueError(
                f"hidden_units={self.hidden_units!r} must be a whole number from 1 up, or None."
            )

    def _shape(self, n_in: int, n_out: int) -> tuple[int, ...]:
        """Colours, height and width."""
        if is_auto(self.image_shape):
            return guess_shape(n_in, n_out)
        example = "(height, width) or (colours, height, width)"
        shape = whole_numbers("image_shape", self.image_shape, "'auto' or ", example)
        if len(shape) not in (2, 3):
            raise ValueError(f"image_shape={shape} must be 'auto', {example}.")
        return (1, *shape)[-3:]

    def _widths(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Colours of the image, and maps after each halving."""
        channels = whole_numbers("channels", self.channels, "", "(32, 64)")
        if not channels:
            raise ValueError("channels=() must hold a number for each halving, such as (32, 64).")
        return (shape[0], *channels)

    def _encoder(self, shape: tuple[int, ...], n_others: int, n_out: int) -> nn.Module:
        k, widths = self.kernel_size, self._widths(shape)
        layers: list[nn.Module] = [Maps(1, shape)]
        for n, n_maps in pairwise(widths):
            layers.append(Down(n, n_maps, k, stride=2, padding=k // 2, bias=self._bias))
            layers += self._after(n_maps, of_maps=True)
        n_units = widths[-1] * math.prod(self._sizes(shape)[-1]) + n_others
        dense: list[nn.Module] = []
        if self.hidden_units is not None:
            dense = self._dense(n_units, self.hidden_units)
            n_units = self.hidden_units
        maps = nn.Sequential(*layers, nn.Flatten())
        return ImageEncoder(maps, nn.Sequential(*dense, nn.Linear(n_units, n_out)), shape)

    def _decoder(self, shape: tuple[int, ...], n_in: int) -> nn.Module:
        widths, sizes = self._widths(shape), self._sizes(shape)
        layers: list[nn.Module] = []
        if self.hidden_units is not None:
            layers = self._dense(n_in, self.hidden_units)
            n_in = self.hidden_units
        smallest = (widths[-1], *sizes[-1])
        layers += [nn.Linear(n_in, math.prod(smallest)), Maps(1, smallest)]
        for n in reversed(range(len(self.channels))):
            layers += self._after(widths[n + 1], of_maps=True)
            bias = n == 0 or self._bias
            layers.append(self._up(widths[n + 1], widths[n], sizes[n + 1], sizes[n], bias))
        return nn.Sequential(*layers, nn.Flatten())

    def _up(self, n_in: int, n_out: int, size: _Size, to: _Size, bias: bool) -> nn.Module:
        """From maps of a size to those of twice that size, or of one less."""
        padding = (to[0] - 2 * size[0] + 1, to[1] - 2 * size[1] + 1)
        return Up(
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
