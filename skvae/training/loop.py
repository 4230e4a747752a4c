"""From the linear start to the fitted model: batches, the step, stopping.

By default the learning rate warms up, stays while the held-out bound of the averaged weights
rises, then falls to zero from the best state so far. On the way `Plan` sets weight decay against
overfitting and larger batches against standstill. docs/theory.md has the experiments behind the
numbers.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skvae.model.networks import draw_with
from skvae.model.rows import Rows, ScoreRows
from skvae.model.vae import VAE
from skvae.training.evaluation import Evaluation, Evaluator
from skvae.training.graphs import Captured
from skvae.training.objective import Objective, Terms
from skvae.training.optimizers import Optimizer, Part
from skvae.training.schedules import Plateau, Schedule

# The training bound may exceed the held-out one by this share of what that has gained since its
# first look, and by as many nats per number of a row besides, which are noise.
OVERFIT = (0.3, 0.05)
WARM_UP = 50  # steps, but of few no more than this share
WARM_UP_SHARE = 0.1
PASS_ROWS = 131_072  # that a pass takes at most: after it the held-out rows are looked at
BLOCK_ROWS = 256  # neighbours that come together where a pass does not take all the rows
NOISE_RATE = 0.1  # share of a batch's squared error in the running noise variance
CHECK_STEPS = 25  # about as many lie between two looks at the held-out rows, or one pass
MIN_STEPS = 300  # before the bound can have settled
PATIENCE = 3  # looks without a gain of TOLERANCE before the rate falls
TOLERANCE = 0.01
ENLARGEMENT = 4  # of batches, once the bound has settled without overfitting
FALL_PATIENCE = 4  # looks at a falling rate without any gain before training ends
FALL_SHARE = 0.3  # length of the fall, as a share of the passes before it

# What moves the gradient besides the loss: called with it and the share of the budget used up.
Perturbation = Callable[[Tensor, float], None]


class Budget(NamedTuple):
    """How long to train."""

    batch_size: int
    may_grow: bool  # the batch, once the bound has settled
    max_passes: int
    early_stopping: bool
    total_passes: float = math.inf  # those of annealing included


class TrainingConfig(NamedTuple):
    """What to make small, and how."""

    objective: Objective
    optimizer: Optimizer
    kl_schedule: Schedule
    beta: float = 1.0


class StepParameters(NamedTuple):
    """What changes from step to step: numbers, or tensors where the step is captured."""

    rate: Any
    kl_weight: Any
    followed: Any  # share of the weights in their running average


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
    history: list[dict[str, float]] = field(default_factory=list)  # a row per bound
    n_passes: int = 0
    converged: bool = False
    interrupted: bool = False
    # Of every restart its best bound, and how far its codes agree with those of the best.
    restarts: list[tuple[float, float]] = field(default_factory=list)
    # What mean log-densities gain in the user's units: of the training rows, of the held-out ones.
    log_jacobians: tuple[float, ...] = (0.0, 0.0)
    left: Any = None  # the weights, as arrays, where the linear start was kept in their place
    began: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, evaluator: Evaluator) -> "Record":
        """That of a training which begins at what the held-out rows saw first."""
        record = cls()
        record.add(evaluator.first_evaluation, step=0)
        return record

    def add(self, evaluation: Evaluation, **state: float) -> None:
        """Note what a look at the held-out rows saw, and how things stood."""
        self.bounds.append(evaluation.bound)
        seconds = time.perf_counter() - self.began
        seen = {"n_pass": self.n_passes, "seconds": seconds}
        self.history.append(seen | evaluation._asdict() | state)


class Weights:
    """All weights of a model in one tensor, with what the optimiser remembers of them.

    Each part of the model has its share of the rate (`rates`): branches decay toward zero, the
    linear path moves slowly and never decays.
    """

    def __init__(self, vae: VAE, optimizer: Optimizer) -> None:
        self.parameters = parameters_of(vae)
        self.values = as_one_tensor(self.parameters)
        self.gradient = torch.zeros_like(self.values)
        self.optimizer = optimizer
        self.moments = [torch.zeros_like(self.values) for _ in range(optimizer.n_moments)]
        self.parts: list[Part] = []
        first = 0
        for parameters, share, decays in vae.rates:
            pieces: list[tuple[int, tuple[int, ...] | None]] = [
                (sum(p.numel() for p in parameters), None)
            ]
            if decays and optimizer.by_matrix:
                pieces = [(p.numel(), tuple(p.shape)) for p in parameters]
            for size, shape in pieces:
                if size:
                    self._add(slice(first, first + size), share, decays, shape)
                first += size

    def _add(self, where: slice, share: float, decays: bool, shape: tuple | None) -> None:
        values, gradient, *moments = (
            tensor[where] for tensor in (self.values, self.gradient, *self.moments)
        )
        step = values.new_zeros((), dtype=torch.float32)
        self.parts.append(Part(values, gradient, moments, step, share, decays, shape))

    def differentiate(self, loss: Tensor) -> None:
        """Make the gradient that of a loss."""
        slopes = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        torch.cat([slope.flatten() for slope in slopes], out=self.gradient)

    def step(self, rate: float, weight_decay: float) -> None:
        """Move against the gradient."""
        for part in self.parts:
            self.optimizer.move(part, rate, weight_decay)


class RowSampler:
    """Rows in random order, pass by pass.

    Where they are too many for one pass, it takes blocks of neighbours, which a file gives fast,
    and mixes their rows; every row comes before any comes again.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.sorted: Tensor | None = None
        self.blocks = torch.zeros(0, dtype=torch.int64)  # that are still to come in this round
        self.places = torch.zeros(0, dtype=torch.int64)  # those of the last block that are

    def next(self, rows: Tensor, n: int) -> Tensor:
        """The next n of the rows."""
        some = rows if n_parts(len(rows)) == 1 else self._next_blocks(rows, n)
        return some[self._shuffled(len(some), rows.device)][:n]

    def _next_blocks(self, rows: Tensor, n: int) -> Tensor:
        if self.sorted is None:
            self.sorted = rows.sort().values
        places = self.places.to(rows.device)
        within = torch.arange(BLOCK_ROWS, device=rows.device)
        while len(places) < n:
            if not len(self.blocks):
                self.blocks = self._shuffled(math.ceil(len(rows) / BLOCK_ROWS), rows.device)
            n_blocks = math.ceil((n - len(places)) / BLOCK_ROWS)
            taken, self.blocks = self.blocks[:n_blocks], self.blocks[n_blocks:]
            found = (BLOCK_ROWS * taken.sort().values[:, None] + within).flatten()
            places = torch.cat([places, found[found < len(rows)]])  # the last block may be short
        self.places = places[n:]
        return self.sorted[places[:n]]

    def _shuffled(self, n: int, device: torch.device) -> Tensor:
        return torch.randperm(n, generator=self.generator, device=device)


