"""What is written of a training: arrays by the names of their owners, and JSON values."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Arrays = dict[str, np.ndarray]
Saved = tuple[Arrays, dict[str, Any]]


def to_arrays(tensors: dict[str, Tensor]) -> Arrays:
    """Tensors as arrays of their own."""
    return {name: tensor.numpy(force=True).copy() for name, tensor in tensors.items()}


def to_tensors(arrays: Arrays, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """Arrays as tensors of their own, on a device."""
    return {name: torch.tensor(array, device=device) for name, array in arrays.items()}


def named(owner: str, arrays: Arrays) -> Arrays:
    """Arrays with the name of their owner before their own."""
    return {f"{owner}.{name}": array for name, array in arrays.items()}


def owned(owner: str, arrays: Arrays) -> Arrays:
    """Those arrays that are an owner's, by their own names."""
    start = f"{owner}."
    return {k.removeprefix(start): array for k, array in arrays.items() if k.startswith(start)}


def joined(parts: dict[str, Saved]) -> Saved:
    """What several owners have written, as one."""
    arrays: Arrays = {}
    for owner, (own, _) in parts.items():
        arrays |= named(owner, own)
    return arrays, {owner: values for owner, (_, values) in parts.items()}


def part_of(saved: Saved, owner: str) -> Saved:
    """What one of them has written."""
    return owned(owner, saved[0]), saved[1][owner]
