"""From rows to a fitted model: start, split, train, keep what is better, measure the codes."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skvae.components import is_same
from skvae.data.table import Table
from skvae.devices import resolve_precision
from skvae.fitted.mixed_model import MixedModel
from skvae.fitted.model import Model
from skvae.limits import Limits
from skvae.model.diagnostics import CodeUse, code_use, linear_r2
from skvae.model.first_weights import build, start_at_zero
from skvae.model.networks import AUTO_SIZES, MLP, Architecture, auto_sizes
from skvae.model.priors import Prior
from skvae.model.vae import LatentModel, Rows, of_columns
from skvae.start.ppca import COARSE_TAIL, FINE_TAIL
from skvae.start.spectrum import Spectra
from skvae.training.annealing import Annealing
from skvae.training.config import Budget, TrainingConfig
from skvae.training.controller import Controller
from skvae.training.evaluation import Acceptance, DivergenceError, Evaluator
from skvae.training.loop import train
from skvae.training.objective import Autoencoder, Elbo
from skvae.training.record import Progress, Record
from skvae.training.sampler import steps_of_pass
from skvae.training.schedules import Constant
from skvae.training.state import TrainingState
from skvae.training.step import STEPS, Step, choose_step

_SPECTRA = Spectra()  # of the rows that searches in this process have seen last


@dataclass(frozen=True)
class Options:
    """What a person chose; None where "auto" leaves it to the rows."""

    latent_dim: int
    architecture: Architecture
    prior: Prior
    config: TrainingConfig
    annealing: Annealing | None
    n_init: int
    init: str
    batch_size: int | None
    max_iter: int | None
    early_stopping: bool
    validation_fraction: float | None
    device: torch.device
    precision: str
    seed: int
    in_search: bool = False  # other candidates may be fitted to the same rows
    steps: tuple[Callable[[], Step], ...] = STEPS  # ways to take a step, the quickest first

    @property
    def limits(self) -> Limits:
        """Budgets and thresholds, those of the training among them."""
        return self.config.limits

    def check(self) -> None:
        """Refuse options that make no sense, alone or together.

        Raises
        ------
        ValueError
            If a component's option is out of range, or one choice leaves another nothing to do.
        """
        parts = (self.config.objective, self.config.optimizer, self.config.kl_schedule)
        for part in (*parts, self.prior, self.annealing):
            if part is not None:
                part.check()
        for is_wrong, why in self._contradictions():
            if is_wrong:
                raise ValueError(why)

    def _contradictions(self) -> Iterator[tuple[bool, str]]:
        objective, prior = self.config.objective, self.prior
        weighs = self.config.beta != 1.0 or not isinstance(self.config.kl_schedule, Constant)
        walks = self.annealing is not None and not self.annealing.follows_training
        yield (
            objective.is_deterministic and weighs,
            "objective='autoencoder' has no KL term for beta or kl_schedule to weigh: leave them "
            "at 1.0 and 'constant', or use objective='elbo'.",
        )
        yield (
            objective.is_deterministic and prior.is_trained,
            f"objective='autoencoder' has no KL term that would train prior={prior}: use "
            "prior='ex_post', which is fitted to the codes afterwards.",
        )
        yield (
            prior.is_trained and not objective.has_plain_kl,
            f"{objective} takes the KL to a standard normal apart, which prior={prior} is not: "
            "use prior='normal' or 'ex_post'.",
        )
        yield (
            walks and not isinstance(self.config.kl_schedule, Constant),
            "annealing='randomwalk' takes no steps of training, so kl_schedule has no course to "
            "follow: leave it at 'constant'.",
        )
        yield (
            walks and not (objective.has_plain_kl and type(objective) in (Elbo, Autoencoder)),
            "annealing='randomwalk' judges by the bound or by the autoencoder's likelihood, not "
            f"by {objective}: use objective='elbo' or 'autoencoder'.",
        )


class Trial(NamedTuple):
    """One training from one set of first weights."""

    vae: LatentModel
    origin: dict[str, Tensor]  # its state before the first step
    record: Record


@torch.inference_mode(False)
@torch.enable_grad()
def fit_model(
    X,
    weight: np.ndarray | None,
    options: Options,
    previous: Model | None = None,
    report: Callable[[Progress], None] | None = None,
    left: dict[str, np.ndarray] | None = None,
) -> tuple[Model, Record]:
    """Fit on a matrix or a table.

    The training goes on from the weights of a previous model; where that is the linear start, from
    those that the training before has left, if they fit.
    """
    rng = np.random.RandomState(options.seed)
    kind = kind_of(X)
    start = previous.start if previous else new_start(kind, X, weight, options, rng)
    if not is_trainable(start, X.shape[0], options):
        if previous is not None:  # what was learnt before stays
            return previous, Record(converged=True)
        # The closed form counts as a pass: it has seen all the rows.
        return linear_model(kind, start, X, options, weight), linear_record(kind, start, X, weight)
    options = suited(options, kind, start, X.shape[0])
    rows = make_rows(kind, start, X, weight, options)
    held_out, training = split(rows.n_rows, options.validation_fraction, rng, options.device)
    generator = fresh_generator(options)
    seen = rows.take(training[: options.limits.seen_rows]).drawn(generator)
    evaluator = Evaluator.of(
        rows.take(held_out).drawn(generator),
        seen,
        start_vae(kind, start, options),
        generator,
        options.config,
    )

    jacobians = mean_jacobians(kind, start, X, weight, training, held_out)

    def report_in_users_units(progress: Progress) -> None:
        bounds = [bound + jacobians[1] for bound in progress.bounds]
        if report is not None:
            report(progress._replace(bounds=bounds))

    def attempt(number: int) -> Trial:
        # The first goes on from what there is, the others begin anew.
        before, weights = (previous, left) if number == 0 else (None, None)
        vae = initial_vae(kind, start, seen, options, number=number, previous=before, left=weights)
        return run_trial(vae, rows, training, evaluator, options, report_in_users_units)

    vae, origin, record = best_of(attempt, options.n_init, seen)
    record.log_jacobians = jacobians
    kept = evaluator.select(vae, origin if options.init == "pca" else None)
    if kept.share == 0.0:
        record.left = arrays(vae)
        return linear_again(previous, kind, start, X, options, weight), record
    kept = fit_prior(vae, rows, training, evaluator, kept, options)
    return trained_model(kind, vae, start, kept, use_of(vae, seen, options.limits), options), record


def new_start(kind: type[Model], X, weight: np.ndarray | None, options: Options, rng) -> Any:
    """The linear start; in a search, from what other candidates have found of the same rows."""
    spectra = _SPECTRA if options.in_search else None
    return kind.fit_start(X, options.latent_dim, weight, rng, spectra, tail_of(options))


def tail_of(options: Options) -> float:
    """Share of what the units leave that training need not see."""
    return FINE_TAIL if of_columns(options.architecture) else COARSE_TAIL


def suited(options: Options, kind: type[Model], start, n_rows: float) -> Options:
    """The options, with hidden layers for so many rows where they were left to "auto"."""
    architecture = options.architecture
    if not isinstance(architecture, MLP):
        return options
    sizes = AUTO_SIZES["table"]
    if kind is Model:
        sizes = auto_sizes(n_rows, start.n_features, start.n_directions, start.latent_dim)
    return replace(options, architecture=architecture.with_auto_sizes(sizes))


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
    vae: LatentModel,
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
    state.take = choose_step(state, rows, options.steps)
    if annealing is None or annealing.follows_training:
        train(state, rows, training, evaluator, report)
    if annealing is not None and not state.record.interrupted:
        annealing.refine(state, rows, training, evaluator)
    return Trial(vae.eval(), origin, state.record)


@torch.no_grad()
def compare(vaes: list[LatentModel], best: LatentModel, rows: Rows) -> list[float]:
    """Share of the variance of the best restart's codes that those of each predict linearly.

    Codes count by the nats that they carry. Near 1 restarts found one optimum, up to rotation; far
    below they found different ones.
    """
    q, target = best.encode(rows), best.codes(rows)
    kl = rows.mean(q.kl())
    return [linear_r2(vae.codes(rows), target, kl, rows.weight) for vae in vaes]


def fit_prior(
    vae: LatentModel,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    kept: Acceptance,
    options: Options,
) -> Acceptance:
    """Fit a prior to the codes, where one is to be fitted afterwards; keep it if it helps."""
    if not options.prior.is_fitted_after:
        return kept
    # Draws that do not depend on how long training took.
    some = rows.take(training[: options.limits.prior_rows]).drawn(fresh_generator(options))
    with torch.no_grad():
        q = vae.encode(some)
        draws = q.sample(some.draw_noise(vae.latent_dim, fresh_generator(options)))
    weight = None if some.weight is None else some.weight.numpy(force=True)
    module = options.prior.fit(draws.numpy(force=True).astype(np.float64), options.seed, weight)
    start_weight = evaluator.prefer(vae, module.to(draws))
    if start_weight is None:
        return kept
    return kept._replace(start_weight=max(start_weight.item(), options.limits.start_weight_min))


def fresh_generator(options: Options, n_steps: int = 0) -> torch.Generator:
    """The generator of a fit at its beginning, or of a call after so many steps."""
    return torch.Generator(options.device).manual_seed(options.seed + n_steps)


def kind_of(X) -> type[Model]:
    """The kind of model that rows call for."""
    return MixedModel if isinstance(X, Table) else Model


def is_trainable(start, n_rows: int, options: Options) -> bool:
    """Whether anything can be gained: rows to judge by, and something left to reconstruct."""
    something_left = 0 < start.latent_dim < start.rank
    enough_rows = n_rows >= options.limits.min_training_rows
    return options.max_iter != 0 and enough_rows and something_left


def make_rows(kind: type[Model], start, X, weight: np.ndarray | None, options: Options):
    """Rows as the model takes them, on the device, in the training's own precision."""
    dtype = np.float64 if options.precision == "float64" else np.float32
    weight = None if weight is None else weight / weight.mean()
    return kind.rows(start, X, weight, dtype, options.device)


