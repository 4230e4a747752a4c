"""q(z|x): a normal distribution per row, of independent units or of any covariance."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_LOG_2PI = math.log(2 * math.pi)


class Posterior(NamedTuple):
    """q(z|x): normal, mean + root @ (deviation * noise); without a root, units are independent.

    mean, log_variance (of the deviations) have shape (batch, q); root, (batch, q, q), is upper
    triangular.
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
        deviation = torch.exp(0.5 * self.log_variance)
        if self.root is None:
            return torch.addcmul(self.mean, deviation, noise)
        return self.mean + (self.root @ (deviation * noise)[..., None])[..., 0]

    def kl(self) -> Tensor:
        """KL(q || N(0, I)) per row and unit, in nats, shape (batch, q)."""
        if self.root is None:
            excess = torch.expm1(self.log_variance) - self.log_variance
        else:
            excess = self.variance - 1.0 - self._log_determinants()
        return 0.5 * torch.addcmul(excess, self.mean, self.mean)

    def log_prob(self, z: Tensor) -> Tensor:
        """Log q(z|x) per row, for z of shape (..., batch, q)."""
        away = z - self.mean
        if self.root is not None:
            away = torch.linalg.solve_triangular(self.root, away[..., None], upper=True)[..., 0]
        return self.log_density(away * torch.exp(-0.5 * self.log_variance))

    def log_density(self, noise: Tensor) -> Tensor:
        """Log q(z|x) per row for z = sample(noise)."""
        return -0.5 * (noise.square() + self._log_determinants() + _LOG_2PI).sum(-1)

    def bridge(self, t: float) -> "Posterior":
        """The normal whose density is proportional to q^t N(0, I)^(1 - t); 1 is q itself."""
        if t == 1.0:
            return self
        told = torch.exp(-self.log_variance)
        if self.root is None:
            precision = 1.0 - t + t * told
            return Posterior(t * told * self.mean / precision, -precision.log())
        identity = torch.eye(self.mean.shape[1], dtype=told.dtype, device=told.device)
        inverse = torch.linalg.solve_triangular(self.root, identity, upper=True)
        own = inverse.mT @ (told[..., None] * inverse)
        triangle = torch.linalg.cholesky((1.0 - t) * identity + t * own)
        mean = torch.cholesky_solve(t * own @ self.mean[..., None], triangle)[..., 0]
        root = torch.linalg.solve_triangular(triangle, identity, upper=False).mT
        return Posterior(mean, torch.zeros_like(mean), root)

    def covariance_times(self, vectors: Tensor) -> Tensor:
        """Products of each row's covariance with its vector, shape (batch, q)."""
        variance = self.log_variance.exp()
        if self.root is None:
            return variance * vectors
        inner = variance * (self.root.mT @ vectors[..., None])[..., 0]
        return (self.root @ inner[..., None])[..., 0]

    def take(self, index: Tensor) -> "Posterior":
        """Those of some of the rows."""
        root = None if self.root is None else self.root[index]
        return Posterior(self.mean[index], self.log_variance[index], root)

    def detach(self) -> "Posterior":
        """The same posterior, from which no gradient reaches the encoder."""
        root = None if self.root is None else self.root.detach()
        return Posterior(self.mean.detach(), self.log_variance.detach(), root)

    def _log_determinants(self) -> Tensor:
        """Of the covariance, a part per unit."""
        if self.root is None:
            return self.log_variance
        return self.log_variance + 2.0 * self.root.diagonal(dim1=-2, dim2=-1).log()
