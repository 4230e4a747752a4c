"""Rows a batch at a time, so that nothing dense is held of all of them; the largest values."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

Values = np.ndarray | sparse.csr_array  # rows and columns of numbers

# Squares of larger values, and their sums, are not numbers any more.
LARGEST = 1e153
# Cells of a dense batch: 32 MB in float64, whatever the number of columns.
BATCH_CELLS = 4_194_304


def batches(n_rows: int, n_columns: int, cells: int = BATCH_CELLS) -> Iterator[slice]:
    """Slices that cover n_rows rows, each small enough to be held densely."""
    step = rows_at_once(n_columns, cells)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def rows_at_once(n_columns: int, cells: int = BATCH_CELLS) -> int:
    """The number of rows of a batch; of the last one there may be fewer."""
    return max(1, min(8192, cells // max(n_columns, 1)))


def dense(X) -> np.ndarray:
    """Rows as they are held by float64, in the order of C."""
    rows = X.toarray() if sparse.issparse(X) else X
    return np.ascontiguousarray(rows, dtype=np.float64)


def refuse_overflow(largest: float) -> None:
    """Raise a ValueError where the squares of values of this size are no numbers."""
    if largest > LARGEST:
        raise ValueError(
            f"X holds a value of size {largest:.3g}; variances of values beyond {LARGEST:.0e} "
            "cannot be represented. Divide the columns first (StandardScaler)."
        )
