"""The gradient of the evidence lower bound of rows of scores, written out.

It takes half the operations that autograd takes: matrix products into memory that is made once,
and NumPy for what has one number per code. Shapes: n rows of a batch, k scores, q latent units.
"""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from skvae.model.inference import LOG_VARIANCE_RANGE, ScoreInference, soft_clip
from skvae.model.rows import Rows, ScoreRows
from skvae.model.score_observation import ScoreObservation
from skvae.training.objective import Terms, shrinkage_undone
from skvae.training.state import TrainingState
from skvae.training.written_gradient import Counts, WrittenGradient


class Codes(NamedTuple):
    """Posteriors of a batch and what is decoded of them, arrays of shape (n, q) where not said."""

    mean: np.ndarray
    excess: np.ndarray  # variance - 1
    kl: np.ndarray  # (n,)
    z: np.ndarray  # point codes first, then draws
    gain: np.ndarray  # (q,) of means that are decoded as point codes
    of_draw: np.ndarray  # slope of a draw by the log-variance
    of_factor: np.ndarray  # slope of the log-variance by what the network says


class ScoreGradient(WrittenGradient):
    """Of rows of a matrix."""

    kinds = (ScoreRows, ScoreInference, ScoreObservation)

    def __init__(self, state: TrainingState) -> None:
        super().__init__(state)
        self.observation = cast(ScoreObservation, self.vae.observation)
        self.noise_variance = self.observation.shared_noise
        self.decoder_path = self.observation.decoder_path.detach()
        inference, scale = cast(ScoreInference, self.vae.inference), self.vae.scale
        self.encoder_path = inference.encoder_path.detach()
        # Views: what is loaded into the model is seen here.
        self.clip_limit, self.log_variance = (
            own.numpy() for own in (inference.clip_limit, inference.log_variance)
        )
        self.center, self.spread, self.width = (
            own.numpy() for own in (scale.center, scale.spread, scale.width)
        )
        self.encoder_path_slope, self.decoder_path_slope = self.others

    @torch.no_grad()
    @np.errstate(over="ignore", invalid="ignore")  # a bound that is not finite tells of it
    def __call__(self, batch: Rows, kl_weight: float) -> Terms:
        batch = cast(ScoreRows, batch)
        work, scores = self.prepared(batch.n_rows), batch.scores
        products = work.values.dtype
        counts = self.counts(batch, work)
        noise = batch.draw_noise(len(self.encoder_path), self.generator)
        clipped = torch.from_numpy(soft_clip(scores.numpy(), self.clip_limit)).to(products)
        codes = self._codes(scores, work.encoder.forward(clipped).to(scores), noise, counts)
        z = torch.from_numpy(self.center + self.spread * codes.z)
        change = work.decoder.forward(z.to(products)).to(scores)
        error = torch.addmm(change, z, self.decoder_path.T).sub_(scores)
        misfit = np.einsum("ij,ij->i", error.numpy(), error.numpy()) + batch.residual.numpy()
        log_likelihood = self.observation.likelihood_at(misfit, self.noise_variance.item())

        counted = torch.from_numpy(counts.of_likelihood / self.noise_variance.numpy())
        slope = error.mul_(counted[:, None])
        torch.mm(slope.T, z, out=self.decoder_path_slope)
        of_z = work.decoder.backward_to_inputs(slope.to(products)).to(scores)
        of_z = torch.addmm(of_z, slope, self.decoder_path)
        of_changes = torch.from_numpy(self._of_changes(of_z.numpy(), codes, counts, kl_weight))
        torch.mm(of_changes[:, : z.shape[1]].T, scores, out=self.encoder_path_slope)
        work.encoder.backward(of_changes.to(products))
        self.slopes.copy_(work.slopes)  # nothing, where they are the same
        return self.terms(log_likelihood, codes.kl, counts, kl_weight)

    def _codes(self, scores: Tensor, changes: Tensor, noise: Tensor, counts: Counts) -> Codes:
        """Posteriors by the linear path and the network; point codes of some, draws of others."""
        q, spread, n_points = noise.shape[1], self.spread, counts.n_points
        shift, log_factor = changes.numpy()[:, :q], changes.numpy()[:, q:]
        linear = torch.mm(scores, self.encoder_path.T).numpy()
        bent = np.tanh(log_factor / LOG_VARIANCE_RANGE)
        at_zero = self.log_variance + self.width - 2.0 * np.log(spread)
        log_variance = at_zero + LOG_VARIANCE_RANGE * bent
        mean = (linear + shift - self.center) / spread
        deviation = np.exp(0.5 * log_variance)
        excess = deviation * deviation - 1.0
        moved = deviation * noise.numpy()
        kl = 0.5 * (excess - log_variance + mean * mean).sum(1)
        gain = shrinkage_undone(1.0 + counts.rows @ excess)
        z = mean + moved
        np.multiply(mean[:n_points], gain, out=z[:n_points])
        return Codes(mean, excess, kl, z, gain, 0.5 * moved, 1.0 - bent * bent)

    def _of_changes(
        self, of_z: np.ndarray, codes: Codes, counts: Counts, kl_weight: float
    ) -> np.ndarray:
        """From slopes of what is decoded to those of what the encoder's network says, (n, 2 q)."""
        n_points, of_kl = counts.n_points, (kl_weight * counts.of_kl)[:, None]
        of_z *= self.spread
        of_log_variance = of_z * codes.of_draw
        of_log_variance[:n_points] = 0.0
        of_z[:n_points] *= codes.gain
        of_mean = of_z + of_kl * codes.mean
        of_log_variance += 0.5 * of_kl * codes.excess
        of_log_variance *= codes.of_factor
        return np.concatenate([of_mean / self.spread, of_log_variance], 1)
