"""The gradient of the evidence lower bound of rows of scores, written out: no graph is recorded.

What autograd does by some two hundred operations, this does by a third of them: matrix products
into memory that is made once, and NumPy for what has one number per code. docs/theory.md has the
equations. Shapes: n rows of a batch, k scores, q latent units.
"""

from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from skvae.model.inference import LOG_VARIANCE_RANGE, ScoreInference, soft_clip
from skvae.model.priors import StandardNormal
from skvae.model.rows import Rows, ScoreRows
from skvae.model.score_observation import ScoreObservation
from skvae.model.vae import network_parameters
from skvae.training.dense import DenseLayer, DenseNetwork, is_dense
from skvae.training.objective import POINT_WEIGHT, Elbo, Terms
from skvae.training.state import TrainingState
from skvae.training.weights import as_shaped


class Drawn(NamedTuple):
    """Posteriors of a batch and what is decoded of them: arrays, (n, q) where not said."""

    mean: np.ndarray
    excess: np.ndarray  # variance - 1
    kl: np.ndarray  # (n,)
    of_draw: np.ndarray  # slope of a draw by the log-variance
    of_change: np.ndarray  # slope of the log-variance by what the network says
    gain: np.ndarray  # (q,) of means that are decoded as point codes
    z: np.ndarray  # point codes first, then draws


class Counts(NamedTuple):
    """How much each row of a batch counts in the loss, shape (n,)."""

    in_kl: np.ndarray
    in_likelihood: np.ndarray
    n_points: int  # of the rows, the first, are decoded from their point codes


class Workspace(NamedTuple):
    """What batches of one size are computed in, in the precision of the networks' products."""

    n_rows: int
    values: Tensor  # of all weights
    encoder: DenseNetwork
    decoder: DenseNetwork
    slopes: Tensor  # of the networks' weights


