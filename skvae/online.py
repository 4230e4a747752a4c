"""Learning from rows that come batch by batch and are seen once."""

import math
import sys
from dataclasses import dataclass, replace

import numpy as np
import torch

from skvae.fitting import (
    SEEN_ROWS,
    Options,
    arrays,
    fresh_generator,
    initial_vae,
    kind_of,
    linear_again,
    linear_record,
    load,
    make_budget,
    make_learner,
    make_rows,
    mean_jacobians,
    new_start,
    start_vae,
    suited,
    trained_model,
    use_of,
)
from skvae.held_out import FEWEST_ROWS, HeldOut, Kept
from skvae.model import Model
from skvae.training import Learner, Plan, Record, n_parts, one_pass


@dataclass(frozen=True)
class Online:
    """Where `partial_fit` stands: numpy arrays only."""

    weights: dict[str, np.ndarray]
    averaged: dict[str, np.ndarray]
    moments: list[np.ndarray]  # what the optimiser remembers of past gradients
    optimizer: str  # whose they are
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
    start = model.start if model else new_start(kind, X, weight, options, rng)
    if not 0 < start.latent_dim < start.n_directions:
        return (
            linear_again(model, kind, start, X, options, weight),
            linear_record(kind, start, X, weight, model is None),
            None,
        )
    options = suited(options, kind, start, math.inf)  # how many there will be is not known
    rows = make_rows(kind, start, X, weight, options)
    # Every call has rows in another order, and other noise.
    generator = fresh_generator(options, online.step if online else 0)
    everything = torch.arange(rows.n_rows, device=options.device)
    seen = rows.take(everything[:SEEN_ROWS]).drawn(generator)
    vae = initial_vae(kind, start, seen, options, previous=model)
    budget = make_budget(rows.n_rows, vae, replace(options, max_iter=None))
    learner = make_learner(vae, generator, options)
    plan = Plan(budget._replace(max_passes=sys.maxsize), options.recipe, rows.n_rows, rows.n_inputs)
    if online is not None:
        _resume(learner, online)
    judge = HeldOut.of(
        rows.take(everything).drawn(generator),
        seen,
        start_vae(kind, start, options),
        generator,
        options.recipe.objective.is_deterministic,
    )
    record = Record(log_jacobians=2 * mean_jacobians(kind, start, X, weight, everything))
    kept = Kept(model.kept, model.start_weight) if model else Kept(0.0, 1.0)
    can_judge = rows.n_rows >= FEWEST_ROWS
    if can_judge:
        record.add(judge.look(learner.averaged), step=learner.step)
        kept = judge.keep(learner.averaged, None) if model else kept
    for _ in range(n_parts(rows.n_rows)):
        record.losses.append(one_pass(learner, rows, everything, plan))
        record.n_passes += 1
    if can_judge:
        judge.look(learner.show())
    online = _snapshot(learner)
    if kept.share == 0.0:
        return linear_again(model, kind, start, X, options, weight), record, online
    # Too few rows say nothing of the codes: their use is then that of the model before.
    use = use_of(learner.averaged, seen) if can_judge or model is None else model.use
    return trained_model(kind, learner.averaged, start, kept, use, options), record, online


def _snapshot(learner: Learner) -> Online:
    moments = [moment.numpy(force=True).copy() for moment in learner.weights.moments]
    optimizer = type(learner.recipe.optimizer).__name__
    return Online(arrays(learner.vae), arrays(learner.averaged), moments, optimizer, learner.step)


def _resume(learner: Learner, online: Online) -> None:
    """Go on where training stood, but for a prior or an optimiser that was changed since."""
    load(learner.vae, online.weights)
    load(learner.averaged, online.averaged)
    learner.step = online.step
    moments = learner.weights.moments
    is_same = type(learner.recipe.optimizer).__name__ == online.optimizer
    if is_same and [m.shape for m in moments] == [m.shape for m in online.moments]:
        for moment, array in zip(moments, online.moments, strict=True):
            moment.copy_(torch.tensor(array))
        for part in learner.weights.parts:
            part.step.fill_(online.step)
