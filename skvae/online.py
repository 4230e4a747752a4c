"""Learning from rows that come batch by batch.

The linear start is that of all rows that came: of a matrix exactly, by merged moments; of a table
it is fitted again to a sample of the rows. The networks go along with it. A share of the rows is
never learnt from: those of them that the sample holds say, after every batch, whether the model
beats the start on what has come so far.
"""

import math
import sys
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from skvae.data.reservoir import Reservoir, lots
from skvae.data.table import Table
from skvae.fitted.model import Model
from skvae.fitting import (
    Options,
    arrays,
    auto_batch_size,
    fresh_generator,
    initial_vae,
    is_trainable,
    kind_of,
    linear_model,
    linear_record,
    load,
    make_budget,
    make_rows,
    start_vae,
    suited,
    tail_of,
    trained_model,
    training_state,
    use_of,
)
from skvae.model.priors import Prior
from skvae.model.vae import LatentModel, Rows
from skvae.start.coordinates import carried
from skvae.start.moments import Moments, no_moments
from skvae.start.ppca import linear_start, most_directions
from skvae.training.annealing import Annealing
from skvae.training.controller import Controller
from skvae.training.evaluation import Acceptance, DivergenceError, Evaluator
from skvae.training.loop import one_pass
from skvae.training.optimizers import Optimizer
from skvae.training.record import Record
from skvae.training.sampler import RowSampler, n_parts
from skvae.training.schedules import Schedule
from skvae.training.state import TrainingState
from skvae.training.step import choose_step

_HELD_OUT = 0.2  # share of the rows
_AGAIN = 8  # times as many rows of the sample as a batch has are learnt from again, at most
_RENEWAL = 32  # rows that came since call for another look once they are one in so many
_LIKELIER = 0.01  # nats per cell by which another start has to be


@dataclass(frozen=True)
class Networks:
    """Networks on their way, in the coordinates of a start: numpy arrays only."""

    start: Any
    weights: dict[str, np.ndarray]
    averaged: dict[str, np.ndarray]
    moments: list[np.ndarray]  # what the optimiser remembers of past gradients
    optimizer: str  # whose they are
    step: int

    @classmethod
    def of(cls, state: TrainingState, start: Any) -> "Networks":
        moments = [moment.numpy(force=True).copy() for moment in state.weights.moments]
        name = type(state.config.optimizer).__name__
        vae, averaged = arrays(state.vae), arrays(state.averaged)
        return cls(start, vae, averaged, moments, name, state.step)


@dataclass(frozen=True)
class Online:
    """Where `partial_fit` stands."""

    sample: Reservoir  # of the rows
    moments: Moments | None  # of a matrix
    n_before: int  # rows of a fit before, of which the sample holds none
    n_started: int  # rows in the sample's stream when the start of a table was found
    n_levels: tuple[int, ...]  # of the columns of a table, when its start was found
    n_learnt: int  # when the networks last learnt
    networks: Networks | None

    @classmethod
    def after(cls, model: Model, n_rows: int) -> "Online":
        """Where it begins after a fit of so many rows, of which a matrix left moments."""
        networks = None
        if model.architecture is not None:
            networks = Networks(model.start, model.weights, model.weights, [], "", 0)
        moments = Moments.of_start(model.start) if type(model) is Model else None
        return cls(Reservoir.empty(model.start.n_features), moments, n_rows, 0, (), 0, networks)

    @classmethod
    def before(cls, X) -> "Online":
        """Where it begins with the first rows."""
        moments = None if isinstance(X, Table) else no_moments(X)
        return cls(Reservoir.empty(X.shape[1]), moments, 0, 0, (), 0, None)

    @property
    def n_rows(self) -> int:
        """That came, those of a fit included."""
        return self.n_before + self.sample.n_rows

    def is_due(self, before: int) -> bool:
        """Whether many rows have come since there were so many."""
        n = self.sample.n_rows
        return _RENEWAL * (n - before) >= n

    @property
    def is_of_stream(self) -> bool:
        """Whether the sample stands for most of the rows: those of a fit are not in it."""
        return self.sample.n_rows >= self.n_before

    def sampled(self, X, chosen: Any = slice(None)) -> tuple[Any, np.ndarray | None]:
        """Rows of the sample as a matrix or table like X, and their weights."""
        values = self.sample.values[chosen]
        rows = X._replace(values=values) if isinstance(X, Table) else values
        return rows, self.sample.weight_of(chosen)


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
                f"partial_fit sees rows once and knows no end, which {what} needs; use fit."
            )


