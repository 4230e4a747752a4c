"""From rows to a fitted model: start, split, train, keep what is better, measure the codes."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.fitted.model import FittedModel
from skvae.fitting.beginning import initial_vae, training_state
from skvae.fitting.budget import make_budget
from skvae.fitting.options import Options
from skvae.limits import Limits
from skvae.model.diagnostics import CodeUse, code_use, linear_r2
from skvae.model.evidence import with_known_evidence
from skvae.model.priors import Normal, Normals, Prior
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.start.base import LinearStart, State
from skvae.start.spectrum import Spectra
from skvae.start.tables import TrainingTable
from skvae.training.controller import Controller
from skvae.training.evaluation import Acceptance, DivergenceError, Evaluator
from skvae.training.loop import train
from skvae.training.record import Progress, Record
from skvae.training.step import choose_step


class Trial(NamedTuple):
    """One training from one set of first weights."""

    vae: VAE
    origin: dict[str, Tensor]  # its state before the first step
    record: Record


@torch.inference_mode(False)
@torch.enable_grad()
def fit_model(
    X: TrainingTable,
    weight: np.ndarray | None,
    options: Options,
    previous: FittedModel | None = None,
    report: Callable[[Progress], None] | None = None,
    left: State | None = None,
    *,
    spectra: Spectra | None = None,
) -> tuple[FittedModel, Record]:
    """Fit on a matrix or a table.

    The training goes on from the weights of a previous model; where that is the linear start, from
    those that the training before has left, if they fit. In a search the start comes from what
    other candidates have found of the same rows.
    """
    rng = np.random.RandomState(options.seed)
    start = previous.start if previous else new_start(X, weight, options, rng, spectra)
    if not is_trainable(start, X.n_rows, options):
        if previous is not None:  # what was learnt before stays
            return previous, Record(converged=True)
        # The closed form counts as a pass: it has seen all the rows.
        return linear_model(start, X, options, weight), linear_record(start, X, weight)
    options = with_hidden_layers(options, start, X.n_rows)
    rows = with_known_evidence(
        training_rows(start, X, weight, options), start_vae(start, options), options.limits
    )
    held_out, training = split(rows.n_rows, options.validation_fraction, rng, options.device)
    generator = options.generator()
    seen = rows.take(training[: options.limits.seen_rows]).drawn(generator)
    judging = rows.take(held_out).drawn(generator)
    evaluator = evaluator_of(start, judging, seen, options, generator)
    jacobians = mean_jacobians(start, X, weight, training, held_out)

    def report_in_users_units(progress: Progress) -> None:
        bounds = [bound + jacobians[1] for bound in progress.bounds]
        if report is not None:
            report(progress._replace(bounds=bounds))

    def attempt(number: int) -> Trial:
        # The first goes on from what there is, the others begin anew.
        before, weights = (previous, left) if number == 0 else (None, None)
        vae = initial_vae(start, seen, options, number=number, previous=before, left=weights)
        return run_trial(vae, rows, training, evaluator, options, report_in_users_units)

    vae, origin, record = best_of(attempt, options.n_init, seen)
    record.log_jacobians = jacobians
    kept = evaluator.select(vae, origin if options.init == "pca" else None)
    if kept.share == 0.0:
        record.left = arrays(vae)
        if previous is not None and previous.kept == 0.0:  # which more rows know better
            return previous, record
        return linear_model(start, X, options, weight), record
    kept, prior = fit_prior(vae, rows, training, evaluator, kept, options)
    use = use_of(vae, seen, options.limits)
    return trained_model(vae, start, kept, prior, use, options), record


def evaluator_of(
    start: LinearStart, held_out: Rows, seen: Rows, options: Options, generator: torch.Generator
) -> Evaluator:
    """What evaluates models on rows held out from the training, of which some are seen."""
    return Evaluator.of(held_out, seen, start_vae(start, options), generator, options.config)


def new_start(
    X: TrainingTable,
    weight: np.ndarray | None,
    options: Options,
    rng: np.random.RandomState,
    spectra: Spectra | None = None,
) -> LinearStart:
    """The linear start, from what is known of the same rows."""
    return X.fit_start(options.latent_dim, weight, rng, spectra, options.directions)


def with_hidden_layers(options: Options, start: LinearStart, n_rows: float) -> Options:
    """The options, with hidden layers for so many rows where they were left to "auto"."""
    architecture = options.architecture
    with_auto_sizes = getattr(architecture, "with_auto_sizes", None)
    if with_auto_sizes is None:  # of networks that have none
        return options
    return replace(options, architecture=with_auto_sizes(start.auto_sizes(n_rows)))


def best_of(attempt: Callable[[int], Trial], n_init: int, seen: Rows) -> Trial:
    """The best of so many trainings by the held-out bound; of those until an interrupt.

    One whose loss is not finite is left out, where there are others.
    """
    trials: list[Trial] = []
    for number in range(n_init):
        try:
            trials.append(attempt(number))
        except DivergenceError:
            if number == n_init - 1 and not trials:
                raise
            continue
        except KeyboardInterrupt:  # before its first pass
            if not trials:
                raise
            trials[-1].record.interrupted = True
        if trials[-1].record.interrupted:
            break
    bounds = [max(trial.record.bounds[1:]) for trial in trials]
    best = trials[int(np.argmax(bounds))]
    agreement = compare([trial.vae for trial in trials], best.vae, seen)
    best.record.restarts = list(zip(bounds, agreement, strict=True))
    best.record.interrupted = trials[-1].record.interrupted
    return best


def run_trial(
    vae: VAE,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    options: Options,
    report: Callable[[Progress], None],
) -> Trial:
    """Train from these weights, with annealing where it is asked for."""
    origin = {name: value.clone() for name, value in vae.state_dict().items()}
    budget = make_budget(len(training), vae, options)
    controller = Controller(budget, options.config, len(training), rows.n_inputs)
    state = training_state(vae, evaluator.generator, options, controller)
    state.begin(evaluator)
    annealing = options.annealing
    if annealing is not None:
        state.perturb = annealing.perturbation(state)
    state.take = choose_step(state, evaluator.seen, options.steps)
    if annealing is None or annealing.follows_training:
        train(state, rows, training, evaluator, report)
    if annealing is not None and not state.record.interrupted:
        annealing.refine(state, rows, training, evaluator)
    return Trial(vae.eval(), origin, state.record)


@torch.no_grad()
def compare(vaes: list[VAE], best: VAE, rows: Rows) -> list[float]:
    """Share of the variance of the best restart's codes that those of each predict linearly.

    Codes count by the nats that they carry. Near 1 restarts found one optimum, up to rotation; far
    below they found different ones.
    """
    q, target = best.encode(rows), best.codes(rows)
    kl = rows.mean(q.kl())
    return [linear_r2(vae.codes(rows), target, kl, rows.weight) for vae in vaes]


def fit_prior(
    vae: VAE,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    kept: Acceptance,
    options: Options,
) -> tuple[Acceptance, Prior]:
    """The prior of the model: where one is to be fitted to the codes afterwards, it has to help."""
    if not options.prior.is_fitted_after:
        return kept, options.prior
    # Draws that do not depend on how long training took.
    some = rows.take(training[: options.limits.prior_rows]).drawn(options.generator())
    with torch.no_grad():
        q = vae.encode(some)
        draws = q.sample(some.draw_noise(vae.latent_dim, options.generator()))
    weight = None if some.weight is None else some.weight.numpy(force=True)
    codes, *posteriors = (
        part.numpy(force=True).astype(np.float64) for part in (draws, q.mean, q.variance)
    )
    module = options.prior.fit(codes, options.seed, weight, Normals(*posteriors))
    start_weight = evaluator.prefer(vae, module.to(draws))
    if start_weight is None:
        return kept, Normal()
    weight_in_density = max(start_weight.item(), options.limits.start_weight_min)
    return kept._replace(start_weight=weight_in_density), options.prior


def is_trainable(start: LinearStart, n_rows: int, options: Options) -> bool:
    """Whether anything can be gained: rows to judge by, and something left to reconstruct."""
    something_left = 0 < start.latent_dim < start.rank
    enough_rows = n_rows >= options.limits.min_training_rows
    return options.max_iter != 0 and enough_rows and something_left


def training_rows(
    start: LinearStart, X: TrainingTable, weight: np.ndarray | None, options: Options
) -> Rows:
    """Rows as the model takes them, on the device, in the training's own precision."""
    dtype = np.float64 if options.dtype == torch.float64 else np.float32
    weight = None if weight is None else weight / weight.mean()
    held_bytes = options.limits.held_bytes
    return start.representation.training_rows(X.values, weight, dtype, options.device, held_bytes)


