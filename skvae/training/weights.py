"""All weights of a model in one tensor, with what the optimizer remembers of them."""

import numpy as np
import torch
from torch import Tensor, nn

from skvae.model.vae import VAE
from skvae.training.optimizer import Optimizer, Part


class Weights:
    """All weights of a model in one tensor, with what the optimizer remembers of them.

    Each part of the model has its share of the rate (`rates`): networks decay toward zero, the
    linear path moves slowly and never decays.
    """

    def __init__(self, vae: VAE, optimizer: Optimizer) -> None:
        self.parameters = parameters_of(vae)
        self.values = as_one_tensor(self.parameters)
        self.gradient = torch.zeros_like(self.values)
        self.optimizer = optimizer
        self.moments = [torch.zeros_like(self.values) for _ in range(optimizer.n_moments)]
        self.parts: list[Part] = []
        first = 0
        for parameters, share, decays in vae.rates:
            pieces: list[tuple[int, tuple[int, ...] | None]] = [
                (sum(p.numel() for p in parameters), None)
            ]
            if decays and optimizer.by_matrix:
                pieces = [(p.numel(), tuple(p.shape)) for p in parameters]
            for size, shape in pieces:
                if size:
                    self._add(slice(first, first + size), share, decays, shape)
                first += size

    def _add(self, where: slice, share: float, decays: bool, shape: tuple[int, ...] | None) -> None:
        values, gradient, *moments = (
            tensor[where] for tensor in (self.values, self.gradient, *self.moments)
        )
        step = values.new_zeros((), dtype=torch.float32)
        self.parts.append(Part(values, gradient, moments, step, share, decays, shape))

    def differentiate(self, loss: Tensor) -> None:
        """Make the gradient that of a loss."""
        slopes = torch.autograd.grad(loss, self.parameters, materialize_grads=True)
        torch.cat([slope.flatten() for slope in slopes], out=self.gradient)

    def step(self, rate: float, weight_decay: float) -> None:
        """Move against the gradient."""
        for part in self.parts:
            self.optimizer.move(part, rate, weight_decay)

    def to_state(self) -> dict[str, np.ndarray]:
        """What the optimizer remembers, as arrays; the values are the model's."""
        arrays = {f"moments.{i}": m.numpy(force=True).copy() for i, m in enumerate(self.moments)}
        steps = [part.step.numpy(force=True) for part in self.parts]
        return arrays | {"part_steps": np.array(steps, np.float32)}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Remember what was written."""
        for i, moment in enumerate(self.moments):
            moment.copy_(torch.from_numpy(arrays[f"moments.{i}"]))
        for part, step in zip(self.parts, arrays["part_steps"], strict=True):
            part.step.fill_(float(step))


def parameters_of(vae: VAE) -> list[nn.Parameter]:
    """All that is trained, in the order of `rates`."""
    return [parameter for part, *_ in vae.rates for parameter in part]


def as_one_tensor(parameters: list[nn.Parameter]) -> Tensor:
    """All of their values; the parameters become views.

    What treats every weight alike then takes one operation instead of one per layer.
    """
    weights = torch.cat([parameter.detach().flatten() for parameter in parameters])
    for parameter, values in zip(parameters, as_shaped(weights, parameters), strict=True):
        parameter.data = values
    return weights


def as_shaped(numbers: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """One tensor's numbers as views in the shapes of parameters, in their order."""
    parts = numbers.split([parameter.numel() for parameter in parameters])
    return [part.view_as(own) for part, own in zip(parts, parameters, strict=True)]
