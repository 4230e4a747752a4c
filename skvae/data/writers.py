"""How cells become a frame: one writer per library, and the table of them.

A writer makes a column of the library from values, shape (n,), and a frame from such columns and
their names. `native` says that the library is that of fit, whose dtypes it then has.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from skvae.data.column import Column, positions_of
from skvae.data.containers import library


def to_array(columns: Iterable[Column], values: np.ndarray) -> np.ndarray:
    """Return floats where all columns are numbers, and objects else."""
    dtypes = [column.numpy_dtype for column in columns]
    plain = all(dtype is not None and dtype.kind != "b" for dtype in dtypes)
    single = np.float32 if set(dtypes) == {np.dtype(np.float32)} else np.float64
    array = np.empty(values.shape, dtype=single if plain else object)
    for n, column in enumerate(columns):
        array[:, n], missing = column.decode(values[:, n])
        array[missing, n] = np.nan
    return array


def _to_pandas(column: Column, values: np.ndarray, native: bool) -> Any:
    pd = library("pandas")
    dtype = column.dtype if native else None
    if not native and column.kind == "ordered":
        dtype = pd.CategoricalDtype(list(column.levels), ordered=True)
    if isinstance(dtype, pd.CategoricalDtype):
        return pd.Series(pd.Categorical.from_codes(positions_of(values), dtype=dtype))
    cells, missing = column.decode(values)
    if column.numpy_dtype is None:
        if native:
            cells[missing] = column.missing
        return pd.Series(cells, dtype=dtype) if native else pd.Series(cells).infer_objects()
    return _numbers_of_pandas(column, cells, missing, native)


def _numbers_of_pandas(column: Column, cells: np.ndarray, missing: np.ndarray, native: bool) -> Any:
    must_mask = missing.any() and cells.dtype.kind in "iub"
    if native and isinstance(column.dtype, np.dtype):
        if must_mask:
            raise ValueError(f"{column.where} has missing cells, which {cells.dtype} cannot hold.")
        return cells
    series = library("pandas").Series(cells)
    if native:
        series = series.astype(column.dtype)
    elif must_mask:
        series = series.convert_dtypes()  # to those of pandas' own that can hold a missing cell
    return series.mask(missing) if missing.any() else series


def _join_pandas(columns: list, labels, index) -> Any:
    frame = library("pandas").DataFrame(dict(enumerate(columns)))
    frame.columns = labels.copy()  # whose name can be set
    if index is not None:
        frame.index = index
    return frame


def _to_polars(column: Column, values: np.ndarray, native: bool) -> Any:
    pl = library("polars")
    dtype = column.dtype if native else None
    if not native and column.numpy_dtype is None:
        column = _of_one_type(column)
        dtype = pl.Enum(column.levels) if column.kind == "ordered" else None
    cells, missing = column.decode(values)
    if column.numpy_dtype is None:
        return pl.Series(cells.tolist(), dtype=dtype)
    series = pl.Series(cells)
    if missing.any() and not (native and isinstance(column.missing, float)):  # NaN is no null
        series = series.set(pl.Series(missing), None)
    return series.cast(dtype) if native else series


def _join_polars(columns: list, labels, index) -> Any:
    named = [column.alias(str(name)) for name, column in zip(labels, columns, strict=True)]
    return library("polars").DataFrame(named)


def _to_pyarrow(column: Column, values: np.ndarray, native: bool) -> Any:
    pa = library("pyarrow")
    if native and isinstance(column.dtype, pa.DictionaryType):
        codes = positions_of(values)
        codes = pa.array(codes, mask=codes < 0).cast(column.dtype.index_type)
        levels = pa.array(column.levels, type=column.dtype.value_type)
        return pa.DictionaryArray.from_arrays(codes, levels, ordered=column.dtype.ordered)
    column = column if native or column.numpy_dtype is not None else _of_one_type(column)
    cells, missing = column.decode(values)
    if column.numpy_dtype is None:
        return pa.array(cells.tolist(), type=column.dtype if native else None)
    array = pa.array(cells, mask=missing)
    return array.cast(column.dtype) if native else array


def _join_pyarrow(columns: list, labels, index) -> Any:
    return library("pyarrow").table(columns, names=[str(name) for name in labels])


def _of_one_type(column: Column) -> Column:
    """Return the column with levels of one type, else text, for a library of typed columns."""
    types = {type(level) for level in column.levels}
    if column.kind != "ordered" and len(types) == 1 and types <= {str, int, float, bool}:
        return column
    return replace(column, levels=tuple(str(level) for level in column.levels))


# For every library: a column of values as its column, and its columns with their names as a frame.
WRITERS: dict[str, tuple[Callable, Callable]] = {
    "pandas": (_to_pandas, _join_pandas),
    "polars": (_to_polars, _join_polars),
    "pyarrow": (_to_pyarrow, _join_pyarrow),
}
