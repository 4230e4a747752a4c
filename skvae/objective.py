"""What training maximises and what scoring reports: the evidence lower bound and its limit.

All in nats per row, summed over columns, in scaled units; x, residual as in vae.py.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.vae import VAE, squared_error

# Rows of a batch that are decoded from their point codes, and the weight of their likelihood.
POINT_SHARE = 0.25
POINT_WEIGHT = 0.5


class Terms(NamedTuple):
    """Means over the batch: loss is minimised, the others are watched."""

    loss: Tensor
    elbo: Tensor
    squared_error: Tensor  # of draws from the posterior: what the noise has to explain


def elbo(vae: VAE, x: Tensor, residual: Tensor, weight: Tensor | None, noise: Tensor) -> Terms:
    """The evidence lower bound (Kingma & Welling, 2014) and the loss that trains it.

    Some rows are decoded from their point codes instead of a draw, which no bound asks for and
    every user of `inverse_transform` does; it costs nothing, as each row is decoded once.
    """
    q = vae.encode(x)
    codes = q.mean * shrinkage_undone(q.log_variance.detach().exp().mean(0))
    n_points = int(POINT_SHARE * len(x))
    z = torch.cat([codes[:n_points], q.sample(noise)[n_points:]])
    error = squared_error(x, vae.decode(z), residual)
    log_likelihood, kl = vae.log_likelihood(error), q.kl().sum(-1)
    if weight is not None:
        log_likelihood, kl, error = weight * log_likelihood, weight * kl, weight * error
    bound = log_likelihood[n_points:].mean() - kl.mean()
    points = log_likelihood[:n_points].sum() / max(n_points, 1)
    return Terms(-bound - POINT_WEIGHT * points, bound.detach(), error[n_points:].detach().mean())


def shrinkage_undone(mean_variance: Tensor) -> Tensor:
    """Factor per unit that gives posterior means the prior's spread, from mean variances (q,).

    The aggregate posterior has variance 1 at the optimum, so means have variance 1 - E[v], and
    for probabilistic PCA 1 / (1 - v) is Tipping & Bishop's optimal reconstruction.
    """
    return 1.0 / (1.0 - mean_variance).clamp(min=1e-2)


def importance_bound(vae: VAE, x: Tensor, residual: Tensor, noise: Tensor) -> Tensor:
    """Importance-weighted bound on log p(x) per row (Burda, Grosse & Salakhutdinov, 2016).

    noise has shape (n_draws, q) and is shared by the rows, so that a row's value does not depend
    on the rows beside it. The bound rises with n_draws; one draw gives the ELBO.
    """
    q = vae.encode(x)
    log_weights = []
    for draw in noise:
        z = q.sample(draw)
        error = squared_error(x, vae.decode(z), residual)
        log_weights.append(vae.log_likelihood(error) + q.log_ratio(z, draw))
    return torch.logsumexp(torch.stack(log_weights), 0) - math.log(len(noise))


def mixture(log_prob: Tensor, start_log_prob: Tensor, start_weight: Tensor) -> Tensor:
    """log((1 - w) p + w p_start) per row: the defensive mixture (Hesterberg, 1995)."""
    return torch.logaddexp(
        log_prob + torch.log1p(-start_weight), start_log_prob + torch.log(start_weight)
    )
