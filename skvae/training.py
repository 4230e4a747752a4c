"""From the linear start to the fitted model: batches, the step, stopping, acceptance.

The learning rate warms up, stays while the held-out bound of the averaged weights rises, then
falls to zero from the best state so far. `keep` at the end decides how much of it is kept.
Every number here was chosen by an experiment; docs/theory.md has its figure.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skvae.objective import Terms, elbo, importance_bound, mixture, shrinkage_undone
from skvae.vae import VAE, squared_error

LEARNING_RATE = 4e-3
LINEAR_RATE = 0.1  # share of the learning rate that the linear path gets
WEIGHT_DECAY = 1e-4
CLIP_NORM = 1.0
WARM_UP = 100  # steps
AVERAGING = 0.99  # of the weights that are evaluated and kept
NOISE_RATE = 0.02  # share of a batch's squared error in the running noise variance
NOISE_FLOOR = 1e-7  # float32 cannot tell rows apart below it
CHECK_STEPS = 25  # at least as many steps lie between two looks at the held-out rows
PATIENCE = 4  # looks without a gain of TOLERANCE before the rate falls
TOLERANCE = 0.002
DECAY_SHARE = 0.5  # length of the fall, as a share of the steps before it
START_WEIGHT_MIN = 0.01
EM_STEPS = 50
KEEP_SHARES = (1.0, 0.75, 0.5, 0.25)
N_STANDARD_ERRORS = 1.0
N_DRAWS = 16


class Rows(NamedTuple):
    """Rows in score space: scores (n, k), residual energy (n,), weights (n,) or None."""

    scores: Tensor
    residual: Tensor
    weight: Tensor | None

    def take(self, index: Tensor) -> "Rows":
        weight = None if self.weight is None else self.weight[index]
        return Rows(self.scores[index], self.residual[index], weight)

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean of one value per row."""
        if self.weight is None:
            return values.mean()
        return (self.weight * values).sum() / self.weight.sum()


class Budget(NamedTuple):
    """How long to train."""

    batch_size: int
    max_passes: int
    early_stopping: bool


class Progress(NamedTuple):
    """What a progress bar shows."""

    n_passes: int
    last_pass: int
    bounds: list[float]  # the first is the linear start's


@dataclass
class Record:
    """What training leaves beside the weights."""

    losses: list[Tensor] = field(default_factory=list)  # minus the bound, one per pass
    bounds: list[float] = field(default_factory=list)  # held out, one per check
    n_passes: int = 0
    converged: bool = False
    interrupted: bool = False


class DivergenceError(FloatingPointError):
    """Training met a loss that is not finite."""


def train(
    vae: VAE,
    rows: Rows,
    held_out: Rows,
    budget: Budget,
    generator: torch.Generator,
    precision: torch.dtype = torch.float32,
    report: Callable[[Progress], None] | None = None,
) -> Record:
    """Train in place; leave the weights of the best look at the held-out rows."""
    record, plan, averaged = Record(), Plan(budget, len(rows.scores)), copy.deepcopy(vae)
    noise = draw_noise(held_out, vae, generator)
    record.bounds.append(look(averaged, held_out, noise))
    best, best_pass = copy.deepcopy(averaged.state_dict()), 0
    optimizer = make_optimizer(vae)
    try:
        while record.n_passes < plan.last_pass:
            loss = one_pass(vae, averaged, optimizer, rows, plan, generator, precision)
            record.losses.append(loss)
            record.n_passes += 1
            if not plan.is_due(record.n_passes):
                continue
            record.bounds.append(look(averaged, held_out, noise))
            if record.bounds[-1] == max(record.bounds):
                best, best_pass = copy.deepcopy(averaged.state_dict()), record.n_passes
            if plan.must_fall(record):
                plan.fall(record.n_passes, best_pass)
                vae.load_state_dict(best)
                averaged.load_state_dict(best)
            if report is not None:
                report(Progress(record.n_passes, plan.last_pass, record.bounds))
    except KeyboardInterrupt:
        if record.n_passes == 0:
            raise
        record.interrupted = True
    vae.load_state_dict(best)
    record.converged = plan.has_settled
    return record


