"""Random numbers in the shape of a decoder's outputs, by the fit's own generator."""

import numpy as np
import torch
from torch import Tensor


def normal(eta: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal numbers."""
    return torch.empty_like(eta).normal_(generator=generator)


def uniform(eta: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers from 0 to 1 whose logarithm is finite."""
    tiny = torch.finfo(eta.dtype).tiny
    return torch.empty_like(eta).uniform_(generator=generator).clamp(min=tiny)


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """numpy's, for distributions that torch draws from its global generator only."""
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return np.random.default_rng(int(seed))
