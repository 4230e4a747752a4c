"""What a fitted model's codes hold: spread, order and share of the variance, KL per unit.

All take rows as their model does; a few hundred rows are enough.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.model.bounds import importance_bound, log_weight
from skvae.model.rows import Rows
from skvae.model.vae import VAE

ACTIVE_VARIANCE = 0.01  # a unit is active if its posterior mean varies more (Burda et al., 2016)
COLLAPSED = 0.01  # nats of KL below which a unit says nothing
START_USE = 0.1  # nats above which a unit of the linear start is of use


class CodeUse(NamedTuple):
    """One number per latent unit, in the order in which `transform` returns them."""

    order: np.ndarray  # of units, by the variance that is lost without each
    spread: np.ndarray  # root mean square change of a row per unit of code, scaled units
    deviation: np.ndarray  # standard deviation of the point codes, prior's coordinates
    explained_variance_ratio: np.ndarray  # added by each unit to those before it
    kl: np.ndarray  # mean nats
    is_active: np.ndarray


@torch.no_grad()
def code_use(vae: VAE, rows: Rows) -> CodeUse:
    """Measure every unit on rows, which count by their weights."""
    q, codes = vae.encode(rows), vae.codes(rows)
    total = rows.mean(vae.observation.energy(rows))
    order = torch.argsort(_error_without(vae, rows, codes), descending=True, stable=True)
    errors = [_error_with(vae, rows, codes, order[:n]) for n in range(1, len(order) + 1)]
    left = torch.stack([total, *errors])
    return CodeUse(
        order.numpy(force=True),
        # In units of the data they may be beyond the numbers of single precision.
        _spread(vae, rows, codes)[order].double().numpy(force=True),
        _variance(rows, codes).sqrt()[order].clamp(min=1e-6).double().numpy(force=True),
        (-left.diff() / total).nan_to_num(0.0, 0.0, 0.0).numpy(force=True),
        rows.mean(q.kl())[order].numpy(force=True),
        (_variance(rows, q.mean) > ACTIVE_VARIANCE)[order].numpy(force=True),
    )


def _variance(rows: Rows, values: Tensor) -> Tensor:
    """Of values (n, q) over rows, shape (q,)."""
    n = len(values)
    return rows.mean((values - rows.mean(values)).square()) * (n / max(n - 1, 1))


def _error_without(vae: VAE, rows: Rows, codes: Tensor) -> Tensor:
    errors = []
    for unit in range(vae.latent_dim):
        silenced = codes.clone()
        silenced[:, unit] = 0.0
        errors.append(rows.mean(vae.observation.squared_error(rows, vae.reconstruct(silenced))))
    return torch.stack(errors)


def _error_with(vae: VAE, rows: Rows, codes: Tensor, units: Tensor) -> Tensor:
    kept = torch.zeros_like(codes)
    kept[:, units] = codes[:, units]
    return rows.mean(vae.observation.squared_error(rows, vae.reconstruct(kept)))


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
