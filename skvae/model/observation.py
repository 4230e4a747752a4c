"""From latent points to rows: the linear path of the decoder, and the density of rows given it.

Of scores it is one Gaussian in closed form; of cells, blocks of columns with a likelihood each.
`decoded` is what the decoder makes of z: mean scores, or the blocks' parameters. All densities
are in nats per row, summed over columns, in the units of scores and cells.
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from skvae.model.inference import Seen
from skvae.model.rows import Rows


class Observation(nn.Module, ABC):
    """The linear path of the decoder, and p(x|z)."""

    @property
    @abstractmethod
    def is_gaussian(self) -> bool:
        """Whether rows are normal given z, so that the start's posterior is exact."""

    @abstractmethod
    def seen(self, rows: Rows) -> Seen:
        """What inference sees of rows."""

    @abstractmethod
    def decode(self, z: Tensor, change: Tensor | None) -> Tensor:
        """Decoded points z, shape (n, q), with what the network adds."""

    @abstractmethod
    def log_likelihood(self, rows: Rows, decoded: Tensor) -> Tensor:
        """Log p(x|z) per row, over what is observed of it."""

    @abstractmethod
    def reconstruction(self, decoded: Tensor) -> Tensor:
        """Features of the expected row."""

    @abstractmethod
    def squared_error(self, rows: Rows, features: Tensor) -> Tensor:
        """Squared distance of rows from features, over what is observed, per row."""

    @abstractmethod
    def energy(self, rows: Rows) -> Tensor:
        """Squared distance of rows from the mean row."""

    @abstractmethod
    def forget_start(self) -> None:
        """Leave the linear path for the mean row: what a model without a start begins with."""

    @property
    @abstractmethod
    def linear_parameters(self) -> list[nn.Parameter]:
        """Those of the linear path."""

    @property
    @abstractmethod
    def dispersions(self) -> list[nn.Parameter]:
        """Those of the noise that gradients move."""

    @property
    @abstractmethod
    def cost(self) -> int:
        """Arithmetic of a row's density, in multiplications."""

    @property
    @abstractmethod
    def noise_variance(self) -> Tensor | None:
        """Of the noise that all columns share, in scaled units; None where they do not."""

    @abstractmethod
    def corrupt(self, rows: Rows, noise: float, masking: float, generator: torch.Generator) -> Rows:
        """Rows with noise on their numbers, in standard deviations, and a share of cells hidden."""

    @abstractmethod
    def update_noise(self, log_likelihood: Tensor, rate: float) -> None:
        """Move shared noise toward the error behind a mean log-likelihood."""

    @abstractmethod
    def misfit(self, rows: Rows, decoded: Tensor) -> Tensor:
        """What a row's log-likelihood is computed of, whatever the shared noise."""

    @abstractmethod
    def likelihood_at(self, misfit: np.ndarray, noise: float) -> np.ndarray:
        """The log-likelihood per row by its misfit, at a variance of shared noise."""

    @abstractmethod
    def noise_of(self, misfit: float, widest: float) -> float:
        """Shared noise of greatest likelihood by a mean misfit, up to that of the widest one."""

    @abstractmethod
    def set_noise(self, noise: float) -> None:
        """Take shared noise, where there is any."""

    @abstractmethod
    def gain(self, error_gain: Tensor, density_gain: Tensor) -> Tensor:
        """What has to rise for training to be kept."""
