"""Learning from rows that come batch by batch.

The linear start is that of all rows that came: of a matrix exactly, by merged moments; of a table
it is fitted again to a sample of the rows. The networks go along with it. A share of the rows is
never learnt from: those of them that the sample holds say, after every batch, whether the model
beats the start on what has come so far.
"""

import math
import sys
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from skvae.data.batches import Values
from skvae.data.reservoir import Reservoir, lots
from skvae.fitted.model import FittedModel
from skvae.fitting.beginning import initial_vae, load, training_state
from skvae.fitting.budget import auto_batch_size, make_budget
from skvae.fitting.fit import (
    arrays,
    linear_model,
    linear_record,
    trained_model,
    use_of,
    with_stored_rows,
)
from skvae.fitting.options import Options
from skvae.fitting.rows import is_trainable, start_vae, training_rows, with_hidden_layers
from skvae.model.priors import Prior
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.start.base import LinearStart, State
from skvae.start.streams import NewRows, StartStream, has_grown
from skvae.start.tables import TrainingTable
from skvae.training.acceptance import Acceptance, Candidate, select
from skvae.training.annealing import Annealing
from skvae.training.controller import Controller
from skvae.training.evaluation import DivergenceError, Evaluator
from skvae.training.loop import one_pass
from skvae.training.optimizer import Optimizer
from skvae.training.record import Record
from skvae.training.sampler import RowSampler, n_parts
from skvae.training.schedules import Schedule
from skvae.training.state import TrainingState
from skvae.training.step import choose_step

_HELD_OUT = 0.2  # share of the rows
_AGAIN = 8  # times as many rows of the sample as a batch has are learnt from again, at most


@dataclass(frozen=True)
class Networks:
    """Networks on their way, in the coordinates of a start: numpy arrays only."""

    start: LinearStart
    weights: State
    averaged: State
    moments: list[np.ndarray]  # what the optimizer remembers of past gradients
    optimizer: str  # whose they are
    step: int

    @classmethod
    def of(cls, state: TrainingState, start: LinearStart) -> "Networks":
        moments = [moment.numpy(force=True).copy() for moment in state.weights.moments]
        name = type(state.config.optimizer).__name__
        vae, averaged = arrays(state.vae), arrays(state.averaged)
        return cls(start, vae, averaged, moments, name, state.step)


@dataclass(frozen=True)
class Online:
    """Where `partial_fit` stands."""

    sample: Reservoir  # of the rows
    stream: StartStream  # of their start
    n_before: int  # rows of a fit before, of which the sample holds none
    n_learnt: int  # when the networks last learnt
    networks: Networks | None

    @classmethod
    def begin(cls, X: TrainingTable, model: FittedModel | None, n_before: int) -> "Online":
        """Where it begins: with the first rows, or after a fit of so many."""
        start, networks = None if model is None else model.start, None
        if model is not None and model.architecture is not None:
            networks = Networks(model.start, model.weights, model.weights, [], "", 0)
        sample = Reservoir.empty(X.shape[1])
        return cls(sample, X.begin_stream(start), n_before, 0, networks)

    @property
    def n_rows(self) -> int:
        """That came, those of a fit included."""
        return self.n_before + self.sample.n_rows

    @property
    def is_of_stream(self) -> bool:
        """Whether the sample stands for most of the rows: those of a fit are not in it."""
        return self.sample.n_rows >= self.n_before

    def sampled(
        self, X: TrainingTable, chosen: slice | np.ndarray = slice(None)
    ) -> tuple[TrainingTable, np.ndarray | None]:
        """Rows of the sample as a matrix or table like X, and their weights."""
        return X.with_values(self.sample.values[chosen]), self.sample.weight_of(chosen)


def check_online(
    kl_schedule: Schedule,
    optimizer: Optimizer,
    annealing: Annealing | None,
    n_init: int,
    prior: Prior,
) -> None:
    """Refuse what needs a budget of passes, or rows to go back to.

    Raises
    ------
    AttributeError
        Where rows cannot be learnt batch by batch; it says which option is why.
    """
    courses = kl_schedule, optimizer.course()
    for is_wrong, what in (
        (any(course.end > 0 for course in courses), "a schedule with a fixed course"),
        (annealing is not None, "annealing"),
        (n_init > 1, "n_init above 1"),
        (prior.is_fitted_after, f"prior={prior}"),
    ):
        if is_wrong:
            raise AttributeError(
                "partial_fit sees each row once and does not know the end of the data, but "
                f"{what} needs it; use fit."
            )


class Batch(NamedTuple):
    """Rows that came together, and how they are to be learnt."""

    X: TrainingTable
    weight: np.ndarray | None
    options: Options

    @property
    def step_rows(self) -> int:
        """Rows of a step of the training, of as many rows as these."""
        return self.options.batch_size or auto_batch_size(self.X.n_rows, None, self.options.limits)

    def is_held_out(self, values: Values) -> np.ndarray:
        """Which rows judge and are never learnt from."""
        share = self.options.validation_fraction
        return lots(values, self.options.seed) < (_HELD_OUT if share is None else share)


