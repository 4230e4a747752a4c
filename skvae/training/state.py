"""The state of a training: all that it needs to go on, in one object that can be written."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skvae.model.networks import draw_with
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.config import TrainingConfig
from skvae.training.controller import Controller
from skvae.training.evaluation import Evaluation, Evaluator
from skvae.training.listener import NOBODY, Listener
from skvae.training.objective import Terms
from skvae.training.record import Record
from skvae.training.sampler import RowSampler, Sampler
from skvae.training.saved import Saved, named, owned, to_arrays, to_tensors
from skvae.training.weights import Weights, as_one_tensor, parameters_of

# What moves the gradient besides the loss: called with it and the share of the budget used up.
Perturbation = Callable[[Tensor, float], None]


class StepParameters(NamedTuple):
    """What changes from step to step."""

    rate: float
    kl_weight: float
    followed: float  # share of the weights in their running average


Step = Callable[["TrainingState", Rows, StepParameters], Terms]


@dataclass
class TrainingState:
    """A model in training: its weights, their running average, what moves them, and how far it is.

    How steps are taken, perturbed, heard of and watched is not written: who reads a state says so
    again.
    """

    vae: VAE
    averaged: VAE
    averaged_weights: Tensor  # all of averaged's
    weights: Weights
    config: TrainingConfig
    generator: torch.Generator
    precision: Callable[[int], torch.dtype]  # of a step of so many rows
    controller: Controller
    sampler: Sampler
    record: Record = field(default_factory=Record)
    best: dict[str, Tensor] = field(default_factory=dict)  # weights of the best evaluation
    best_pass: int = 0
    perturb: Perturbation | None = None
    take: Step | None = None  # what moves the weights, by a batch
    listener: Listener = NOBODY  # hears of passes, and may end the training
    watch: Callable[["TrainingState"], None] | None = None  # is told when something is done
    step: int = 0
    gradient_norm: Tensor | float = math.nan  # of the last step
    temperature: float = math.nan  # of the perturbation
    annealed: Saved | None = None  # what an annealing that follows, and has begun, needs besides

    @classmethod
    def of(
        cls,
        vae: VAE,
        config: TrainingConfig,
        generator: torch.Generator,
        precision: Callable[[int], torch.dtype],
        controller: Controller,
    ) -> "TrainingState":
        """That of a model before its first step."""
        averaged = copy.deepcopy(vae).eval()
        averaged_weights = as_one_tensor(parameters_of(averaged))
        weights = Weights(vae.train(), config.optimizer)
        draw_with(vae, generator)
        return cls(
            vae,
            averaged,
            averaged_weights,
            weights,
            config,
            generator,
            precision,
            controller,
            RowSampler(generator, config.limits),
        )

    def begin(self, evaluator: Evaluator) -> None:
        """Count from here: the first bound is the linear start's, the best weights are these."""
        self.record.add(evaluator.first_evaluation, step=0)
        self.keep()

    def keep_if_best(self, evaluation: Evaluation) -> None:
        """Note an evaluation of the averaged model, and its weights if they are the best so far."""
        self.record.add(
            evaluation,
            step=self.step,
            gradient_norm=float(self.gradient_norm),
            learning_rate=self.controller.rate(self.step - 1),
            weight_decay=self.controller.weight_decay,
            temperature=self.temperature,
        )
        if evaluation.bound == max(self.record.bounds[1:]):
            self.keep()

    def keep(self) -> None:
        """Let the averaged weights be the best so far."""
        best = self.averaged.state_dict()
        # Clones: copies that know of modules take several times as long.
        self.best = {name: value.clone() for name, value in best.items()}
        self.best_pass = self.record.n_passes

    def go_back(self, state: dict[str, Tensor]) -> None:
        """Go on from other weights."""
        self.vae.load_state_dict(state)
        self.averaged.load_state_dict(state)

    @contextmanager
    def led_by(self, controller: Controller) -> Iterator[None]:
        """Let another controller say how steps are taken, for a while."""
        before, self.controller = self.controller, controller
        try:
            yield
        finally:
            self.controller = before

    def step_parameters(self) -> StepParameters:
        """Those of the next step."""
        averaging = min(self.config.optimizer.averaging, (1 + self.step) / (10 + self.step))
        controller = self.controller
        kl_weight = float(controller.kl_weight)
        return StepParameters(controller.rate(self.step), kl_weight, 1.0 - averaging)

    @torch.no_grad()
    def update_averages(self, terms: Terms, share: float) -> None:
        """Let the noise follow the batch's squared error, and the average the weights."""
        self.vae.observation.update_noise(terms.log_likelihood, self.config.limits.noise_rate)
        self.averaged_weights.lerp_(self.weights.values, share)

    @torch.no_grad()
    def averaged_model(self) -> VAE:
        """The averaged model; running statistics of layers are the trained model's own."""
        for mine, theirs in zip(_networks(self.averaged), _networks(self.vae), strict=True):
            for buffer, value in zip(mine.buffers(), theirs.buffers(), strict=True):
                buffer.copy_(value)
        return self.averaged

    def to_state(self) -> Saved:
        """All that the training needs to go on, as arrays and as JSON values."""
        losses, record = self.record.to_state()
        arrays = named("vae", to_arrays(self.vae.state_dict()))
        arrays |= named("averaged", to_arrays(self.averaged.state_dict()))
        arrays |= named("best", to_arrays(self.best))
        arrays |= named("weights", self.weights.to_state())
        arrays |= named("sampler", self.sampler.to_state())
        arrays |= named("record", losses)
        arrays |= {"generator": self.generator_state()}
        values = {
            "step": self.step,
            "gradient_norm": float(self.gradient_norm),
            "temperature": self.temperature,
            "best_pass": self.best_pass,
            "in_bfloat16": self.vae.in_bfloat16,
            "controller": self.controller.to_state(),
            "record": record,
        }
        if self.annealed is not None:
            arrays |= named("annealed", self.annealed[0])
            values["annealed"] = self.annealed[1]
        return arrays, values

    def load_state(self, saved: Saved) -> None:
        """Go on from where the same training stood when it was written, on any device.

        Raises
        ------
        ValueError
            If it is another one.
        """
        arrays, values = saved
        _check_alike(arrays, self.to_state()[0])
        self.controller.load_state(values["controller"])
        self.vae.load_state_dict(to_tensors(owned("vae", arrays)))
        self.averaged.load_state_dict(to_tensors(owned("averaged", arrays)))
        device = self.weights.values.device
        self.best = to_tensors(owned("best", arrays), device)
        self.weights.load_state(owned("weights", arrays))
        self.sampler.load_state(owned("sampler", arrays))
        self.record = Record.from_state(owned("record", arrays), values["record"], device)
        self.set_generator(arrays["generator"])
        self.step, self.best_pass = values["step"], values["best_pass"]
        self.gradient_norm, self.temperature = values["gradient_norm"], values["temperature"]
        self.vae.in_bfloat16 = values["in_bfloat16"]
        if "annealed" in values:
            self.annealed = owned("annealed", arrays), values["annealed"]

    def to_outcome(self) -> Saved:
        """What the training leaves once it has ended, as arrays and as JSON values."""
        losses, record = self.record.to_state()
        arrays = named("vae", to_arrays(self.vae.state_dict())) | named("record", losses)
        return arrays | {"generator": self.generator_state()}, {"record": record}

    def load_outcome(self, saved: Saved) -> None:
        """Be as the same training was when it had ended.

        Raises
        ------
        ValueError
            If it is another one.
        """
        arrays, values = saved
        _check_alike(arrays, self.to_outcome()[0])
        self.vae.load_state_dict(to_tensors(owned("vae", arrays)))
        device = self.weights.values.device
        self.record = Record.from_state(owned("record", arrays), values["record"], device)
        self.set_generator(arrays["generator"])

    def generator_state(self) -> np.ndarray:
        """Where the generator stands."""
        return self.generator.get_state().numpy(force=True).copy()

    def set_generator(self, state: np.ndarray) -> None:
        """Let the generator go on from where it stood."""
        self.generator.set_state(torch.from_numpy(state))

    def tell(self, annealed: Callable[[], Saved] | None = None) -> None:
        """Tell who watches that a pass is done, or a part of an annealing, and what that needs."""
        if self.watch is not None:
            self.annealed = None if annealed is None else annealed()
            self.watch(self)


def _check_alike(found: dict[str, np.ndarray], own: dict[str, np.ndarray]) -> None:
    """Raise a ValueError unless arrays have the names, dtypes and shapes of others.

    How many passes there were, and rows that are still to come, differ; what an annealing needs,
    that annealing knows.
    """
    for name in found.keys() | own.keys():
        if name.startswith("annealed."):
            continue
        if name not in found or name not in own:
            raise ValueError(f"{name!r:.80} is not of this training, or missing.")
        one, two = found[name], own[name]
        is_any_length = name.startswith(("record.", "sampler."))
        sizes = one.shape[1:] == two.shape[1:] if is_any_length else one.shape == two.shape
        if not (sizes and one.ndim == two.ndim and _is_same_type(one, two)):
            raise ValueError(f"{name!r:.80} is not of this training.")


def _is_same_type(one: np.ndarray, two: np.ndarray) -> bool:
    return one.dtype == two.dtype or (one.dtype.kind == two.dtype.kind == "f" and not two.size)


def _networks(vae: VAE) -> list[nn.Module]:
    return [network for network in (vae.encoder, vae.decoder) if network is not None]