def mean_jacobians(
    kind: type[Model], start, X, weight: np.ndarray | None, *parts: Tensor
) -> tuple[float, ...]:
    """What mean log-densities of parts of the rows gain in the user's units, nats."""
    gain = kind.log_jacobian(start, X)
    rows = [part.numpy(force=True) for part in parts]
    return tuple(
        float(np.average(gain[own], weights=None if weight is None else weight[own]))
        for own in rows
    )


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


def initial_vae(
    kind: type[Model],
    start,
    seen: Rows,
    options: Options,
    *,
    number: int = 0,
    previous: Model | None = None,
    left: dict[str, np.ndarray] | None = None,
) -> LatentModel:
    """The model before the first step: at the linear start, at random, or where it was left."""
    dtype = torch.float64 if options.precision == "float64" else torch.float32
    if previous is not None and previous.architecture is not None:
        vae = previous.vae(dtype).to(options.device).requires_grad_(True)
    else:
        vae = new_vae(kind, start, options, number).to(options.device, dtype)
        if options.config.objective.is_deterministic:
            vae.unshrink_posterior_mean()
        load(vae, left or {})
    if options.config.objective.needs_columns:
        vae.know_columns(start)
    if not options.prior.is_trained:
        vae.prior = None
    elif previous is None or not is_same(previous.prior, options.prior, {}):
        vae.prior = initial_prior(vae, seen, options, number)
    return vae


