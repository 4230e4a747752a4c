"""The standard normal."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from skvae.model.posterior import Posterior
from skvae.model.priors.base import Encoder, Prior, PriorModule

_LOG_2PI = math.log(2.0 * math.pi)


class Normal(Prior):
    """Standard normal prior, N(0, I).

    Examples
    --------
    >>> from skvae import Normal, VAETransformer
    >>> VAETransformer().fit([[0.0, 1.0], [2.0, 3.0], [4.0, 6.0]]).prior_
    Normal()
    """

    def module(self, latent_dim: int, n_inputs: int) -> "StandardNormal":
        return StandardNormal(latent_dim)


class StandardNormal(PriorModule):
    """N(0, I), which has nothing to learn.

    Parameters
    ----------
    latent_dim : int
        Units of a code.
    """

    is_standard: ClassVar[bool] = True

    mean: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_dim, dtype=torch.float64), persistent=False)

    def log_prob(self, z: Tensor, vae: Encoder | None = None) -> Tensor:
        return -0.5 * (z.square() + _LOG_2PI).sum(-1)

    def sample(self, n: int, vae: Encoder | None, generator: torch.Generator) -> Tensor:
        return self.mean.new_empty(n, len(self.mean)).normal_(generator=generator)

    def kl(self, q: Posterior, z: Tensor, noise: Tensor, vae: Encoder | None = None) -> Tensor:
        """KL(q(z|x) || N(0, I)) per row, nats, in closed form."""
        return q.kl().sum(-1)
