"""The model: a linear path and a nonlinear branch in encoder and decoder.

It lives in the space of the principal scores (linear.py): x are scores, shape (batch, k), and
residual is each row's squared length outside them, shape (batch,), which the model cannot change
but has to pay for. With zero branches it is the probabilistic PCA that it was built from, exactly.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skvae.linear import ProbabilisticPCA
from skvae.networks import Architecture

# Inputs of the branches bend toward this many standard deviations: far rows see the linear path.
_BEND = 6.0
# Largest factor, as a logarithm, by which a branch may change a posterior variance.
_LOG_VARIANCE_RANGE = 4.0


class Rows(NamedTuple):
    """Rows in score space: scores (n, k), residual energy (n,), weights (n,) or None."""

    scores: Tensor
    residual: Tensor
    weight: Tensor | None

    def take(self, index: Tensor) -> "Rows":
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.scores[index], self.residual[index], weight)

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for one draw from each row's posterior, shape (n, q)."""
        return self.scores.new_empty(len(self.scores), latent_dim).normal_(generator=generator)

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over the rows of values, shape (n,) or (n, ...)."""
        if self.weight is None:
            return values.mean(0)
        return torch.tensordot(self.weight, values, 1) / self.weight.sum()


class Posterior(NamedTuple):
    """q(z|x): a normal with independent coordinates, each tensor of shape (batch, q)."""

    mean: Tensor
    log_variance: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) per row and unit, in nats, shape (batch, q)."""
        variance = self.log_variance.exp()
        return 0.5 * (self.mean.square() + variance - 1.0 - self.log_variance)

    def log_ratio(self, z: Tensor, noise: Tensor) -> Tensor:
        """Log N(z; 0, I) - log q(z|x) summed over units, for z = sample(noise)."""
        return 0.5 * (noise.square() - z.square() + self.log_variance).sum(-1)


class VAE(nn.Module):
    """Encoder, decoder and noise of a Gaussian model; a branch of None adds nothing."""

    noise_variance: Tensor
    code_scale: Tensor
    log_variance: Tensor
    bend: Tensor
    center: Tensor
    spread: Tensor

    def __init__(
        self,
        start: ProbabilisticPCA,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        q, k = start.latent_dim, len(start.variances)
        variances, noise = start.variances, start.noise_variance
        self.encoder, self.decoder = encoder, decoder
        self.register_buffer("bend", _tensor(_BEND * np.sqrt(variances)))
        self.encoder_path = nn.Parameter(_diagonal(start.weights / variances[:q], (q, k)))
        self.decoder_path = nn.Parameter(_diagonal(start.weights, (k, q)))
        self.register_buffer("log_variance", _tensor(np.log(noise / variances[:q])))
        self.register_buffer("noise_variance", _tensor(noise))
        self.register_buffer("code_scale", _tensor(variances[:q] / start.weights**2))
        self.register_buffer("center", torch.zeros(q, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(q, dtype=torch.float64))
        self.n_features = start.n_features
        self.latent_dim = q

    @classmethod
    def from_architecture(cls, start: ProbabilisticPCA, architecture: Architecture | None) -> "VAE":
        """The model with branches of an architecture, or with none."""
        if architecture is None:
            return cls(start)
        return cls(start, *(architecture(*sizes) for sizes in branch_sizes(start)))

    @torch.no_grad()
    def forget_start(self) -> None:
        """Leave the linear start for the prior: what a model without it begins with."""
        for name in ("encoder_path", "decoder_path", "log_variance"):
            getattr(self, name).zero_()
        for name in ("noise_variance", "code_scale"):
            getattr(self, name).fill_(1.0)

    @torch.no_grad()
    def follow_prior(self, rows: Rows) -> None:
        """Move and stretch the coordinates: over rows, they get the prior's mean and variance.

        Of all priors with independent normal units, that of the aggregate posterior has the
        greatest bound (Tomczak & Welling, 2018); here the prior stays and the units change.
        """
        q = self.encode(rows.scores)
        mean = rows.mean(q.mean)
        variance = rows.mean((q.mean - mean).square() + q.log_variance.exp())
        self.center += self.spread * mean
        self.spread *= variance.sqrt().clamp(min=1e-3)

    def encode(self, x: Tensor) -> Posterior:
        """The posterior of rows of scores."""
        mean = F.linear(x, self.encoder_path)
        if self.encoder is None:
            return Posterior(mean, self.log_variance.expand_as(mean))
        bent = x / torch.sqrt(1.0 + (x / self.bend).square())
        shift, log_factor = self.encoder(bent).split(self.latent_dim, -1)
        log_factor = _LOG_VARIANCE_RANGE * torch.tanh(log_factor / _LOG_VARIANCE_RANGE)
        log_variance = self.log_variance - 2.0 * self.spread.log()
        return Posterior((mean + shift - self.center) / self.spread, log_variance + log_factor)

    def decode(self, z: Tensor) -> Tensor:
        """The mean scores of latent points."""
        if self.decoder is None:
            return F.linear(z, self.decoder_path)
        z = self.center + self.spread * z
        return F.linear(z, self.decoder_path) + self.decoder(z)

    def codes(self, x: Tensor) -> Tensor:
        """Point codes: the posterior mean with its shrinkage undone (Tipping & Bishop, 1999)."""
        return self.encode(x).mean * self.code_scale

    def log_likelihood(self, squared_error: Tensor) -> Tensor:
        """Conditional log-density, nats of scaled units, from errors over all d columns."""
        s2 = self.noise_variance
        constant = self.n_features * (math.log(2 * math.pi) + torch.log(s2))
        return -0.5 * (constant + squared_error / s2)


def branch_sizes(start: ProbabilisticPCA) -> list[tuple[int, int]]:
    """Columns in and out of the encoder's branch and of the decoder's."""
    q, k = start.latent_dim, len(start.variances)
    return [(k, 2 * q), (q, k)]


def squared_error(x: Tensor, mean: Tensor, residual: Tensor) -> Tensor:
    """Squared distance between rows and their reconstruction over all d columns, per row."""
    return (x - mean).square().sum(-1) + residual


def _tensor(array: np.ndarray | float) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)


def _diagonal(values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    matrix = torch.zeros(shape, dtype=torch.float64)
    matrix.diagonal()[: len(values)] = _tensor(values)
    return matrix
