"""A block of columns with its likelihood: what is known of them, as tensors of the model."""

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from skvae.likelihoods.base import Constants, Likelihood, Slopes


class Block(nn.Module):
    """Columns of one likelihood with what it has learnt of them; `dispersion` is trained."""

    dispersion: Tensor
    where: Tensor  # the columns, where the rows are

    def __init__(self, likelihood: Likelihood, columns: np.ndarray, constants: Constants) -> None:
        super().__init__()
        self.likelihood = likelihood
        self.columns = np.array(columns)  # a copy: that of a file mapped into memory is read-only
        self.register_buffer("where", torch.tensor(columns, dtype=torch.int64))
        inside = {n: value for n, value in constants.items() if n not in likelihood.outside}
        for name, value in inside.items():
            if name == "dispersion":
                self.dispersion = nn.Parameter(torch.tensor(value, dtype=torch.float64))
            else:
                dtype = torch.float64 if value.dtype.kind == "f" else torch.int64
                self.register_buffer(name, torch.tensor(value, dtype=dtype))
        self.names = tuple(inside)
        self.width = len(constants["bias"])
        self.owners = likelihood.owners(constants)
        self.n_features = len(self.owners)

    def params(self) -> dict[str, Tensor]:
        """What the likelihood has learnt, by name."""
        return {name: getattr(self, name) for name in self.names}

    def features(self, x: Tensor) -> Tensor:
        """Features of cells, (batch, n_features); anything where one is missing."""
        return self.likelihood.features(self.params(), self._readable(x))

    def sparse_features(self, values: sparse.csr_array) -> sparse.csr_array:
        """Features of sparse rows, not centred."""
        return self.likelihood.sparse_features(self.params(), values)

    def log_prob(self, x: Tensor, eta: Tensor, dispersion: Tensor | None = None) -> Tensor:
        """Log-density of every cell, shape (batch, c), also with a dispersion not its own."""
        return self.likelihood.log_prob(self._params_with(dispersion), self._readable(x), eta)

    def slopes(
        self, x: Tensor, eta: Tensor, weight: Tensor, dispersion: Tensor | None = None
    ) -> Slopes:
        """Log-densities as of `log_prob`; slopes of their sum by weights, shape (batch, c)."""
        params = self._params_with(dispersion)
        return self.likelihood.slopes(params, self._readable(x), eta, weight)

    def _params_with(self, dispersion: Tensor | None) -> dict[str, Tensor]:
        params = self.params()
        return params if dispersion is None else params | {"dispersion": dispersion}

    def _readable(self, x: Tensor) -> Tensor:
        """Cells without NaN, whose gradient would be NaN even where nothing asks for it."""
        return x if self.likelihood.takes_missing else x.nan_to_num()

    def expectation(self, eta: Tensor, x: Tensor | None = None) -> Tensor:
        """Cells of the mean values, or probabilities of levels; x are cells that are known."""
        params = self.params()
        if x is not None:
            eta = self.likelihood.with_size(params, eta, x)
        return self.likelihood.expectation(params, eta)

    def decide(self, expectation: Tensor) -> Tensor:
        """Cells from (averaged) expectations, shape (batch, c)."""
        return self.likelihood.decide(self.params(), expectation)

    def expected_features(self, eta: Tensor) -> Tensor:
        """Features of the expectation, shape (batch, n_features)."""
        return self.likelihood.expected_features(self.params(), eta)

    def sample(self, eta: Tensor, generator: torch.Generator, x: Tensor | None = None) -> Tensor:
        """Draws of cells, shape (batch, c); x are the rows' cells, where some are known."""
        params = self.params()
        if x is None:
            eta = self.likelihood.with_drawn_size(params, eta, generator)
        else:
            eta = self.likelihood.with_size(params, eta, x)
        return self.likelihood.sample(params, eta, generator)

    def spread(self) -> Tensor | float:
        """Standard deviation of the cells of each column."""
        return self.likelihood.spread(self.params())