def new_vae(kind: type[Model], start, options: Options, number: int) -> LatentModel:
    """A model with branches of its own, number of a restart."""
    architecture = options.architecture
    sizes = kind.branch_sizes(start, architecture)
    encoder, decoder = build(architecture, sizes, options.seed + number)
    if options.init == "pca":
        start_at_zero(encoder, sizes[0][0])
        start_at_zero(decoder, sizes[1][0])
    vae = kind.module(start, encoder, decoder, of_columns=of_columns(architecture))
    if options.init == "random":
        vae.forget_start()
    return vae


@torch.no_grad()
def initial_prior(vae: LatentModel, seen: Rows, options: Options, number: int) -> nn.Module | None:
    """The prior before the first step."""
    inputs = vae.inputs(seen)
    module = options.prior.module(vae.latent_dim, vae.n_inputs)
    if module is not None:
        module.to(inputs)
        generator = torch.Generator(options.device).manual_seed(options.seed + number)
        options.prior.start(module, inputs, generator)
    return module


def training_state(
    vae: LatentModel, generator: torch.Generator, options: Options, controller: Controller
) -> TrainingState:
    """The model with its optimiser, in the precision that fits the size of a step."""
    n_products = count_products(vae)

    def precision(batch_size: int) -> torch.dtype:
        return resolve_precision(options.precision, options.device, batch_size * n_products)

    return TrainingState.of(vae, options.config, generator, precision, controller)


def count_products(vae: LatentModel) -> int:
    """Multiplications of a row on its way through the model.

    A parameter of a dense layer is one; those of a convolution are many.
    """
    return max(sum(parameter.numel() for parameter in vae.parameters()), vae.products())