def one_pass(
    vae: VAE,
    averaged: VAE,
    optimizer: torch.optim.Optimizer,
    rows: Rows,
    plan: "Plan",
    generator: torch.Generator,
    precision: torch.dtype,
) -> Tensor:
    """One pass over the rows in random order; minus the mean bound, left on the device."""
    device = rows.scores.device
    order = torch.randperm(len(rows.scores), generator=generator, device=generator.device)
    bounds = []
    for index in order.split(plan.batch_size)[: plan.pass_steps]:
        batch = rows.take(index)
        noise = draw_noise(batch, vae, generator)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate() * group["share"]

        with torch.autocast(device.type, torch.bfloat16, precision == torch.bfloat16):
            terms = elbo(vae, batch.scores, batch.residual, batch.weight, noise)
        optimizer.zero_grad()
        terms.loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), CLIP_NORM)
        optimizer.step()
        follow(vae, averaged, terms, plan.step)

        plan.step += 1
        bounds.append(terms.elbo)
    return -torch.stack(bounds).mean()


@torch.no_grad()
def follow(vae: VAE, averaged: VAE, terms: Terms, step: int) -> None:
    """Let the noise follow the batch's squared error, and the averaged weights the weights."""
    noise = (terms.squared_error / vae.n_features).clamp(min=NOISE_FLOOR)
    vae.noise_variance.lerp_(noise, NOISE_RATE)
    share = 1.0 - min(AVERAGING, (1 + step) / (10 + step))
    for mean, parameter in zip(averaged.parameters(), vae.parameters(), strict=True):
        mean.lerp_(parameter, share)


