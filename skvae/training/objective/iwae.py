"""The importance-weighted bound."""

from functools import partial
from numbers import Integral

import torch

from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms
from skvae.training.objective.terms import weigh


class Iwae(Objective):
    """Importance-weighted bound [1]_: E[log mean_k p(x, z_k) / q(z_k|x)].

    The gradient of the encoder is the doubly reparametrised one [2]_. Draws count by their squared
    share of the weight, and no gradient passes through the density of q.

    Parameters
    ----------
    n_draws : int, default=5
        Draws z_k from the posterior of each row. With more draws the bound is tighter and training
        is slower.

    References
    ----------
    .. [1] Burda, Y., Grosse, R. and Salakhutdinov, R. (2016). Importance weighted autoencoders.
       ICLR.
    .. [2] Tucker, G. et al. (2019). Doubly reparameterized gradient estimators for Monte Carlo
       objectives. ICLR.

    Examples
    --------
    >>> from skvae import Iwae, VAETransformer
    >>> VAETransformer(objective=Iwae(n_draws=10))
    VAETransformer(objective=Iwae(n_draws=10))
    """

    def __init__(self, *, n_draws: int = 5) -> None:
        self.n_draws = n_draws

    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        k, n = self.n_draws, rows.n_rows
        q = vae.encode(rows)
        z = q.sample(q.mean.new_empty(k, n, vae.latent_dim).normal_(generator=generator))
        again = rows.take(torch.arange(n, device=z.device).repeat(k))
        flat = z.flatten(0, 1)
        log_likelihood = vae.log_likelihood(again, vae.decode(flat)).view(k, n)
        log_ratio = vae.log_prior(flat).view(k, n) - q.detach().log_prob(z)
        log_weight = log_likelihood + kl_weight * log_ratio
        share = log_weight.detach().softmax(0)
        if z.requires_grad:
            z.register_hook(partial(torch.mul, share[..., None]))
        # What is watched is the plain bound, as of the held-out rows.
        return Terms(
            -weigh(rows, (share * log_weight).sum(0)).mean(),
            rows.mean((log_likelihood + log_ratio).detach().mean(0)),
            rows.mean((share * log_likelihood.detach()).sum(0)),
        )

    def check(self) -> None:
        is_count = isinstance(self.n_draws, Integral) and not isinstance(self.n_draws, bool)
        if not (is_count and int(self.n_draws) >= 1):
            raise ValueError(f"n_draws={self.n_draws!r} must be a whole number from 1 up.")