@dataclass
class Learner:
    """A model in training: its weights, their running average, what moves them."""

    vae: VAE
    averaged: VAE
    averaged_weights: Tensor  # all of averaged's
    weights: Weights
    config: TrainingConfig
    generator: torch.Generator
    precision: Callable[[int], torch.dtype]  # of a step of so many rows
    sampler: RowSampler
    captured: Captured
    perturb: Perturbation | None = None
    step: int = 0
    gradient_norm: Tensor | float = math.nan  # of the last step
    temperature: float = math.nan  # of the disturbance

    @classmethod
    def of(
        cls,
        vae: VAE,
        config: TrainingConfig,
        generator: torch.Generator,
        precision: Callable[[int], torch.dtype],
    ) -> "Learner":
        averaged = copy.deepcopy(vae).eval()
        averaged_weights = as_one_tensor(parameters_of(averaged))
        weights = Weights(vae.train(), config.optimizer)
        draw_with(vae, generator)
        return cls(
            vae,
            averaged,
            averaged_weights,
            weights,
            config,
            generator,
            precision,
            RowSampler(generator),
            Captured(generator),
        )

    def go_back(self, state: dict[str, Tensor]) -> None:
        """Go on from other weights."""
        self.vae.load_state_dict(state)
        self.averaged.load_state_dict(state)

    def step_parameters(self, controller: "Controller") -> StepParameters:
        """That of the next step."""
        averaging = min(self.config.optimizer.averaging, (1 + self.step) / (10 + self.step))
        return StepParameters(controller.rate(self.step), controller.kl_weight, 1.0 - averaging)

    @torch.no_grad()
    def update_averages(self, terms: Terms, share: Any) -> None:
        """Let the noise follow the batch's squared error, and the average the weights."""
        self.vae.observation.update_noise(terms.log_likelihood, NOISE_RATE)
        self.averaged_weights.lerp_(self.weights.values, share)

    @cached_property
    def is_capturable(self) -> bool:
        """Whether every step does the same: by parts of ours and torch's, undisturbed."""
        parts = (self.config.objective, self.config.optimizer, *self.vae.modules())
        are_known = all(type(p).__module__.startswith(("skvae.", "torch.nn.")) for p in parts)
        return are_known and self.config.optimizer.is_capturable and self.perturb is None

    @torch.no_grad()
    def averaged_model(self) -> VAE:
        """The averaged model; running statistics of layers are the trained model's own."""
        for mine, theirs in zip(_bodies(self.averaged), _bodies(self.vae), strict=True):
            for buffer, value in zip(mine.buffers(), theirs.buffers(), strict=True):
                buffer.copy_(value)
        return self.averaged


