"""What training maximises and what scoring reports: the evidence lower bound and its limit.

All in nats per row, summed over columns. A model is anything that encodes rows, decodes latent
points and knows the log-likelihood of rows given what was decoded: VAE (vae.py) in scaled units,
MixedVAE (mixed.py) in the user's.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skvae.vae import Posterior

# Rows of a batch that are decoded from their point codes, and the weight of their likelihood.
POINT_SHARE = 0.25
POINT_WEIGHT = 0.5


class Terms(NamedTuple):
    """Means over the batch: loss is minimised, the others are watched."""

    loss: Tensor
    elbo: Tensor
    log_likelihood: Tensor  # of rows given draws from their posteriors


def elbo(vae: Any, rows: Any, noise: Tensor) -> Terms:
    """The evidence lower bound (Kingma & Welling, 2014) and the loss that trains it.

    Some rows are decoded from their point codes instead of a draw, which no bound asks for and
    every user of `inverse_transform` does; it costs nothing, as each row is decoded once. Where
    cells are hidden, their point codes, shrunk as they are, have to say what was hidden: that is
    what `impute` asks for. To the bound of the other rows hidden cells are missing ones.
    """
    q = vae.encode(rows)
    codes = q.mean
    if not rows.is_masked:
        codes = codes * shrinkage_undone(q.variance.detach().mean(0))
    n_points = int(POINT_SHARE * rows.n_rows)
    z = torch.cat([codes[:n_points], q.sample(noise)[n_points:]])
    log_likelihood = vae.log_likelihood(rows.unmasked(n_points), vae.decode(z))
    kl = q.kl().sum(-1)
    if rows.weight is not None:
        log_likelihood, kl = rows.weight * log_likelihood, rows.weight * kl
    drawn = log_likelihood[n_points:].mean()
    points = log_likelihood[:n_points].sum() / max(n_points, 1)
    bound = drawn - kl.mean()
    return Terms(-bound - POINT_WEIGHT * points, bound.detach(), drawn.detach())


def shrinkage_undone(mean_variance: Tensor) -> Tensor:
    """Factor per unit that gives posterior means the prior's spread, from mean variances (q,).

    The aggregate posterior has variance 1 at the optimum, so means have variance 1 - E[v], and
    for probabilistic PCA 1 / (1 - v) is Tipping & Bishop's optimal reconstruction.
    """
    return 1.0 / (1.0 - mean_variance).clamp(min=1e-2)


def importance_bound(vae: Any, rows: Any, noise: Tensor) -> Tensor:
    """Importance-weighted bound on log p(x) per row (Burda, Grosse & Salakhutdinov, 2016).

    noise has shape (n_draws, q) and is shared by the rows, so that a row's value does not depend
    on the rows beside it. The bound rises with n_draws; one draw gives the ELBO.
    """
    q = vae.encode(rows)
    weights = torch.stack([log_weight(vae, rows, q, draw) for draw in noise])
    return torch.logsumexp(weights, 0) - math.log(len(noise))


def log_weight(vae: Any, rows: Any, q: Posterior, draw: Tensor) -> Tensor:
    """Log p(x, z) - log q(z|x) per row for z of one draw."""
    z = q.sample(draw)
    return vae.log_likelihood(rows, vae.decode(z)) + q.log_ratio(z, draw)


def mixture(log_prob: Tensor, start_log_prob: Tensor, start_weight: Tensor) -> Tensor:
    """log((1 - w) p + w p_start) per row: the defensive mixture (Hesterberg, 1995)."""
    return torch.logaddexp(
        log_prob + torch.log1p(-start_weight), start_log_prob + torch.log(start_weight)
    )
