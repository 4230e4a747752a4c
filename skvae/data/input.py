"""X as it came, read once: what a later step asks of a table, it asks this object."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse

from skvae.data.containers import library, name_of, refuse_duplicates, refuse_foreign

_HELD_BY_SINGLE = {nw.Float32, nw.Int8, nw.Int16, nw.UInt8, nw.UInt16}


@dataclass(frozen=True, eq=False)
class Input:
    """What came, and as a frame where it is one."""

    native: Any
    frame: nw.DataFrame | None = None  # None for what scikit-learn reads

    @classmethod
    def of(cls, X: Any) -> "Input":
        """Read a table; a ValueError where X is none at hand, or has a name twice."""
        is_array = type(X) is np.ndarray and X.dtype.names is None
        if is_array or sparse.issparse(X):
            return cls(X)
        refuse_duplicates(X)
        known = nw.from_native(X, allow_series=True, pass_through=True)
        refuse_foreign(X, known)
        return cls(X, known if isinstance(known, nw.DataFrame) else None)

    @property
    def is_frame(self) -> bool:
        """Whether it is a frame of a library that narwhals knows."""
        return self.frame is not None

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        table = self.native if self.frame is None else self.frame
        return table.shape[0] if hasattr(table, "shape") else len(table)

    @cached_property
    def container(self) -> str:
        """The library of a frame, and "numpy" for all else."""
        return "numpy" if self.frame is None else name_of(self.frame)

    @cached_property
    def table(self) -> nw.DataFrame:
        """The frame, or one of the cells of an array."""
        if self.frame is not None:
            return self.frame
        cells = np.asarray(self.native)
        if cells.ndim != 2:
            raise ValueError(
                f"X has the shape {cells.shape}; pass a 2-dimensional table of rows and columns."
            )
        return nw.from_native(library("pandas").DataFrame(cells), eager_only=True)

    @cached_property
    def names(self) -> list:
        """The names of the columns of the table."""
        return self.table.columns

    @property
    def header(self) -> Any:
        """What scikit-learn sees the names of: before 1.9 it knows those of pandas alone.

        It asked other frames by a protocol, which polars has dropped since.
        """
        if self.frame is None or self.frame.implementation.is_pandas_like():
            return self.native
        return library("pandas").DataFrame(columns=self.names)

    @cached_property
    def dtypes(self) -> dict[str, nw.dtypes.DType]:
        """The dtypes of the columns of the table, as narwhals has them."""
        return dict(self.table.schema)

    @cached_property
    def are_numpy_numbers(self) -> np.ndarray:
        """Columns that pandas holds as numbers or booleans of NumPy, and gives many at once."""
        dtypes = self._dtypes_of_pandas
        if dtypes is None:
            return np.zeros(len(self.names), bool)
        return np.array([_is_number(dtype) for dtype in dtypes], bool)

    @cached_property
    def is_plain(self) -> bool:
        """Whether pandas can give all columns at once, which matters where they are thousands."""
        return self._dtypes_of_pandas is not None and bool(self.are_numpy_numbers.all())

    @cached_property
    def is_single(self) -> bool:
        """Whether it is a frame whose numbers are in single precision, or whole and no longer."""
        if self.frame is None or not self._may_be_single():
            return False
        numbers = {dtype for dtype in self.dtypes.values() if dtype.is_numeric()}
        has_objects = nw.Object in self.dtypes.values()
        return nw.Float32 in numbers and numbers <= _HELD_BY_SINGLE and not has_objects

    def _may_be_single(self) -> bool:
        """Whether a column is in single precision; of pandas without asking for all dtypes."""
        dtypes = self._dtypes_of_pandas
        return dtypes is None or any(_in_numpy(dtype) == np.float32 for dtype in dtypes)

    @cached_property
    def _dtypes_of_pandas(self) -> list | None:
        """The dtypes of pandas' columns; None for other libraries."""
        is_pandas = self.table.implementation.is_pandas_like()
        return list(self.table.to_native().dtypes) if is_pandas else None


def _is_number(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "iufb"


def _in_numpy(dtype: Any) -> Any:
    return dtype if isinstance(dtype, np.dtype) else getattr(dtype, "numpy_dtype", None)