def _bodies(vae: VAE) -> list[nn.Module]:
    return [body for body in (vae.encoder, vae.decoder) if body is not None]


def parameters_of(vae: VAE) -> list[nn.Parameter]:
    """All that is trained, in the order of `rates`."""
    return [parameter for part, *_ in vae.rates for parameter in part]


def as_one_tensor(parameters: list[nn.Parameter]) -> Tensor:
    """All of their values; the parameters become views.

    What treats every weight alike then takes one operation instead of one per layer.
    """
    weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, values in zip(parameters, weights.split(sizes), strict=True):
        parameter.data = values.view_as(parameter)
    return weights


def train(
    learner: Learner,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    controller: "Controller",
    report: Callable[[Progress], None] = lambda progress: None,
) -> Record:
    """Train on rows[training]; leave the weights of the best look at the held-out rows."""
    record = Record.of(evaluator)
    best, best_pass = copy.deepcopy(learner.averaged.state_dict()), 0
    try:
        while record.n_passes < controller.last_pass:
            record.losses.append(one_pass(learner, rows, training, controller))
            record.n_passes += 1
            if not controller.is_due(record.n_passes):
                continue
            evaluation = evaluator.calibrate_and_evaluate(learner.averaged_model())
            record.add(evaluation, step=learner.step, **controller.state(learner))
            if evaluation.bound == max(record.bounds[1:]):
                best, best_pass = copy.deepcopy(learner.averaged.state_dict()), record.n_passes
            if controller.adapt(record, learner.step, best_pass):
                learner.go_back(best)
            report(Progress(record.n_passes, controller.last_pass, record.bounds))
    except KeyboardInterrupt:
        if len(record.bounds) == 1:  # nothing has been judged
            raise
        record.interrupted = True
    learner.go_back(best)
    record.converged = controller.has_settled or controller.is_flat(record)
    return record


def one_pass(learner: Learner, rows: Rows, training: Tensor, controller: "Controller") -> Tensor:
    """One pass over rows[training] in random order; minus the mean bound, left on the device.

    Of more rows than PASS_ROWS it takes a part, and the next pass goes on with the others.
    """
    bounds = []
    learner.vae.in_bfloat16 = learner.precision(controller.batch_size) == torch.bfloat16
    chosen = learner.sampler.next(training, controller.pass_steps * controller.batch_size)
    here, order = rows.load(chosen)
    for batch in here.batches(order, controller.batch_size, learner.generator):
        terms = take_step(learner, batch, controller)
        bounds.append((batch.is_masked, terms.elbo))
    # The bound of fewer cells is no measure of the bound of all.
    whole = [bound for is_masked, bound in bounds if not is_masked]
    return -torch.stack(whole or [bound for _, bound in bounds]).mean()


def take_step(learner: Learner, batch: Rows, controller: "Controller") -> Terms:
    """Move the weights once, on some devices by a graph of such a step."""
    step_parameters = learner.step_parameters(controller)
    if learner.captured.graph_type and batch.tensors and learner.is_capturable:
        terms = replay(learner, batch, step_parameters, controller)
    else:
        terms = train_step(learner, batch, step_parameters, controller)
    learner.step += 1
    controller.share += 1.0 / (controller.pass_steps * controller.max_passes)
    return terms


