"""The bound with a weight on what the codes share."""

import math

import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms, check_at_least
from skvae.training.objective.terms import draw_and_decode, paired_rows, terms_of, weigh


class TotalCorrelation(Objective):
    """Beta-TCVAE [1]_: the total correlation of the codes has a weight of its own.

    The total correlation KL(q(z) || prod_j q(z_j)) is a part of KL(q(z|x) || p(z)). It is estimated
    from the pairs of rows in a batch. Codes with a low total correlation carry different
    information. For rows with missing cells it takes the codes of each posterior as independent.
    It needs the prior "normal" or one that is fitted after training.

    Parameters
    ----------
    weight : float, default=4.0
        Weight of the total correlation, at least 0. With 1 the loss is the plain bound.

    References
    ----------
    .. [1] Chen, R. T. Q. et al. (2018). Isolating sources of disentanglement in variational
       autoencoders. NeurIPS.

    Examples
    --------
    >>> from skvae import TotalCorrelation, VAETransformer
    >>> VAETransformer(objective=TotalCorrelation(weight=6.0))
    VAETransformer(objective=TotalCorrelation(weight=6.0))
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
