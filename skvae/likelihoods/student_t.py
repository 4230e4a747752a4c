"""Numbers with heavy tails."""

import math
from numbers import Real

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skvae._sklearn import Interval, StrOptions
from skvae.likelihoods.base import Constants, Head, Params
from skvae.likelihoods.draws import numpy_generator
from skvae.likelihoods.numbers import SMALLEST_NOISE, Numbers, floored
from skvae.likelihoods.statistics import median_and_scale, moments, or_one, resolution


class StudentT(Numbers):
    """Student's t distribution for numbers with heavy tails.

    Each column has its own scale and, with "auto", its own degrees of freedom.

    Parameters
    ----------
    df : float or "auto", default="auto"
        Degrees of freedom, above 2. "auto" trains them; they begin near 4.

    Examples
    --------
    >>> from skvae import StudentT, VAETransformer
    >>> VAETransformer(likelihood=StudentT(df=4))
    VAETransformer(likelihood=StudentT(df=4))
    """

    _parameter_constraints = {
        "df": [Interval(Real, 2, None, closed="neither"), StrOptions({"auto"})]
    }

    def __init__(self, *, df: float | str = "auto") -> None:
        self.df = df

    @property
    def tail(self) -> float:
        return 4.0 if self.df == "auto" else float(self.df)

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        """Centre by the median and scale by the interquartile range."""
        center, robust = median_and_scale(values, weight)
        robust = np.where(robust > 0, robust, or_one(moments(values, weight)[1]))
        gap = resolution(values)
        floor = np.maximum(SMALLEST_NOISE, gap / math.sqrt(12) / robust)
        raw_df = np.full(len(robust), 2.0)  # softplus(2) + 2, about 4
        return {
            "center": center,
            "scale": robust,
            "floor": np.where(gap > 0, floor, 1.0),
            "bias": np.zeros(len(robust)),
            "dispersion": np.concatenate([np.zeros(len(robust)), raw_df]),
        }

    def degrees_of_freedom(self, params: Params) -> Tensor:
        """Degrees of freedom of each column, shape (c,)."""
        raw_df = params["dispersion"].chunk(2)[1]
        if self.df == "auto":
            return 2.0 + F.softplus(raw_df)
        return torch.full_like(raw_df, float(self.df))

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        variance, df = _variance(params), self.degrees_of_freedom(params)
        square = (x - eta).square() / variance
        constant = torch.lgamma(0.5 * (df + 1)) - torch.lgamma(0.5 * df)
        constant = constant - 0.5 * (df * variance * math.pi).log()
        return constant - 0.5 * (df + 1) * torch.log1p(square / df)

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        variance, df = _variance(params), self.degrees_of_freedom(params)
        rng = numpy_generator(generator)
        t = torch.as_tensor(rng.standard_t(df.detach().numpy(force=True), tuple(eta.shape)))
        return eta + variance.sqrt() * t.to(eta)

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        raw_df = constants["dispersion"][len(noise) :]
        return Head(loadings, center, np.concatenate([0.5 * np.log(noise), raw_df]))


def _variance(params: Params) -> Tensor:
    """Square of the scale of each column, shape (c,)."""
    return floored(params["dispersion"].chunk(2)[0], params)