def replay(
    learner: Learner, batch: Rows, step_parameters: StepParameters, controller: "Controller"
) -> Terms:
    """The step as a function of tensors, none of which comes from the host by a copy."""

    def step(rate: Tensor, kl_weight: Tensor, followed: Tensor, *batch: Tensor):
        terms = train_step(
            learner, ScoreRows(*batch), StepParameters(rate, kl_weight, followed), controller
        )
        return (*(term.detach() for term in terms), learner.gradient_norm)

    value = learner.weights.values[0]
    rate = torch.full(
        (), step_parameters.rate, dtype=torch.float32, device=value.device
    )  # as Adam wants it
    shares = [
        torch.full_like(value, share)
        for share in (step_parameters.kl_weight, step_parameters.followed)
    ]
    inputs = (rate, *shares, *(batch.tensors or ()))
    fixed = (batch.n_rows, learner.vae.in_bfloat16, controller.weight_decay)
    *terms, learner.gradient_norm = learner.captured(step, inputs, fixed)
    return Terms(*terms)


def train_step(
    learner: Learner, batch: Rows, step_parameters: StepParameters, controller: "Controller"
) -> Terms:
    """The step itself: from the loss of a batch to new weights."""
    config, weights = learner.config, learner.weights
    terms = config.objective(learner.vae, batch, learner.generator, step_parameters.kl_weight)
    weights.differentiate(terms.loss)
    learner.gradient_norm = clip(weights.gradient, config.optimizer.clip_norm)
    if learner.perturb is not None:
        learner.perturb(weights.gradient, controller.share)
    weights.step(step_parameters.rate, controller.weight_decay)
    learner.update_averages(terms, step_parameters.followed)
    return terms


def n_parts(n_rows: int) -> int:
    """Passes that it takes to see all the rows."""
    return math.ceil(n_rows / PASS_ROWS)


