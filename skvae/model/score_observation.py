"""Rows of a matrix given z: one Gaussian over all columns, in closed form in score space.

What a row has outside of the scores, its residual energy, the model cannot change but pays for.
"""

import math
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skvae.model.inference import Seen
from skvae.model.observation import Observation
from skvae.model.rows import Rows, ScoreRows

NOISE_FLOOR = 1e-7  # float32 cannot tell rows apart below it
_LOG_2PI = math.log(2 * math.pi)


class ScoreObservation(Observation):
    """Mean scores with one noise for all columns, which follows the squared error.

    Parameters
    ----------
    path : Tensor of shape (k, q)
        Linear path from z to mean scores.
    noise_variance : Tensor, scalar
        In every one of the columns, scaled units.
    n_features : int
        Columns of the rows.
    components : Tensor of shape (k, d) or None
        The way from scores to columns, where objectives hide some.
    """

    shared_noise: Tensor
    components: Tensor

    def __init__(
        self,
        path: Tensor,
        noise_variance: Tensor,
        n_features: int,
        components: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.decoder_path = nn.Parameter(path)
        self.register_buffer("shared_noise", noise_variance)
        # As the start has them: not of the state.
        self.register_buffer("components", components, persistent=False)
        self.n_features = n_features

    @property
    def is_gaussian(self) -> bool:
        return True

    def seen(self, rows: Rows) -> Seen:
        return Seen(cast(ScoreRows, rows).scores, None)

    def decode(self, z: Tensor, change: Tensor | None) -> Tensor:
        linear = F.linear(z, self.decoder_path)
        return linear if change is None else linear + change

    def log_likelihood(self, rows: Rows, decoded: Tensor) -> Tensor:
        log_noise = self.n_features * (_LOG_2PI + torch.log(self.shared_noise))
        return -0.5 * (self.misfit(rows, decoded) / self.shared_noise + log_noise)

    def reconstruction(self, decoded: Tensor) -> Tensor:
        return decoded

    def squared_error(self, rows: Rows, features: Tensor) -> Tensor:
        own = cast(ScoreRows, rows)
        mean, scores = torch.broadcast_tensors(features, own.scores)
        return F.mse_loss(mean, scores, reduction="none").sum(-1) + own.residual

    def energy(self, rows: Rows) -> Tensor:
        own = cast(ScoreRows, rows)
        return own.scores.square().sum(-1) + own.residual

    @torch.no_grad()
    def forget_start(self) -> None:
        self.decoder_path.zero_()
        self.shared_noise.fill_(1.0)

    @property
    def linear_parameters(self) -> list[nn.Parameter]:
        return [self.decoder_path]

    @property
    def dispersions(self) -> list[nn.Parameter]:
        return []

    @property
    def cost(self) -> int:
        return 0

    @property
    def noise_variance(self) -> Tensor:
        return self.shared_noise

    def corrupt(self, rows: Rows, noise: float, masking: float, generator: torch.Generator) -> Rows:
        """Hidden columns are set to the mean."""
        own = cast(ScoreRows, rows)
        x = own.scores
        if masking:
            columns = x @ self.components
            there = torch.empty_like(columns).uniform_(generator=generator) >= masking
            x = F.linear(columns * there, self.components)
        if noise:
            x = x + noise * torch.empty_like(x).normal_(generator=generator)
        return replace(own, scores=x)

    def update_noise(self, log_likelihood: Tensor, rate: float) -> None:
        s2 = self.shared_noise
        # Per column, in units of the noise as it is.
        error = (-2.0 / self.n_features) * log_likelihood - torch.log(s2) - _LOG_2PI
        s2.lerp_((s2 * error).clamp_(min=NOISE_FLOOR), rate)

    def misfit(self, rows: Rows, decoded: Tensor) -> Tensor:
        """The squared error, which noise of any variance explains better or worse."""
        return self.squared_error(rows, decoded)

    def likelihood_at(self, misfit: np.ndarray, noise: float) -> np.ndarray:
        return -0.5 * (misfit / noise + self.n_features * (_LOG_2PI + math.log(noise)))

    def noise_of(self, misfit: float, widest: float) -> float:
        return max(min(misfit, widest) / self.n_features, NOISE_FLOOR)

    def set_noise(self, noise: float) -> None:
        self.shared_noise.fill_(noise)

    def gain(self, error_gain: Tensor, density_gain: Tensor) -> Tensor:
        """PCA is judged by its error."""
        return error_gain