def make_budget(n_rows: int, vae: LatentModel, options: Options) -> Budget:
    """Batch size and passes: as many steps as a fixed amount of arithmetic pays for."""
    max_passes, limits = options.max_iter, options.limits
    batch_size = min(options.batch_size or auto_batch_size(n_rows, max_passes, limits), n_rows)
    if max_passes is None:
        cost = 6 * count_products(vae) + vae.likelihood_cost
        affordable = limits.flops / (batch_size * cost)
        fewest, most = limits.steps
        steps = np.clip(affordable, min(fewest, affordable * limits.extension), most)
        steps *= 1 + vae.latent_dim / 64  # the more codes, the more there is to learn
        max_passes = max(
            1, int(np.ceil(steps / steps_of_pass(n_rows, batch_size, limits.pass_rows)))
        )
    budget = Budget(batch_size, options.batch_size is None, max_passes, options.early_stopping)
    return budget if options.max_iter is None else _shared(budget, options, n_rows)


def _shared(budget: Budget, options: Options, n_rows: int) -> Budget:
    """The passes that a person allows, of which annealing may have up to half."""
    total, wanted = budget.max_passes, 0
    if options.annealing is not None:
        n_steps = steps_of_pass(n_rows, budget.batch_size, options.limits.pass_rows)
        wanted = math.ceil(options.annealing.n_steps_after() / n_steps)
    return budget._replace(max_passes=total - min(wanted, total // 2), total_passes=total)


def auto_batch_size(n_rows: int, max_passes: int | None, limits: Limits) -> int:
    """Rows per step: more of more rows, but no more than leave steps enough in so many passes."""
    least, most = limits.batch_sizes
    size = int(np.clip(2 ** round(np.log2(n_rows / 16)), least, most))
    if max_passes is not None:
        while size > least and (
            max_passes * steps_of_pass(n_rows, size, limits.pass_rows) < limits.min_steps
        ):
            size //= 2
    return size


def linear_model(
    kind: type[Model], start, X, options: Options, weight: np.ndarray | None = None
) -> Model:
    """The linear start as it stands."""
    weights, use = arrays(kind.module(start)), kind.start_use(start, X, weight)
    device = str(options.device)
    return kind(start, options.latent_dim, None, None, weights, use, 1.0, 0.0, device)


def linear_record(
    kind: type[Model], start, X, weight: np.ndarray | None, is_own: bool = True
) -> Record:
    """A fit without training: one pass, that of the closed form."""
    jacobian = float(np.average(kind.log_jacobian(start, X), weights=weight))
    score = kind.start_score(start, X, weight, is_own)
    loss = torch.tensor(jacobian - score, dtype=torch.float64)
    return Record(losses=[loss], n_passes=1, converged=True, log_jacobians=(jacobian, jacobian))


def trained_model(
    kind: type[Model],
    vae: LatentModel,
    start,
    kept: Acceptance,
    use: CodeUse,
    options: Options,
) -> Model:
    """The model that fit leaves where training was kept."""
    return kind(
        start,
        options.latent_dim,
        options.architecture,
        None if vae.prior is None else options.prior,
        arrays(vae),
        use,
        kept.start_weight,
        kept.share,
        str(options.device),
    )


def use_of(vae: LatentModel, seen: Rows, limits: Limits) -> CodeUse:
    """What the codes hold, by fewer rows the more codes there are: each costs some passes."""
    most = limits.seen_rows
    n_rows = int(np.clip(limits.measured_numbers // vae.latent_dim, most // 2, most))
    some = torch.arange(min(n_rows, seen.n_rows), device=vae.center.device)
    return code_use(vae, seen.take(some))


def arrays(vae: LatentModel) -> dict[str, np.ndarray]:
    """The state of a model as numpy arrays of its own."""
    return {name: value.numpy(force=True).copy() for name, value in vae.state_dict().items()}


def linear_again(
    model: Model | None,
    kind: type[Model],
    start,
    X,
    options: Options,
    weight: np.ndarray | None = None,
) -> Model:
    """The linear start: the model so far, which more rows know better, where it is that."""
    if model is not None and model.kept == 0.0:
        return model
    return linear_model(kind, start, X, options, weight)


def load(vae: LatentModel, state: dict[str, np.ndarray]) -> bool:
    """Load what there is of a state, by name and shape; nothing where the networks are others."""
    fresh = vae.state_dict()
    same = {k: w for k, w in state.items() if k in fresh and w.shape == fresh[k].shape}
    if not all(name in same for name in fresh if name.startswith(("encoder.", "decoder."))):
        return False
    vae.load_state_dict(fresh | {k: torch.tensor(w) for k, w in same.items()})
    return True