class Parts(NamedTuple):
    """Rows by which a batch is learnt: of the sample those that judge, and the others."""

    evaluator: Evaluator | None  # None while they are too few
    known: Rows
    seen: Rows  # some of the known


@torch.inference_mode(False)
@torch.enable_grad()
def fit_online(
    X: TrainingTable,
    weight: np.ndarray | None,
    options: Options,
    model: FittedModel | None,
    online: Online | None,
    n_before: int,
) -> tuple[FittedModel, Record, Online]:
    """Count rows in: the start of all that came, one pass, and what is better of the two.

    Without what `partial_fit` has left, it begins after a fit of n_before rows, or anew.
    """
    batch = Batch(X, weight, options)
    online, start = _follow(online or Online.begin(X, model, n_before), batch, model)
    if is_trainable(start, online.n_rows, options):
        found, record, online = _trained(online, batch, start, model)
    else:
        found, record = _linear(online, batch, start)
        online = replace(online, networks=None)
    return _with_stored_rows(found, online, batch, model), record, online


def _with_stored_rows(
    found: FittedModel, online: Online, batch: Batch, before: FittedModel | None
) -> FittedModel:
    """The model with rows of the sample, or those of a fit before while they are the most."""
    if before is None or before.stored is None or online.is_of_stream:
        return with_stored_rows(found, *online.sampled(batch.X), batch.options)
    return replace(found, stored=before.stored if batch.options.store_rows else None)


def _linear(online: Online, batch: Batch, start: LinearStart) -> tuple[FittedModel, Record]:
    """The linear start as it stands."""
    rows, weight = online.sampled(batch.X)
    model = linear_model(start, rows, batch.options, weight)
    return model, linear_record(start, rows, weight)


def _follow(online: Online, batch: Batch, model: FittedModel | None) -> tuple[Online, LinearStart]:
    """The linear start of all rows so far, with these counted in."""
    X, weight, options = batch
    rng = np.random.RandomState((options.seed + online.n_rows) % 2**32)
    online = replace(online, sample=online.sample.with_rows(X.values, weight, rng))
    # Networks are carried the more easily the more directions stay.
    fewest = online.networks.start.n_directions if online.networks else 1
    new = NewRows(
        X,
        weight,
        online.sample,
        online.is_of_stream,
        options.latent_dim,
        options.directions,
        fewest,
    )
    before = None if model is None else model.start
    stream, start, networks_stay = online.stream.follow(new, before, rng)
    networks = online.networks if networks_stay else None
    return replace(online, stream=stream, networks=networks), start


def _trained(
    online: Online, batch: Batch, start: LinearStart, model: FittedModel | None
) -> tuple[FittedModel, Record, Online]:
    """What is better on held-out rows, the start or the networks, which learn first.

    Few rows more change neither: until the next time the networks stay what they were found to be.
    """
    if not has_grown(online.sample.n_rows, online.n_learnt) and batch.X.shape[0] < batch.step_rows:
        return *_as_judged(online, batch, start, model), online
    options = batch.options
    options = with_hidden_layers(options, start, math.inf)  # how many there will be is not known
    batch = batch._replace(options=options)
    generator = options.generator(online.n_rows)  # another order and noise every time
    parts = _parts(online, batch, start, generator)
    record = Record(log_jacobians=_jacobians(online, batch, start))
    state, goes_on = _resumed(online.networks, batch, start, parts, generator)
    if parts.evaluator is not None:
        record.add(parts.evaluator.calibrate_and_evaluate(state.averaged), step=state.step)
    _learn(state, batch, start, parts, record)
    kept = Acceptance(model.kept, model.start_weight) if model and goes_on else Acceptance(0.0, 1.0)
    if parts.evaluator is not None:
        parts.evaluator.calibrate_and_evaluate(state.averaged_model())
        kept = select([Candidate(parts.evaluator, state.averaged, None)], options.limits)
    networks = Networks.of(state, start)
    online = replace(online, networks=networks, n_learnt=online.sample.n_rows)
    if kept.share == 0.0:
        return _linear(online, batch, start)[0], record, online
    is_told = (
        model is not None
        and model.kept > 0
        and parts.seen.n_rows < options.limits.min_evaluation_rows
    )
    use = model.use if model and is_told else use_of(state.averaged, parts.seen, options)
    found = trained_model(state.averaged, start, kept, options.prior, use, options)
    return found, record, online


def _as_judged(
    online: Online, batch: Batch, start: LinearStart, model: FittedModel | None
) -> tuple[FittedModel, Record]:
    """The start or the networks, as the last evaluation preferred, in today's coordinates."""
    networks = online.networks
    if model is None or networks is None or model.kept == 0.0:
        return _linear(online, batch, start)
    weights: State | None = model.weights
    if start is not model.start:
        vae = model.new_module(torch.float64)
        weights = start.carried(networks.averaged, vae, networks.start)
    if weights is None:
        return _linear(online, batch, start)
    return replace(model, start=start, weights=weights), Record()


