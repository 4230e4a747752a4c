"""Fits of few rows: those held out by one split are too few to judge a training.

Then those of several splits judge together.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from torch import Tensor

from skvae.fitting.beginning import initial_vae
from skvae.fitting.judges import evaluator_of
from skvae.fitting.options import Options
from skvae.fitting.rows import is_trainable, known_rows, new_start
from skvae.fitting.telling import listener_of, mean_jacobians
from skvae.fitting.trial import Trial, run_trial
from skvae.start.tables import TrainingTable
from skvae.training.acceptance import Acceptance, Candidate, is_open, select
from skvae.training.checkpoint import Checkpoint
from skvae.training.evaluation import DivergenceError
from skvae.training.listener import Stop
from skvae.training.progress import SPLIT, Follower


def candidate_of(trial: Trial, options: Options) -> Candidate:
    """A training as its held-out rows judge it."""
    return Candidate(trial.evaluator, trial.vae, trial.origin if options.init == "pca" else None)


def accept_of_few(
    trial: Trial,
    X: TrainingTable,
    weight: np.ndarray | None,
    splits: Iterable[tuple[Tensor, Tensor]],
    options: Options,
    checkpoint: Checkpoint,
    *,
    follower: Follower | None = None,
) -> Acceptance:
    """Let more splits judge a training that one does not accept."""
    candidate = candidate_of(trial, options)
    kept = select([candidate], options.limits)
    if kept.share > 0.0:
        return kept
    try:
        return select_by_all(candidate, X, weight, splits, options, checkpoint, follower=follower)
    except KeyboardInterrupt as end:  # the splits so far have not accepted it
        trial.record.cut_by(end)
        return kept


def select_by_all(
    first: Candidate,
    X: TrainingTable,
    weight: np.ndarray | None,
    splits: Iterable[tuple[Tensor, Tensor]],
    options: Options,
    checkpoint: Checkpoint,
    *,
    follower: Follower | None = None,
) -> Acceptance:
    """Keep what the rows of several splits find better together, as long as that is open."""
    candidates = [first]
    others = _trained_apart(X, weight, splits, options, checkpoint, follower)
    while is_open(candidates, options.limits):
        candidate = next(others, None)
        if candidate is None:
            break
        candidates.append(candidate)
        kept = select(candidates, options.limits)
        if kept.share > 0.0:
            return kept
    return Acceptance(0.0, 1.0)


def _trained_apart(
    X: TrainingTable,
    weight: np.ndarray | None,
    splits: Iterable[tuple[Tensor, Tensor]],
    options: Options,
    checkpoint: Checkpoint,
    follower: Follower | None,
) -> Iterator[Candidate]:
    """A training for every split, from a linear start of its own.

    The start of all rows knows the held-out ones: of few rows and many columns it explains them
    far better than any others, and no training could show what it gains on these.
    """
    for held_out, training in splits:
        own = training.numpy(force=True)
        own_weight = None if weight is None else weight[own]
        rng = np.random.RandomState(options.seed)
        start = new_start(X.with_values(X.values[own]), own_weight, options, rng)
        if not is_trainable(start, len(own), options):
            return
        rows = known_rows(start, X, weight, options)
        evaluator = evaluator_of(start, rows, held_out, training, options)
        vae = initial_vae(start, evaluator.seen, options)
        jacobians = mean_jacobians(start, X.values, weight, training, held_out)
        listener = listener_of(follower, SPLIT, jacobians)
        try:
            trial = run_trial(
                vae, rows, training, evaluator, options, checkpoint, listener=listener
            )
        except DivergenceError:
            return
        if trial.record.was_cut:
            raise Stop if trial.record.stopped else KeyboardInterrupt
        yield candidate_of(trial, options)
