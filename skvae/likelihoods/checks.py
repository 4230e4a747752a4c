"""Errors that name the first value which a likelihood cannot have."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse


def refuse(
    where: np.ndarray, values: np.ndarray, names: Sequence[Any], what: str, remedy: str
) -> None:
    """Raise a ValueError with the first value of a dense matrix for which where holds."""
    if where.any():
        row, column = np.argwhere(where)[0]
        raise ValueError(
            f"column {names[column]!r} holds {values[row, column]:g} in row {row}, and {what}; "
            f"{remedy}."
        )


def refuse_cell(
    cells: sparse.coo_array, where: np.ndarray, names: Sequence[Any], what: str, remedy: str
) -> None:
    """Raise a ValueError with the first stored value of a sparse matrix for which where holds."""
    if where.any():
        cell = int(where.argmax())
        row, column, value = cells.row[cell], cells.col[cell], cells.data[cell]
        raise ValueError(
            f"column {names[column]!r} holds {value:g} in row {row}, and {what}; {remedy}."
        )