class Batch(NamedTuple):
    """Rows that came together, and how they are to be learnt."""

    X: Any
    weight: np.ndarray | None
    kind: type[Model]
    options: Options

    @property
    def values(self) -> Any:
        """Cells of the rows."""
        return self.X.values if isinstance(self.X, Table) else self.X

    @property
    def step_rows(self) -> int:
        """Rows of a step of the training, of as many rows as these."""
        return self.options.batch_size or auto_batch_size(
            self.X.shape[0], None, self.options.limits
        )

    def is_held_out(self, values) -> np.ndarray:
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
    X,
    weight: np.ndarray | None,
    options: Options,
    previous: tuple[Model, Online] | None,
) -> tuple[Model, Record, Online]:
    """Count rows in: the start of all that came, one pass, and what is better of the two."""
    model, online = previous or (None, Online.before(X))
    batch = Batch(X, weight, kind_of(X), options)
    online, start = _follow(online, batch, model)
    if is_trainable(start, online.n_rows, options):
        return _trained(online, batch, start, model)
    return *_linear(online, batch, start), replace(online, networks=None)


def _linear(online: Online, batch: Batch, start: Any) -> tuple[Model, Record]:
    """The linear start as it stands."""
    rows, weight = online.sampled(batch.X)
    model = linear_model(batch.kind, start, rows, batch.options, weight)
    return model, linear_record(batch.kind, start, rows, weight)


def _follow(online: Online, batch: Batch, model: Model | None) -> tuple[Online, Any]:
    """The linear start of all rows so far, with these counted in."""
    options = batch.options
    rng = np.random.RandomState((options.seed + online.n_rows) % 2**32)
    sample = online.sample.with_rows(batch.values, batch.weight, rng)
    online = replace(online, sample=sample)
    if online.moments is None:
        return _follow_table(online, batch, model, rng)
    moments = online.moments.merged(batch.X, batch.weight, 2 * options.latent_dim)
    spectrum = moments.spectrum(most_directions(options.latent_dim))
    # Networks are carried the more easily the more directions stay.
    fewest = online.networks.start.n_directions if online.networks else 1
    start = linear_start(spectrum, moments.n_rows, options.latent_dim, tail_of(options), fewest)
    return replace(online, moments=moments), start


def _follow_table(
    online: Online, batch: Batch, model: Model | None, rng: np.random.RandomState
) -> tuple[Online, Any]:
    """The start of the sample, where that is likelier than the one there is.

    Other factors are other coordinates: the networks begin anew.
    """
    n_levels = tuple(batch.X.n_levels.tolist())
    is_grown = bool(online.n_levels) and n_levels != online.n_levels
    is_due = online.is_due(online.n_started) and online.is_of_stream
    if model is not None and not (is_due or is_grown):
        return online, model.start
    rows, weight = online.sampled(batch.X)
    if len(online.sample.values) == 1:  # which has no spread: it counts twice
        rows = rows._replace(values=np.repeat(rows.values, 2, axis=0))
    start = batch.kind.fit_start(rows, batch.options.latent_dim, weight, rng)
    online = replace(online, n_started=online.sample.n_rows, n_levels=n_levels)
    if model is not None and not is_grown:
        ours, theirs = (batch.kind.start_score(each, rows, weight) for each in (model.start, start))
        if theirs <= ours + _LIKELIER * batch.X.shape[1]:
            return online, model.start
    return replace(online, networks=None), start


def _trained(
    online: Online, batch: Batch, start: Any, model: Model | None
) -> tuple[Model, Record, Online]:
    """What is better on held-out rows, the start or the networks, which learn first.

    Few rows more change neither: until the next time the networks stay what they were found to be.
    """
    if not online.is_due(online.n_learnt) and batch.X.shape[0] < batch.step_rows:
        return *_as_judged(online, batch, start, model), online
    options = batch.options
    options = suited(options, batch.kind, start, math.inf)  # how many there will be is not known
    batch = batch._replace(options=options)
    generator = fresh_generator(options, online.n_rows)  # another order and noise every time
    parts = _parts(online, batch, start, generator)
    record = Record(log_jacobians=_jacobians(online, batch, start))
    state, goes_on = _resumed(online.networks, batch, start, parts, generator)
    if parts.evaluator is not None:
        record.add(parts.evaluator.calibrate_and_evaluate(state.averaged), step=state.step)
    _learn(state, batch, start, parts, record)
    kept = Acceptance(model.kept, model.start_weight) if model and goes_on else Acceptance(0.0, 1.0)
    if parts.evaluator is not None:
        parts.evaluator.calibrate_and_evaluate(state.averaged_model())
        kept = parts.evaluator.select(state.averaged, None)
    networks = Networks.of(state, start)
    online = replace(online, networks=networks, n_learnt=online.sample.n_rows)
    if kept.share == 0.0:
        return _linear(online, batch, start)[0], record, online
    is_told = (
        model is not None
        and model.kept > 0
        and parts.seen.n_rows < options.limits.min_evaluation_rows
    )
    use = model.use if model and is_told else use_of(state.averaged, parts.seen, options.limits)
    found = trained_model(batch.kind, state.averaged, start, kept, use, options)
    return found, record, online