def mean_jacobians(
    start: LinearStart, X: TrainingTable, weight: np.ndarray | None, *parts: Tensor
) -> tuple[float, ...]:
    """What mean log-densities of parts of the rows gain in the user's units, nats."""
    gain = start.representation.log_jacobian(X.values)
    rows = [part.numpy(force=True) for part in parts]
    return tuple(
        float(np.average(gain[own], weights=None if weight is None else weight[own]))
        for own in rows
    )


def start_vae(start: LinearStart, options: Options) -> VAE:
    """The linear start as a module, without networks."""
    return start.module().to(options.device, options.dtype).requires_grad_(False)


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


def linear_model(
    start: LinearStart, X: TrainingTable, options: Options, weight: np.ndarray | None = None
) -> FittedModel:
    """The linear start as it stands."""
    weights, use = arrays(start.module()), start.code_use(X.values, weight)
    device = str(options.device)
    return FittedModel(start, options.latent_dim, None, Normal(), weights, use, 1.0, 0.0, device)


def linear_record(
    start: LinearStart, X: TrainingTable, weight: np.ndarray | None, is_own: bool = True
) -> Record:
    """A fit without training: one pass, that of the closed form."""
    gain = start.representation.log_jacobian(X.values)
    jacobian = float(np.average(gain, weights=weight))
    score = start.score(X.values, weight, is_own)
    loss = torch.tensor(jacobian - score, dtype=torch.float64)
    return Record(losses=[loss], n_passes=1, converged=True, log_jacobians=(jacobian, jacobian))


def trained_model(
    vae: VAE,
    start: LinearStart,
    kept: Acceptance,
    prior: Prior,
    use: CodeUse,
    options: Options,
) -> FittedModel:
    """The model that fit leaves where training was kept."""
    return FittedModel(
        start,
        options.latent_dim,
        options.architecture,
        prior,
        arrays(vae),
        use,
        kept.start_weight,
        kept.share,
        str(options.device),
    )


def use_of(vae: VAE, seen: Rows, limits: Limits) -> CodeUse:
    """What the codes hold, by fewer rows the more codes there are: each costs some passes."""
    most = limits.seen_rows
    n_rows = int(np.clip(limits.measured_numbers // vae.latent_dim, most // 2, most))
    some = torch.arange(min(n_rows, seen.n_rows), device=vae.scale.center.device)
    return code_use(vae, seen.take(some))


def arrays(vae: VAE) -> State:
    """The state of a model as numpy arrays of its own."""
    return {name: value.numpy(force=True).copy() for name, value in vae.state_dict().items()}
