"""A processor of another make, as far as sums go: products of tensors end in other last digits.

Which digits depends on the shapes and on a seed alone, so that the same operation gives the same
bits, and rows alone other bits than in a batch: what kernels for other instructions do.
"""

import zlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

PRODUCTS = {
    f"aten::{name}"
    for name in (
        *("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot"),
        *("convolution", "convolution_backward"),
    )
}


class OtherSums(TorchDispatchMode):
    """Moves every number of a product by one digit up or down, or leaves it."""

    def __init__(self, seed):
        super().__init__()
        self.seed = seed

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if operation._schema.name in PRODUCTS:
            shapes = [tuple(a.shape) for a in args if isinstance(a, torch.Tensor)]
            seed = zlib.crc32(repr((self.seed, shapes)).encode())
            tree_map_only(torch.Tensor, lambda tensor: move(tensor, seed), result)
        return result


def move(tensor, seed):
    """Change the last digits of numbers, in place; those of few digits every processor gets."""
    shorter = {torch.float64: torch.float32, torch.float32: torch.bfloat16}
    if not tensor.is_floating_point() or tensor.device.type != "cpu":
        return
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randint(-1, 2, tensor.shape, generator=generator).to(tensor.dtype)
    if tensor.dtype in shorter:
        steps[tensor == tensor.to(shorter[tensor.dtype])] = 0
    tensor.detach().mul_(1 + torch.finfo(tensor.dtype).eps * steps)
