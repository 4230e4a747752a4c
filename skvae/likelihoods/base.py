"""Base class of likelihoods p(x | z), and the terms that all of them share.

A block is a set of columns with one likelihood. `values`, shape (n, c), are in the user's units:
numbers, or codes of levels, with NaN for missing cells. `x` are their cells, shape (batch, c):
standardised numbers, codes of the levels of fit, or counts. Missing cells in `x` may hold any
number. `eta` are the outputs of the decoder for the block, shape (batch, width). Log-densities are
those of cells, in nats, shape (batch, c). Features are the input of the encoder: centred and scaled
cells, shape (batch, n_features).

A likelihood is a component without state. `fit` returns the constants of columns, a dict of arrays.
`Block` holds them as tensors and passes them on as `params`. Callers read these names:

    bias            (width,) outputs of a model without codes
    dispersion      parameters that training changes beside the decoder, of any shape
    center, scale   (c,) of columns that are not coded, in the user's units where cells are numbers
    floor           (c,) least standard deviation of the noise, where `has_floor`
    levels, first_level   codes of the levels of all columns, and the first position of each
                    column, where `is_coded`
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skvae._sklearn import Documented

Constants = dict[str, np.ndarray]
Params = Mapping[str, Tensor]
Values: TypeAlias = np.ndarray | sparse.csr_array
LevelLink = Literal["logit", "thresholds", "softmax"]


class Head(NamedTuple):
    """Weights with which a linear decoder starts, for one block of columns."""

    loadings: np.ndarray  # (width, q)
    bias: np.ndarray  # (width,)
    dispersion: np.ndarray


class Slopes(NamedTuple):
    """Log-densities of cells, and the gradients of their weighted sum."""

    log_prob: Tensor  # (batch, c)
    of_outputs: Tensor  # (batch, width)
    of_dispersion: Tensor


class Likelihood(Documented, ABC):
    """Base class of likelihoods: the distribution of cells given the decoder's outputs."""

    _parameter_constraints: dict[str, list[Any]] = {}  # of its options, as scikit-learn writes them

    kinds: tuple[str, ...] = ("number",)  # of columns that it can be given
    is_coded = False  # whether values are codes of levels
    level_link: LevelLink | None = None  # of outputs and shares of levels; None without levels
    is_gaussian = False  # given features: the linear start's own density
    has_scores = False  # whether outputs and noise together are to be standard normal
    shares_scale = False  # whether columns that all have it are divided by one number, as in PCA
    takes_sparse = False  # whether its features are 0 where values are
    takes_noise = True  # whether a value with noise added is still one that its features know
    is_whole = False  # whether values are whole numbers, though their mean need not be
    takes_missing = False  # whether NaN means something to it beside the cell itself
    outside: tuple[str, ...] = ()  # constants that only the way from values to cells needs

    @property
    def shares_noise(self) -> bool:
        """Whether, in the linear start, noise is that of all columns for which this holds."""
        return True

    @property
    def tail(self) -> float:
        """Degrees of freedom of the features' noise in the factor model; 0 for normal noise."""
        return 0.0

    @property
    def has_floor(self) -> bool:
        """Whether the noise of the features has a lower limit."""
        return self.is_gaussian or self.has_scores or self.tail > 0

    @property
    def is_stochastic(self) -> bool:
        """Whether values are probabilities from which training draws."""
        return False

    @property
    def keeps_constants(self) -> bool:
        """Whether constant columns are kept because other columns depend on them."""
        return False

    def feature_variances(self, constants: Constants) -> np.ndarray | float:
        """About what features vary by in the rows, one number or one per feature."""
        return 1.0

    def check(self, values: Values, names: Sequence[Any]) -> None:
        """Raise a ValueError that names the first value outside the support."""

    @abstractmethod
    def fit(
        self, values: Values, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        """Constants of columns. `scale` is one scale for all columns if they share it."""

    def standardised(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """Cells from values in the user's units, shape (n, c), float64."""
        return values

    def restored(self, constants: Constants, cells: np.ndarray) -> np.ndarray:
        """Values in the user's units from cells, shape (n, c), float64."""
        return cells

    def log_jacobian(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """Add this to log-densities of cells to get those of values, nats, shape (n, c)."""
        return np.zeros(values.shape)

    def has_mass(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """Whether each value has a probability and not a density, shape (n, c)."""
        return np.zeros(values.shape, bool)

    def owners(self, constants: Constants) -> np.ndarray:
        """Column of the block for each feature, shape (n_features,)."""
        return np.arange(len(constants["bias"]))

    @abstractmethod
    def features(self, params: Params, x: Tensor) -> Tensor:
        """Features of cells for the encoder, shape (batch, n_features)."""

    def sparse_features(self, params: Params, values: sparse.csr_array) -> sparse.csr_array:
        """Features of sparse rows before center / scale is subtracted. Needs `takes_sparse`."""
        raise NotImplementedError(f"{type(self).__name__} has no features of sparse rows.")

    def expected_features(self, params: Params, eta: Tensor) -> Tensor:
        """Features expected for outputs, shape (batch, n_features)."""
        return self.features(params, self.expectation(params, eta))

    @abstractmethod
    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        """Log-densities of cells, nats, shape (batch, c). x has NaN only with `takes_missing`."""

    def slopes(self, params: Params, x: Tensor, eta: Tensor, weight: Tensor) -> Slopes:
        """`log_prob`, and the gradients of its sum weighted by `weight` of shape (batch, c).

        By default automatic differentiation computes the gradients.
        """
        leaves = [eta.detach().requires_grad_(), params["dispersion"].detach().requires_grad_()]
        with torch.enable_grad():
            log_prob = self.log_prob({**params, "dispersion": leaves[1]}, x, leaves[0])
            slopes = torch.autograd.grad((weight * log_prob).sum(), leaves, materialize_grads=True)
        return Slopes(log_prob.detach(), *slopes)

    @abstractmethod
    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Cells of the mean values, shape (batch, c). For levels, the input of `decide`."""

    def decide(self, params: Params, expectation: Tensor) -> Tensor:
        """Cells from expectations, which may be means over draws, shape (batch, c)."""
        return expectation

    @abstractmethod
    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        """Draw cells, shape (batch, c)."""

    def with_size(self, params: Params, eta: Tensor, x: Tensor) -> Tensor:
        """Outputs for rows with the size that the observed cells in x imply."""
        return eta

    def with_drawn_size(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        """Outputs for rows with random sizes."""
        return eta

    def spread(self, params: Params) -> Tensor | float:
        """Standard deviation of the cells of each column. Needs `takes_noise`."""
        return params["scale"]

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        """The head with which a fit starts, from a factor model of the features.

        `loadings` has shape (n_features, q). `center` and `noise`, the noise variances, have shape
        (n_features,). By default loadings are 0, and only the mean is modelled.
        """
        nothing = np.zeros((len(constants["bias"]), loadings.shape[1]))
        return Head(nothing, constants["bias"], constants["dispersion"])


def scaled(params: Params, y: Tensor) -> Tensor:
    """Features of numbers with a center and a scale by column."""
    return (y - params["center"]) / params["scale"]
