"""What a fitted model's codes hold: spread, order and share of the variance, KL per unit.

All take rows as their model does; a few hundred rows are enough.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.model.bounds import importance_bound, log_weight
from skvae.model.refinement import refined_codes
from skvae.model.rows import Rows, weighted_mean
from skvae.model.vae import VAE

ACTIVE_VARIANCE = 0.01  # a unit is active if its posterior mean varies more (Burda et al., 2016)
COLLAPSED = 0.01  # nats of KL below which a unit says nothing
START_USE = 0.1  # nats above which a unit of the linear start is of use
_MOST_SHIFTS = 32  # pairs of a row with others, by which two codes are measured


class CodeUse(NamedTuple):
    """One number per latent unit, in the order in which `transform` returns them."""

    order: np.ndarray  # of units, by the variance that is left when all others are known
    spread: np.ndarray  # root mean square change of a row per unit of code, scaled units
    deviation: np.ndarray  # standard deviation of the point codes, prior's coordinates
    explained_variance_ratio: np.ndarray  # added by each unit to those before it
    kl: np.ndarray  # mean nats
    is_active: np.ndarray


@torch.no_grad()
def code_use(vae: VAE, rows: Rows, refinement: int = 0) -> CodeUse:
    """Measure every unit on rows, which count by their weights.

    What codes explain is the variance of the rows that are expected given them, E[x | codes]: of
    codes that are left out it is a mean over other rows' (the closed index of Sobol, 2001). Half
    the mean squared change of a decoded row, when its left-out codes are exchanged for another
    row's, is what is not explained (Jansen, 1999). It is never negative, and of PCA it is the
    share that PCA tells. All codes together explain what is not error.
    """
    q, codes = vae.encode(rows), refined_codes(vae, rows, refinement)
    pairs = _Pairs(vae, rows, codes)
    units = range(vae.latent_dim)
    lost = torch.stack([pairs.unexplained([unit]) for unit in units])
    order = torch.argsort(lost, descending=True, stable=True)
    left = [pairs.unexplained(order[n:]) for n in units] + [torch.zeros_like(lost[0])]
    # More codes cannot explain less: where they seem to, it is by the luck of the pairs.
    falling = torch.stack(left).cummin(0).values
    error = rows.mean(vae.observation.squared_error(rows, pairs.decoded))
    total = rows.mean(vae.observation.energy(rows))
    explained = (1.0 - error / total).clamp(min=0.0)
    return CodeUse(
        order.numpy(force=True),
        # In units of the data they may be beyond the numbers of single precision.
        _spread(vae, rows, codes)[order].double().numpy(force=True),
        _variance(rows, codes).sqrt()[order].clamp(min=1e-6).double().numpy(force=True),
        (-explained * falling.diff() / falling[0]).nan_to_num(0.0, 0.0, 0.0).numpy(force=True),
        rows.mean(q.kl())[order].numpy(force=True),
        (_variance(rows, q.mean) > ACTIVE_VARIANCE)[order].numpy(force=True),
    )


class _Pairs:
    """Rows beside others, whose codes take the place of theirs.

    Every row is paired with the one that comes so many places after it, for some such numbers:
    the more codes there are, the fewer, since each costs passes through the decoder.
    """

    def __init__(self, vae: VAE, rows: Rows, codes: Tensor) -> None:
        self.vae, self.codes = vae, codes
        self.is_linear = vae.decoder is None and vae.observation.is_gaussian
        self.decoded = vae.reconstruct(codes)
        n_shifts = min(_MOST_SHIFTS // codes.shape[1], len(codes) - 1)
        self.shifts = range(1, max(n_shifts, 1) + 1)
        self.weight = torch.ones_like(codes[:, 0]) if rows.weight is None else rows.weight
        self.mean = weighted_mean(codes, self.weight)

    def unexplained(self, units: Tensor | list[int]) -> Tensor:
        """Variance of decoded rows that is left when all codes but those of the units are known.

        In a linear model that is the variance of what these decode to, without luck in the pairs.
        """
        if self.is_linear:
            own = self.mean.expand_as(self.codes).clone()
            own[:, units] = self.codes[:, units]
            rows = self.vae.reconstruct(own)
            return weighted_mean(
                (rows - weighted_mean(rows, self.weight)).square().sum(-1), self.weight
            )
        changes, weights = [], []
        for shift in self.shifts:
            mixed = self.codes.clone()
            mixed[:, units] = self.codes.roll(shift, 0)[:, units]
            changes.append((self.vae.reconstruct(mixed) - self.decoded).square().sum(-1))
            weights.append(self.weight * self.weight.roll(shift))
        return 0.5 * weighted_mean(torch.cat(changes), torch.cat(weights))


def _variance(rows: Rows, values: Tensor) -> Tensor:
    """Of values (n, q) over rows, shape (q,)."""
    n = len(values)
    return rows.mean((values - rows.mean(values)).square()) * (n / max(n - 1, 1))


def _spread(vae: VAE, rows: Rows, codes: Tensor) -> Tensor:
    """What a step of one in each unit is in the reconstruction."""
    size = torch.finfo(codes.dtype).eps ** (1 / 3)  # where truncation and rounding are balanced
    spread = []
    for step in size * torch.eye(vae.latent_dim, dtype=codes.dtype, device=codes.device):
        change = vae.reconstruct(codes + step) - vae.reconstruct(codes - step)
        spread.append(rows.mean(change.square().sum(-1)).sqrt() / (2 * size))
    return torch.stack(spread)


class Diagnosis(NamedTuple):
    """What rows say of the posterior; nats per row, of the model without the linear start."""

    kl: np.ndarray  # of each unit from a standard normal, shape (q,)
    is_active: np.ndarray  # whether its posterior mean varies, shape (q,)
    mutual_information: float  # of rows and codes
    bound: float  # the evidence lower bound
    log_likelihood: float  # importance-weighted

    def in_users_units(self, order: np.ndarray, log_jacobian: float) -> "Diagnosis":
        """Units in the order of the codes, densities in units of the data."""
        return Diagnosis(
            self.kl[order],
            self.is_active[order],
            self.mutual_information,
            self.bound + log_jacobian,
            self.log_likelihood + log_jacobian,
        )


@torch.no_grad()
def diagnose(vae: VAE, rows: Rows, draws: Tensor) -> Diagnosis:
    """Measure the posterior on rows by draws (n_draws, q) that they share.

    The mutual information is E[log q(z|x) - log q(z)], with the mean of the rows' posteriors for
    q(z); it cannot exceed the logarithm of the number of rows (Hoffman & Johnson, 2016).
    """
    q = vae.encode(rows)
    weights = torch.stack([log_weight(vae, rows, q, draw) for draw in draws])
    z = q.sample(draws[torch.arange(rows.n_rows) % len(draws)])
    pairs = torch.stack([q.log_prob(point) for point in z])
    aggregate = pairs.logsumexp(1) - math.log(rows.n_rows)
    return Diagnosis(
        q.kl().mean(0).numpy(force=True),
        (q.mean.var(0) > ACTIVE_VARIANCE).numpy(force=True),
        float((pairs.diagonal() - aggregate).mean()),
        float(weights.mean()),
        float(importance_bound(vae, rows, draws).mean()),
    )


def linear_r2(
    codes: Tensor, target: Tensor, weight: Tensor, row_weight: Tensor | None = None
) -> float:
    """Share of the variance of target (n, q) that is linear in codes (n, q), units weighed (q,).

    Adjusted for what as many codes would tell of any target by chance; NaN where that is all.
    """
    n, q = codes.shape
    if n <= q + 1:
        return math.nan
    rows = torch.ones(n, dtype=torch.float64) if row_weight is None else row_weight.double().cpu()
    share = (rows / rows.sum())[:, None]
    x, y = (values.double().cpu() for values in (codes, target))
    x, y = (share.sqrt() * (values - (share * values).sum(0)) for values in (x, y))
    weight = weight.cpu()
    left = (y - x @ torch.linalg.lstsq(x, y, driver="gelsd").solution).square().sum(0)
    share = 1.0 - (n - 1) / (n - q - 1) * left / y.square().sum(0).clamp(min=1e-15)
    return float((weight * share).sum() / weight.sum().clamp(min=1e-12))
