"""The gradient of the evidence lower bound of rows of scores, written out: no graph is recorded.

It takes half the operations that autograd takes: matrix products into memory that is made once,
and NumPy for what has one number per code. docs/theory.md has the equations. Shapes: n rows of a
batch, k scores, q latent units.
"""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from skvae.model.inference import LOG_VARIANCE_RANGE, ScoreInference, soft_clip
from skvae.model.priors import StandardNormal
from skvae.model.rows import Rows, ScoreRows
from skvae.model.score_observation import ScoreObservation
from skvae.model.vae import network_parameters
from skvae.training.dense import DenseLayer, DenseNetwork, is_dense
from skvae.training.objective import POINT_WEIGHT, Elbo, Terms, shrinkage_undone
from skvae.training.state import TrainingState
from skvae.training.weights import as_shaped


class Counts(NamedTuple):
    """How much each row of a batch counts, arrays of shape (n,)."""

    n_points: int  # of the rows, the first, are decoded from their point codes
    of_kl: np.ndarray  # in the loss
    of_likelihood: np.ndarray
    rows: np.ndarray  # in means over all rows
    drawn: np.ndarray  # in means over those that are drawn


class Codes(NamedTuple):
    """Posteriors of a batch and what is decoded of them, arrays of shape (n, q) where not said."""

    mean: np.ndarray
    excess: np.ndarray  # variance - 1
    kl: np.ndarray  # (n,)
    z: np.ndarray  # point codes first, then draws
    gain: np.ndarray  # (q,) of means that are decoded as point codes
    of_draw: np.ndarray  # slope of a draw by the log-variance
    of_factor: np.ndarray  # slope of the log-variance by what the network says


class Workspace(NamedTuple):
    """What batches of one size are computed in, in the precision of the networks' products."""

    n_rows: int
    values: Tensor  # of all weights
    encoder: DenseNetwork
    decoder: DenseNetwork
    slopes: Tensor  # of the networks' weights
    counts: Counts  # of rows without weights


