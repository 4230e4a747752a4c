"""What a prior is: a component that a person chooses, and the density that a model holds."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from skvae._sklearn import Documented
from skvae.model.posterior import Posterior


class Normals(NamedTuple):
    """Normal posteriors of rows, means and variances of shape (n, q)."""

    means: np.ndarray
    variances: np.ndarray


class Prior(Documented, ABC):
    """Base class of priors: the distribution of codes before a row is seen."""

    is_trained: ClassVar[bool] = False  # its parameters move with the model's
    is_fitted_after: ClassVar[bool] = False  # to the codes, once training has ended

    @abstractmethod
    def module(self, latent_dim: int, n_inputs: int) -> "PriorModule":
        """Build the module of the density. `start`, `fit` or a saved state sets its parameters.

        Parameters
        ----------
        latent_dim : int
            Number of codes.
        n_inputs : int
            Number of columns that the encoder takes.

        Returns
        -------
        module : PriorModule
            The density.

        Raises
        ------
        ValueError
            If an option is invalid.
        """

    def start(self, module: "PriorModule", inputs: Tensor, generator: torch.Generator) -> None:
        """Set the module's parameters in place before training.

        Parameters
        ----------
        module : PriorModule
            The result of `module`.
        inputs : torch.Tensor of shape (n, n_inputs)
            Encoder inputs of training rows.
        generator : torch.Generator
            Source of the draws, on the module's device.
        """

    def check(self) -> None:
        """Check the options.

        Raises
        ------
        ValueError
            If an option is invalid.
        """


class Encoder(Protocol):
    """What a density may ask of the model that holds it."""

    def encode_inputs(self, inputs: Tensor) -> Posterior:
        """The posterior of encoder inputs, shape (n, n_inputs)."""


class PriorModule(nn.Module, ABC):
    """A density of latent points z, of which q are the units."""

    # Whether it is the standard normal, to which the units of the codes are moved and stretched.
    is_standard: ClassVar[bool] = False

    @abstractmethod
    def log_prob(self, z: Tensor, vae: Encoder) -> Tensor:
        """Log-density of points (n, q), nats, shape (n,)."""

    @abstractmethod
    def sample(self, n: int, vae: Encoder, generator: torch.Generator) -> Tensor:
        """Draws, shape (n, q)."""

    def kl(self, q: Posterior, z: Tensor, noise: Tensor, vae: Encoder) -> Tensor:
        """KL(q(z|x) || p(z)) per row, nats, shape (n,): by the one draw z = q.sample(noise)."""
        return q.log_density(noise) - self.log_prob(z, vae)
