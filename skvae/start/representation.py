"""Two representations of rows: principal scores of a matrix, cells of a table.

Rows come in the user's units, dense or sparse; a model takes `Rows`, and what it decodes comes
back in the user's units, shape (n, d).
"""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import Values
from skvae.model.observation import Observation
from skvae.model.rows import Rows

NETWORK_CELLS = 1024  # columns that a row may take inside the networks, at a guess
N_HELD = 8  # arrays of the width of the rows that a question makes of them at once, about


class Representation(ABC):
    """How rows become what models take, and come back."""

    @property
    @abstractmethod
    def takes_gaps(self) -> bool:
        """Whether rows can have missing cells."""

    @property
    @abstractmethod
    def row_cost(self) -> int:
        """Numbers that a question holds per row."""

    @property
    @abstractmethod
    def decoded_cost(self) -> int:
        """Numbers that decoding holds per row."""

    @property
    @abstractmethod
    def drawn_cost(self) -> int:
        """Numbers that drawing holds per row."""

    @property
    @abstractmethod
    def n_draws(self) -> int:
        """Draws by which a row is scored, where nobody says how many."""

    @abstractmethod
    def dtype(self, dtype: np.dtype) -> np.dtype:
        """Arithmetic of questions about rows of this dtype."""

    @abstractmethod
    def training_rows(
        self, X: Values, weight: np.ndarray | None, dtype: type, device: torch.device, n_bytes: int
    ) -> Rows:
        """Rows as training takes them, made as needed where they are more than n_bytes.

        Weights have mean 1.
        """

    @abstractmethod
    def rows(self, X: Values, dtype: np.dtype, device: str) -> Rows:
        """A few rows as `encode` takes them."""

    @abstractmethod
    def whole_rows(self, X: Values, device: str) -> Rows:
        """A few rows with all that their density depends on, in double precision."""

    @abstractmethod
    def expected(self, observation: Observation, decoded: Tensor) -> np.ndarray:
        """Expected rows; levels are the most probable."""

    @abstractmethod
    def drawn(
        self, observation: Observation, decoded: Tensor, generator: torch.Generator
    ) -> np.ndarray:
        """Rows drawn given what was decoded, noise included."""

    @abstractmethod
    def expected_levels(
        self, observation: Observation, decoded: Tensor, n_levels: np.ndarray
    ) -> np.ndarray:
        """Expected cells: of columns with levels their probabilities, side by side."""

    @abstractmethod
    def log_jacobian(self, X: Values) -> np.ndarray:
        """What the log-density of each row gains in the user's units, nats, shape (n,)."""

    @abstractmethod
    def is_little_known(self, X: Values) -> np.ndarray:
        """Which rows have gaps, and no more known cells than there are codes."""