class WrittenGradient:
    """The gradient of a training that `suits`.

    Parameters
    ----------
    state : TrainingState
        The training.
    """

    def __init__(self, state: TrainingState) -> None:
        self.vae, self.weights, self.generator = state.vae, state.weights, state.generator
        self.point_share = cast(Elbo, state.config.objective).point_share
        self.observation = cast(ScoreObservation, self.vae.observation)
        self.noise_variance = self.observation.shared_noise
        self.decoder_path = self.observation.decoder_path.detach()
        inference, scale = cast(ScoreInference, self.vae.inference), self.vae.scale
        self.encoder_path, self.clip_limit = inference.encoder_path.detach(), inference.clip_limit
        # Views: what is loaded into the model is seen here.
        self.log_variance, self.center, self.spread, self.width = (
            own.numpy() for own in (inference.log_variance, scale.center, scale.spread, scale.width)
        )
        shaped = as_shaped(self.weights.gradient, self.weights.parameters)
        self.encoder_path_slope, self.decoder_path_slope, *_ = shaped
        n_weights = sum(map(torch.numel, network_parameters(self.vae)))
        self.slopes = self.weights.gradient[-n_weights:]
        self.workspace: Workspace | None = None

    @staticmethod
    def suits(state: TrainingState, rows: Rows) -> bool:
        """Whether batches are rows of scores on the CPU, and the loss is their plain bound."""
        vae, objective = state.vae, state.config.objective
        return (
            (type(objective) is Elbo and not objective.free_bits)
            and type(vae.inference) is ScoreInference
            and type(vae.observation) is ScoreObservation
            and type(vae.prior) is StandardNormal
            and vae.columns is None
            and (is_dense(vae.encoder) and is_dense(vae.decoder))
            and (isinstance(rows, ScoreRows) and state.weights.values.device.type == "cpu")
        )

    @torch.no_grad()
    @np.errstate(over="ignore", invalid="ignore")  # a bound that is not finite tells of it
    def __call__(self, batch: Rows, kl_weight: float) -> Terms:
        """Fill the gradient of the weights with that of the loss of a batch."""
        batch, kl_weight = cast(ScoreRows, batch), float(kl_weight)
        work, scores = self._prepared(batch.n_rows), batch.scores
        products = work.values.dtype
        counts = work.counts if batch.weight is None else self._counts(batch.weight.numpy())
        noise = batch.draw_noise(len(self.encoder_path), self.generator)
        clipped = soft_clip(scores, self.clip_limit).to(products)
        codes = self._codes(scores, work.encoder.forward(clipped).to(scores), noise, counts)
        z = self.vae.scale.place(torch.from_numpy(codes.z))
        change = work.decoder.forward(z.to(products)).to(scores)
        error = torch.addmm(change, z, self.decoder_path.T).sub_(scores)
        terms = self._terms(error, batch.residual, codes, counts, kl_weight)

        counted = torch.from_numpy(counts.of_likelihood / self.noise_variance.numpy())
        slope = error.mul_(counted[:, None])
        torch.mm(slope.T, z, out=self.decoder_path_slope)
        of_z = work.decoder.backward_to_inputs(slope.to(products)).to(scores)
        of_z = torch.addmm(of_z, slope, self.decoder_path)
        of_changes = torch.from_numpy(self._of_changes(of_z.numpy(), codes, counts, kl_weight))
        torch.mm(of_changes[:, : z.shape[1]].T, scores, out=self.encoder_path_slope)
        work.encoder.backward(of_changes.to(products))
        self.slopes.copy_(work.slopes)  # nothing, where they are the same
        return terms

    def _prepared(self, n_rows: int) -> Workspace:
        """The workspace for such a batch, with the weights as they are now."""
        values, work = self.weights.values, self.workspace
        dtype = torch.bfloat16 if self.vae.in_bfloat16 else values.dtype
        if work is None or (work.n_rows, work.values.dtype) != (n_rows, dtype):
            work = self.workspace = self._new_workspace(n_rows, dtype)
        work.values.copy_(values)  # nothing, where they are the same
        return work

    def _new_workspace(self, n_rows: int, dtype: torch.dtype) -> Workspace:
        gradient, parameters = self.weights.gradient, self.weights.parameters
        values, slopes = self.weights.values.to(dtype), gradient.to(dtype)
        pairs = list(
            zip(as_shaped(values, parameters), as_shaped(slopes, parameters), strict=True)
        )[2:]  # without the linear path
        layers = [
            DenseLayer(*weight, *bias) for weight, bias in zip(pairs[::2], pairs[1::2], strict=True)
        ]
        n_layers = len(list(cast(nn.Sequential, self.vae.encoder).parameters())) // 2
        return Workspace(
            n_rows,
            values,
            DenseNetwork(layers[:n_layers], n_rows),
            DenseNetwork(layers[n_layers:], n_rows),
            self.slopes if slopes is gradient else slopes[-len(self.slopes) :],
            self._counts(np.ones(n_rows, self.log_variance.dtype)),
        )

    def _counts(self, weight: np.ndarray) -> Counts:
        n_points = int(self.point_share * len(weight))
        drawn = np.where(np.arange(len(weight)) < n_points, 0, weight)
        points = (weight - drawn) / max(n_points, 1)
        of_likelihood = drawn / (len(weight) - n_points) + POINT_WEIGHT * points
        of_kl = weight / len(weight)
        return Counts(n_points, of_kl, of_likelihood, weight / weight.sum(), drawn / drawn.sum())

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
        gain = shrinkage_undone(torch.from_numpy(1.0 + counts.rows @ excess)).numpy()
        z = mean + moved
        np.multiply(mean[:n_points], gain, out=z[:n_points])
        return Codes(mean, excess, kl, z, gain, 0.5 * moved, 1.0 - bent * bent)

    def _terms(
        self, error: Tensor, residual: Tensor, codes: Codes, counts: Counts, kl_weight: float
    ) -> Terms:
        misfit = np.einsum("ij,ij->i", error.numpy(), error.numpy()) + residual.numpy()
        log_likelihood = self.observation.likelihood_at(misfit, self.noise_variance.item())
        loss = kl_weight * (counts.of_kl @ codes.kl) - counts.of_likelihood @ log_likelihood
        of_draws = counts.drawn @ log_likelihood
        elbo = of_draws - counts.rows @ codes.kl
        return Terms(*torch.from_numpy(np.array([loss, elbo, of_draws], misfit.dtype)).unbind())

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
