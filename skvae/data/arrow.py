"""Frames of pandas as tables of Arrow, whose types do not hang on the cells that are there.

So the parts of one answer have the same types. Arrow has no sparse columns, no floats beyond 64
bits, and no columns of several types: they are dense, doubles and text.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skvae.data.containers import library

_LONGEST = 8  # bytes of a float


def arrow_of(frame: Any, names: Sequence[str]) -> Any:
    """Return a frame of pandas as a table of Arrow with names for its columns."""
    pa = library("pyarrow")
    columns = [pa.array(_of_one_type(cells), from_pandas=True) for _, cells in frame.items()]
    return pa.table(columns, names=list(names))


def _of_one_type(cells: Any) -> Any:
    dtype = cells.dtype
    if isinstance(dtype, library("pandas").SparseDtype):
        return _of_one_type(cells.sparse.to_dense())
    if _may_differ(dtype):
        return cells.astype(object).astype("string")
    is_long = isinstance(dtype, np.dtype) and dtype.kind == "f" and dtype.itemsize > _LONGEST
    return cells.astype(np.float64) if is_long else cells


def _may_differ(dtype: Any) -> bool:
    """Whether cells of a column can be of several types: objects, and levels that are some text."""
    levels = getattr(dtype, "categories", None)
    if levels is None:
        return isinstance(dtype, np.dtype) and dtype.kind == "O"
    types = set(map(type, levels))
    return str in types and len(types) > 1
