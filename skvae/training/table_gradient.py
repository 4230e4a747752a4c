"""The gradient of the evidence lower bound of rows of a table, written out: no graph is recorded.

Networks and posteriors are written out here, densities of cells by their likelihoods; those that
have no slopes of their own record a small graph. docs/theory.md has the equations.
Shapes: n rows of a batch, q latent units.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from skvae.model.cell_observation import CellObservation
from skvae.model.inference import LOG_VARIANCE_RANGE, FactorInference
from skvae.model.posterior import Posterior
from skvae.model.priors import StandardNormal
from skvae.model.rows import CellRows, Rows
from skvae.model.vae import network_parameters
from skvae.training.dense import DenseLayer, DenseNetwork, is_dense
from skvae.training.objective import POINT_WEIGHT, Elbo, Terms, shrinkage_undone
from skvae.training.state import TrainingState
from skvae.training.weights import as_shaped


class Counts(NamedTuple):
    """How much each row of a batch counts, shape (n,)."""

    n_points: int  # of the rows, the first, are decoded from their point codes
    of_kl: Tensor  # in the loss
    of_likelihood: Tensor
    rows: Tensor  # in means over all rows
    drawn: Tensor  # in means over those that are drawn


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


class Workspace(NamedTuple):
    """What batches of one size are computed in, in the precision of the networks' products."""

    n_rows: int
    values: Tensor  # of all weights
    encoder: DenseNetwork
    decoder: DenseNetwork
    slopes: Tensor  # of the networks' weights


class TableGradient:
    """The gradient of a training that `suits`.

    Parameters
    ----------
    state : TrainingState
        The training.
    """

    def __init__(self, state: TrainingState) -> None:
        self.vae, self.weights, self.generator = state.vae, state.weights, state.generator
        self.inference = cast(FactorInference, self.vae.inference)
        self.observation = cast(CellObservation, self.vae.observation)
        self.point_share = cast(Elbo, state.config.objective).point_share
        shaped = as_shaped(self.weights.gradient, self.weights.parameters)
        n_blocks = len(self.observation.dispersions)
        self.path_slope, self.bias_slope, *rest = shaped
        self.dispersion_slopes = rest[:n_blocks]
        self.n_linear = 2 + n_blocks  # tensors that are no layers
        n_weights = sum(map(torch.numel, network_parameters(self.vae)))
        self.slopes = self.weights.gradient[-n_weights:]
        self.workspace: Workspace | None = None

    @staticmethod
    def suits(state: TrainingState, rows: Rows) -> bool:
        """Whether batches are rows of cells on the CPU, and the loss is their plain bound."""
        vae, objective = state.vae, state.config.objective
        return (
            (type(objective) is Elbo and not objective.free_bits)
            and type(vae.inference) is FactorInference
            and type(vae.observation) is CellObservation
            and type(vae.prior) is StandardNormal
            and vae.columns is None
            and (is_dense(vae.encoder) and is_dense(vae.decoder))
            and (isinstance(rows, CellRows) and rows.values.device.type == "cpu")
        )

    @torch.no_grad()
    def __call__(self, batch: CellRows, kl_weight: float) -> Terms:
        """Fill the gradient of the weights with that of the loss of a batch."""
        vae, work, counts = self.vae, self._prepared(batch.n_rows), self._counts(batch)
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
            batch.unmasked(counts.n_points), decoded, -counts.of_likelihood
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
        return self._terms(found.log_likelihood, codes.kl, counts, kl_weight)

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
        own = as_shaped(values, parameters)[self.n_linear :]
        of_own = as_shaped(slopes, parameters)[self.n_linear :]
        layers = [
            DenseLayer(
                weight=own[i], weight_slope=of_own[i], bias=own[i + 1], bias_slope=of_own[i + 1]
            )
            for i in range(0, len(own), 2)
        ]
        n_layers = sum(
            isinstance(layer, nn.Linear) for layer in cast(nn.Sequential, self.vae.encoder)
        )
        return Workspace(
            n_rows,
            values,
            DenseNetwork(layers[:n_layers], n_rows),
            DenseNetwork(layers[n_layers:], n_rows),
            self.slopes if slopes is gradient else slopes[-len(self.slopes) :],
        )

    def _counts(self, batch: CellRows) -> Counts:
        n, n_points = batch.n_rows, int(self.point_share * batch.n_rows)
        weight = batch.values.new_ones(n) if batch.weight is None else batch.weight
        drawn = weight.clone()
        drawn[:n_points] = 0.0
        of_likelihood = drawn / (n - n_points)
        of_likelihood[:n_points] = POINT_WEIGHT * weight[:n_points] / max(n_points, 1)
        shares = weight / weight.sum(), drawn / drawn.sum()
        return Counts(n_points, weight / n, of_likelihood, *shares)

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
        gain = torch.ones_like(mean[0]) if is_masked else shrinkage_undone(counts.rows @ variance)
        z = mean + drawn
        torch.mul(mean[:n_points], gain, out=z[:n_points])
        of_factor = 1.0 - bent.square()
        return Codes(mean, root, moved, stretched - 1.0, kl, z, gain, of_factor)

    def _of_changes(self, of_z: Tensor, codes: Codes, counts: Counts, kl_weight: float) -> Tensor:
        """From slopes of what is decoded to those of what the encoder's network says, (n, 2 q)."""
        n_points, of_kl = counts.n_points, (kl_weight * counts.of_kl)[:, None]
        of_moved = of_z if codes.root is None else torch.bmm(codes.root.mT, of_z[..., None])[..., 0]
        of_log_variance = of_moved * codes.moved
        of_log_variance[:n_points] = 0.0
        of_log_variance.addcmul_(of_kl, codes.excess).mul_(0.5 * codes.of_factor)
        of_mean = of_z
        of_mean[:n_points] *= codes.gain
        of_mean.addcmul_(of_kl, codes.mean)
        return torch.cat([of_mean / self.vae.scale.spread, of_log_variance], 1)

    def _terms(self, log_likelihood: Tensor, kl: Tensor, counts: Counts, kl_weight: float) -> Terms:
        loss = kl_weight * (counts.of_kl @ kl) - counts.of_likelihood @ log_likelihood
        of_draws = counts.drawn @ log_likelihood
        return Terms(loss, of_draws - counts.rows @ kl, of_draws)