def make_optimizer(vae: VAE) -> torch.optim.Optimizer:
    """AdamW: branches decay toward zero, the linear path moves slowly and never decays."""
    linear = [vae.encoder_path, vae.decoder_path]
    branches = [p for name, p in vae.named_parameters() if not name.endswith("_path")]
    groups = [
        {"params": [p for p in branches if p.ndim > 1], "share": 1.0},
        {"params": [p for p in branches if p.ndim <= 1], "share": 1.0, "weight_decay": 0.0},
        {"params": linear, "share": LINEAR_RATE, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, betas=(0.9, 0.99), fused=True)


def draw_noise(rows: Rows, vae: VAE, generator: torch.Generator) -> Tensor:
    """Standard normal noise for one draw from each row's posterior, shape (n, q)."""
    return rows.scores.new_empty(len(rows.scores), vae.latent_dim).normal_(generator=generator)


@torch.no_grad()
def look(vae: VAE, held_out: Rows, noise: Tensor) -> float:
    """Set the noise and the code scale from held-out rows; their mean bound in nats."""
    q = vae.encode(held_out.scores)
    error = squared_error(held_out.scores, vae.decode(q.sample(noise)), held_out.residual)
    vae.noise_variance.copy_((held_out.mean(error) / vae.n_features).clamp(min=NOISE_FLOOR))
    vae.code_scale.copy_(shrinkage_undone(q.log_variance))
    bound = held_out.mean(vae.log_likelihood(error) - q.kl().sum(-1)).item()
    if not math.isfinite(bound):
        raise DivergenceError(f"the held-out bound became {bound}")
    return bound


class Plan:
    """When the held-out rows are looked at, what the learning rate is, which pass is the last."""

    def __init__(self, budget: Budget, n_rows: int) -> None:
        self.batch_size = min(budget.batch_size, n_rows)
        self.pass_steps = n_rows // self.batch_size
        self.check_passes = max(1, round(CHECK_STEPS / self.pass_steps))
        self.early_stopping = budget.early_stopping
        self.last_pass = budget.max_passes
        self.step = 0
        self.fall_pass: int | None = None
        self.has_settled = False

    def fall_length(self, n_passes: int) -> int:
        """Passes that the fall takes after so many passes at the full rate."""
        return math.ceil(DECAY_SHARE * n_passes + WARM_UP / self.pass_steps)

    def is_due(self, n_passes: int) -> bool:
        return n_passes % self.check_passes == 0 or n_passes == self.last_pass

    def must_fall(self, record: Record) -> bool:
        """Whether the bound has settled, or the fall would not end in the budget if it waited."""
        if self.fall_pass is not None:
            return False
        if self.early_stopping and self.step >= WARM_UP and has_settled(record.bounds):
            self.has_settled = True
            return True
        next_look = record.n_passes + self.check_passes
        return next_look + self.fall_length(next_look) > self.last_pass

    def fall(self, n_passes: int, best_pass: int) -> None:
        """Let the learning rate fall to zero from here."""
        self.fall_pass = n_passes
        self.last_pass = min(self.last_pass, n_passes + self.fall_length(best_pass))

    def rate(self) -> float:
        """Learning rate of the step that comes."""
        if self.fall_pass is None:
            return LEARNING_RATE * min(1.0, (self.step + 1) / WARM_UP)
        done = self.step / self.pass_steps - self.fall_pass
        return LEARNING_RATE * (1.0 - done / (self.last_pass - self.fall_pass))


def has_settled(bounds: list[float]) -> bool:
    """Whether the last looks have not raised the best bound by a share of what was gained."""
    before, recent = bounds[:-PATIENCE], bounds[-PATIENCE:]
    if not before:
        return False
    return max(recent) <= max(before) + TOLERANCE * (max(before) - bounds[0])


class Kept(NamedTuple):
    """How much of the training was kept."""

    share: float  # 0: the linear start, 1: all of the training
    start_weight: float  # of the linear start in the reported density


@torch.no_grad()
def keep(
    vae: VAE,
    start: dict[str, Tensor] | None,
    held_out: Rows,
    start_log_prob: Tensor,
    start_error: Tensor,
    generator: torch.Generator,
) -> Kept:
    """Keep as much of the training as beats the linear start on held-out rows.

    Weights go back toward the start's (none if start is None: the training began elsewhere) until
    the squared error of the point codes falls by more than its standard error and the density
    rises; failing that, nothing is kept.
    """
    trained = copy.deepcopy(vae.state_dict())
    x, residual = held_out.scores, held_out.residual
    noise = draw_noise(held_out, vae, generator)
    draws = noise.new_empty(N_DRAWS, vae.latent_dim).normal_(generator=generator)
    for share in KEEP_SHARES:
        if share < 1.0:
            if start is None:
                break
            vae.load_state_dict({k: start[k].lerp(w, share) for k, w in trained.items()})
            look(vae, held_out, noise)
        gain = start_error - squared_error(x, vae.decode(vae.codes(x)), residual)
        log_prob = importance_bound(vae, x, residual, draws)
        weight = mixture_weight(log_prob, start_log_prob, held_out)
        density_gain = mixture(log_prob, start_log_prob, weight) - start_log_prob
        if exceeds(gain, held_out, N_STANDARD_ERRORS) and held_out.mean(density_gain) > 0:
            return Kept(share, weight)
    return Kept(0.0, 1.0)


def exceeds(gain: Tensor, rows: Rows, n_standard_errors: float) -> bool:
    """Whether the mean of a paired gain is so many standard errors above zero."""
    mean = rows.mean(gain)
    error = (rows.mean((gain - mean).square()) / max(len(gain) - 1, 1)).sqrt()
    return bool(mean > n_standard_errors * error)


def mixture_weight(log_prob: Tensor, start_log_prob: Tensor, rows: Rows) -> float:
    """The start's weight of greatest held-out likelihood, by EM on one number."""
    weight = 0.5
    for _ in range(EM_STEPS):
        odds = math.log(weight) - math.log1p(-weight)
        share = torch.sigmoid(odds + start_log_prob - log_prob)
        weight = min(max(rows.mean(share).item(), START_WEIGHT_MIN), 1.0 - START_WEIGHT_MIN)
    return weight
