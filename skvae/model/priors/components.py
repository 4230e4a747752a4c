"""What priors of several components share."""

from abc import ABC
from numbers import Integral

import torch
from torch import Tensor

from skvae.model.priors.base import Prior

LARGEST_ARRAY = 2**22  # numbers, rows times components times units


class MixtureOptions(Prior, ABC):
    """Base class of priors with `n_components` components."""

    n_components: int

    def check(self) -> None:
        n = self.n_components
        if not isinstance(n, Integral) or int(n) < 1:
            raise ValueError(f"n_components={n!r} must be a whole number from 1 up, such as 10.")


def choose(logits: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Components of n draws."""
    return torch.multinomial(logits.softmax(0), n, replacement=True, generator=generator)


def rows_at_a_time(z: Tensor, n_components: int, largest: int) -> tuple[Tensor, ...]:
    """Rows, few enough at a time to be compared with every component."""
    return z.split(max(1, largest // (n_components * z.shape[1])))
