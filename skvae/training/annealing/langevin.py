"""Noise on the gradient, which cools down."""

import torch
from torch import Tensor

from skvae.training.annealing.base import Annealing, check_above_zero
from skvae.training.state import Perturbation, TrainingState


class Langevin(Annealing):
    """Gradients with noise that decreases during training [1]_ [2]_.

    The noise has the standard deviation temperature * rms(gradient) * (1 - share)^2, where share is
    the used share of the budget.

    Parameters
    ----------
    temperature : float, default=1.0
        Standard deviation of the first noise, relative to the root mean square of the gradient.

    References
    ----------
    .. [1] Welling, M. and Teh, Y. W. (2011). Bayesian learning via stochastic gradient Langevin
       dynamics. ICML.
    .. [2] Neelakantan, A. et al. (2015). Adding gradient noise improves learning for very deep
       networks. arXiv:1511.06807.

    Examples
    --------
    >>> from skvae import Langevin, VAETransformer
    >>> VAETransformer(annealing=Langevin(temperature=0.5))
    VAETransformer(annealing=Langevin(temperature=0.5))
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
