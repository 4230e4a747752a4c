"""The standard normal distribution in a graph, in both precisions.

onnxruntime has the error function in single precision alone. In double precision it is a polynomial
in (x - c) / (x + c), times exp(-x^2) (Shepherd & Laframboise, 1981), fitted when a model is
exported.
"""

import math
from functools import cache

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial
from scipy.special import erfcx

from skvae.export.graph import Value

_CENTER = 3.75  # of the variable in which the scaled error function is a polynomial
_DEGREE = 30
_LOG_2PI = math.log(2 * math.pi)


def density(x: Value) -> Value:
    """Standard normal density."""
    return ((x * x + _LOG_2PI) * -0.5).apply("Exp")


def probability_below(x: Value) -> Value:
    """Probability that a standard normal number is below x."""
    half = x * math.sqrt(0.5)
    if x.dtype == np.float32:
        return (half.apply("Erf") + 1.0) * 0.5
    size = half.apply("Abs")
    place = (size - _CENTER) / (size + _CENTER)
    scaled = x.like(_coefficients()[-1])
    for coefficient in reversed(_coefficients()[:-1]):
        scaled = place * scaled + coefficient
    beyond = (size * -size).apply("Exp") * scaled * 0.5
    return x.graph.where(x > 0.0, 1.0 - beyond, beyond)


@cache
def _coefficients() -> list[float]:
    """Of powers, from the constant up."""

    def scaled(place: np.ndarray) -> np.ndarray:
        return erfcx(_CENTER * (1.0 + place) / np.maximum(1.0 - place, 1e-300))

    fitted = Chebyshev.interpolate(scaled, _DEGREE)
    return fitted.convert(kind=Polynomial).coef.tolist()
