"""The contract of a likelihood p(x | z): what every block of columns is asked.

A block is some columns of one likelihood. `values`, shape (n, c), are in the user's units: numbers,
codes of levels, NaN where nothing was observed. `x` are their cells, shape (batch, c), anything
where nothing was observed: numbers standardised in double precision, codes of the levels that fit
has seen, counts as they are. `eta` are the decoder's outputs for them, shape (batch, width).
Log-densities are those of cells, in nats, shape (batch, c). Features are what the encoder sees: the
cells, centred and scaled, shape (batch, n_features).

A likelihood is a component without state. What `fit` learns of columns is a dict of arrays, the
constants; `Block` holds them as tensors and hands these back as `params`. Callers read by name

    bias            (width,) outputs of a model without codes
    dispersion      what training moves beside the decoder, of any shape
    center, scale   (c,) of columns that are not coded, in the user's units where cells are numbers
    floor           (c,) least standard deviation of the noise, where `has_floor`
    levels, first_level   codes of the levels of all columns, and where each column's begin, where
                    `is_coded`
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
    """A block's share of a linear decoder."""

    loadings: np.ndarray  # (width, q)
    bias: np.ndarray  # (width,)
    dispersion: np.ndarray


class Slopes(NamedTuple):
    """Log-densities of cells, and the slopes of their weighted sum."""

    log_prob: Tensor  # (batch, c)
    of_outputs: Tensor  # (batch, width)
    of_dispersion: Tensor


class Likelihood(Documented, ABC):
    """A density or distribution of the cells of some columns, given the outputs of a decoder."""

    _parameter_constraints: dict[str, list[Any]] = {}  # of its options, as scikit-learn writes them

    kinds: tuple[str, ...] = ("number",)  # of columns that it can be given
    is_coded = False  # whether values are codes of levels
    level_link: LevelLink | None = None  # of outputs and shares of levels; None without levels
    is_gaussian = False  # given features: the linear start's own density
    has_scores = False  # whether outputs and noise together are to be standard normal
    shares_noise = True  # in the linear start, with the other columns that do
    shares_scale = False  # whether columns that all have it are divided by one number, as in PCA
    takes_sparse = False  # whether its features are 0 where values are
    takes_noise = True  # whether a value with noise added is still one that its features know
    takes_missing = False  # whether NaN means something to it beside the cell itself
    outside: tuple[str, ...] = ()  # constants that only the way from values to cells needs

    @property
    def tail(self) -> float:
        """Degrees of freedom of its features' noise in the factor model; 0 where that is normal."""
        return 0.0

    @property
    def has_floor(self) -> bool:
        """Whether the noise of its features has a floor of its own."""
        return self.is_gaussian or self.has_scores or self.tail > 0

    @property
    def is_stochastic(self) -> bool:
        """Whether values are probabilities, of which training draws."""
        return False

    @property
    def keeps_constants(self) -> bool:
        """Whether a column that never varies says something of the others."""
        return False

    def check(self, values: Values, names: Sequence[Any]) -> None:
        """Raise a ValueError that names the first value which cannot be."""

    @abstractmethod
    def fit(
        self, values: Values, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        """What is to be known of columns; scale: one for all of them, where `shares_scale`."""

    def standardised(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """Cells of values in the user's units, shape (n, c), float64."""
        return values

    def restored(self, constants: Constants, cells: np.ndarray) -> np.ndarray:
        """Values in the user's units of cells, shape (n, c), float64."""
        return cells

    def log_jacobian(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """What the log-density of a cell gains when it is told in the user's units, (n, c)."""
        return np.zeros(values.shape)

    def has_mass(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """Whether a value has a probability beside values that have a density, (n, c)."""
        return np.zeros(values.shape, bool)

    def owners(self, constants: Constants) -> np.ndarray:
        """Column of the block that each feature belongs to, shape (n_features,)."""
        return np.arange(len(constants["bias"]))

    @abstractmethod
    def features(self, params: Params, x: Tensor) -> Tensor:
        """Features of cells, shape (batch, n_features)."""

    def sparse_features(self, params: Params, values: sparse.csr_array) -> sparse.csr_array:
        """Features of sparse rows before center / scale is subtracted; where `takes_sparse`."""
        raise NotImplementedError(f"{type(self).__name__} has no features of sparse rows.")

    def expected_features(self, params: Params, eta: Tensor) -> Tensor:
        """Features of the expectation, shape (batch, n_features)."""
        return self.features(params, self.expectation(params, eta))

    @abstractmethod
    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        """Log-density of cells, shape (batch, c); x holds NaN only where `takes_missing`."""

    def slopes(self, params: Params, x: Tensor, eta: Tensor, weight: Tensor) -> Slopes:
        """Log-densities as of `log_prob`, and slopes of their sum by weights, shape (batch, c).

        Recorded, where a likelihood does not write them out.
        """
        leaves = [eta.detach().requires_grad_(), params["dispersion"].detach().requires_grad_()]
        with torch.enable_grad():
            log_prob = self.log_prob({**params, "dispersion": leaves[1]}, x, leaves[0])
            slopes = torch.autograd.grad((weight * log_prob).sum(), leaves, materialize_grads=True)
        return Slopes(log_prob.detach(), *slopes)

    @abstractmethod
    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Cells of the mean values, shape (batch, c); of coded ones what `decide` takes."""

    def decide(self, params: Params, expectation: Tensor) -> Tensor:
        """Cells from (averaged) expectations, shape (batch, c)."""
        return expectation

    @abstractmethod
    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        """Draws of cells, shape (batch, c)."""

    def with_size(self, params: Params, eta: Tensor, x: Tensor) -> Tensor:
        """Outputs for rows of the size that the observed ones of cells x tell."""
        return eta

    def with_drawn_size(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        """Outputs for rows of sizes drawn at random."""
        return eta

    def spread(self, params: Params) -> Tensor | float:
        """Standard deviation of the cells of each column, where it `takes_noise`."""
        return params["scale"]

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        """The head where a fit begins, of a factor model of the features; else the mean's.

        loadings has shape (n_features, q); center and the variances of the noise (n_features,).
        """
        nothing = np.zeros((len(constants["bias"]), loadings.shape[1]))
        return Head(nothing, constants["bias"], constants["dispersion"])


def scaled(params: Params, y: Tensor) -> Tensor:
    """Features of numbers with a center and a scale by column."""
    return (y - params["center"]) / params["scale"]
