"""Gradients of the plain evidence lower bound that are written out: what all of them share.

No graph is recorded: networks go forward and backward by matrix products into memory that is made
once. docs/theory.md has the equations. Shapes: n rows of a batch, q latent units.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from skvae.model.inference import Inference
from skvae.model.observation import Observation
from skvae.model.priors import StandardNormal
from skvae.model.rows import Rows
from skvae.model.vae import network_parameters
from skvae.training.dense import DenseLayer, DenseNetwork, is_dense
from skvae.training.objective import POINT_WEIGHT, Elbo, Terms
from skvae.training.state import TrainingState
from skvae.training.weights import as_shaped


class Counts(NamedTuple):
    """How much each row of a batch counts, arrays of shape (n,)."""

    n_points: int  # of the rows, the first, are decoded from their point codes
    of_kl: np.ndarray  # in the loss
    of_likelihood: np.ndarray
    rows: np.ndarray  # in means over all rows
    drawn: np.ndarray  # in means over those that are drawn


class Workspace(NamedTuple):
    """What batches of one size are computed in, in the precision of the networks' products."""

    n_rows: int
    values: Tensor  # of all weights
    encoder: DenseNetwork
    decoder: DenseNetwork
    slopes: Tensor  # of the networks' weights
    counts: Counts  # of rows without weights


class WrittenGradient(ABC):
    """The gradient of a training that it `suits`.

    Parameters
    ----------
    state : TrainingState
        The training.
    """

    # Of rows, inference and observation that it is written out for.
    kinds: ClassVar[tuple[type[Rows], type[Inference], type[Observation]]]

    def __init__(self, state: TrainingState) -> None:
        self.vae, self.weights, self.generator = state.vae, state.weights, state.generator
        self.point_share = cast(Elbo, state.config.objective).point_share
        networks = network_parameters(self.vae)
        self.first_layer = len(self.weights.parameters) - len(networks)
        # Those of what is no network come first.
        self.others = as_shaped(self.weights.gradient, self.weights.parameters)[: self.first_layer]
        self.slopes = self.weights.gradient[-sum(map(torch.numel, networks)) :]
        self.workspace: Workspace | None = None

    @classmethod
    def suits(cls, state: TrainingState, rows: Rows) -> bool:
        """Whether the loss is the plain bound, of such rows, of dense networks on the CPU."""
        vae, objective = state.vae, state.config.objective
        of_rows, of_inference, of_observation = cls.kinds
        return (
            (type(objective) is Elbo and not objective.free_bits)
            and type(vae.prior) is StandardNormal
            and vae.columns is None
            and (is_dense(vae.encoder) and is_dense(vae.decoder))
            and state.weights.values.device.type == "cpu"
            and isinstance(rows, of_rows)
            and type(vae.inference) is of_inference
            and type(vae.observation) is of_observation
        )

    @abstractmethod
    def __call__(self, batch: Rows, kl_weight: float) -> Terms:
        """Fill the gradient of the weights with that of the loss of a batch."""

    def prepared(self, n_rows: int) -> Workspace:
        """The workspace for so many rows, with the weights as they are now."""
        values, work = self.weights.values, self.workspace
        dtype = torch.bfloat16 if self.vae.in_bfloat16 else values.dtype
        if work is None or (work.n_rows, work.values.dtype) != (n_rows, dtype):
            work = self.workspace = self._new_workspace(n_rows, dtype)
        work.values.copy_(values)  # nothing, where they are the same
        return work

    def counts(self, batch: Rows, work: Workspace) -> Counts:
        """How much the rows of a batch count."""
        return work.counts if batch.weight is None else self._counts(batch.weight.numpy())

    @staticmethod
    def terms(
        log_likelihood: np.ndarray, kl: np.ndarray, counts: Counts, kl_weight: float
    ) -> Terms:
        """Loss and bound by those of the rows, shape (n,)."""
        loss = kl_weight * (counts.of_kl @ kl) - counts.of_likelihood @ log_likelihood
        of_draws = counts.drawn @ log_likelihood
        elbo = of_draws - counts.rows @ kl
        return Terms(*torch.from_numpy(np.array([loss, elbo, of_draws], kl.dtype)).unbind())

    def _new_workspace(self, n_rows: int, dtype: torch.dtype) -> Workspace:
        gradient, parameters = self.weights.gradient, self.weights.parameters
        values, slopes = self.weights.values.to(dtype), gradient.to(dtype)
        own, of_own = (as_shaped(all_, parameters)[self.first_layer :] for all_ in (values, slopes))
        layers = [
            DenseLayer(*of_layer)
            for of_layer in zip(own[::2], of_own[::2], own[1::2], of_own[1::2], strict=True)
        ]
        n_layers = len(list(cast(nn.Module, self.vae.encoder).parameters())) // 2
        return Workspace(
            n_rows,
            values,
            DenseNetwork(layers[:n_layers], n_rows),
            DenseNetwork(layers[n_layers:], n_rows),
            self.slopes if slopes is gradient else slopes[-len(self.slopes) :],
            self._counts(np.ones(n_rows, self.weights.values.numpy().dtype)),
        )

    def _counts(self, weight: np.ndarray) -> Counts:
        n_points = int(self.point_share * len(weight))
        drawn = np.where(np.arange(len(weight)) < n_points, 0, weight)
        points = (weight - drawn) / max(n_points, 1)
        of_likelihood = drawn / (len(weight) - n_points) + POINT_WEIGHT * points
        of_kl = weight / len(weight)
        return Counts(n_points, of_kl, of_likelihood, weight / weight.sum(), drawn / drawn.sum())
