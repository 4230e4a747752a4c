"""Down a height of latent points, for every row on its own way: by gradients through the decoder.

Steps are preconditioned by the covariance of the row's posterior, which knows how far each unit
may go, and as long as the slopes at both ends of the step before say that the height would be
least (Barzilai & Borwein, 1988). No row ever goes up. Shapes: n rows, q latent units.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.model.posterior import Posterior
from skvae.model.rows import Rows

# Of each row's latent point, nats, shape (n,).
Height = Callable[[Rows, Tensor], Tensor]
# Whether a gain of so many nats is worth a step from such a height, each of shape (n,).
IsWorth = Callable[[Tensor, Tensor], Tensor]

# Lengths of a step, in those of the covariance: where the height is the posterior's, 1 arrives.
SHORTEST, LONGEST = 1e-4, 4.0
CUTS = 0.01, 0.5  # what is left of a step that went too far, at least and at most


def descend(
    height: Height, is_worth: IsWorth, rows: Rows, q: Posterior, z: Tensor, n_steps: int
) -> Tensor:
    """Latent points (n, q) lower than z, after so many steps at most: as many as are worth it."""
    if n_steps == 0:
        return z
    everywhere = torch.arange(len(z), device=z.device)
    level, slope = _with_slope(height, rows, z)
    way = _Way(everywhere, rows, q, z, level, slope, torch.ones_like(level))
    lowest = z.clone()
    for number in range(n_steps):
        step = -way.length[:, None] * way.q.covariance_times(way.slope)
        promise = -0.5 * (way.slope * step).sum(-1)
        going = is_worth(promise, way.level).nonzero()[:, 0]
        if len(going) == 0:
            break
        if len(going) < len(step):
            way, step = way.take(going), step[going]
        way = way.after(height, step, is_last=number == n_steps - 1)
        lowest[way.place] = way.z
    return lowest


class _Way(NamedTuple):
    """Rows that are on their way, and how far each has come."""

    place: Tensor  # (n,) among all rows
    rows: Rows
    q: Posterior
    z: Tensor  # (n, q)
    level: Tensor  # of the height, (n,)
    slope: Tensor  # (n, q)
    length: Tensor  # of the next step, (n,)

    def take(self, index: Tensor) -> "_Way":
        """Some of the rows."""
        rows, q = self.rows.take(index), self.q.take(index)
        place, *others = (
            own[index] for own in (self.place, self.z, self.level, self.slope, self.length)
        )
        return _Way(place, rows, q, *others)

    def after(self, height: Height, step: Tensor, is_last: bool) -> "_Way":
        """Where the rows are after a step, those that it brings lower; the last needs no slope."""
        tried = self.z + step
        if is_last:
            level, slope = height(self.rows, tried), self.slope
        else:
            level, slope = _with_slope(height, self.rows, tried)
        is_lower = level < self.level
        stretch = _stretch(step, self.slope, slope, is_lower)
        return self._replace(
            z=torch.where(is_lower[:, None], tried, self.z),
            level=torch.where(is_lower, level, self.level),
            slope=torch.where(is_lower[:, None], slope, self.slope),
            length=(self.length * stretch).clamp(SHORTEST, LONGEST),
        )


def _stretch(step: Tensor, slope: Tensor, slope_there: Tensor, is_lower: Tensor) -> Tensor:
    """How much longer or shorter the next step of each row is to be, shape (n,)."""
    fall, fall_there = (-(own * step).sum(-1) for own in (slope, slope_there))
    bottom = torch.where(fall > fall_there, fall / (fall - fall_there), LONGEST)
    return torch.where(is_lower, bottom, bottom.nan_to_num(CUTS[0]).clamp(*CUTS))


def _with_slope(height: Height, rows: Rows, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        level = height(rows, z)
        (slope,) = torch.autograd.grad(level.sum(), z)
    return level.detach(), slope
