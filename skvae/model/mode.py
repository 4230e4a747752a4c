"""Posteriors mended by the decoder: moved toward their mode, and as wide as it says.

A network says in one pass where the codes of a row lie, and often not exactly (the amortisation
gap of Cremer, Li & Duvenaud, 2018). The decoder's own derivatives say it better.
"""

from typing import cast

import torch
from torch import Tensor

from skvae.model.descent import descend
from skvae.model.networks import MANY_SCORES
from skvae.model.posterior import Posterior
from skvae.model.rows import Rows, ScoreRows
from skvae.model.vae import VAE

_MOST_STEPS = 8
_WORTH = 0.3  # nats that a step has to promise
_MOST_DIRECTIONS = 16  # in which each row is decoded once to find its covariance


def mended(vae: VAE, rows: Rows, q: Posterior) -> Posterior:
    """The posterior of rows, as the decoder of the model says it."""
    q = toward_mode(vae, rows, q)
    is_cheap = q.mean.shape[1] <= _MOST_DIRECTIONS and vae.n_inputs < MANY_SCORES
    return laplace(vae, q) if isinstance(rows, ScoreRows) and is_cheap else q


def toward_mode(vae: VAE, rows: Rows, q: Posterior) -> Posterior:
    """The posterior of rows with its mean moved toward the most probable z: never away from it.

    Where that is depends on the row and the model alone, and the networks may see z through any
    modules. A row too far off for its density to be a number stays where it is.
    """

    def depth(rows: Rows, z: Tensor) -> Tensor:
        """Minus log p(x, z), nats."""
        return -vae.log_likelihood(rows, vae.decode(z)) - vae.log_prior(z)

    return q._replace(mean=descend(depth, _is_worth, rows, q, q.mean, _MOST_STEPS))


def _is_worth(promise: Tensor, depth: Tensor) -> Tensor:
    return promise > _WORTH


def laplace(vae: VAE, q: Posterior) -> Posterior:
    """The posterior of rows of scores with the covariance of the decoder's Gauss-Newton matrix.

    The Jacobian is by differences over one deviation of each unit, since draws go as far. Where
    the matrix cannot be factored, as of rows too far off, the covariance stays.
    """
    middle, deviation = vae.decode(q.mean), q.deviation
    steps = torch.diag_embed(deviation).unbind(1)
    jacobian = torch.stack([vae.decode(q.mean + step) - middle for step in steps], -1)
    noise = cast(Tensor, vae.observation.noise_variance)
    precision = jacobian.mT @ jacobian / noise + torch.diag_embed(deviation.square())
    identity = torch.eye(deviation.shape[1], dtype=precision.dtype, device=precision.device)
    triangle, failed = torch.linalg.cholesky_ex(precision)
    is_known = (failed == 0) & triangle.isfinite().all(-1).all(-1)
    triangle = torch.where(is_known[:, None, None], triangle, identity)
    root = torch.linalg.solve_triangular(triangle, identity, upper=False).mT
    return Posterior(q.mean, torch.zeros_like(q.mean), deviation[..., None] * root)
