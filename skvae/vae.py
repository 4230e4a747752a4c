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
NOISE_FLOOR = 1e-7  # float32 cannot tell rows apart below it
LINEAR_RATE = 0.1  # share of the learning rate that the linear path gets
# Largest factor, as a logarithm, by which a branch may change a posterior variance.
_LOG_VARIANCE_RANGE = 4.0


class Rows(NamedTuple):
    """Rows in score space: scores (n, k), residual energy (n,), weights (n,) or None."""

    scores: Tensor
    residual: Tensor
    weight: Tensor | None = None

    @property
    def is_masked(self) -> bool:
        """Whether cells are hidden that the training knows: never here."""
        return False

    @property
    def n_rows(self) -> int:
        return len(self.scores)

    def unmasked(self, n: int) -> "Rows":
        """The same rows: none of their cells is hidden."""
        return self

    @property
    def n_inputs(self) -> int:
        """Numbers per row that a model is fitted to."""
        return self.scores.shape[1]

    def double(self) -> "Rows":
        """The same rows in double precision; weights are left out."""
        return Rows(self.scores.double(), self.residual.double())

    def take(self, index: Tensor) -> "Rows":
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.scores[index], self.residual[index], weight)

    def batch(self, index: Tensor, generator: torch.Generator) -> "Rows":
        """Rows as a step of the training sees them."""
        return self.take(index)

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for one draw from each row's posterior, shape (n, q)."""
        return self.scores.new_empty(self.n_rows, latent_dim).normal_(generator=generator)

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over the rows of values, shape (n,) or (n, ...)."""
        return weighted_mean(values, self.weight)


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over rows of values, shape (n,) or (n, ...)."""
    if weight is None:
        return values.mean(0)
    return torch.tensordot(weight, values, 1) / weight.sum()


class Posterior(NamedTuple):
    """q(z|x): normal, mean + root @ (deviation * noise); without a root, units are independent.

    mean, log_variance (of the deviations) have shape (batch, q); root (batch, q, q) is triangular.
    """

    mean: Tensor
    log_variance: Tensor
    root: Tensor | None = None

    @property
    def variance(self) -> Tensor:
        """Of each unit, shape (batch, q)."""
        variance = self.log_variance.exp()
        return variance if self.root is None else (self.root.square() @ variance[..., None])[..., 0]

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of each unit, shape (batch, q)."""
        return torch.exp(0.5 * self.log_variance) if self.root is None else self.variance.sqrt()

    def sample(self, noise: Tensor) -> Tensor:
        scaled = torch.exp(0.5 * self.log_variance) * noise
        if self.root is not None:
            scaled = (self.root @ scaled[..., None])[..., 0]
        return self.mean + scaled

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) per row and unit, in nats, shape (batch, q)."""
        return 0.5 * (self.mean.square() + self.variance - 1.0 - self._log_determinants())

    def log_ratio(self, z: Tensor, noise: Tensor) -> Tensor:
        """Log N(z; 0, I) - log q(z|x) summed over units, for z = sample(noise)."""
        return 0.5 * (noise.square() - z.square() + self._log_determinants()).sum(-1)

    def _log_determinants(self) -> Tensor:
        """Of the covariance, a part per unit."""
        if self.root is None:
            return self.log_variance
        return self.log_variance + 2.0 * self.root.diagonal(dim1=-2, dim2=-1).log()


class VAE(nn.Module):
    """Encoder, decoder and noise of a Gaussian model; a branch of None adds nothing."""

    likelihood_cost = 0  # arithmetic of a row beside that of the networks

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
        center, spread = aggregate(self.encode(rows), rows)
        self.center += self.spread * center
        self.spread *= spread

    def encode(self, rows: Rows) -> Posterior:
        """The posterior of rows."""
        x = rows.scores
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

    def reconstruct(self, z: Tensor) -> Tensor:
        """What `squared_error` compares with rows."""
        return self.decode(z)

    def codes(self, rows: Rows) -> Tensor:
        """Point codes: the posterior mean with its shrinkage undone (Tipping & Bishop, 1999)."""
        return self.encode(rows).mean * self.code_scale

    def squared_error(self, rows: Rows, mean: Tensor) -> Tensor:
        """Squared distance between rows and their reconstruction over all d columns, per row."""
        return (rows.scores - mean).square().sum(-1) + rows.residual

    def energy(self, rows: Rows) -> Tensor:
        """Squared distance of rows from the mean row."""
        return rows.scores.square().sum(-1) + rows.residual

    def log_likelihood(self, rows: Rows, mean: Tensor) -> Tensor:
        """Log p(x|z) per row, nats of scaled units, given the decoded z."""
        s2 = self.noise_variance
        return -0.5 * (self.squared_error(rows, mean) / s2 + self._log_noise())

    def follow_noise(self, log_likelihood: Tensor, rate: float) -> None:
        """Move the noise toward the mean squared error behind a mean log-likelihood."""
        s2 = self.noise_variance
        error = -s2 * (2.0 * log_likelihood + self._log_noise())
        s2.lerp_((error / self.n_features).clamp(min=NOISE_FLOOR), rate)

    def fit_noise(self, rows: Rows, mean: Tensor, share: Tensor, widest: Tensor) -> bool:
        """Set the noise to the mean squared error of rows, each counted by its share."""
        error = rows.mean(share * self.squared_error(rows, mean))
        noise = error / rows.mean(share).clamp(min=1e-6) / self.n_features
        largest = widest / self.n_features
        self.noise_variance.copy_(noise.clamp(max=largest).clamp(min=NOISE_FLOOR))
        return True

    def gain(self, error_gain: Tensor, density_gain: Tensor) -> Tensor:
        """What has to rise for training to be kept: PCA is judged by its error."""
        return error_gain

    @property
    def rates(self) -> list[tuple[list[nn.Parameter], float, bool]]:
        """Parameters with their share of the learning rate, and whether they decay to zero."""
        linear = [self.encoder_path, self.decoder_path]
        return [(linear, LINEAR_RATE, False), (branch_parameters(self), 1.0, True)]

    def _log_noise(self) -> Tensor:
        return self.n_features * (math.log(2 * math.pi) + torch.log(self.noise_variance))


def branch_sizes(start: ProbabilisticPCA) -> list[tuple[int, int]]:
    """Columns in and out of the encoder's branch and of the decoder's."""
    q, k = start.latent_dim, len(start.variances)
    return [(k, 2 * q), (q, k)]


def branch_parameters(vae) -> list[nn.Parameter]:
    """Trained parameters of both branches."""
    branches = [branch for branch in (vae.encoder, vae.decoder) if branch is not None]
    return [p for branch in branches for p in branch.parameters() if p.requires_grad]


def aggregate(q: Posterior, rows) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the aggregate posterior of rows, each of shape (q,)."""
    mean = rows.mean(q.mean)
    variance = rows.mean((q.mean - mean).square() + q.variance)
    return mean, variance.sqrt().clamp(min=1e-3)


def _tensor(array: np.ndarray | float) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)


def _diagonal(values: np.ndarray, shape: tuple[int, int]) -> Tensor:
    matrix = torch.zeros(shape, dtype=torch.float64)
    matrix.diagonal()[: len(values)] = _tensor(values)
    return matrix