def steps_of_pass(n_rows: int, batch_size: int) -> int:
    """Whole batches in a pass."""
    return max(1, n_rows // n_parts(n_rows) // batch_size)


def clip(gradient: Tensor, limit: float | None) -> Tensor:
    """Shorten the gradient, in place, to a norm of limit at most; its norm before."""
    norm = torch.linalg.vector_norm(gradient)
    if limit is not None:
        gradient.mul_((limit / (norm + 1e-6)).clamp_(max=1.0))
    return norm


class Controller:
    """How training goes on, as the looks at the held-out rows have it, and when it ends.

    Rows that are learnt by heart call for weight decay. Where the bound has settled without, the
    noise of the gradient holds it back: batches grow. Once it settles again the rate falls to zero,
    or by a step, as the schedule has it. Other schedules have a fixed course, to the last pass.
    """

    def __init__(self, budget: Budget, config: TrainingConfig, n_rows: int, n_inputs: int) -> None:
        self.n_rows, self.n_inputs = n_rows, n_inputs
        self.batch_size = min(budget.batch_size, n_rows)
        growth = ENLARGEMENT if budget.may_grow else 1
        self.largest_batch = min(growth * self.batch_size, n_rows // 2)
        self.early_stopping = budget.early_stopping
        self.last_pass = budget.max_passes
        self.max_passes: float = budget.max_passes  # that shares of the budget refer to
        self.total_passes = budget.total_passes
        n_steps = budget.max_passes * self.pass_steps
        self.warm_up = max(1, min(WARM_UP, round(WARM_UP_SHARE * n_steps)))
        self.config, self.course = config, config.optimizer.course()
        self.decay_level = 0
        self.n_drops = 0
        self.n_looks_before = 0  # those before the last change say nothing of its effect
        self.share = 0.0  # of the passes that are done
        self.fall_steps: range | None = None
        self.has_settled = False

    @property
    def pass_steps(self) -> int:
        return steps_of_pass(self.n_rows, self.batch_size)

    @property
    def check_passes(self) -> int:
        """Passes from one look at the held-out rows to the next."""
        return max(1, round(CHECK_STEPS / self.pass_steps))

    @property
    def weight_decay(self) -> float:
        return self.config.optimizer.weight_decays[self.decay_level]

    @property
    def kl_weight(self) -> float:
        return self.config.beta * self.config.kl_schedule.factor(self.share)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rate = self.config.optimizer.learning_rate
        if self.fall_steps:
            return rate * (1.0 - (step - self.fall_steps.start) / len(self.fall_steps))
        if isinstance(self.course, Plateau):
            rate *= self.course.drop**self.n_drops
        return rate * self.course.factor(self.share) * min(1.0, (step + 1) / self.warm_up)

    def state(self, learner: Learner) -> dict[str, float]:
        """What the history keeps of the training beside the bound."""
        rate = self.rate(learner.step - 1)
        return {
            "gradient_norm": float(learner.gradient_norm),
            "learning_rate": rate,
            "temperature": learner.temperature,
        }

    def is_due(self, n_passes: int) -> bool:
        return n_passes % self.check_passes == 0 or n_passes == self.last_pass

    def adapt(self, record: Record, step: int, best_pass: int) -> bool:
        """Change what the last look calls for; whether to go back to the best weights for it."""
        if self.fall_steps is not None:
            if self.early_stopping and self._falls_in_vain(record.bounds):
                self.last_pass = record.n_passes
                self.has_settled = True
            return False
        n_looks, last_level = len(record.bounds) - 1, len(self.config.optimizer.weight_decays) - 1
        if self.decay_level < last_level and overfits(record, self.check_passes, self.n_inputs):
            self.decay_level += 1
            self.n_looks_before = n_looks
        if self.share < self.config.kl_schedule.end:
            self.n_looks_before = n_looks
        if not self.course.waits:
            return False
        if self._must_fall(record):
            self.n_looks_before = n_looks
            self.fall(record.n_passes, self.last_pass, step)
            return True
        waited = step >= MIN_STEPS and n_looks >= self.n_looks_before + PATIENCE
        if not ((self.early_stopping or self._can_drop) and waited and has_settled(record.bounds)):
            return False
        self.n_looks_before = n_looks
        self._settle(record, step, best_pass)
        return True

    @property
    def _can_drop(self) -> bool:
        """Whether the rate has a step left to fall by."""
        return isinstance(self.course, Plateau) and self.n_drops < self.course.n_drops

    def _must_fall(self, record: Record) -> bool:
        """Whether the passes that are left are just those that a fall takes."""
        if isinstance(self.course, Plateau):
            return False
        next_look = record.n_passes + self.check_passes
        return next_look + self.fall_length(next_look) > self.last_pass

    def _falls_in_vain(self, bounds: list[float]) -> bool:
        """Whether the last looks, all of them at a falling rate, gained nothing at all."""
        n_looks = len(bounds) - 1 - self.n_looks_before
        before, recent = bounds[1:-FALL_PATIENCE], bounds[-FALL_PATIENCE:]
        return n_looks >= FALL_PATIENCE and max(recent) <= max(before)

    def _settle(self, record: Record, step: int, best_pass: int) -> None:
        """Do what comes next once the bound has settled."""
        if self.decay_level == 0 and self.batch_size < self.largest_batch:
            self.batch_size = self.largest_batch
        elif self._can_drop:
            self.n_drops += 1
        else:
            self.has_settled = True
            length = self.fall_length(best_pass)
            self.fall(record.n_passes, min(self.last_pass, record.n_passes + length), step)

    def is_flat(self, record: Record) -> bool:
        """Whether a training of a set length ended where the bound had stopped to rise."""
        must_run = not (self.course.waits and self.early_stopping)
        return must_run and has_settled(record.bounds)

    def fall_length(self, n_passes: int) -> int:
        """Passes that the fall takes after so many passes at the full rate."""
        if isinstance(self.course, Plateau):
            return 0
        return math.ceil(FALL_SHARE * n_passes + self.warm_up / self.pass_steps)

    def fall(self, n_passes: int, last_pass: int, step: int) -> None:
        """Let the learning rate fall to zero from here to the last pass."""
        self.last_pass = last_pass
        self.fall_steps = range(step, step + (last_pass - n_passes) * self.pass_steps)


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
