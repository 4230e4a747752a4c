"""Networks that see columns, such as pixels, of models whose own coordinates are others."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ColumnMap(nn.Module, ABC):
    """The way from a model's own coordinates to columns, and back."""

    @abstractmethod
    def spread(self, x: Tensor) -> Tensor:
        """Columns of a model's own coordinates, shape (n, d)."""

    @abstractmethod
    def gather(self, columns: Tensor) -> Tensor:
        """The model's own coordinates of what a network makes of columns."""


class ScoreColumns(ColumnMap):
    """Columns of principal scores.

    Parameters
    ----------
    components : Tensor of shape (k, d)
        Principal directions.
    """

    components: Tensor

    def __init__(self, components: Tensor) -> None:
        super().__init__()
        self.register_buffer("components", components)

    def spread(self, x: Tensor) -> Tensor:
        return x @ self.components

    def gather(self, columns: Tensor) -> Tensor:
        return F.linear(columns, self.components)


class CellColumns(ColumnMap):
    """Columns of a table of which cells are those that vary.

    Parameters
    ----------
    places : Tensor of shape (c,)
        Of the cells among the columns.
    n_columns : int
        Of the table.
    """

    places: Tensor

    def __init__(self, places: Tensor, n_columns: int) -> None:
        super().__init__()
        self.n_columns = n_columns
        self.register_buffer("places", places)

    def spread(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.n_columns).index_copy(1, self.places, x)

    def gather(self, columns: Tensor) -> Tensor:
        return torch.index_select(columns, 1, self.places)


def of_columns(architecture: object) -> bool:
    """Whether networks see and make columns, such as pixels, and not their principal scores."""
    return bool(getattr(architecture, "of_columns", False))
