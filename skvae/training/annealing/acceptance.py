"""What is accepted of proposals, and how sizes and temperatures shrink."""

import torch
from torch import Tensor


def accept(
    change: Tensor, temperature: float, generator: torch.Generator, with_error: bool = True
) -> bool:
    """Metropolis' rule for a change of the loss of every row, with a penalty for its error."""
    penalty = change.mean() / temperature
    if with_error:
        penalty = penalty + change.var() / len(change) / (2.0 * temperature**2)
    luck = torch.rand((), generator=generator, dtype=torch.float32, device=change.device)
    return bool(torch.log(luck) < -penalty)


def geometric(ends: tuple[float, float], k: int, n: int) -> float:
    """Number k of n in a geometric row from the first end to the last."""
    first, last = ends
    return first * (last / first) ** (k / max(n - 1, 1))
