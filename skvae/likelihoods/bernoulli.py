"""Yes or no."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional as F

from skvae.likelihoods.base import Constants, Likelihood, Params, Values, scaled
from skvae.likelihoods.checks import refuse, refuse_cell
from skvae.likelihoods.draws import uniform
from skvae.likelihoods.statistics import counts, means


class Bernoulli(Likelihood):
    """Bernoulli distribution for booleans and for numbers that are 0 or 1.

    Parameters
    ----------
    stochastic : bool, default=False
        Whether numbers from 0 to 1 are allowed and are probabilities, such as the pixels of a grey
        image. Every training step then draws new values of 0 or 1 from them [1]_. Reconstructions
        are probabilities too. The score of a value x is x log p + (1 - x) log(1 - p). To score
        binary draws, draw them first.

    References
    ----------
    .. [1] Salakhutdinov, R. and Murray, I. (2008). On the quantitative analysis of deep belief
       networks. ICML.

    Examples
    --------
    >>> from skvae import Bernoulli, VAETransformer
    >>> VAETransformer(likelihood=Bernoulli(stochastic=True))
    VAETransformer(likelihood=Bernoulli(stochastic=True))
    """

    _parameter_constraints = {"stochastic": ["boolean"]}

    kinds = ("number", "boolean")
    level_link = "logit"
    takes_sparse = True

    def __init__(self, *, stochastic: bool = False) -> None:
        self.stochastic = stochastic

    @property
    def is_stochastic(self) -> bool:
        return self.stochastic

    @property
    def keeps_constants(self) -> bool:
        return self.stochastic

    def check(self, values: Values, names: Sequence[Any]) -> None:
        if self.stochastic and not sparse.issparse(values):
            wrong = (values < 0) | (values > 1)
            what = "'bernoulli' needs probabilities from 0 to 1"
            refuse(wrong, values, names, what, "divide the column by its largest value")
            return
        if sparse.issparse(values):
            cells = sparse.coo_array(values)
            wrong = (cells.data != 0) & (cells.data != 1)
            refuse_cell(cells, wrong, names, "'bernoulli' needs 0 or 1", "use 'poisson'")
            return
        wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
        refuse(wrong, values, names, "'bernoulli' needs 0 or 1", "use 'gaussian' or a threshold")

    def fit(
        self, values: Values, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        share, n = means(values, weight), counts(values, weight)
        share = (share * n + 0.5) / (n + 1.0)
        return {
            "center": share,
            "scale": np.sqrt(share * (1 - share)),
            "bias": np.log(share / (1 - share)),
            "dispersion": np.zeros(0),
        }

    def features(self, params: Params, x: Tensor) -> Tensor:
        return scaled(params, x)

    def sparse_features(self, params: Params, values: sparse.csr_array) -> sparse.csr_array:
        return sparse.csr_array(values.astype(np.float64).multiply(1 / params["scale"].numpy()))

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        return x * eta - F.softplus(eta)

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        return torch.sigmoid(eta)

    def decide(self, params: Params, expectation: Tensor) -> Tensor:
        return expectation if self.stochastic else (expectation >= 0.5).to(expectation)

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        return (uniform(eta, generator) < torch.sigmoid(eta)).to(eta)
