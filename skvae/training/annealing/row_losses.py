"""The loss of fixed rows, by which states of a model are compared."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.training.evaluation import Evaluator
from skvae.training.objective import explained
from skvae.training.state import TrainingState

N_ROWS = 2048  # of the training


class RowLosses(NamedTuple):
    """Fixed rows of the training, with fixed noise, by which states are compared."""

    rows: Rows
    noise: Tensor | None

    @classmethod
    def of(
        cls, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> "RowLosses":
        some = rows.take(training[:N_ROWS]).drawn(state.generator)
        noise = some.draw_noise(state.vae.latent_dim, state.generator)
        return cls(some, None if evaluator.is_deterministic else noise)

    @classmethod
    def again(
        cls, state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator
    ) -> "tuple[RowLosses, np.ndarray]":
        """Those of an annealing that begins or goes on, and the generator before their draws."""
        now = state.generator_state()
        if state.annealed is None:
            return cls.of(state, rows, training, evaluator), now
        before = state.annealed[0]["before"]
        state.set_generator(before)
        found = cls.of(state, rows, training, evaluator)
        state.set_generator(now)
        return found, before

    def losses(self, state: TrainingState) -> Tensor:
        """Minus the bound of every row, in nats, under the weights as they are."""
        return self.terms(state)[0]

    @torch.no_grad()
    def terms(self, state: TrainingState) -> tuple[Tensor, Tensor, Tensor]:
        """Losses, what was decoded, and the KL, of every row."""
        _, decoded, kl = explained(state.vae.eval(), self.rows, self.noise)
        return self._losses(state, decoded, kl), decoded, kl

    @torch.no_grad()
    def update_noise(self, state: TrainingState, decoded: Tensor, kl: Tensor) -> Tensor:
        """The losses after the model's noise has followed what was decoded."""
        likelihood = self.rows.mean(state.vae.log_likelihood(self.rows, decoded))
        state.vae.observation.update_noise(likelihood, 0.1)
        return self._losses(state, decoded, kl)

    def _losses(self, state: TrainingState, decoded: Tensor, kl: Tensor) -> Tensor:
        loss = state.config.beta * kl - state.vae.log_likelihood(self.rows, decoded)
        weight = self.rows.weight
        return loss if weight is None else loss * (weight / weight.mean())
