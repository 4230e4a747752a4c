"""The judge: rows that training never sees say what a model is worth.

The held-out bound is that of the density which is reported, a mixture of the model with the linear
start: a few far rows, which the start explains as badly, then decide nothing.
"""

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.linear import ProbabilisticPCA
from skvae.objective import importance_bound, mixture, shrinkage_undone
from skvae.vae import VAE, Posterior, Rows, squared_error

NOISE_FLOOR = 1e-7  # float32 cannot tell rows apart below it
START_WEIGHT_MIN = 0.01
WIDEST_NOISE = 3.0  # times the start's median error, per column
EM_STEPS = 20
FEWEST_ROWS = 20  # that can say anything of a model
N_DRAWS = 16
KEEP_SHARES = (1.0, 0.75, 0.5, 0.25)
N_STANDARD_ERRORS = 3.0


class DivergenceError(FloatingPointError, ValueError):
    """Training met a bound that is not finite."""


class Kept(NamedTuple):
    """How much of the training was kept."""

    share: float  # 0: the linear start, 1: all of the training
    start_weight: float  # of the linear start in the reported density


@dataclass(frozen=True)
class HeldOut:
    """Held-out rows, what the linear start makes of them, and the noise they are judged with."""

    rows: Rows
    seen: Rows  # some of the training rows
    start: VAE  # the linear start, without branches
    start_log_prob: Tensor  # (n,), nats of scaled units
    start_error: Tensor  # (n,), squared error of the reconstruction
    noise: Tensor  # (n, q), one draw from each row's posterior
    draws: Tensor  # (N_DRAWS, q), shared by the rows

    @classmethod
    def of(
        cls, rows: Rows, seen: Rows, start: ProbabilisticPCA, generator: torch.Generator
    ) -> "HeldOut":
        """Judge by these rows against this start; seen are rows of the training."""
        x, q = rows.scores, start.latent_dim
        log_prob = start.log_prob(
            x.double().numpy(force=True), rows.residual.double().numpy(force=True)
        )
        return cls(
            rows,
            seen,
            VAE(start).to(x),
            torch.from_numpy(log_prob).to(x),
            x[:, q:].square().sum(-1) + rows.residual,
            rows.draw_noise(q, generator),
            x.new_empty(N_DRAWS, q).normal_(generator=generator),
        )

    @property
    def start_bound(self) -> float:
        """Mean log-likelihood of the linear start."""
        return self.rows.mean(self.start_log_prob).item()

    @torch.no_grad()
    def look(self, vae: VAE) -> float:
        """Set the model's units, noise and code scale from rows; the mean held-out bound in nats.

        Noise and mixture weight follow from EM on two numbers. The start is drawn with the same
        noise as the model, so that luck in the draws favours neither.
        """
        if len(self.seen.scores) >= FEWEST_ROWS:
            vae.follow_prior(self.seen)
        q, error, kl = self._terms(vae)
        vae.code_scale.copy_(shrinkage_undone(self.rows.mean(q.log_variance.exp())))
        _, start_error, start_kl = self._terms(self.start)
        start_bound = self.start.log_likelihood(start_error) - start_kl
        # One row far out could claim the model for itself, with noise to match.
        widest = WIDEST_NOISE * self.start_error.median() / vae.n_features
        noise = error.median() / vae.n_features
        weight = torch.full_like(noise, START_WEIGHT_MIN)
        for _ in range(EM_STEPS):
            vae.noise_variance.copy_(noise.clamp(max=widest).clamp(min=NOISE_FLOOR))
            bound = vae.log_likelihood(error) - kl
            odds = torch.log1p(-weight) - torch.log(weight)
            ours = torch.sigmoid(odds + bound - start_bound)
            noise = self.rows.mean(ours * error) / self.rows.mean(ours).clamp(min=1e-6)
            noise = noise / vae.n_features
            weight = self.rows.mean(1.0 - ours).clamp(START_WEIGHT_MIN, 1.0 - START_WEIGHT_MIN)
        gain = self.rows.mean(mixture(bound, start_bound, weight) - start_bound).item()
        if not math.isfinite(gain):
            raise DivergenceError(f"the held-out bound became {gain}")
        return self.start_bound + gain

    def _terms(self, vae: VAE) -> tuple[Posterior, Tensor, Tensor]:
        q = vae.encode(self.rows.scores)
        mean = vae.decode(q.sample(self.noise))
        error = squared_error(self.rows.scores, mean, self.rows.residual)
        return q, error, q.kl().sum(-1)

    @torch.no_grad()
    def keep(self, vae: VAE, origin: dict[str, Tensor] | None) -> Kept:
        """Keep as much of the training as beats the linear start.

        Weights go back toward origin's, where training began at the linear start, until the
        squared error of the point codes falls by more than its standard error and the density
        rises; failing that, nothing is kept.
        """
        trained = copy.deepcopy(vae.state_dict())
        x, residual = self.rows.scores, self.rows.residual
        for share in KEEP_SHARES:
            if share < 1.0:
                if origin is None:
                    break
                vae.load_state_dict({k: origin[k].lerp(w, share) for k, w in trained.items()})
                self.look(vae)
            gain = self.start_error - squared_error(x, vae.decode(vae.codes(x)), residual)
            log_prob = importance_bound(vae, x, residual, self.draws)
            weight = self.start_weight(log_prob)
            density_gain = mixture(log_prob, self.start_log_prob, weight) - self.start_log_prob
            if self.exceeds(gain) and self.rows.mean(density_gain) > 0:
                return Kept(share, max(weight.item(), START_WEIGHT_MIN))
        return Kept(0.0, 1.0)

    def exceeds(self, gain: Tensor) -> bool:
        """Whether the mean of a paired gain is more than its standard error above zero."""
        mean = self.rows.mean(gain)
        error = (self.rows.mean((gain - mean).square()) / max(len(gain) - 1, 1)).sqrt()
        return bool(mean > N_STANDARD_ERRORS * error)

    def start_weight(self, log_prob: Tensor) -> Tensor:
        """The start's weight of greatest likelihood in the mixture, by EM on one number."""
        weight = torch.full_like(log_prob[0], 0.5)
        for _ in range(EM_STEPS):
            odds = torch.log(weight) - torch.log1p(-weight)
            share = self.rows.mean(torch.sigmoid(odds + self.start_log_prob - log_prob))
            weight = share.clamp(START_WEIGHT_MIN, 1.0 - START_WEIGHT_MIN)
        return weight