def _as_judged(
    online: Online, batch: Batch, start: Any, model: Model | None
) -> tuple[Model, Record]:
    """The start or the networks, whichever the last look preferred, in today's coordinates."""
    networks = online.networks
    if model is None or networks is None or model.kept == 0.0:
        return _linear(online, batch, start)
    weights: dict[str, np.ndarray] | None = model.weights
    if start is not model.start:
        vae = model.vae(torch.float64)
        weights = carried(networks.averaged, vae, networks.start, start)
    if weights is None:
        return _linear(online, batch, start)
    return replace(model, start=start, weights=weights), Record()


def _parts(online: Online, batch: Batch, start: Any, generator: torch.Generator) -> Parts:
    """Rows of the sample that judge, and those that are learnt from."""
    kind, options = batch.kind, batch.options
    held = batch.is_held_out(online.sample.values)
    others = ~held if not held.all() else held
    known = make_rows(kind, start, *online.sampled(batch.X, others), options)
    some = torch.randperm(known.n_rows, generator=generator, device=options.device)
    seen = known.take(some[: options.limits.seen_rows]).drawn(generator)
    if held.sum() < options.limits.min_evaluation_rows:
        return Parts(None, known, seen)
    rows = make_rows(kind, start, *online.sampled(batch.X, held), options)
    everything = torch.arange(rows.n_rows, device=options.device)
    evaluator = Evaluator.of(
        rows.take(everything).drawn(generator),
        seen,
        start_vae(kind, start, options),
        generator,
        options.config,
    )
    return Parts(evaluator, known, seen)


def _jacobians(online: Online, batch: Batch, start: Any) -> tuple[float, ...]:
    """What mean log-densities of the batch, and of the sample, gain in the user's units."""
    parts = (batch.X, batch.weight), online.sampled(batch.X)
    return tuple(
        float(np.average(batch.kind.log_jacobian(start, X), weights=weight)) for X, weight in parts
    )


def _resumed(
    networks: Networks | None,
    batch: Batch,
    start: Any,
    parts: Parts,
    generator: torch.Generator,
) -> tuple[TrainingState, bool]:
    """The networks so far, in the coordinates of the start, and whether they go on.

    Where the start now beats them as clearly as they would have to beat it, they begin anew.
    """

    def begun() -> TrainingState:
        vae = initial_vae(batch.kind, start, parts.seen, batch.options)
        controller = _controller(parts.known.n_rows, vae, parts.known, batch.options)
        return training_state(vae, generator, batch.options, controller)

    state = begun()
    if networks is None or not _resume(state, networks, batch.kind, start):
        return begun(), False
    if parts.evaluator is None:
        return state, True
    try:
        parts.evaluator.calibrate_and_evaluate(state.averaged)
        is_behind = parts.evaluator.is_ahead(state.averaged)
    except DivergenceError:  # in other coordinates, very far out
        is_behind = True
    return (begun(), False) if is_behind else (state, True)


def _resume(state: TrainingState, networks: Networks, kind: type[Model], start: Any) -> bool:
    """Go on where training stood, but for a prior or an optimiser that was changed since.

    Whether it could: networks of other sizes, or of a start with another number of units, cannot.
    """
    weights = [networks.weights, networks.averaged]
    if start is not networks.start and kind is Model:
        found = [carried(own, state.vae, networks.start, start) for own in weights]
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


def _learn(state: TrainingState, batch: Batch, start: Any, parts: Parts, record: Record) -> None:
    """One pass over the batch, and one over rows of the sample, lest they be forgotten.

    A batch that is smaller than a step is learnt from as part of the sample alone.
    """
    options, step = batch.options, batch.step_rows
    state.take = choose_step(state, parts.known, options.steps)
    own = torch.from_numpy(np.flatnonzero(~batch.is_held_out(batch.values))).to(options.device)
    if len(own) >= step:
        rows = make_rows(batch.kind, start, batch.X, batch.weight, options)
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


def _controller(n_rows: int, vae: LatentModel, rows: Rows, options: Options) -> Controller:
    """Of a pass over so many rows; there is no last one."""
    budget = make_budget(n_rows, vae, replace(options, max_iter=None))
    return Controller(
        budget._replace(max_passes=sys.maxsize), options.config, n_rows, rows.n_inputs
    )
