"""Rows with missing cells for a model that was fitted to complete numbers.

The linear start says what a row's missing cells are, given its observed ones; the encoder sees the
row filled with that, and its posterior is as much wider as the start's is. Densities are those of
the observed cells. The model itself is the one that was fitted.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skvae.data.units import Part, Units
from skvae.fitted.mixed_model import MixedModel
from skvae.fitted.model import Model
from skvae.likelihoods import Gaussian
from skvae.model.mixed import Cells, MixedStart, MixedVAE
from skvae.model.posterior import Posterior
from skvae.model.vae import GUARDED, VAE, Rows
from skvae.start.factors import FactorModel
from skvae.start.ppca import ProbabilisticPCA


class FilledStart(MixedVAE):
    """Probabilistic PCA of cells."""

    has_exact_posterior = True


class FilledVAE(MixedVAE):
    """A VAE of score space that encodes and explains cells."""

    components: Tensor
    start_log_variance: Tensor
    proposals = GUARDED  # nothing was trained on rows with missing cells

    def __init__(self, start: MixedStart, pca: ProbabilisticPCA, vae: VAE) -> None:
        super().__init__(start)
        self.vae = vae
        self.register_buffer("components", torch.tensor(pca.components).double())
        log_variance = np.log(pca.noise_variance / pca.variances[: pca.latent_dim])
        self.register_buffer("start_log_variance", torch.from_numpy(log_variance))

    def encode(self, rows: Cells) -> Posterior:
        linear, features, _ = self._linear_posterior(rows)
        scores = features @ self.components.T
        q = self.vae.encode(Rows(scores, scores.new_zeros(len(scores))))
        if linear.root is None:
            return q
        return Posterior(q.mean, torch.zeros_like(q.mean), self._root(q.log_variance, linear.root))

    def _root(self, log_variance: Tensor, start_root: Tensor) -> Tensor:
        """Root of the covariance given some cells, by that of the start and what training changed.

        Training multiplies what complete rows tell of a unit, its precision beyond the prior's;
        what some cells tell is multiplied alike, and where nothing is told the prior remains.
        """
        told_by_start = torch.expm1(-self.start_log_variance).clamp(min=1e-12)
        factor = torch.expm1(-log_variance) / told_by_start
        root = factor.clamp(min=0.0).sqrt()
        identity = torch.eye(len(start_root[0]), dtype=root.dtype, device=root.device)
        inverse = torch.linalg.solve_triangular(start_root, identity, upper=True)
        told = inverse.mT @ inverse - identity
        precision = root[..., None] * told * root[:, None] + identity
        triangle = torch.linalg.cholesky(precision)
        return torch.linalg.solve_triangular(triangle, identity, upper=False).mT

    def decode(self, z: Tensor) -> Tensor:
        return self.vae.decode(z) @ self.components

    def log_likelihood(self, rows: Cells, eta: Tensor) -> Tensor:
        """Log p(observed cells | z); the sum of squares says it, for all share their noise."""
        (block,) = self.blocks
        dispersion = block.dispersion[0]
        error = rows.values - eta
        n_observed = error.shape[1] - error.isnan().sum(-1)
        squares = error.square_().nansum(-1) * torch.exp(-2.0 * dispersion)
        constant = 2.0 * dispersion + math.log(2.0 * math.pi)
        return -0.5 * (squares + n_observed * constant)

    def log_prior(self, z: Tensor) -> Tensor:
        return self.vae.log_prior(z)

    def sample_prior(self, n: int, generator: torch.Generator) -> Tensor:
        return self.vae.sample_prior(n, generator)

    def codes(self, rows: Cells) -> Tensor:
        return self.encode(rows).mean * self.vae.code_scale


@dataclass(frozen=True)
class FilledModel(MixedModel):
    """A model of complete numbers, asked about cells."""

    fitted: Model

    @classmethod
    def of(cls, fitted: Model) -> "FilledModel":
        """The same model for rows with missing cells."""
        start = _mixed_start(fitted.start)
        return cls(
            start,
            fitted.latent_dim,
            fitted.architecture,
            fitted.prior,
            fitted.weights,
            fitted.use,
            fitted.start_weight,
            fitted.kept,
            fitted.device,
            fitted,
        )

    def vae(self, dtype: torch.dtype) -> MixedVAE:
        start = _mixed_start(self.fitted.start, self.fitted.noise_variance)
        vae = FilledVAE(start, self.fitted.start, self.fitted.vae(torch.float64))
        return vae.to(self.device).eval().requires_grad_(False)

    def _starts(self) -> list[tuple[MixedVAE, float]]:
        """One for each noise that the density of the linear start is a mixture of."""
        noises = self.fitted.start.noise_variances
        starts = [_mixed_start(replace(self.fitted.start, noise_variance=s2)) for s2 in noises]
        vaes = [FilledStart(start).to(self.device).requires_grad_(False) for start in starts]
        return [(vae, 1.0 / len(vaes)) for vae in vaes]


def _mixed_start(pca: ProbabilisticPCA, noise_variance: float | None = None) -> MixedStart:
    """Probabilistic PCA as a start of one Gaussian block, which may have noise of its own."""
    d, q = pca.n_features, pca.latent_dim
    loadings = pca.components[:q].T * pca.weights
    constants = {
        "center": pca.mean,
        "scale": np.full(d, pca.scale),
        "floor": np.zeros(d),
        "bias": np.zeros(d),
        "dispersion": np.full(1, 0.5 * np.log(noise_variance or pca.noise_variance)),
    }
    factors = FactorModel(np.zeros(d), loadings, np.full(d, pca.noise_variance), np.arange(d))
    return MixedStart(
        units=Units.of_cells(Part(Gaussian(), np.arange(d), constants), pca.scale),
        factors=factors,
        loadings=loadings,
        bias=np.zeros(d),
        masked=np.zeros(d, bool),
        basis=None,
        latent_dim=q,
        rank=pca.rank,
    )
