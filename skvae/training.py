"""From the linear start to the fitted model: batches, the step, stopping, acceptance.

The learning rate warms up, stays while the held-out bound of the averaged weights rises, then
falls to zero from the best state so far. On the way `Plan` sets weight decay against overfitting
and larger batches against standstill. docs/theory.md has the experiments behind the numbers.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from skvae.held_out import HeldOut
from skvae.objective import Terms, elbo
from skvae.vae import VAE, Rows

LEARNING_RATE = 4e-3
WEIGHT_DECAYS = (1e-4, 0.05, 0.2, 1.0)  # of the branches: the next at every look that overfits
# The training bound may exceed the held-out one by this share of what that has gained since its
# first look, and by as many nats per number of a row besides, which are noise.
OVERFIT = (0.3, 0.05)
CLIP_NORM = 1.0
WARM_UP = 50  # steps
AVERAGING = 0.99  # of the weights that are evaluated and kept
NOISE_RATE = 0.1  # share of a batch's squared error in the running noise variance
CHECK_STEPS = 25  # about as many lie between two looks at the held-out rows, or one pass
MIN_STEPS = 300  # before the bound can have settled
PATIENCE = 4  # looks without a gain of TOLERANCE before the rate falls
TOLERANCE = 0.01
ENLARGEMENT = 4  # of batches, once the bound has settled without overfitting
FALL_SHARE = 0.3  # length of the fall, as a share of the passes before it


class Budget(NamedTuple):
    """How long to train."""

    batch_size: int
    may_grow: bool  # the batch, once the bound has settled
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
    bounds: list[float] = field(default_factory=list)  # held out; the first is the start's
    n_passes: int = 0
    converged: bool = False
    interrupted: bool = False


class AdamW:
    """AdamW (Loshchilov & Hutter, 2019) on one tensor that holds all weights of a model.

    Each part of the model has its share of the rate (`rates`): branches decay toward zero, the
    linear path moves slowly and never decays. torch's functional form, because its class takes a
    second to import a compiler.
    """

    def __init__(self, vae: VAE) -> None:
        self.weights, self.gradient = as_one_tensor(vae)
        self.mean, self.square = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.groups, first = [], 0
        for parameters, share, decays in vae.rates:
            last = first + sum(parameter.numel() for parameter in parameters)
            if last > first:
                self.groups.append((slice(first, last), share, float(decays)))
            first = last
        self.steps = [self.weights.new_zeros((), dtype=torch.float32) for _ in self.groups]

    def step(self, rate: float, weight_decay: float) -> None:
        """Move the weights against the gradient."""
        for (part, share, decays), step in zip(self.groups, self.steps, strict=True):
            adamw(
                params=[self.weights[part]],
                grads=[self.gradient[part]],
                exp_avgs=[self.mean[part]],
                exp_avg_sqs=[self.square[part]],
                max_exp_avg_sqs=[],
                state_steps=[step],
                fused=True,
                lr=rate * share,
                weight_decay=decays * weight_decay,
                beta1=0.9,
                beta2=0.99,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )


@dataclass
class Learner:
    """A model in training: its weights, their running average, what moves them."""

    vae: VAE
    averaged: VAE
    averaged_weights: Tensor  # all of averaged's
    optimizer: AdamW
    generator: torch.Generator
    precision: torch.dtype
    step: int = 0

    @classmethod
    def of(cls, vae: VAE, generator: torch.Generator, precision: torch.dtype) -> "Learner":
        averaged = copy.deepcopy(vae)
        weights, _ = as_one_tensor(averaged)
        return cls(vae, averaged, weights, AdamW(vae), generator, precision)

    def go_back(self, state: dict[str, Tensor]) -> None:
        """Go on from other weights."""
        self.vae.load_state_dict(state)
        self.averaged.load_state_dict(state)

    @torch.no_grad()
    def follow(self, terms: Terms) -> None:
        """Let the noise follow the batch's squared error, and the average the weights."""
        self.vae.follow_noise(terms.log_likelihood, NOISE_RATE)
        share = 1.0 - min(AVERAGING, (1 + self.step) / (10 + self.step))
        self.averaged_weights.lerp_(self.optimizer.weights, share)


def as_one_tensor(vae: VAE) -> tuple[Tensor, Tensor]:
    """All weights, in the order of `rates`, and their gradient; the parameters become views.

    What treats every weight alike then takes one operation instead of one per layer.
    """
    parameters = [parameter for part, *_ in vae.rates for parameter in part]
    weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
    weights.grad = gradient = torch.zeros_like(weights)
    sizes = [parameter.numel() for parameter in parameters]
    parts = zip(parameters, weights.split(sizes), gradient.split(sizes), strict=True)
    for parameter, values, part in parts:
        parameter.data = values.view_as(parameter)
        parameter.grad = part.view_as(parameter)
    return weights, gradient


def train(
    learner: Learner,
    rows: Rows,
    training: Tensor,
    held_out: HeldOut,
    plan: "Plan",
    report: Callable[[Progress], None] = lambda progress: None,
) -> Record:
    """Train on rows[training]; leave the weights of the best look at the held-out rows."""
    record = Record(bounds=[held_out.start_bound])
    best, best_pass = copy.deepcopy(learner.averaged.state_dict()), 0
    try:
        while record.n_passes < plan.last_pass:
            record.losses.append(one_pass(learner, rows, training, plan))
            record.n_passes += 1
            if not plan.is_due(record.n_passes):
                continue
            record.bounds.append(held_out.look(learner.averaged))
            if record.bounds[-1] == max(record.bounds[1:]):
                best, best_pass = copy.deepcopy(learner.averaged.state_dict()), record.n_passes
            if plan.adapt(record, learner.step, best_pass):
                learner.go_back(best)
            report(Progress(record.n_passes, plan.last_pass, record.bounds))
    except KeyboardInterrupt:
        if record.n_passes == 0:
            raise
        record.interrupted = True
    learner.go_back(best)
    record.converged = plan.has_settled
    return record


