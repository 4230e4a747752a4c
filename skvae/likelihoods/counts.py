"""Counts, by themselves or as shares of their row's total."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skvae._sklearn import StrOptions
from skvae.likelihoods.base import Constants, Head, Likelihood, Params, Values, scaled
from skvae.likelihoods.checks import refuse, refuse_cell
from skvae.likelihoods.draws import numpy_generator
from skvae.likelihoods.statistics import means, quantiles, row_sums

LOG_RATE = 15.0  # of counts may be so far outside of 0 and that of the column's mean
_MOST = 2.0**53  # counts of which the next larger one is another number
_TOO_MANY = "counts beyond 2**53 cannot be told apart"
_LOG_THETA = (-8.0, 12.0)  # ends of the logarithm of a negative binomial's size


class Counts(Likelihood):
    """Base class of count likelihoods: the logarithm of the mean is the decoder's output."""

    _parameter_constraints = {"size_factor": ["boolean", StrOptions({"auto"})]}

    takes_noise = False
    is_whole = True
    takes_missing = True
    takes_sparse = True

    def __init__(self, *, size_factor: bool | str = "auto") -> None:
        self.size_factor = size_factor

    @property
    def keeps_constants(self) -> bool:
        return self.size_factor is True  # of whose total they are a part

    def check(self, values: Values, names: Sequence[Any]) -> None:
        what, remedy = "counts are whole numbers from 0 up", "use 'lognormal' or 'gaussian'"
        if sparse.issparse(values):
            cells = sparse.coo_array(values)
            wrong = (cells.data < 0) | (cells.data != np.floor(cells.data))
            refuse_cell(cells, wrong, names, what, remedy)
            refuse_cell(cells, cells.data > _MOST, names, _TOO_MANY, "divide the column")
            return
        wrong = (values < 0) | (values != np.floor(values)) & ~np.isnan(values)
        refuse(wrong, values, names, what, remedy)
        refuse(values > _MOST, values, names, _TOO_MANY, "use 'lognormal' for it")

    def fit(
        self, values: Values, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        share = means(values, weight)
        sizes = {"median": np.array(0.0), "totals": np.zeros(101)}
        if self.size_factor is True:
            share = np.maximum(share, 1e-8 * share.sum() + 1e-30) / max(share.sum(), 1e-30)
            sizes = _sizes(row_sums(values), weight)
        constants = {"share": share, "center": share, "scale": np.ones_like(share), **sizes}
        center, spread = self._feature_moments(values, weight, constants)
        if self.size_factor is True:  # columns in one unit share a scale, as in PCA
            spread = np.full_like(spread, np.sqrt(np.mean(np.square(spread))))
        return constants | {
            "center": center,
            "scale": spread,
            "bias": np.log(np.maximum(share, 1e-8)),
            "dispersion": self._initial_dispersion(len(share)),
        }

    def _initial_dispersion(self, n_columns: int) -> np.ndarray:
        return np.zeros(0)

    def _feature_moments(
        self, values: Values, weight: np.ndarray | None, constants: Constants
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of features before these are known."""
        total = square = n = np.zeros(values.shape[1])
        weight = np.ones(values.shape[0]) if weight is None else weight
        params = {name: torch.from_numpy(np.asarray(v, float)) for name, v in constants.items()}
        for start in range(0, values.shape[0], 512):
            rows = values[start : start + 512]
            x = rows if isinstance(rows, np.ndarray) else rows.toarray()
            y = self._stabilised(params, torch.from_numpy(np.asarray(x, float))).numpy()
            w, there = weight[start : start + 512], ~np.isnan(y)
            y = np.where(there, y, 0.0)
            total, square, n = total + w @ y, square + w @ np.square(y), n + w @ there
        mean = total / n
        sd = np.sqrt(np.maximum(square / n - np.square(mean), 0.0))
        return mean, np.where(sd > 1e-12, sd, 1.0)

    def _stabilised(self, params: Params, x: Tensor) -> Tensor:
        """Logarithms of counts, in rows of the median total where totals count."""
        if self.size_factor is True:
            x = x * (params["median"] / _totals(params, x))[:, None]
        return torch.log1p(x)

    def features(self, params: Params, x: Tensor) -> Tensor:
        return scaled(params, self._stabilised(params, x))

    def sparse_features(self, params: Params, values: sparse.csr_array) -> sparse.csr_array:
        counts = values.astype(np.float64)
        if self.size_factor is True:
            total = np.maximum(row_sums(counts), 1e-8)
            factor = (float(params["median"]) / total)[:, None]
            counts = sparse.csr_array(counts.multiply(factor))
        return sparse.csr_array(counts.log1p().multiply(1 / params["scale"].numpy()))

    def expected_features(self, params: Params, eta: Tensor) -> Tensor:
        return scaled(params, torch.log1p(self.expectation(params, eta)))

    def _log_rate(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        """Logarithm of the mean counts of rows x."""
        log_rate = _bounded(params, eta)
        if self.size_factor is True:
            log_rate = log_rate + _totals(params, x).log()[:, None]
        return log_rate

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Mean counts, shape (batch, c). With size factors: of a row with the median total."""
        return _bounded(params, eta).exp() * params["median"].clamp(min=1.0)

    def with_size(self, params: Params, eta: Tensor, x: Tensor) -> Tensor:
        if self.size_factor is not True:
            return eta
        return eta + (_totals(params, x) / params["median"]).log()[:, None]

    def with_drawn_size(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        if self.size_factor is not True:
            return eta
        place = 100.0 * eta.new_empty(len(eta), dtype=torch.float32).uniform_(generator=generator)
        below = place.long().clamp(max=99)
        low, high = params["totals"][below], params["totals"][below + 1]
        log_total = low + (place - below).to(low) * (high - low)
        return eta + (log_total - params["median"].log())[:, None]

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        """The linear start's head. Features and outputs are both close to log counts."""
        loadings = loadings * constants["scale"][:, None]
        return Head(loadings, constants["bias"], constants["dispersion"])


class Poisson(Counts):
    """Poisson distribution for counts: the variance is the mean.

    Parameters
    ----------
    size_factor : bool or "auto", default="auto"
        Whether the mean counts of a row are its total times a share for each column. This suits
        texts and sequencing, where the total depends on the amount of material. The density is
        then conditional on the row's total. "auto" is True if all columns of the table have this
        likelihood and there are at least 20 of them.

    Examples
    --------
    >>> from skvae import Poisson, VAETransformer
    >>> VAETransformer(likelihood=Poisson(size_factor=True))
    VAETransformer(likelihood=Poisson(size_factor=True))
    """

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        log_rate, x = self._log_rate(params, x, eta), x.nan_to_num()
        return x * log_rate - log_rate.exp() - torch.lgamma(x + 1)

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        rate = self.expectation(params, eta).numpy(force=True).astype(float)
        return torch.as_tensor(numpy_generator(generator).poisson(rate)).to(eta)


class NegativeBinomial(Counts):
    """Negative binomial distribution for counts whose variance exceeds their mean.

    The variance is m + m^2 / theta for a mean m. Each column has its own theta, which is trained.

    Parameters
    ----------
    size_factor : bool or "auto", default="auto"
        As in `Poisson`.

    Examples
    --------
    >>> from skvae import NegativeBinomial, VAETransformer
    >>> VAETransformer(likelihood=NegativeBinomial(size_factor=False))
    VAETransformer(likelihood=NegativeBinomial(size_factor=False))
    """

    def _initial_dispersion(self, n_columns: int) -> np.ndarray:
        return np.ones(n_columns)

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        log_theta = params["dispersion"].clamp(*_LOG_THETA)
        theta, log_rate, x = log_theta.exp(), self._log_rate(params, x, eta), x.nan_to_num()
        log_sum = torch.logaddexp(log_theta, log_rate)
        log_choose = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
        return log_choose + theta * (log_theta - log_sum) + x * (log_rate - log_sum)

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        rng = numpy_generator(generator)
        log_theta = params["dispersion"].clamp(*_LOG_THETA)
        theta = log_theta.exp().detach().numpy(force=True).astype(float)
        rate = self.expectation(params, eta).numpy(force=True).astype(float)
        rate = rate * rng.gamma(theta, 1 / theta, tuple(eta.shape))
        return torch.as_tensor(rng.poisson(np.minimum(rate, 1e15))).to(eta)


def _sizes(total: np.ndarray, weight: np.ndarray | None) -> Constants:
    """Median of the rows' totals, and quantiles of their logarithms."""
    some = total > 0
    own = None if weight is None else weight[some]
    median = float(quantiles(total[some], 0.5, own)) if some.any() else 1.0
    log_total = np.log(np.maximum(total, 1.0))
    return {
        "median": np.array(median),
        "totals": quantiles(log_total, np.linspace(0, 1, 101), weight),
    }


def _totals(params: Params, x: Tensor) -> Tensor:
    """Row totals; where cells are missing, as if those that are there were typical."""
    there = ~torch.isnan(x)
    total = torch.where(there, x, 0.0).sum(-1)
    return (total / (there.to(x) @ params["share"]).clamp(min=1e-8)).clamp(min=1e-8)


def _bounded(params: Params, eta: Tensor) -> Tensor:
    """Log-rates that are neither far below nor far above those of the columns' means."""
    low, high = params["bias"].clamp(max=0.0), params["bias"].clamp(min=0.0)
    return eta.clamp(low - LOG_RATE, high + LOG_RATE)
