"""The training step: from the loss of a batch to new weights, and the ways to take it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from skvae.model.rows import Rows
from skvae.training.cell_gradient import CellGradient
from skvae.training.objective import Terms
from skvae.training.score_gradient import ScoreGradient
from skvae.training.state import StepParameters, TrainingState
from skvae.training.written_gradient import WrittenGradient

# Fills the gradient of the weights with that of a batch's loss, given the weight of the KL.
Gradient = Callable[[Rows, float], Terms]


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

    def gradient(batch: Rows, kl_weight: float) -> Terms:
        terms = state.config.objective(state.vae, batch, state.generator, kl_weight)
        state.weights.differentiate(terms.loss)
        return terms

    return gradient


def clip(gradient: Tensor, limit: float | None) -> Tensor:
    """Shorten the gradient, in place, to a norm of limit at most; its norm before."""
    norm = torch.linalg.vector_norm(gradient)
    if limit is not None:
        gradient.mul_((norm + 1e-6).reciprocal_().mul_(limit).clamp_(max=1.0))
    return norm


class Step(ABC):
    """A way to take the steps of a training: all lead to the same weights."""

    def __init__(self) -> None:
        self.gradient: Gradient | None = None

    @abstractmethod
    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        """Whether all the steps of a training on such rows can be taken in this way."""

    @abstractmethod
    def gradient_of(self, state: TrainingState) -> Gradient:
        """What finds the gradient of a batch's loss."""

    def __call__(self, state: TrainingState, batch: Rows, parameters: StepParameters) -> Terms:
        """Move the weights once."""
        if self.gradient is None:
            self.gradient = self.gradient_of(state)
        return train_step(state, batch, parameters, self.gradient)


class PlainStep(Step):
    """Operation by operation, which any training can."""

    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        return True

    def gradient_of(self, state: TrainingState) -> Gradient:
        return recorded_gradient(state)


class WrittenStep(Step):
    """By a gradient that is written out, for what most trainings are.

    Parameters
    ----------
    written : type
        Of the gradient: that of a matrix, or of a table.
    """

    def __init__(self, written: type[WrittenGradient]) -> None:
        super().__init__()
        self.written = written

    def accepts(self, state: TrainingState, rows: Rows) -> bool:
        return self.written.suits(state, rows)

    def gradient_of(self, state: TrainingState) -> Gradient:
        return self.written(state)


# The quickest first; the last takes what the others do not.
STEPS: tuple[Callable[[], Step], ...] = (
    partial(WrittenStep, ScoreGradient),
    partial(WrittenStep, CellGradient),
    PlainStep,
)


def choose_step(
    state: TrainingState, rows: Rows, steps: Iterable[Callable[[], Step]] = STEPS
) -> Step:
    """The first of these ways that all the steps of a training can be taken in."""
    return next(step for step in (make() for make in steps) if step.accepts(state, rows))