def one_pass(learner: Learner, rows: Rows, training: Tensor, plan: "Plan") -> Tensor:
    """One pass over rows[training] in random order; minus the mean bound, left on the device."""
    vae, optimizer, generator = learner.vae, learner.optimizer, learner.generator
    autocast = torch.autocast(
        training.device.type, torch.bfloat16, learner.precision == torch.bfloat16
    )
    order = torch.randperm(len(training), generator=generator, device=training.device)
    bounds = []
    for index in training[order].split(plan.batch_size)[: plan.pass_steps]:
        batch = rows.batch(index, generator)
        noise = batch.draw_noise(vae.latent_dim, generator)

        with autocast:
            terms = elbo(vae, batch, noise)
        optimizer.gradient.zero_()
        terms.loss.backward()
        nn.utils.clip_grad_norm_([optimizer.weights], CLIP_NORM)
        optimizer.step(plan.rate(learner.step), plan.weight_decay)
        learner.follow(terms)

        learner.step += 1
        bounds.append((batch.is_masked, terms.elbo))
    # The bound of fewer cells is no measure of the bound of all.
    whole = [bound for is_masked, bound in bounds if not is_masked]
    return -torch.stack(whole or [bound for _, bound in bounds]).mean()


class Plan:
    """How training goes on, as the looks at the held-out rows have it, and when it ends.

    Rows that are learnt by heart call for weight decay. Where the bound has settled without, the
    noise of the gradient holds it back: batches grow. Once it settles again the rate falls to zero.
    """

    def __init__(self, budget: Budget, n_rows: int, n_inputs: int) -> None:
        self.n_rows, self.n_inputs = n_rows, n_inputs
        self.batch_size = min(budget.batch_size, n_rows)
        growth = ENLARGEMENT if budget.may_grow else 1
        self.largest_batch = min(growth * self.batch_size, n_rows // 2)
        self.early_stopping = budget.early_stopping
        self.last_pass = budget.max_passes
        self.decay_level = 0
        self.n_looks_before = 0  # those before the last change say nothing of its effect
        self.fall_steps: range | None = None
        self.has_settled = False

    @property
    def pass_steps(self) -> int:
        return self.n_rows // self.batch_size

    @property
    def check_passes(self) -> int:
        """Passes from one look at the held-out rows to the next."""
        return max(1, round(CHECK_STEPS / self.pass_steps))

    @property
    def weight_decay(self) -> float:
        return WEIGHT_DECAYS[self.decay_level]

    def is_due(self, n_passes: int) -> bool:
        return n_passes % self.check_passes == 0 or n_passes == self.last_pass

    def adapt(self, record: Record, step: int, best_pass: int) -> bool:
        """Change what the last look calls for; whether to go back to the best weights for it."""
        if self.fall_steps is not None:
            return False
        n_looks, last_level = len(record.bounds) - 1, len(WEIGHT_DECAYS) - 1
        if self.decay_level < last_level and overfits(record, self.check_passes, self.n_inputs):
            self.decay_level += 1
            self.n_looks_before = n_looks
        next_look = record.n_passes + self.check_passes
        if next_look + self.fall_length(next_look) > self.last_pass:
            self.fall(record.n_passes, self.last_pass, step)
            return True
        waited = step >= MIN_STEPS and n_looks >= self.n_looks_before + PATIENCE
        if not (self.early_stopping and waited and has_settled(record.bounds)):
            return False
        if self.decay_level == 0 and self.batch_size < self.largest_batch:
            self.batch_size = self.largest_batch
            self.n_looks_before = n_looks
            return True
        self.has_settled = True
        length = self.fall_length(best_pass)
        self.fall(record.n_passes, min(self.last_pass, record.n_passes + length), step)
        return True

    def fall_length(self, n_passes: int) -> int:
        """Passes that the fall takes after so many passes at the full rate."""
        return math.ceil(FALL_SHARE * n_passes + WARM_UP / self.pass_steps)

    def fall(self, n_passes: int, last_pass: int, step: int) -> None:
        """Let the learning rate fall to zero from here to the last pass."""
        self.last_pass = last_pass
        self.fall_steps = range(step, step + (last_pass - n_passes) * self.pass_steps)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        if self.fall_steps is None:
            return LEARNING_RATE * min(1.0, (step + 1) / WARM_UP)
        return LEARNING_RATE * (1.0 - (step - self.fall_steps.start) / len(self.fall_steps))


def overfits(record: Record, check_passes: int, n_inputs: int) -> bool:
    """Whether the training bound exceeds the held-out one by much of what was gained."""
    share, nats = OVERFIT
    training = -torch.stack(record.losses[-check_passes:]).mean().item()
    first, last = record.bounds[1], record.bounds[-1]
    return training - last > share * abs(last - first) + nats * n_inputs


def has_settled(bounds: list[float]) -> bool:
    """Whether the last looks raised the best bound by less than a share of what was gained.

    The first bound, the linear start's own, may be far off on rows far out: it does not count.
    """
    before, recent = bounds[1:-PATIENCE], bounds[-PATIENCE:]
    if not before:
        return False
    return max(recent) <= max(before) + TOLERANCE * (max(before) - min(before))
