"""The training step: from the loss of a batch to new weights, and the ways to take it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from skvae.model.rows import Rows, ScoreRows
from skvae.training.graphs import GRAPHS, Captured, GraphType
from skvae.training.objective import Terms
from skvae.training.state import StepParameters, TrainingState
from skvae.training.table_gradient import TableGradient
from skvae.training.written_gradient import WrittenGradient

# Fills the gradient of the weights with that of a batch's loss, given the weight of the KL.
Gradient = Callable[[Rows, float | Tensor], Terms]

# Layers of torch do the same at every call.
_LAYERS = frozenset(layer for layer in vars(nn).values() if isinstance(layer, type))


def take_step(state: TrainingState, batch: Rows) -> Terms:
    """Move the weights once, in the way that was chosen."""
    if state.take is None:
        raise RuntimeError("a training has to choose how it takes its steps: see choose_step")
    terms = state.take(state, batch, state.step_parameters())
    controller = state.controller
    state.step += 1
    controller.share += 1.0 / (controller.pass_steps * controller.max_passes)
    return terms


def train_step(
    state: TrainingState, batch: Rows, parameters: StepParameters, gradient: Gradient
) -> Terms:
    """The step itself: loss, gradient, clipping, the optimizer's move, running averages."""
    config, weights, controller = state.config, state.weights, state.controller
    terms = gradient(batch, parameters.kl_weight)
    state.gradient_norm = clip(weights.gradient, config.optimizer.clip_norm)
    if state.perturb is not None:
        state.perturb(weights.gradient, controller.share)
    weights.step(parameters.rate, controller.weight_decay)
    state.update_averages(terms, parameters.followed)
    return terms


def recorded_gradient(state: TrainingState) -> Gradient:
    """By autograd, whatever the objective and the model."""

    def gradient(batch: Rows, kl_weight: float | Tensor) -> Terms:
        terms = state.config.objective(state.vae, batch, state.generator, kl_weight)
        state.weights.differentiate(terms.loss)
        return terms

    return gradient


def clip(gradient: Tensor, limit: float | None) -> Tensor:
    """Shorten the gradient, in place, to a norm of limit at most; its norm before."""
    norm = torch.linalg.vector_norm(gradient)
    if limit is not None:
        gradient.mul_((limit / (norm + 1e-6)).clamp_(max=1.0))
    return norm


class Step(ABC):
    """A way to take the steps of a training: all lead to the same weights."""

    @abstractmethod
    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        """Whether all the steps of a training on such rows can be taken in this way."""

    @abstractmethod
    def __call__(self, state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
        """Move the weights once."""


class PlainStep(Step):
    """Operation by operation, which any training can."""

    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        return True

    def __call__(self, state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
        return train_step(state, batch, parameters, recorded_gradient(state))


class WrittenStep(Step):
    """By a gradient that is written out, for what most trainings are.

    Parameters
    ----------
    written : type, default=WrittenGradient
        Of the gradient: that of a matrix, or of a table.
    """

    def __init__(self, written: type[WrittenGradient | TableGradient] = WrittenGradient) -> None:
        self.written = written
        self.gradient: Gradient | None = None

    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        return self.written.suits(state, rows)

    def __call__(self, state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
        if self.gradient is None:
            self.gradient = cast(Gradient, self.written(state))
        return train_step(state, batch, parameters, self.gradient)


class CapturedStep(Step):
    """As one launch of a device, which has to do the same every time.

    Parameters
    ----------
    graphs : mapping of str to callable, default=GRAPHS
        What holds a function of tensors, by the type of the device.
    """

    def __init__(self, graphs: Mapping[str, GraphType] = GRAPHS) -> None:
        self.graphs = graphs
        self.captured = Captured(graphs)

    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        parts = (state.config.objective, state.config.optimizer, *state.vae.modules())
        return (
            state.generator.device.type in self.graphs
            and rows.tensors is not None
            and state.perturb is None
            and all(map(_is_capturable, parts))
        )

    def __call__(self, state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
        """The step as a function of tensors, none of which comes from the host by a copy."""

        def step(
            rate: Tensor, kl_weight: Tensor, followed: Tensor, *batch: Tensor
        ) -> tuple[Tensor, ...]:
            rows, parameters = ScoreRows(*batch), StepParameters(rate, kl_weight, followed)
            terms = train_step(state, rows, parameters, recorded_gradient(state))
            return (*(term.detach() for term in terms), torch.as_tensor(state.gradient_norm))

        value = state.weights.values[0]
        # Adam wants the rate in single precision.
        rate = torch.full((), float(parameters.rate), dtype=torch.float32, device=value.device)
        shares = (parameters.kl_weight, parameters.followed)
        inputs = (rate, *(torch.full_like(value, float(share)) for share in shares))
        inputs += batch.tensors or ()
        fixed = (batch.n_rows, state.vae.in_bfloat16, state.controller.weight_decay)
        *terms, state.gradient_norm = self.captured(step, inputs, fixed, state.generator)
        return Terms(*terms)


def _is_capturable(part: object) -> bool:
    """Whether a part's class says of itself that it does the same at every call.

    What extends a class may do more than that, and has to say so again.
    """
    return type(part) in _LAYERS or vars(type(part)).get("is_capturable", False)


# The quickest first; the last takes what the others do not.
STEPS: tuple[Callable[[], Step], ...] = (
    CapturedStep,
    WrittenStep,
    partial(WrittenStep, TableGradient),
    PlainStep,
)


def choose_step(
    state: TrainingState, rows: Rows, steps: Iterable[Callable[[], Step]] = STEPS
) -> Step:
    """The first of these ways that all the steps of a training can be taken in."""
    return next(step for step in (make() for make in steps) if step.accepts(state, rows))
