"""Positive numbers whose logarithm is normal, and zeros among them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods.base import Constants, Params, Slopes
from skvae.likelihoods.checks import refuse
from skvae.likelihoods.numbers import (
    NormalNumbers,
    noise_moves,
    noise_variance,
    normal_constants,
)
from skvae.likelihoods.statistics import resolution

SMALLEST = float(np.finfo(float).smallest_subnormal)
# Logarithms from that of a value below zero, which a zero gets, up to that of zero. The smallest
# positive value has a logarithm twice as far above.
BELOW_ZERO = 0.5 * math.log(3.0)
_ROOT = math.sqrt(2 / math.pi)


class LogNormal(NormalNumbers):
    """Log-normal distribution for numbers that are not negative; the noise is multiplicative.

    The logarithm of a value is normal around the decoder's output. If a column contains zeros,
    half of its smallest positive value is added to all values first, and a zero stands for all
    values that would be zero or below, as in a Tobit model [1]_: it has a probability.

    References
    ----------
    .. [1] Tobin, J. (1958). Estimation of relationships for limited dependent variables.
       Econometrica, 26, 24-36.

    Examples
    --------
    >>> from skvae import LogNormal, VAETransformer
    >>> VAETransformer(likelihood={"price": LogNormal()})
    VAETransformer(likelihood={'price': LogNormal()})
    """

    outside: tuple[str, ...] = ()  # the likelihood asks where zero lies among cells

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
        gain = super().log_jacobian(constants, values) - _log(values, constants["shift"])
        return np.where(self.has_mass(constants, values), 0.0, gain)

    def has_mass(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        return (values == 0) & (constants["shift"] > 0)

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        is_zero, far = _below_zero(params, x, eta)
        return torch.where(is_zero, torch.special.log_ndtr(far), super().log_prob(params, x, eta))

    def slopes(self, params: Params, x: Tensor, eta: Tensor, weight: Tensor) -> Slopes:
        is_zero, far = _below_zero(params, x, eta)
        found = super().slopes(params, x, eta, weight.masked_fill(is_zero, 0.0))
        log_share = torch.special.log_ndtr(far)
        ratio = _ROOT / torch.special.erfcx(far * -math.sqrt(0.5))  # of density to probability
        slope = (weight * ratio).masked_fill_(~is_zero, 0.0)
        of_noise = noise_moves(params) * (slope * far).sum(0)
        return Slopes(
            torch.where(is_zero, log_share, found.log_prob),
            found.of_outputs.sub_(slope / noise_variance(params).sqrt()),
            found.of_dispersion.sub_(of_noise.sum_to_size(found.of_dispersion.shape)),
        )

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Cells of the mean value, which is above the median; what is below zero counts as zero."""
        scale, variance = params["scale"], noise_variance(params)
        mean = eta + 0.5 * variance * scale
        has_zeros, zero = _zero(params)
        deviations = (eta - zero) / variance.sqrt()
        above = scale * (mean - zero) + torch.special.log_ndtr(deviations + variance.sqrt() * scale)
        logs = torch.logaddexp(above, torch.special.log_ndtr(-deviations))
        return torch.where(has_zeros, zero + logs / scale, mean)


def _log(values: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Logarithm of shifted values; below the support the nearest one that is a number.

    Zeros that have a probability lie apart from all values above.
    """
    logs = np.log(np.maximum(values + shift, SMALLEST))
    return np.where((values == 0) & (shift > 0), logs - BELOW_ZERO, logs)


def _zero(params: Params) -> tuple[Tensor, Tensor]:
    """Which columns hold zeros, and where zero lies among their cells.

    For others it is any number: of infinity not even nothing has a gradient.
    """
    has_zeros = params["shift"] > 0
    logs = torch.where(has_zeros, params["shift"], 1.0).log()
    return has_zeros, (logs - params["center"]) / params["scale"]


def _below_zero(params: Params, x: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
    """Which cells are zeros, and how many deviations zero lies above the outputs."""
    has_zeros, zero = _zero(params)
    far = (zero - eta) / noise_variance(params).sqrt()
    return has_zeros & (x < zero - 0.5 * BELOW_ZERO / params["scale"]), far
