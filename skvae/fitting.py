"""From rows to a fitted model: start, split, train, keep what is better, measure the codes."""

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from skvae.devices import resolve_precision
from skvae.diagnostics import CodeUse, code_use
from skvae.held_out import FEWEST_ROWS, HeldOut, Kept
from skvae.mixed import Table
from skvae.mixed_model import MixedModel
from skvae.model import Model
from skvae.networks import Architecture, build, start_at_zero
from skvae.training import (
    Budget,
    Learner,
    Plan,
    Progress,
    Record,
    one_pass,
    train,
)
from skvae.vae import VAE, Rows

# Fewer rows than this cannot show on held-out rows that anything beats the linear start.
MIN_TRAINING_ROWS = 30
_SEEN_ROWS = 1000  # of the training, by which units are scaled and measured
_FLOPS = 3e12  # of a whole training run, about half a minute on two cores
_STEPS = (2000, 6000)
_EXTENSION = 2.2  # times that arithmetic, at most, for the fewest steps


@dataclass(frozen=True)
class Options:
    """What a person chose; None where "auto" leaves it to the rows."""

    latent_dim: int
    architecture: Architecture
    init: str
    batch_size: int | None
    max_iter: int | None
    early_stopping: bool
    validation_fraction: float | None
    device: torch.device
    precision: str
    seed: int


@torch.inference_mode(False)
@torch.enable_grad()
def fit_model(
    X,
    weight: np.ndarray | None,
    options: Options,
    previous: Model | None = None,
    report: Callable[[Progress], None] | None = None,
) -> tuple[Model, Record]:
    """Fit on a matrix or a table; previous is a model whose weights the training goes on from."""
    rng = np.random.RandomState(options.seed)
    kind = kind_of(X)
    start = previous.start if previous else kind.fit_start(X, options.latent_dim, weight, rng)
    if not _is_trainable(start, X.shape[0], options):
        # The closed form counts as a pass: it has seen all the rows.
        return linear_model(kind, start, X, options), linear_record(kind, start, X, weight)
    rows = make_rows(kind, start, X, weight, options)
    held_out, training = split(rows.n_rows, options.validation_fraction, rng, options.device)
    vae = initial_vae(kind, start, options, previous)
    generator = torch.Generator(options.device).manual_seed(options.seed)
    origin = {name: value.clone() for name, value in vae.state_dict().items()}
    seen = rows.take(training[:_SEEN_ROWS])
    judge = HeldOut.of(rows.take(held_out), seen, start_vae(kind, start, options), generator)
    plan = Plan(make_budget(len(training), vae, options), len(training), rows.n_inputs)
    learner = make_learner(vae, generator, options)

    def report_in_users_units(progress: Progress) -> None:
        bounds = [bound + start.log_jacobian for bound in progress.bounds]
        if report is not None:
            report(progress._replace(bounds=bounds))

    record = train(learner, rows, training, judge, plan, report_in_users_units)
    kept = judge.keep(vae, origin if options.init == "pca" else None)
    if kept.share == 0.0:
        return linear_model(kind, start, X, options), record
    return trained_model(kind, vae, start, kept, use_of(vae, seen), options), record


def kind_of(X) -> type[Model]:
    """The kind of model that rows call for."""
    return MixedModel if isinstance(X, Table) else Model


def _is_trainable(start, n_rows: int, options: Options) -> bool:
    """Whether anything can be gained: rows to judge by, and something left to reconstruct."""
    something_left = 0 < start.latent_dim < start.rank
    return options.max_iter != 0 and n_rows >= MIN_TRAINING_ROWS and something_left


def make_rows(kind: type[Model], start, X, weight: np.ndarray | None, options: Options):
    """Rows as the model takes them, on the device, in the training's own precision."""
    dtype = np.float64 if options.precision == "float64" else np.float32
    weight = None if weight is None else weight / weight.mean()
    return kind.rows(start, X, weight, dtype, options.device)


def start_vae(kind: type[Model], start, options: Options):
    """The linear start as a module, without branches."""
    dtype = torch.float64 if options.precision == "float64" else torch.float32
    return kind.module(start).to(options.device, dtype).requires_grad_(False)


