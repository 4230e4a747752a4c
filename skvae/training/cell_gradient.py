"""The gradient of the evidence lower bound of rows of a table, written out.

Networks and posteriors are written out here, densities of cells by their likelihoods; those that
have no slopes of their own record a small graph. Shapes: n rows of a batch, q latent units.
"""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from skvae.model.cell_observation import CellObservation
from skvae.model.inference import LOG_VARIANCE_RANGE, FactorInference
from skvae.model.posterior import Posterior
from skvae.model.rows import CellRows, Rows
from skvae.training.objective import Terms, shrinkage_undone
from skvae.training.state import TrainingState
from skvae.training.written_gradient import Counts, WrittenGradient


class Codes(NamedTuple):
    """Posteriors of a batch and what is decoded of them, shape (n, q) where not said."""

    mean: Tensor
    root: Tensor | None  # (n, q, q)
    moved: Tensor  # from the mean, before the root
    excess: Tensor  # slope of the KL by the log-variance, twice
    kl: Tensor  # (n,)
    z: Tensor  # point codes first, then draws
    gain: Tensor  # (q,) of means that are decoded as point codes
    of_factor: Tensor  # slope of the log-variance by what the network says


class CellGradient(WrittenGradient):
    """Of rows of a table."""

    kinds = (CellRows, FactorInference, CellObservation)

    def __init__(self, state: TrainingState) -> None:
        super().__init__(state)
        self.inference = cast(FactorInference, self.vae.inference)
        self.observation = cast(CellObservation, self.vae.observation)
        self.path_slope, self.bias_slope, *self.dispersion_slopes = self.others

    @torch.no_grad()
    @np.errstate(over="ignore", invalid="ignore")  # a bound that is not finite tells of it
    def __call__(self, batch: Rows, kl_weight: float) -> Terms:
        batch, vae, work = cast(CellRows, batch), self.vae, self.prepared(batch.n_rows)
        counts = self.counts(batch, work)
        products, scale = work.values.dtype, vae.scale
        noise = batch.draw_noise(vae.latent_dim, self.generator)
        evidence = vae.evidence(batch)
        inputs = self.inference.network_inputs(evidence, None, lambda product, x: product(x))
        changes = work.encoder.forward(inputs.to(products)).to(noise)
        codes = self._codes(evidence.posterior, changes, noise, counts, batch.is_masked)
        z = scale.place(codes.z)
        change = work.decoder.forward(z.to(products)).to(z)
        path = self.observation.decoder_path
        decoded = torch.addmm(change, z, path.T).add_(self.observation.decoder_bias)
        found = self.observation.slopes(
            batch.unmasked(counts.n_points), decoded, torch.from_numpy(-counts.of_likelihood)
        )

        slope = found.of_decoded
        torch.mm(slope.T, z, out=self.path_slope)
        torch.sum(slope, 0, out=self.bias_slope)
        for target, own in zip(self.dispersion_slopes, found.of_dispersions, strict=True):
            target.copy_(own)
        of_z = work.decoder.backward_to_inputs(slope.to(products)).to(z)
        of_z = torch.addmm(of_z, slope, path).mul_(scale.spread)
        work.encoder.backward(self._of_changes(of_z, codes, counts, kl_weight).to(products))
        self.slopes.copy_(work.slopes)  # nothing, where they are the same
        return self.terms(found.log_likelihood.numpy(), codes.kl.numpy(), counts, kl_weight)

    def _codes(
        self, linear: Posterior, changes: Tensor, noise: Tensor, counts: Counts, is_masked: bool
    ) -> Codes:
        """Posteriors by the linear path and the network; point codes of some, draws of others."""
        scale, n_points = self.vae.scale, counts.n_points
        shift, log_factor = changes.split(noise.shape[1], -1)
        bent = torch.tanh(log_factor / LOG_VARIANCE_RANGE)
        log_variance = torch.add(linear.log_variance + scale.width, bent, alpha=LOG_VARIANCE_RANGE)
        mean = (linear.mean * self.inference.linear_gain + shift - scale.center) / scale.spread
        log_spread, root = scale.spread.log(), linear.root
        if root is None:
            log_variance = log_variance - 2.0 * log_spread
            variance = stretched = log_variance.exp()
            moved = drawn = variance.sqrt() * noise
            log_determinant = log_variance.sum(-1)
        else:
            log_determinant = log_variance.sum(-1) + 2.0 * (
                root.diagonal(dim1=-2, dim2=-1).log().sum(-1) - log_spread.sum()
            )
            root = root / scale.spread[:, None]
            square = root.square()
            own = log_variance.exp()
            variance = torch.bmm(square, own[..., None])[..., 0]
            stretched = square.sum(1) * own
            moved = own.sqrt() * noise
            drawn = torch.bmm(root, moved[..., None])[..., 0]
        kl = 0.5 * ((stretched + mean.square() - 1.0).sum(-1) - log_determinant)
        mean_variance = torch.from_numpy(counts.rows) @ variance
        gain = shrinkage_undone(mean_variance) if not is_masked else torch.ones_like(mean_variance)
        z = mean + drawn
        torch.mul(mean[:n_points], gain, out=z[:n_points])
        of_factor = 1.0 - bent.square()
        return Codes(mean, root, moved, stretched - 1.0, kl, z, gain, of_factor)

    def _of_changes(self, of_z: Tensor, codes: Codes, counts: Counts, kl_weight: float) -> Tensor:
        """From slopes of what is decoded to those of what the encoder's network says, (n, 2 q)."""
        n_points, of_kl = counts.n_points, torch.from_numpy(kl_weight * counts.of_kl)[:, None]
        of_moved = of_z if codes.root is None else torch.bmm(codes.root.mT, of_z[..., None])[..., 0]
        of_log_variance = of_moved * codes.moved
        of_log_variance[:n_points] = 0.0
        of_log_variance.addcmul_(of_kl, codes.excess).mul_(0.5 * codes.of_factor)
        of_mean = of_z
        of_mean[:n_points] *= codes.gain
        of_mean.addcmul_(of_kl, codes.mean)
        return torch.cat([of_mean / self.vae.scale.spread, of_log_variance], 1)
