"""What an objective is, and the terms that it gives of a batch."""

import math
from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from skvae._sklearn import Documented
from skvae.model.rows import Rows
from skvae.model.vae import VAE


class Terms(NamedTuple):
    """Means over the batch: loss is minimised, the others are watched.

    Weights have mean 1 over all rows, not over a batch: in the loss a batch of heavy rows counts
    for more. What is watched is in nats per row whatever the batch: weights are shares of it.
    """

    loss: Tensor
    elbo: Tensor
    log_likelihood: Tensor  # of rows given draws from their posteriors


class Objective(Documented, ABC):
    """Base class of objectives: the loss that training minimises."""

    is_deterministic: ClassVar[bool] = False  # no noise and no KL: codes are posterior means

    @property
    def has_plain_kl(self) -> bool:
        """Whether any prior is possible. If not, only the standard normal is."""
        return True

    @property
    def needs_columns(self) -> bool:
        """Whether a model of principal scores also needs the columns of the rows."""
        return False

    @abstractmethod
    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        """Compute loss and bound of a batch.

        Parameters
        ----------
        vae : VAE
            The model.
        rows : Rows
            The batch.
        generator : torch.Generator
            Source of the noise.
        kl_weight : float, default=1.0
            Weight of the KL term.

        Returns
        -------
        terms : Terms
            Scalar tensors, nats per row, on the model's device.
        """

    def check(self) -> None:
        """Check the options.

        Raises
        ------
        ValueError
            If an option is invalid.
        """


def check_at_least(name: str, value: Any, least: float) -> None:
    """Raise a ValueError where a value is no number from a least one up."""
    if not (isinstance(value, Real) and least <= float(value) < math.inf):
        raise ValueError(f"{name}={value!r} must be {least:g} or more.")


def check_share(name: str, value: Any) -> None:
    """Raise a ValueError where a value is no share from 0 up and below 1."""
    if not (isinstance(value, Real) and 0.0 <= float(value) < 1.0):
        raise ValueError(f"{name}={value!r} must be at least 0 and below 1.")
