"""The training step: from the loss of a batch to new weights."""

import torch
from torch import Tensor

from skvae.model.vae import Rows
from skvae.training.objective import Terms
from skvae.training.state import StepParameters, TrainingState


def train_step(state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
    """The step itself: from the loss of a batch to new weights."""
    config, weights, controller = state.config, state.weights, state.controller
    terms = config.objective(state.vae, batch, state.generator, parameters.kl_weight)
    weights.differentiate(terms.loss)
    state.gradient_norm = clip(weights.gradient, config.optimizer.clip_norm)
    if state.perturb is not None:
        state.perturb(weights.gradient, controller.share)
    weights.step(parameters.rate, controller.weight_decay)
    state.update_averages(terms, parameters.followed)
    return terms


def take_step(state: TrainingState, batch: Rows) -> Terms:
    """Move the weights once, on some devices by a graph of such a step."""
    parameters, controller = state.step_parameters(), state.controller
    if state.captured.graph_type and isinstance(batch, Rows) and is_capturable(state):
        terms = replay(state, batch, parameters)
    else:
        terms = train_step(state, batch, parameters)
    state.step += 1
    controller.share += 1.0 / (controller.pass_steps * controller.max_passes)
    return terms


def is_capturable(state: TrainingState) -> bool:
    """Whether every step does the same: by parts of ours and torch's, unperturbed."""
    parts = (state.config.objective, state.config.optimizer, *state.vae.modules())
    are_known = all(type(p).__module__.startswith(("skvae.", "torch.nn.")) for p in parts)
    return are_known and state.config.optimizer.is_capturable and state.perturb is None


def replay(state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
    """The step as a function of tensors, none of which comes from the host by a copy."""

    def step(rate: Tensor, kl_weight: Tensor, followed: Tensor, *batch: Tensor):
        terms = train_step(state, Rows(*batch), StepParameters(rate, kl_weight, followed))
        return (*(term.detach() for term in terms), state.gradient_norm)

    value = state.weights.values[0]
    # Adam wants the rate in single precision.
    rate = torch.full((), float(parameters.rate), dtype=torch.float32, device=value.device)
    shares = (parameters.kl_weight, parameters.followed)
    inputs = (rate, *(torch.full_like(value, float(share)) for share in shares))
    inputs += tuple(tensor for tensor in batch if tensor is not None)
    fixed = (batch.n_rows, state.vae.in_bfloat16, state.controller.weight_decay)
    *terms, state.gradient_norm = state.captured(step, inputs, fixed)
    return Terms(*terms)


def clip(gradient: Tensor, limit: float | None) -> Tensor:
    """Shorten the gradient, in place, to a norm of limit at most; its norm before."""
    norm = torch.linalg.vector_norm(gradient)
    if limit is not None:
        gradient.mul_((limit / (norm + 1e-6)).clamp_(max=1.0))
    return norm