def split(
    n_rows: int, fraction: float | None, rng: np.random.RandomState, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Indices of held-out and of training rows."""
    if fraction is None:
        n_held_out = min(max(n_rows // 10, min(200, n_rows // 5)), 20_000)
    else:
        n_held_out = min(max(round(fraction * n_rows), 2), n_rows - 2)
    order = torch.from_numpy(rng.permutation(n_rows)).to(device)
    return order[:n_held_out], order[n_held_out:]


def initial_vae(kind: type[Model], start, options: Options, previous: Model | None = None) -> VAE:
    """The model before the first step: at the linear start, at random, or where it was left."""
    dtype = torch.float64 if options.precision == "float64" else torch.float32
    if previous is not None and previous.architecture is not None:
        return previous.vae(dtype).to(options.device).requires_grad_(True)
    sizes = kind.branch_sizes(start)
    encoder, decoder = build(options.architecture, sizes, options.seed)
    if options.init == "pca":
        start_at_zero(encoder, sizes[0][0])
        start_at_zero(decoder, sizes[1][0])
    vae = kind.module(start, encoder, decoder)
    if options.init == "random":
        vae.forget_start()
    return vae.to(options.device, dtype)


def make_learner(vae: VAE, generator: torch.Generator, options: Options) -> Learner:
    """The model with its optimiser, in the precision that fits its size."""
    precision = resolve_precision(options.precision, options.device, count_parameters(vae))
    return Learner.of(vae, generator, precision)


def count_parameters(vae: VAE) -> int:
    """Numbers that training moves."""
    return sum(parameter.numel() for parameter in vae.parameters())


def make_budget(n_rows: int, vae: VAE, options: Options) -> Budget:
    """Batch size and passes: as many steps as a fixed amount of arithmetic pays for."""
    batch_size = options.batch_size
    if batch_size is None:
        batch_size = int(np.clip(2 ** round(np.log2(n_rows / 16)), 128, 512))
    batch_size = min(batch_size, n_rows)
    max_passes = options.max_iter
    if max_passes is None:
        affordable = _FLOPS / (batch_size * (6 * count_parameters(vae) + vae.likelihood_cost))
        steps = np.clip(affordable, min(_STEPS[0], affordable * _EXTENSION), _STEPS[1])
        steps *= 1 + vae.latent_dim / 64  # the more codes, the more there is to learn
        max_passes = max(1, int(np.ceil(steps / (n_rows // batch_size))))
    return Budget(batch_size, options.batch_size is None, max_passes, options.early_stopping)


def linear_model(kind: type[Model], start, X, options: Options) -> Model:
    """The linear start as it stands."""
    weights, use = arrays(kind.module(start)), kind.start_use(start, X)
    device = str(options.device)
    return kind(start, options.latent_dim, None, weights, use, 1.0, 0.0, device)


def linear_record(kind: type[Model], start, X, weight: np.ndarray | None) -> Record:
    """A fit without training: one pass, that of the closed form."""
    loss = torch.tensor(start.log_jacobian - kind.start_score(start, X, weight))
    return Record(losses=[loss], n_passes=1, converged=True)


def trained_model(
    kind: type[Model],
    vae: VAE,
    start,
    kept: Kept,
    use: CodeUse,
    options: Options,
) -> Model:
    """The model that fit leaves where training was kept."""
    return kind(
        start,
        options.latent_dim,
        options.architecture,
        arrays(vae),
        use,
        kept.start_weight,
        kept.share,
        str(options.device),
    )


def use_of(vae: VAE, rows: Rows) -> CodeUse:
    """What the codes hold, measured in double precision."""
    return code_use(copy.deepcopy(vae).double(), rows.double())


def arrays(vae: VAE) -> dict[str, np.ndarray]:
    """The state of a model as numpy arrays of its own."""
    return {name: value.numpy(force=True).copy() for name, value in vae.state_dict().items()}


@dataclass(frozen=True)
class Online:
    """Where `partial_fit` stands: numpy arrays only."""

    weights: dict[str, np.ndarray]
    averaged: dict[str, np.ndarray]
    moments: list[np.ndarray]  # of the gradient, mean and mean square
    step: int


@torch.inference_mode(False)
@torch.enable_grad()
def fit_online(
    X,
    weight: np.ndarray | None,
    options: Options,
    previous: tuple[Model, Online | None] | None,
) -> tuple[Model, Record, Online | None]:
    """One pass over a new batch of rows, which first judges the model trained so far.

    Fewer than FEWEST_ROWS are only learnt from: noise, units and acceptance stay as they were.
    """
    model, online = previous or (None, None)
    kind, rng = kind_of(X), np.random.RandomState(options.seed)
    start = model.start if model else kind.fit_start(X, options.latent_dim, weight, rng)
    if not 0 < start.latent_dim < start.n_directions:
        return linear_model(kind, start, X, options), linear_record(kind, start, X, weight), None
    rows = make_rows(kind, start, X, weight, options)
    generator = torch.Generator(options.device).manual_seed(options.seed)
    learner = make_learner(initial_vae(kind, start, options, model), generator, options)
    budget = make_budget(rows.n_rows, learner.vae, options)
    plan = Plan(budget._replace(max_passes=sys.maxsize), rows.n_rows, rows.n_inputs)
    if online is not None:
        _resume(learner, online)
    everything = torch.arange(rows.n_rows, device=options.device)
    seen = rows.take(everything[:_SEEN_ROWS])
    judge = HeldOut.of(rows.take(everything), seen, start_vae(kind, start, options), generator)
    record = Record(n_passes=1)
    kept = Kept(model.kept, model.start_weight) if model else Kept(0.0, 1.0)
    can_judge = rows.n_rows >= FEWEST_ROWS
    if can_judge:
        record.bounds.append(judge.look(learner.averaged))
        kept = judge.keep(learner.averaged, None) if model else kept
    record.losses.append(one_pass(learner, rows, everything, plan))
    if can_judge:
        judge.look(learner.averaged)
    online = _snapshot(learner)
    if kept.share == 0.0:
        return linear_model(kind, start, X, options), record, online
    # Too few rows say nothing of the codes: their use is then that of the model before.
    use = use_of(learner.averaged, seen) if can_judge or model is None else model.use
    return trained_model(kind, learner.averaged, start, kept, use, options), record, online


def _snapshot(learner: Learner) -> Online:
    optimizer = learner.optimizer
    moments = [m.numpy(force=True).copy() for m in (optimizer.mean, optimizer.square)]
    return Online(arrays(learner.vae), arrays(learner.averaged), moments, learner.step)


def _resume(learner: Learner, online: Online) -> None:
    optimizer = learner.optimizer
    for module, state in ((learner.vae, online.weights), (learner.averaged, online.averaged)):
        module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    for moment, array in zip((optimizer.mean, optimizer.square), online.moments, strict=True):
        moment.copy_(torch.tensor(array))
    for step in optimizer.steps:
        step.fill_(online.step)
    learner.step = online.step
