"""From the linear start to the best weights: passes over the rows, evaluations in between."""

import copy
from dataclasses import replace

import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.evaluation import Evaluator
from skvae.training.listener import Stop
from skvae.training.record import Record
from skvae.training.state import TrainingState
from skvae.training.step import take_step


def train(state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator) -> None:
    """Train on rows[training] from where the state is; leave the weights of the best evaluation."""
    record, controller = state.record, state.controller
    try:
        while record.n_passes < controller.last_pass:
            state.listener.begin_pass()
            advance(state, rows, training, evaluator)
            state.tell()
            if state.listener.end_pass(state, evaluator):
                raise Stop
    except Stop:
        _stop(state, evaluator)
    except KeyboardInterrupt:
        if len(record.bounds) == 1:  # nothing has been evaluated
            raise
        record.interrupted = True
    state.go_back(state.best)
    record.converged = controller.has_settled or controller.is_flat(record)


def advance(state: TrainingState, rows: Rows, training: Tensor, evaluator: Evaluator) -> None:
    """One pass; where an evaluation is due, the controller acts on it."""
    record, controller = state.record, state.controller
    record.losses.append(one_pass(state, rows, training))
    record.n_passes += 1
    if not controller.is_due(record.n_passes):
        return
    state.keep_if_best(evaluator.calibrate_and_evaluate(state.averaged_model()))
    if controller.adapt(record, state.step, state.best_pass):
        state.go_back(state.best)


def as_stopped(state: TrainingState, evaluator: Evaluator) -> tuple[VAE, Record]:
    """The model that the training would leave if it ended here, and its record: copies."""
    averaged = copy.deepcopy(state.averaged_model())
    ended = replace(state, averaged=averaged, record=state.record.copy())
    generator = state.generator_state()
    _stop(ended, evaluator)
    state.set_generator(generator)
    vae = copy.deepcopy(state.vae)
    vae.load_state_dict(ended.best)
    return vae.eval(), ended.record


def _stop(state: TrainingState, evaluator: Evaluator) -> None:
    """Note that the training ends here; what it has come to is judged, too."""
    state.record.stopped = True
    if not state.record.is_judged:
        state.keep_if_best(evaluator.calibrate_and_evaluate(state.averaged_model()))


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