class WrittenGradient:
    """The gradient of a training that `suits`.

    Parameters
    ----------
    state : TrainingState
        The training.
    """

    def __init__(self, state: TrainingState) -> None:
        self.vae, self.weights, self.generator = state.vae, state.weights, state.generator
        self.inference = cast(ScoreInference, self.vae.inference)
        self.observation = cast(ScoreObservation, self.vae.observation)
        self.point_share = cast(Elbo, state.config.objective).point_share
        shaped = as_shaped(self.weights.gradient, self.weights.parameters)
        self.encoder_path_slope, self.decoder_path_slope, *_ = shaped
        self.slopes = self.weights.gradient[-sum(map(torch.numel, network_parameters(self.vae))) :]
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
            and (isinstance(rows, ScoreRows) and rows.scores.device.type == "cpu")
        )

    @torch.no_grad()
    def __call__(self, batch: ScoreRows, kl_weight: float) -> Terms:
        """Fill the gradient of the weights with that of the loss of a batch."""
        scores, path, work = batch.scores, self.observation.decoder_path, self._prepared(batch)
        counts = self._counts(batch)
        noise = batch.draw_noise(self.vae.latent_dim, self.generator)
        changes = work.encoder.forward(soft_clip(scores, self.inference.clip_limit)).to(scores)
        drawn = self._draw(scores, changes, noise, counts)
        z = self.vae.scale.place(torch.from_numpy(drawn.z))
        decoded = torch.addmm(work.decoder.forward(z).to(scores), z, path.T)
        log_likelihood = self.observation.log_likelihood(batch, decoded).numpy()

        counted = counts.in_likelihood / self.observation.shared_noise.item()
        slope = decoded.sub_(scores).mul_(torch.from_numpy(counted)[:, None])
        torch.mm(slope.T, z, out=self.decoder_path_slope)
        of_place = work.decoder.backward_to_inputs(slope.to(work.values)).to(scores)
        of_z = torch.addmm(of_place, slope, path).mul_(self.vae.scale.spread).numpy()
        of_changes = torch.from_numpy(self._slope_of_changes(of_z, drawn, counts, kl_weight))
        torch.mm(of_changes[:, : z.shape[1]].T, scores, out=self.encoder_path_slope)
        work.encoder.backward(of_changes.to(work.values))
        self.slopes.copy_(work.slopes)
        return self._terms(log_likelihood, drawn.kl, counts, kl_weight)

    def _prepared(self, batch: ScoreRows) -> Workspace:
        """The workspace for such a batch, with the weights as they are now."""
        values, work = self.weights.values, self.workspace
        dtype = torch.bfloat16 if self.vae.in_bfloat16 else values.dtype
        if work is None or (work.n_rows, work.values.dtype) != (batch.n_rows, dtype):
            work = self.workspace = self._new_workspace(batch.n_rows, dtype)
        work.values.copy_(values)  # nothing, where they are the same
        return work

    def _new_workspace(self, n_rows: int, dtype: torch.dtype) -> Workspace:
        values, slopes = self.weights.values.to(dtype), self.weights.gradient.to(dtype)
        pairs = zip(
            as_shaped(values, self.weights.parameters),
            as_shaped(slopes, self.weights.parameters),
            strict=True,
        )
        _, _, *tensors = pairs  # the linear path is no layer
        layers = [
            DenseLayer(*weight[:1], *bias[:1], weight[1], bias[1])
            for weight, bias in zip(tensors[::2], tensors[1::2], strict=True)
        ]
        n_layers = len(self.vae.encoder) // 2 + 1
        own = self.slopes if slopes is self.weights.gradient else slopes[-len(self.slopes) :]
        return Workspace(
            n_rows,
            values,
            DenseNetwork(layers[:n_layers], n_rows),
            DenseNetwork(layers[n_layers:], n_rows),
            own,
        )

    def _counts(self, batch: ScoreRows) -> Counts:
        n_rows, weight = batch.n_rows, batch.weight
        n_points = int(self.point_share * n_rows)
        one = np.ones_like(batch.residual.numpy()) if weight is None else weight.numpy()
        in_likelihood = one / (n_rows - n_points)
        in_likelihood[:n_points] = POINT_WEIGHT * one[:n_points] / max(n_points, 1)
        return Counts(one / n_rows, in_likelihood, n_points)

    def _draw(self, scores: Tensor, changes: Tensor, noise: Tensor, counts: Counts) -> Drawn:
        """Posteriors, by the linear path and what the network adds; codes of some, draws of others."""
        scale, q, n_points = self.vae.scale, noise.shape[1], counts.n_points
        spread = scale.spread.numpy()
        linear = torch.mm(scores, self.inference.encoder_path.T).numpy()
        shift, log_factor = changes.numpy()[:, :q], changes.numpy()[:, q:]
        bent = np.tanh(log_factor / LOG_VARIANCE_RANGE)
        at_zero = self.inference.log_variance.numpy() - 2.0 * np.log(spread) + scale.width.numpy()
        log_variance = at_zero + LOG_VARIANCE_RANGE * bent
        mean = (linear + shift - scale.center.numpy()) / spread
        excess = np.expm1(log_variance)
        moved = np.exp(0.5 * log_variance) * noise.numpy()
        kl = 0.5 * (excess - log_variance + mean * mean).sum(1)
        # That of the mean variance, as `shrinkage_undone` has it.
        gain = 1.0 / np.maximum(-(counts.in_kl @ excess) / counts.in_kl.sum(), 1e-2)
        z = mean + moved
        z[:n_points] = gain * mean[:n_points]
        return Drawn(mean, excess, kl, 0.5 * moved, 1.0 - bent * bent, gain, z)

    def _slope_of_changes(
        self, of_z: np.ndarray, drawn: Drawn, counts: Counts, kl_weight: float
    ) -> np.ndarray:
        """From the slopes of latent points to those of what the encoder's network says."""
        n_points, in_kl = counts.n_points, (kl_weight * counts.in_kl)[:, None]
        of_mean = in_kl * drawn.mean + of_z
        of_mean[:n_points] += (drawn.gain - 1.0) * of_z[:n_points]
        of_log_variance = 0.5 * in_kl * drawn.excess
        of_log_variance[n_points:] += of_z[n_points:] * drawn.of_draw[n_points:]
        of_shift = of_mean / self.vae.scale.spread.numpy()
        return np.concatenate([of_shift, of_log_variance * drawn.of_change], 1)

    def _terms(
        self, log_likelihood: np.ndarray, kl: np.ndarray, counts: Counts, kl_weight: float
    ) -> Terms:
        of_rows, drawn = counts.in_likelihood, slice(counts.n_points, None)
        of_draws = np.average(log_likelihood[drawn], weights=of_rows[drawn])
        loss = kl_weight * (counts.in_kl @ kl) - of_rows @ log_likelihood
        elbo = of_draws - np.average(kl, weights=counts.in_kl)
        return Terms(*torch.from_numpy(np.array([loss, elbo, of_draws], kl.dtype)).unbind())
