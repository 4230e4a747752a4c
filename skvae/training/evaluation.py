"""Evaluation: rows that training never sees say what a model is worth.

The held-out bound is that of the density which is reported, a mixture of the model with the linear
start: a few far rows, which the start explains as badly, then decide nothing.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor

from skvae.limits import Limits
from skvae.model.bounds import importance_bound, log_weight, mixture
from skvae.model.observation import Observation
from skvae.model.posterior import Posterior
from skvae.model.priors import PriorModule
from skvae.model.refinement import refined_codes
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.config import TrainingConfig
from skvae.training.gain import Gain
from skvae.training.objective import explained, shrinkage_undone
from skvae.training.optimizer import Part
from skvae.training.optimizers import AdamW


class DivergenceError(FloatingPointError, ValueError):
    """The loss or the bound of a training is not finite."""


class Verdict(NamedTuple):
    """By how much held-out rows are better off than under the linear start."""

    judged: Gain  # of what decides, as `vae.gain` has it
    likelier: Gain  # nats

    def is_no_worse(self, before: "Verdict", n_standard_errors: float) -> bool:
        """Whether the same rows are as well off as before, but for so many standard errors."""
        pairs = zip(self, before, strict=True)
        return all(own.less(other).is_no_loss(n_standard_errors) for own, other in pairs)


class Evaluation(NamedTuple):
    """What one evaluation on the held-out rows found: means over them, in nats."""

    bound: float  # of the mixture with the linear start
    reconstruction: float  # of the model alone
    kl: float
    noise: float  # variance that all columns share; NaN where they do not


@dataclass(frozen=True)
class Evaluator:
    """Held-out rows, what the linear start makes of them, and the noise they are judged with."""

    rows: Rows
    seen: Rows  # some of the training rows
    start: VAE  # the linear start, without networks
    first_evaluation: Evaluation  # at the linear start
    start_log_prob: Tensor  # (n,), importance-weighted bound, nats
    start_elbo: Tensor  # (n,), by the noise that models are looked at with
    start_error: Tensor  # (n,), squared error of the reconstruction
    noise: Tensor  # (n, q), one draw from each row's posterior
    draws: Tensor  # (n_draws, q), shared by the rows
    is_deterministic: bool  # rows are decoded from their codes, and there is no KL
    generator: torch.Generator  # that the training goes on with
    limits: Limits
    refinement: int  # steps by which codes are refined before rows are decoded from them

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        rows: Rows,
        seen: Rows,
        start: VAE,
        generator: torch.Generator,
        config: TrainingConfig,
    ) -> "Evaluator":
        """Judge by these rows against this start; seen are rows of the training."""
        limits, is_deterministic = config.limits, config.objective.is_deterministic
        noise = rows.draw_noise(start.latent_dim, generator)
        fewest, most = limits.evaluation_draws
        n_draws = min(max(limits.evaluation_row_draws // rows.n_rows, fewest), most)
        draws = noise.new_empty(n_draws, start.latent_dim).normal_(generator=generator)
        codes = start.codes(rows)
        q, decoded = start.encode(rows), start.decode(codes)
        weights = torch.stack([log_weight(start, rows, q, draw) for draw in draws])
        if is_deterministic:
            bound, kl = rows.mean(start.log_likelihood(rows, decoded)).item(), 0.0
        else:
            bound, kl = rows.mean(weights.mean(0)).item(), rows.mean(q.kl().sum(-1)).item()
        _, drawn, start_kl = explained(start, rows, None if is_deterministic else noise)
        return cls(
            rows,
            seen,
            start,
            Evaluation(bound, bound + kl, kl, _shared_noise(start)),
            importance_bound(start, rows, draws, is_mended=True),
            start.log_likelihood(rows, drawn) - start_kl,
            start.observation.squared_error(rows, start.reconstruct(codes)),
            noise,
            draws,
            is_deterministic,
            generator,
            limits,
            config.refinement,
        )

    def of_some(self, index: Tensor) -> "Evaluator":
        """One that judges by some of the rows alone."""
        of_rows = ("start_log_prob", "start_elbo", "start_error", "noise")
        chosen = {name: getattr(self, name)[index] for name in of_rows}
        return replace(self, rows=self.rows.take(index), **chosen)

    @property
    def start_bound(self) -> float:
        """Mean evidence lower bound of the linear start."""
        return self.first_evaluation.bound

    @torch.no_grad()
    def calibrate_and_evaluate(self, vae: VAE) -> Evaluation:
        """Set the model's units, noise and code scale from rows; see what it is worth.

        Noise and mixture weight follow from EM on two numbers. The start is drawn with the same
        noise as the model, so that luck in the draws favours neither.
        """
        if self.seen.n_rows >= self.limits.min_evaluation_rows:
            vae.update_units(self.seen)
        q, decoded, kl = self._terms(vae)
        if not self.is_deterministic:
            vae.scale.code_scale.copy_(shrinkage_undone(self.rows.mean(q.variance)))
        misfit, cost = _array(vae.observation.misfit(self.rows, decoded)), _array(kl)
        mean, start = self._shares(), _array(self.start_elbo)
        bound, noise, weight = self._mix(vae.observation, misfit, cost, mean, start)
        vae.observation.set_noise(noise)
        with np.errstate(invalid="ignore"):
            mixed = np.logaddexp(math.log1p(-weight) + bound, math.log(weight) + start)
            gain = float(mean @ (mixed - start))
        if not math.isfinite(gain):
            raise DivergenceError(f"the held-out bound became {gain}")
        mean_kl = float(mean @ cost)
        reconstruction = float(mean @ bound) + mean_kl
        return Evaluation(self.start_bound + gain, reconstruction, mean_kl, _shared_noise(vae))

    def _mix(
        self,
        observation: Observation,
        misfit: np.ndarray,
        kl: np.ndarray,
        mean: np.ndarray,
        start: np.ndarray,
    ) -> tuple[np.ndarray, float, float]:
        """Bounds of rows, noise, and the start's weight in the mixture, by EM on the two."""
        least = self.limits.start_weight_min
        # One row far out could claim the model for itself, with noise to match.
        widest = self.limits.widest_noise * self._median(self.start_error).item()
        ours, weight = (_array(self.start_error) <= widest).astype(kl.dtype), least
        with np.errstate(all="ignore"):
            for _ in range(self.limits.em_steps):
                counted = mean * ours
                error = float(counted @ misfit) / max(float(counted.sum()), 1e-6)
                noise = observation.noise_of(error, widest)
                bound = observation.likelihood_at(misfit, noise) - kl
                ours = expit(math.log1p(-weight) - math.log(weight) + bound - start)
                weight = min(max(1.0 - float(mean @ ours), least), 1.0 - least)
        return bound, noise, weight

    def _shares(self) -> np.ndarray:
        """How much each row counts in a mean."""
        if self.rows.weight is None:
            return np.full(self.rows.n_rows, 1.0 / self.rows.n_rows)
        weight = _array(self.rows.weight)
        return weight / weight.sum()

    def _median(self, values: Tensor) -> Tensor:
        """Weighted median over the rows."""
        if self.rows.weight is None:
            return values.median()
        ordered, order = values.sort()
        up_to = self.rows.weight[order].cumsum(0)
        return ordered[torch.searchsorted(up_to, 0.5 * up_to[-1])]

    def _terms(self, vae: VAE) -> tuple[Posterior, Tensor, Tensor]:
        return explained(vae, self.rows, None if self.is_deterministic else self.noise)

    @torch.no_grad()
    def verdict(self, vae: VAE) -> Verdict:
        """By how much the rows are better off than under the linear start.

        Rows of an autoencoder, which has no density before its posterior is given a width, are
        judged alone by what is decoded from their codes.
        """
        error_gain = self.start_error - self._error(vae)
        density_gain = self._point_gain(vae) if self.is_deterministic else self._density_gain(vae)
        judged = vae.observation.gain(error_gain, density_gain)
        likelier = torch.ones_like(judged) if self.is_deterministic else density_gain
        return Verdict(Gain(judged, self.rows.weight), Gain(likelier, self.rows.weight))

    def _log_prob(self, vae: VAE) -> Tensor:
        return importance_bound(vae, self.rows, self.draws, is_mended=True)

    def _density_gain(self, vae: VAE) -> Tensor:
        log_prob = self._log_prob(vae)
        weight = self.start_weight(log_prob)
        return mixture(log_prob, self.start_log_prob, weight) - self.start_log_prob

    @torch.no_grad()
    def start_weight_of(self, vae: VAE) -> float:
        """The start's weight in the density of a model, which gets a posterior if it has none."""
        if self.is_deterministic:
            self.fit_width(vae)
        weight = self.start_weight(self._log_prob(vae))
        return max(weight.item(), self.limits.start_weight_min)

    @torch.no_grad()
    def is_ahead(self, vae: VAE) -> bool:
        """Whether the start beats a model as clearly as that would have to beat the start."""
        error = self._error(vae)
        if self.is_deterministic:
            gain = self._point_gain(vae)
        else:
            gain = self._log_prob(vae) - self.start_log_prob
        judged = -vae.observation.gain(self.start_error - error, gain)
        return Gain(judged, self.rows.weight).exceeds(self.limits.n_standard_errors)

    def _error(self, vae: VAE) -> Tensor:
        """Squared error of rows that are decoded from the codes which users get."""
        codes = refined_codes(vae, self.rows, self.refinement)
        return vae.observation.squared_error(self.rows, vae.reconstruct(codes))

    def _point_gain(self, vae: VAE) -> Tensor:
        """By how much rows are likelier than under the start, each decoded from its code."""
        ours, theirs = (
            model.log_likelihood(self.rows, self._terms(model)[1]) for model in (vae, self.start)
        )
        return ours - theirs

    @torch.enable_grad()
    def fit_width(self, vae: VAE) -> None:
        """Give a posterior to an autoencoder, whose training asked for none.

        One number per unit, added to the logarithm of its variance, maximises the bound of rows
        of the training by Adam with the same noise at every step.
        """
        rows, noise = self.seen, self.noise[: self.seen.n_rows]
        rows = rows.take(torch.arange(len(noise), device=noise.device))
        with torch.no_grad():
            q = vae.encode(rows)
        width = torch.zeros_like(vae.scale.width)
        moments = [torch.zeros_like(width) for _ in range(AdamW.n_moments)]
        step = torch.zeros((), dtype=torch.float32, device=width.device)
        for _ in range(self.limits.width_steps):
            free = width.clone().requires_grad_()
            wider = q._replace(log_variance=q.log_variance + free)
            z = wider.sample(noise)
            bound = vae.log_likelihood(rows, vae.decode(z)) - vae.kl(wider, z, noise)
            (gradient,) = torch.autograd.grad(-rows.mean(bound), free)
            AdamW().move(
                Part(width, gradient, moments, step, 1.0, False, None), self.limits.width_rate, 0.0
            )
        vae.scale.width += width

    @torch.no_grad()
    def prefer(self, vae: VAE, prior: PriorModule) -> Tensor | None:
        """Give the model another prior where held-out rows are likelier under it.

        Returns the start's weight in the mixture with the new density, or None.
        """
        before = self._log_prob(vae)
        own, vae.prior = vae.prior, prior
        after = self._log_prob(vae)
        if not Gain(after - before, self.rows.weight).exceeds(1.0):
            vae.prior = own
            return None
        return self.start_weight(after)

    def start_weight(self, log_prob: Tensor) -> Tensor:
        """The start's weight of greatest likelihood in the mixture, by EM on one number."""
        weight, least = torch.full_like(log_prob[0], 0.5), self.limits.start_weight_min
        for _ in range(self.limits.em_steps):
            odds = torch.log(weight) - torch.log1p(-weight)
            share = self.rows.mean(torch.sigmoid(odds + self.start_log_prob - log_prob))
            weight = share.clamp(least, 1.0 - least)
        return weight


def _array(values: Tensor) -> np.ndarray:
    """Numbers per row in double precision."""
    return values.numpy(force=True).astype(np.float64)


def _shared_noise(vae: VAE) -> float:
    noise = vae.observation.noise_variance
    return math.nan if noise is None else float(noise)
