"""Intensities and shares: numbers from 0 to 1."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skvae.likelihoods.base import Constants, Likelihood, Params, scaled
from skvae.likelihoods.checks import refuse
from skvae.likelihoods.draws import uniform
from skvae.likelihoods.statistics import moments, or_one


class ContinuousBernoulli(Likelihood):
    """Continuous Bernoulli distribution [1]_ for intensities and shares in [0, 1].

    The density of a value x is C exp(eta x), where eta is the decoder's output and C normalises it.

    References
    ----------
    .. [1] Loaiza-Ganem, G. and Cunningham, J. P. (2019). The continuous Bernoulli: fixing a
       pervasive error in variational autoencoders. NeurIPS.

    Examples
    --------
    >>> from skvae import VAETransformer
    >>> VAETransformer(likelihood="continuous_bernoulli")
    VAETransformer(likelihood='continuous_bernoulli')
    """

    def check(self, values: np.ndarray, names: Sequence[Any]) -> None:
        wrong = (values < 0) | (values > 1)
        what = "'continuous_bernoulli' needs values in [0, 1]"
        refuse(wrong, values, names, what, "divide the column by its largest value")

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        center, spread = moments(values, weight)
        # The logit whose mean is center, from a table: the mean has no inverse in closed form.
        logits = torch.linspace(-50, 50, 5001, dtype=torch.float64)
        bias = np.interp(center, _mean(logits).numpy(), logits.numpy())
        constants = {"center": center, "scale": or_one(spread)}
        return constants | {"bias": bias, "dispersion": np.zeros(0)}

    def features(self, params: Params, x: Tensor) -> Tensor:
        return scaled(params, x)

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        return x * eta - _log_sinhc(eta)

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        return _mean(eta)

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        u, size = uniform(eta, generator), eta.abs()
        safe = size.clamp(min=1e-4)
        x = 1.0 + torch.log(u + (1.0 - u) * torch.exp(-safe)) / safe
        x = torch.where(size < 1e-4, u, x)
        return torch.where(eta < 0, 1.0 - x, x).clamp(0.0, 1.0)


def _mean(eta: Tensor) -> Tensor:
    small = eta.abs() < 1e-2
    safe = torch.where(small, torch.ones_like(eta), eta)
    return torch.where(small, 0.5 + eta / 12, -1 / torch.expm1(-safe) - 1 / safe)


def _log_sinhc(eta: Tensor) -> Tensor:
    """log((exp(eta) - 1) / eta), the normaliser."""
    small = eta.abs() < 1e-2
    size = torch.where(small, torch.ones_like(eta), eta.abs())
    exact = torch.relu(eta) + torch.log(-torch.expm1(-size)) - size.log()
    return torch.where(small, eta / 2 + eta.square() / 24, exact)
