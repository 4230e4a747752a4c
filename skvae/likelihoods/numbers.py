"""What likelihoods of real numbers share: centred and scaled cells, whose mean is the output."""

import math

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods.base import Constants, Head, Likelihood, Params, Slopes
from skvae.likelihoods.draws import normal
from skvae.likelihoods.statistics import moments, or_one

_LOG_2PI = math.log(2 * math.pi)
SMALLEST_NOISE = 1e-3  # of a column, in its standard deviations


class Numbers(Likelihood):
    """Base class for real numbers: cells are centred and scaled, and features are the cells.

    The standard deviation of the noise has two lower limits. One is a thousandth of the column's
    standard deviation. The other is the standard deviation of rounding: the smallest difference
    between values, divided by the square root of 12.
    """

    outside: tuple[str, ...] = ("center", "scale")

    @property
    def shares_noise(self) -> bool:
        return False

    def standardised(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        return (values - constants["center"]) / constants["scale"]

    def restored(self, constants: Constants, cells: np.ndarray) -> np.ndarray:
        return constants["center"] + constants["scale"] * cells

    def log_jacobian(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(-np.log(constants["scale"]), values.shape)

    def spread(self, params: Params) -> float:
        return 1.0

    def features(self, params: Params, x: Tensor) -> Tensor:
        return x

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        return eta

    def expected_features(self, params: Params, eta: Tensor) -> Tensor:
        return eta

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        return Head(loadings, center, constants["dispersion"])


class NormalNumbers(Numbers):
    """Base class for numbers with normal noise around the output."""

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        variance = noise_variance(params)
        return -0.5 * ((x - eta).square() / variance + variance.log() + _LOG_2PI)

    def slopes(self, params: Params, x: Tensor, eta: Tensor, weight: Tensor) -> Slopes:
        variance = noise_variance(params)
        error = x - eta
        scaled = error / variance
        square = error.mul_(scaled)
        log_prob = -0.5 * (square + (variance.log() + _LOG_2PI))
        of_log_deviation = noise_moves(params) * ((square.sub_(1.0)).mul_(weight).sum(0))
        own = params["dispersion"].shape
        return Slopes(log_prob, scaled.mul_(weight), of_log_deviation.sum_to_size(own))

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        return eta + noise_variance(params).sqrt() * normal(eta, generator)


def normal_constants(
    y: np.ndarray, weight: np.ndarray | None, gap: np.ndarray, scale: float | None = None
) -> Constants:
    """Mean and scale of columns whose smallest step is gap; scale: one for all of them."""
    center, own = moments(y, weight)
    scales = or_one(own) if scale is None else np.full_like(own, scale)
    floor = np.maximum(SMALLEST_NOISE * own, gap / math.sqrt(12)) / scales
    return {
        "center": center,
        "scale": scales,
        "floor": np.where(own > 0, floor, 1.0),  # a constant column has no scale
        "bias": np.zeros(y.shape[1]),
        "dispersion": np.zeros(y.shape[1]),
    }


def noise_variance(params: Params) -> Tensor:
    """Not below the floor: no column buys likelihood by precision (Mattei & Frellsen, 2018)."""
    return floored(params["dispersion"], params)


def noise_moves(params: Params) -> Tensor:
    """1 where the dispersion moves the variance; at the floor 0, where both are alike by half."""
    free = (2.0 * params["dispersion"]).exp() - params["floor"].square()
    return torch.heaviside(free, free.new_tensor(0.5))


def floored(log_deviation: Tensor, params: Params) -> Tensor:
    """Variances of logarithms of standard deviations, not below the columns' floors."""
    return torch.maximum((2.0 * log_deviation).exp(), params["floor"].square())
