"""Layers of networks that torch does not have as they are needed, and the tables of layers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
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


def _unless_alone(layer: nn.Module, normalize: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Batch normalisation that takes its running statistics for a row that comes alone."""
    is_alone = layer.training and x.numel() == x.shape[1]
    if is_alone:
        layer.eval()
    x = normalize(x)
    if is_alone:
        layer.train()
    return x


class BatchNorm1d(nn.BatchNorm1d):
    """Of units."""

    def forward(self, x: Tensor) -> Tensor:
        return _unless_alone(self, super().forward, x)


class BatchNorm2d(nn.BatchNorm2d):
    """Of maps."""

    def forward(self, x: Tensor) -> Tensor:
        return _unless_alone(self, super().forward, x)


# Of units, and of maps of units.
NORMALIZATIONS: dict[str, tuple[Callable[[int], nn.Module], Callable[[int], nn.Module]]] = {
    "batch": (BatchNorm1d, BatchNorm2d),
    "layer": (nn.LayerNorm, partial(nn.GroupNorm, 1)),
}


class Dropout(nn.Module):
    """Dropout that draws from a generator of its own, which `draw_with` sets.

    Parameters
    ----------
    p : float
        Share of numbers that training sets to zero.
    """

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
    for layer in dropouts_of(module):
        layer.generator = generator


def dropouts_of(module: nn.Module) -> list[Dropout]:
    """Every `Dropout` inside."""
    return [part for part in module.modules() if isinstance(part, Dropout)]


class Residual(nn.Module):
    """A layer that adds to its input."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x)
