"""Noise on the gradient, which cools down."""

import torch
from torch import Tensor

from skvae.training.annealing.base import Annealing, check_above_zero
from skvae.training.state import Perturbation, TrainingState


class Langevin(Annealing):
    """Gradients with noise that cools down (Welling & Teh, 2011; Neelakantan et al., 2015).

    The noise has standard deviation temperature * rms(gradient) * (1 - share of the budget)^2.

    Parameters
    ----------
    temperature : float, default=1.0
        Size of the noise at the beginning, relative to the gradient.
    """

    def __init__(self, *, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def perturbation(self, state: TrainingState) -> Perturbation:
        generator = state.generator

        def perturb(gradient: Tensor, share: float) -> None:
            state.temperature = self.temperature * (1.0 - min(share, 1.0)) ** 2
            size = state.temperature * gradient.square().mean().sqrt()
            gradient.add_(torch.empty_like(gradient).normal_(generator=generator) * size)

        return perturb

    def check(self) -> None:
        check_above_zero("temperature", self.temperature)