def _parts(online: Online, batch: Batch, start: LinearStart, generator: torch.Generator) -> Parts:
    """Rows of the sample that judge, and those that are learnt from."""
    options = batch.options
    held = batch.is_held_out(online.sample.values)
    others = ~held if not held.all() else held
    known = training_rows(start, *online.sampled(batch.X, others), options)
    some = torch.randperm(known.n_rows, generator=generator, device=options.device)
    seen = known.take(some[: options.limits.seen_rows]).drawn(generator)
    if held.sum() < options.limits.min_evaluation_rows:
        return Parts(None, known, seen)
    rows = training_rows(start, *online.sampled(batch.X, held), options)
    everything = torch.arange(rows.n_rows, device=options.device)
    judging = rows.take(everything).drawn(generator)
    evaluator = Evaluator.of(judging, seen, start_vae(start, options), generator, options.config)
    return Parts(evaluator, known, seen)


def _jacobians(online: Online, batch: Batch, start: LinearStart) -> tuple[float, ...]:
    """What mean log-densities of the batch, and of the sample, gain in the user's units."""
    parts = (batch.X, batch.weight), online.sampled(batch.X)
    return tuple(
        float(np.average(start.representation.log_jacobian(X.values), weights=weight))
        for X, weight in parts
    )


def _resumed(
    networks: Networks | None,
    batch: Batch,
    start: LinearStart,
    parts: Parts,
    generator: torch.Generator,
) -> tuple[TrainingState, bool]:
    """The networks so far, in the coordinates of the start, and whether they go on.

    Where the start now beats them as clearly as they would have to beat it, they begin anew.
    """

    def begun() -> TrainingState:
        vae = initial_vae(start, parts.seen, batch.options)
        controller = _controller(parts.known.n_rows, vae, parts.known, batch.options)
        return training_state(vae, generator, batch.options, controller)

    state = begun()
    if networks is None or not _resume(state, networks, start):
        return begun(), False
    if parts.evaluator is None:
        return state, True
    try:
        parts.evaluator.calibrate_and_evaluate(state.averaged)
        is_behind = parts.evaluator.is_ahead(state.averaged)
    except DivergenceError:  # in other coordinates, very far out
        is_behind = True
    return (begun(), False) if is_behind else (state, True)


def _resume(state: TrainingState, networks: Networks, start: LinearStart) -> bool:
    """Go on where training stood, but for a prior or an optimizer that was changed since.

    Whether it could: networks of other sizes, or of a start with another number of units, cannot.
    """
    weights = [networks.weights, networks.averaged]
    if start is not networks.start:
        found = [start.carried(own, state.vae, networks.start) for own in weights]
        weights = [own for own in found if own is not None]
    if not weights or not load(state.vae, weights[0]):
        return False
    load(state.averaged, weights[1])
    moments = state.weights.moments
    is_same = type(state.config.optimizer).__name__ == networks.optimizer
    if is_same and [m.shape for m in moments] == [m.shape for m in networks.moments]:
        state.step = networks.step
        for moment, array in zip(moments, networks.moments, strict=True):
            moment.copy_(torch.tensor(array))
        for part in state.weights.parts:
            part.step.fill_(networks.step)
    return True


def _learn(
    state: TrainingState, batch: Batch, start: LinearStart, parts: Parts, record: Record
) -> None:
    """One pass over the batch, and one over rows of the sample, lest they be forgotten.

    A batch that is smaller than a step is learnt from as part of the sample alone.
    """
    options, step = batch.options, batch.step_rows
    state.take = choose_step(state, parts.seen, options.steps)
    own = torch.from_numpy(np.flatnonzero(~batch.is_held_out(batch.X.values))).to(options.device)
    if len(own) >= step:
        rows = training_rows(start, batch.X, batch.weight, options)
        state.controller = _controller(len(own), state.vae, rows, options)
        for _ in range(n_parts(len(own), options.limits.pass_rows)):
            record.losses.append(one_pass(state, rows, own))
    n_known = parts.known.n_rows
    order = torch.randperm(n_known, generator=state.generator, device=options.device)
    again = order[: _AGAIN * max(len(own), step)]
    state.controller = _controller(len(again), state.vae, parts.known, options)
    state.sampler = RowSampler(state.generator, options.limits)  # of other rows
    loss = one_pass(state, parts.known, again)
    if not math.isfinite(loss):  # it may be long until rows enough are there to judge by
        raise DivergenceError(f"the bound of the rows became {-loss.item()}")
    record.losses = record.losses or [loss]
    record.n_passes = len(record.losses)


def _controller(n_rows: int, vae: VAE, rows: Rows, options: Options) -> Controller:
    """Of a pass over so many rows; there is no last one."""
    budget = make_budget(n_rows, vae, replace(options, max_iter=None))
    # A higher rate needs a fall in the end.
    budget = budget._replace(max_passes=sys.maxsize, auto_rate=options.limits.learning_rate)
    return Controller(budget, options.config, n_rows, rows.n_inputs)
