"""The bound with a weight on what the codes share."""

import math

import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms, check_at_least
from skvae.training.objective.terms import draw_and_decode, paired_rows, terms_of, weigh


class TotalCorrelation(Objective):
    """Beta-TC (Chen et al., 2018): the total correlation of the codes counts more than the rest.

    KL(q(z|x) || p(z)) holds the total correlation KL(q(z) || prod_j q(z_j)), estimated between
    the rows of a batch; codes that share less say different things. Where rows have missing
    cells, the units of a posterior are taken as independent in it.

    Parameters
    ----------
    weight : float, default=4.0
        Of the total correlation, where 1 is the plain bound.
    """

    def __init__(self, *, weight: float = 4.0) -> None:
        self.weight = weight

    @property
    def has_plain_kl(self) -> bool:
        return False

    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        q, z, log_likelihood, kl = draw_and_decode(vae, rows, generator)
        some = paired_rows(rows, generator)
        correlation = total_correlation(q.mean[some], q.variance[some], z[some])
        mean_kl = weigh(rows, kl).mean()
        penalty = mean_kl + (self.weight - 1.0) * correlation
        return terms_of(rows, penalty, kl_weight, log_likelihood, kl)

    def check(self) -> None:
        check_at_least("weight", self.weight, 0.0)


def total_correlation(mean: Tensor, variance: Tensor, z: Tensor) -> Tensor:
    """KL(q(z) || prod_j q(z_j)) from a batch of draws z, up to a constant (Chen et al., 2018).

    The aggregate posterior at a row's draw is taken as the mean over the posteriors of the batch,
    whose means and variances have the shape of z, (n, q).
    """
    away = (z[:, None] - mean).square() / variance + variance.log()
    pairs = -0.5 * (away + math.log(2 * math.pi))  # (batch, batch, q)
    return (torch.logsumexp(pairs.sum(-1), 1) - torch.logsumexp(pairs, 1).sum(-1)).mean()
