"""The bound with a discrepancy between all codes and the prior."""

import math
from numbers import Real

import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms, check_at_least
from skvae.training.objective.terms import draw_and_decode, paired_rows, terms_of, weigh


class Mmd(Objective):
    """InfoVAE [1]_: the codes of all rows together are drawn towards the prior.

    The loss is -E_q[log p(x|z)] + (1 - alpha) KL(q(z|x) || p(z)) + (alpha + weight - 1) MMD. MMD
    is the squared maximum mean discrepancy between codes and prior with a normal kernel [2]_.

    Parameters
    ----------
    alpha : float, default=0.0
        Share of the KL term that is left out, at most 1; 1 leaves it out completely.
    weight : float, default=10.0
        Weight of the discrepancy, at least 0 and at least 1 - alpha.

    References
    ----------
    .. [1] Zhao, S., Song, J. and Ermon, S. (2019). InfoVAE: balancing learning and inference in
       variational autoencoders. AAAI.
    .. [2] Gretton, A. et al. (2012). A kernel two-sample test. JMLR, 13, 723-773.

    Examples
    --------
    >>> from skvae import Mmd, VAETransformer
    >>> VAETransformer(objective=Mmd(weight=20.0))
    VAETransformer(objective=Mmd(weight=20.0))
    """

    def __init__(self, *, alpha: float = 0.0, weight: float = 10.0) -> None:
        self.alpha = alpha
        self.weight = weight

    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        _, z, log_likelihood, kl = draw_and_decode(vae, rows, generator)
        z = z[paired_rows(rows, generator)]
        discrepancy = mmd(z, vae.sample_prior(len(z), generator).to(z))
        mean_kl = weigh(rows, kl).mean()
        penalty = (1.0 - self.alpha) * mean_kl + (self.alpha + self.weight - 1.0) * discrepancy
        return terms_of(rows, penalty, kl_weight, log_likelihood, kl)

    def check(self) -> None:
        if not (isinstance(self.alpha, Real) and -math.inf < float(self.alpha) <= 1.0):
            raise ValueError(f"alpha={self.alpha!r} must be a number of at most 1.")
        check_at_least("weight", self.weight, 0.0)
        if not self.alpha + self.weight >= 1.0:
            raise ValueError(
                f"weight={self.weight!r} must be at least 1 - alpha = {1.0 - self.alpha:g}."
            )


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two sets of points (Gretton et al., 2012), unbiased.

    The kernel is exp(-|a - b|^2 / 2q), for q coordinates.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(-0.5 * (x[:, None] - y).square().sum(-1) / a.shape[1])

    n, m = len(a), len(b)
    within_a = (kernel(a, a).sum() - n) / max(n * (n - 1), 1)
    within_b = (kernel(b, b).sum() - m) / max(m * (m - 1), 1)
    return within_a + within_b - 2.0 * kernel(a, b).mean()
