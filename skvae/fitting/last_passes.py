"""The last passes of a fit: a model that is kept learns from the held-out rows, too."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from skvae.fitting.beginning import training_state
from skvae.fitting.budget import make_budget
from skvae.fitting.options import Options
from skvae.fitting.trial import Trial, followed, n_training, share, way_of
from skvae.model.rows import Rows
from skvae.training.checkpoint import Checkpoint
from skvae.training.controller import Controller
from skvae.training.listener import NOBODY, Listener, Stop
from skvae.training.loop import one_pass
from skvae.training.state import TrainingState


def learn_from_all(
    trial: Trial, options: Options, checkpoint: Checkpoint, listener: Listener = NOBODY
) -> None:
    """Let the model learn from all rows, at a falling rate.

    What held-out rows have said of the noise, and of the units, stays: rows that are learnt from
    would say too little of it.
    """
    n_passes = n_last_passes(trial, options)
    if n_passes <= 0:
        return
    if options.sharing is not None:
        options = replace(options, sharing=options.sharing.with_all_rows())
    vae, rows, record = trial.vae, trial.rows, trial.record
    everything = torch.arange(rows.n_rows, device=options.device)
    noise = vae.observation.noise_variance
    held_out = None if noise is None else noise.item()
    state = _beginning(trial, everything, n_passes, options)
    with followed(state, listener, n_passes), checkpoint.training(state) as has_ended:
        if not has_ended:
            state.take = way_of(state, trial.evaluator.seen, options)
            _pass_over_all(state, rows, everything, n_passes)
    record.losses += state.record.losses
    record.n_passes += len(state.record.losses)
    record.interrupted |= state.record.interrupted
    record.stopped |= state.record.stopped
    vae.eval()
    if held_out is not None:
        vae.observation.set_noise(held_out)


def n_last_passes(trial: Trial, options: Options) -> int:
    """How many there are, after those that the training took."""
    if options.annealing is not None or not options.learns_from_all:
        return 0
    n_before = trial.record.n_passes
    n_passes = math.ceil(n_before * options.limits.final_shares[_which(trial, options)])
    return n_passes if options.max_iter is None else min(n_passes, options.max_iter - n_before)


def _which(trial: Trial, options: Options) -> int:
    """Which of the limits for few rows and for more."""
    return int(trial.rows.n_rows >= options.limits.few_rows)


def _beginning(trial: Trial, everything: Tensor, n_passes: int, options: Options) -> TrainingState:
    """The state before the first of them."""
    least_level = options.limits.final_decay_levels[_which(trial, options)]
    n_rows = n_training(everything, options)
    budget = make_budget(n_rows, trial.vae, options)._replace(max_passes=n_passes)
    controller = Controller(budget, options.config, n_rows, trial.rows.n_inputs)
    controller.begin_fall(trial.record.history[-1]["weight_decay"], least_level)
    state = training_state(trial.vae, options.generator(), options, controller)
    share(state, trial.rows, everything, options)
    state.keep()
    state.record.bounds = list(trial.record.bounds)  # for who follows it
    return state


def _pass_over_all(state: TrainingState, rows: Rows, everything: Tensor, n_passes: int) -> None:
    """So many passes over all rows; nothing of them where they fail or are interrupted."""
    record = state.record
    try:
        while record.n_passes < n_passes:
            state.listener.begin_pass()
            record.losses.append(one_pass(state, rows, everything))
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
