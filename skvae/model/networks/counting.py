"""How much arithmetic a network does, and its mode while it is asked."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def counted_products(module: nn.Module) -> Iterator[list[int]]:
    """Multiplications per row that the layers inside do while this lasts."""
    found: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        # Every number of a layer's output, or of its input where that spreads, takes a kernel.
        spreads = isinstance(layer, nn.ConvTranspose2d)
        per_kernel = inputs[0] if spreads else output
        kernel = layer.weight
        assert isinstance(kernel, Tensor)
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
