"""The last passes of a fit: a model that is kept learns from half of the held-out rows, too.

The other half says whether it is as good after them. Of few rows it is learnt from as well, then.
"""

import math
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from skvae.fitting.beginning import training_state
from skvae.fitting.budget import make_budget
from skvae.fitting.options import Options
from skvae.fitting.trial import Trial, copied, followed, n_training, share, way_of
from skvae.model.rows import Rows
from skvae.training.checkpoint import Checkpoint
from skvae.training.controller import Controller
from skvae.training.listener import NOBODY, Listener, Stop
from skvae.training.loop import one_pass
from skvae.training.record import Record
from skvae.training.state import TrainingState


def learn_more(
    trial: Trial,
    training: Tensor,
    held_out: Tensor,
    options: Options,
    checkpoint: Checkpoint,
    listener: Listener = NOBODY,
) -> None:
    """Let the model learn from more rows, at a falling rate; not, if others are worse off.

    Of few rows the other half is much: where it is not worse off, the passes are made once more, by
    all rows. The model that is kept is the averaged one, whose noise and units are still those that
    held-out rows have said: rows that are learnt from would say too little of the noise.
    """
    n_passes = n_last_passes(trial, options)
    if n_passes <= 0:
        return
    passes = partial(_passes, trial, n_passes, options, checkpoint, listener=listener)
    half, evaluator, kept = len(held_out) // 2, trial.evaluator, copied(trial.vae)
    judge = evaluator.of_some(torch.arange(half, len(held_out), device=options.device))
    before = judge.verdict(trial.vae)
    more, rest = torch.cat([training, held_out[:half]]), held_out[half:]
    last = passes(more, rest)
    if not judge.verdict(trial.vae).is_no_worse(before, options.limits.last_tolerance):
        trial.vae.load_state_dict(kept)
        last.losses = []
    elif last.losses and _is_of_few(trial, options):
        trial.vae.load_state_dict(kept)
        last = passes(torch.cat([more, rest]), rest[:0])
    if last.losses and evaluator.is_deterministic:  # whose posterior fits what it was before
        evaluator.fit_width(trial.vae)
    _take_note(trial.record, last)


def n_last_passes(trial: Trial, options: Options) -> int:
    """How many there are, after those that the training took."""
    if options.annealing is not None or not options.learns_more:
        return 0
    n_before, (of_few, of_more) = trial.record.n_passes, options.limits.last_shares
    n_passes = math.ceil(n_before * (of_few if _is_of_few(trial, options) else of_more))
    return n_passes if options.max_iter is None else min(n_passes, options.max_iter - n_before)


def _is_of_few(trial: Trial, options: Options) -> bool:
    return trial.rows.n_rows < options.limits.few_rows


def _passes(
    trial: Trial,
    n_passes: int,
    options: Options,
    checkpoint: Checkpoint,
    learnt: Tensor,
    left_out: Tensor,
    *,
    listener: Listener,
) -> Record:
    """Passes over the rows to be learnt, from the weights as they are, all others left out."""
    if options.sharing is not None:
        sharing = options.sharing.leaving_out(left_out.numpy(force=True))
        options = replace(options, sharing=sharing)
    state = _beginning(trial, learnt, n_passes, options)
    with followed(state, listener, n_passes), checkpoint.training(state) as has_ended:
        if not has_ended:
            state.take = way_of(state, trial.evaluator.seen, options)
            _pass(state, trial.rows, learnt, n_passes)
    trial.vae.eval()
    return state.record


def _beginning(trial: Trial, learnt: Tensor, n_passes: int, options: Options) -> TrainingState:
    """The state before the first of them."""
    n_rows = n_training(learnt, options)
    budget = make_budget(n_rows, trial.vae, options)._replace(max_passes=n_passes)
    controller = Controller(budget, options.config, n_rows, trial.rows.n_inputs)
    controller.begin_fall(trial.record.history[-1]["weight_decay"])
    state = training_state(trial.vae, options.generator(), options, controller)
    share(state, trial.rows, learnt, options)
    state.keep()
    state.record.bounds = list(trial.record.bounds)  # for who follows it
    return state


def _pass(state: TrainingState, rows: Rows, learnt: Tensor, n_passes: int) -> None:
    """So many passes over the rows; nothing of them where they fail or are interrupted."""
    record = state.record
    try:
        while record.n_passes < n_passes:
            state.listener.begin_pass()
            record.losses.append(one_pass(state, rows, learnt))
            record.n_passes += 1
            state.tell()
            if state.listener.end_pass(state, None):
                raise Stop
    except KeyboardInterrupt as end:
        record.cut_by(end)
    if record.was_cut or not math.isfinite(record.losses[-1]):
        record.losses = []
        state.go_back(state.best)
    else:
        state.go_back(state.averaged_model().state_dict())


def _take_note(record: Record, last: Record) -> None:
    """Let a record tell of the last passes, too."""
    record.losses += last.losses
    record.n_passes += len(last.losses)
    record.interrupted |= last.interrupted
    record.stopped |= last.stopped
