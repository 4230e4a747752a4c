"""From the linear start to the best weights: passes over the rows, evaluations in between."""

from collections.abc import Callable

import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.training.evaluation import Evaluator
from skvae.training.record import Progress
from skvae.training.state import TrainingState
from skvae.training.step import take_step


def train(
    state: TrainingState,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    report: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """Train on rows[training] from where the state is; leave the weights of the best evaluation."""
    record, controller = state.record, state.controller
    try:
        while record.n_passes < controller.last_pass:
            advance(state, rows, training, evaluator, report)
            state.tell()
    except KeyboardInterrupt:
        if len(record.bounds) == 1:  # nothing has been evaluated
            raise
        record.interrupted = True
    state.go_back(state.best)
    record.converged = controller.has_settled or controller.is_flat(record)


def advance(
    state: TrainingState,
    rows: Rows,
    training: Tensor,
    evaluator: Evaluator,
    report: Callable[[Progress], None] = lambda progress: None,
) -> None:
    """One pass; where an evaluation is due, the controller acts on it."""
    record, controller = state.record, state.controller
    record.losses.append(one_pass(state, rows, training))
    record.n_passes += 1
    if not controller.is_due(record.n_passes):
        return
    state.keep_if_best(evaluator.calibrate_and_evaluate(state.averaged_model()))
    if controller.adapt(record, state.step, state.best_pass):
        state.go_back(state.best)
    report(Progress(record.n_passes, controller.last_pass, record.bounds))


def one_pass(state: TrainingState, rows: Rows, training: Tensor) -> Tensor:
    """One pass over rows[training] in random order; minus the mean bound, left on the device.

    Of very many rows it takes a part, and the next pass goes on with the others.
    """
    bounds, controller = [], state.controller
    state.vae.in_bfloat16 = state.precision(controller.batch_size) == torch.bfloat16
    n_steps, size = controller.pass_steps, controller.batch_size
    for batch in state.sampler.one_pass(rows, training, n_steps, size):
        terms = take_step(state, batch)
        bounds.append((batch.is_masked, terms.elbo))
    # The bound of fewer cells is no measure of the bound of all.
    whole = [bound for is_masked, bound in bounds if not is_masked]
    return -torch.stack(whole or [bound for _, bound in bounds]).mean()
