"""One training, from first weights to the best of them, and the best of several."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skvae.fitting.beginning import training_state
from skvae.fitting.budget import make_budget
from skvae.fitting.options import Options
from skvae.model.diagnostics import linear_r2
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.checkpoint import Checkpoint
from skvae.training.controller import Controller
from skvae.training.evaluation import DivergenceError, Evaluator
from skvae.training.listener import NOBODY, Listener
from skvae.training.loop import train
from skvae.training.record import Record
from skvae.training.shards import SharedStep
from skvae.training.state import TrainingState
from skvae.training.step import Step, choose_step


class Trial(NamedTuple):
    """One training from one set of first weights."""

    vae: VAE
    origin: dict[str, Tensor]  # its state before the first step
    record: Record
    rows: Rows  # of the training and held out from it
    evaluator: Evaluator

    def copy(self) -> "Trial":
        """One whose model and record can be changed."""
        return self._replace(vae=copy.deepcopy(self.vae), record=self.record.copy())


def best_of(attempt: Callable[[int, list[Trial]], Trial], n_init: int, seen: Rows) -> Trial:
    """The best of so many trainings by the held-out bound; of those until an interrupt.

    One whose loss is not finite is left out, where there are others.
    """
    trials: list[Trial] = []
    for number in range(n_init):
        try:
            trials.append(attempt(number, trials))
        except DivergenceError:
            if number == n_init - 1 and not trials:
                raise
            continue
        except KeyboardInterrupt as end:  # before its first pass
            if not trials:
                raise
            trials[-1].record.cut_by(end)
        if trials[-1].record.was_cut:
            break
    return chosen(trials, seen)


def chosen(trials: Sequence[Trial], seen: Rows) -> Trial:
    """The best of these; its record tells of the others, and of what ended the last one."""
    bounds = [max(trial.record.bounds[1:]) for trial in trials]
    best = trials[int(np.argmax(bounds))]
    agreement = compare([trial.vae for trial in trials], best.vae, seen)
    best.record.restarts = list(zip(bounds, agreement, strict=True))
    last = trials[-1].record
    best.record.interrupted, best.record.stopped = last.interrupted, last.stopped
    return best


def run_trial(
    vae: VAE,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    options: Options,
    checkpoint: Checkpoint,
    *,
    listener: Listener = NOBODY,
) -> Trial:
    """Train from these weights, or go on from where the same training stood."""
    origin = copied(vae)
    n_rows = n_training(training, options)
    budget = make_budget(n_rows, vae, options)
    controller = Controller(budget, options.config, n_rows, rows.n_inputs)
    state = training_state(vae, evaluator.generator, options, controller)
    share(state, rows, training, options)
    state.begin(evaluator)
    most_passes = None if options.annealing else budget.max_passes
    with followed(state, listener, most_passes), checkpoint.training(state) as has_ended:
        if not has_ended:
            _train(state, rows, training, evaluator, options)
    return Trial(vae.eval(), origin, state.record, rows, evaluator)


@contextmanager
def followed(state: TrainingState, listener: Listener, most_passes: int | None) -> Iterator[None]:
    """While it lasts, a training that somebody hears of; who may end the fit with it."""
    state.listener = listener
    listener.begin_training(most_passes)
    yield
    if listener.end_training():
        state.record.stopped = True


def copied(vae: VAE) -> dict[str, Tensor]:
    """A copy of a model's state."""
    return {name: value.clone() for name, value in vae.state_dict().items()}


def _train(
    state: TrainingState,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    options: Options,
) -> None:
    """Train, with annealing where it is asked for; leave the best weights."""
    annealing = options.annealing
    if annealing is not None:
        state.perturb = annealing.perturbation(state)
    state.take = way_of(state, evaluator.seen, options)
    is_over = state.annealed is not None
    if not is_over and (annealing is None or annealing.follows_training):
        train(state, rows, training, evaluator)
    if annealing is not None and not state.record.was_cut:
        annealing.refine(state, rows, training, evaluator)


def n_training(training: Tensor, options: Options) -> int:
    """Rows of a pass."""
    return len(training) if options.sharing is None else options.sharing.n_training(training)


def share(state: TrainingState, rows: Rows, training: Tensor, options: Options) -> None:
    """Let the training take its rows as the processes share them, where there are several."""
    if options.sharing is not None:
        state.sampler = options.sharing.sampler(rows, training, state.generator, options.limits)


def way_of(state: TrainingState, some: Rows, options: Options) -> Step:
    """The way in which the training takes its steps on such rows."""
    if options.sharing is not None:
        return SharedStep(state, some, options.steps)
    return choose_step(state, some, options.steps)


@torch.no_grad()
def compare(vaes: list[VAE], best: VAE, rows: Rows) -> list[float]:
    """Share of the variance of the best restart's codes that those of each predict linearly.

    Codes count by the nats that they carry. Near 1 restarts found one optimum, up to rotation; far
    below they found different ones.
    """
    q, target = best.encode(rows), best.codes(rows)
    kl = rows.mean(q.kl())
    return [linear_r2(vae.codes(rows), target, kl, rows.weight) for vae in vaes]
