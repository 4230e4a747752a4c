"""By how much held-out rows are better off than under something else."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.model.rows import weighted_mean


class Gain(NamedTuple):
    """A number per row, and how much each row counts."""

    values: Tensor  # (n,)
    weight: Tensor | None

    @property
    def mean(self) -> float:
        return float(weighted_mean(self.values, self.weight))

    def less(self, other: "Gain") -> "Gain":
        """By how much more the same rows gain than by something else."""
        return Gain(self.values - other.values, self.weight)

    def exceeds(self, n_standard_errors: float) -> bool:
        """Whether the mean is more than so many standard errors above zero."""
        return self.mean > n_standard_errors * self._standard_error()

    def is_no_loss(self, n_standard_errors: float) -> bool:
        """Whether the mean is a number, and no more than so many standard errors below zero."""
        return self.mean >= -n_standard_errors * self._standard_error()

    def _standard_error(self) -> float:
        """Of the weighted mean; few rows that weigh much tell as little as few rows."""
        square = (self.values - weighted_mean(self.values, self.weight)).square()
        n, weight = len(self.values), self.weight
        if weight is None:
            return float((square.mean() / max(n - 1, 1)).sqrt())
        share = weight / weight.sum()
        # A row that weighs much draws the mean to itself; of equal ones this is n / (n - 1).
        left = (share.square() * (1.0 - 2.0 * share + share.square().sum())).sum()
        correction = share.square().sum() / left.clamp(min=torch.finfo(left.dtype).tiny)
        return float(((share.square() * square).sum() * correction).sqrt())


def pooled(gains: Iterable[Gain]) -> Gain:
    """Those of all these rows together."""
    values, weights = zip(*gains, strict=True)
    weight = None if weights[0] is None else torch.cat(weights)
    return Gain(torch.cat(values), weight)
