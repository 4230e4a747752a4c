"""Positive numbers whose logarithm is normal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from skvae.likelihoods.base import Constants, Params
from skvae.likelihoods.checks import refuse
from skvae.likelihoods.numbers import NormalNumbers, noise_variance, normal_constants
from skvae.likelihoods.statistics import resolution

SMALLEST = float(np.finfo(float).smallest_subnormal)


class LogNormal(NormalNumbers):
    """Log-normal distribution for numbers that are not negative; the noise is multiplicative.

    The logarithm of a value is normal around the decoder's output. If a column contains zeros,
    half of its smallest positive value is added to all values first.

    Examples
    --------
    >>> from skvae import LogNormal, VAETransformer
    >>> VAETransformer(likelihood={"price": LogNormal()})
    VAETransformer(likelihood={'price': LogNormal()})
    """

    outside = ("center", "shift")

    def check(self, values: np.ndarray, names: Sequence[Any]) -> None:
        remedy = "use 'gaussian' or 'student_t' for it"
        refuse(values < 0, values, names, "'lognormal' needs values that are not negative", remedy)

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        smallest = np.nanmin(np.where(values > 0, values, np.inf), axis=0)
        half = np.where(np.isfinite(smallest), np.maximum(0.5 * smallest, SMALLEST), 1.0)
        shift = np.where((values == 0).any(0), half, 0.0)
        y = _log(values, shift)
        # Logarithms are as exact as their values, also those near 0.
        gap = resolution(y, np.maximum(np.abs(y), 1.0))
        return normal_constants(y, weight, gap) | {"shift": shift}

    def standardised(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        return super().standardised(constants, _log(values, constants["shift"]))

    def restored(self, constants: Constants, cells: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # beyond the largest number is infinite
            values = np.exp(super().restored(constants, cells)) - constants["shift"]
        return np.maximum(values, 0.0)

    def log_jacobian(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        return super().log_jacobian(constants, values) - _log(values, constants["shift"])

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Cells of the mean value, which is above the median."""
        return eta + 0.5 * noise_variance(params) * params["scale"]


def _log(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Logarithm of shifted values; below the support the nearest one that is a number."""
    return np.log(np.maximum(values + shift, SMALLEST))
