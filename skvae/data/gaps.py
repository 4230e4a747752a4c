"""Filled gaps: a table as it came, with values where cells were missing.

Container, names, index and dtypes are those that came, and so are the observed cells, to the bit.
What is filled in fits the dtype that it comes into: a level of fit that the categories of a column
lack is added to them. Only a column that cannot hold its values at all changes its dtype: to that
of fit where nothing of it was observed, else to text, or to objects where the library has them.
"""

import decimal
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import narwhals as nw
import numpy as np

from skvae.data.column import Column, dtype_of, in_dtype, kind_of, numpy_dtype_of, objects
from skvae.data.containers import library
from skvae.data.input import Input
from skvae.data.writers import WRITERS


def fill(
    given: Input, columns: Sequence[Column], missing: np.ndarray, values: np.ndarray, native: bool
) -> Any:
    """Return a frame or an array with its `missing` cells from values; both have shape (n, d).

    `native` says that a frame is of the library of fit.
    """
    X, frame, container = given.native, given.frame, given.container
    if frame is None:
        return _filled_array(X, columns, missing, values)
    if container == "pandas" and _is_matrix(X) and not any(column.levels for column in columns):
        cells = _filled_array(X.to_numpy(), columns, missing, values)
        return _as_came(X, library("pandas").DataFrame(cells))
    fill_column, join = _FILLERS[container]
    filled = {}
    for n in np.flatnonzero(missing.any(0)).tolist():
        column, hole = columns[n], missing[:, n]
        cells = column.decode(values[hole, n])[0]
        series = frame[:, n]
        found = fill_column(series, column, hole, cells)
        if found is None and hole.all():
            found = WRITERS[container][0](column, values[:, n], native)
        elif found is None:
            found = fill_column(_widened(series), column, hole, cells)
        filled[n] = found
    return join(X, filled)


def _filled_array(X: np.ndarray, columns: Sequence[Column], missing, values) -> np.ndarray:
    filled = np.array(X)  # a copy, with the dtype
    if all(column.kind == "number" and column.is_float for column in columns):
        filled[missing] = _in_array(values[missing], filled.dtype)
        return filled
    for n in np.flatnonzero(missing.any(0)).tolist():
        cells = columns[n].decode(values[missing[:, n], n])[0]
        filled[missing[:, n], n] = _in_array(cells, filled.dtype)
    return filled


def _in_array(cells: np.ndarray, dtype: np.dtype):
    return objects(cells.tolist()) if dtype.kind == "O" else _as_numbers(cells, dtype)


def _as_numbers(cells: np.ndarray, dtype: np.dtype | None) -> np.ndarray | None:
    """Return cells as numbers of a dtype, in its range; None where they are not numbers."""
    assert dtype is not None
    if cells.dtype == object:
        if not all(isinstance(level, (numbers.Real, decimal.Decimal)) for level in cells):
            return None
        if dtype.kind in "iu":  # to the last digit
            info = np.iinfo(dtype)
            return np.array([min(max(round(level), info.min), info.max) for level in cells], dtype)
        cells = np.array([float(level) for level in cells])
    if dtype.kind == "f":
        largest = float(np.finfo(dtype).max)
        return np.clip(cells.astype(np.float64), -largest, largest).astype(dtype)
    return in_dtype(cells, dtype)


def _fitting(series: nw.Series, column: Column, cells: np.ndarray) -> np.ndarray | None:
    """Return cells as a column of numbers, text or objects has them; None where it cannot."""
    kind = kind_of(series)
    if kind in ("number", "boolean"):
        return _as_numbers(cells, numpy_dtype_of(series, kind))
    dtype = getattr(series.to_native(), "dtype", None)
    is_object = isinstance(dtype, np.dtype) and dtype.kind == "O"
    if is_object or series.dtype == nw.Object:
        return objects(cells.tolist())
    holds_text = series.dtype in (nw.String, nw.Categorical)
    return _as_text(cells) if holds_text and column.levels else None


def _as_text(cells: Iterable) -> np.ndarray:
    return objects([str(level) for level in cells])


def _extended(
    categories: list, column: Column, cells: np.ndarray, ordered: bool, text: bool
) -> tuple[list, list] | None:
    """Return categories with those that cells add, and the codes of the cells; None where no text.

    Where they have an order, new ones stand behind the level of fit that is next below them.
    """
    levels = list(column.levels)
    if text and not levels:
        return None
    if text:
        levels, cells = list(_as_text(levels)), _as_text(cells)
    elif categories and all(type(category) is int for category in categories) and not levels:
        cells = np.rint(cells.astype(np.float64)).astype(np.int64)
    known = set(categories)
    fresh = {level for level in cells.tolist() if level not in known}
    levels = levels or sorted(known | fresh if ordered else fresh)
    grown = list(categories)
    for n, level in enumerate(levels):
        if level in fresh:
            below = [lower for lower in levels[:n] if lower in known]
            at = grown.index(below[-1]) + 1 if below else 0
            grown.insert(at if ordered else len(grown), level)
            known.add(level)
    code = {level: n for n, level in enumerate(grown)}
    return grown, [code[level] for level in cells.tolist()]


def _widened(series: nw.Series) -> nw.Series:
    """Return a column as objects, which hold anything, or as text."""
    if series.implementation.is_pandas_like():
        return nw.from_native(series.to_native().astype(object), series_only=True)
    return series.cast(nw.String)


def _in_pandas(series: nw.Series, column: Column, hole: np.ndarray, cells: np.ndarray) -> Any:
    pd = library("pandas")
    native = series.to_native()
    dtype = native.dtype
    if isinstance(dtype, pd.ArrowDtype):
        pieces = library("pyarrow").chunked_array([native.array.__arrow_array__()])
        pieces = nw.from_native(pieces, series_only=True)
        filled = _in_pyarrow(pieces, column, hole, cells)
        return None if filled is None else pd.arrays.ArrowExtensionArray(filled)
    if isinstance(dtype, pd.CategoricalDtype):
        return _categories_of_pandas(native.array, column, hole, cells)
    guess = _fitting(series, column, cells)
    if guess is None:
        return None
    if isinstance(dtype, pd.SparseDtype):
        dense = np.array(native.array)
        dense[hole] = guess
        return pd.arrays.SparseArray(dense, dtype=dtype)
    array = np.array(native) if isinstance(dtype, np.dtype) else native.array.copy()
    array[hole] = guess
    return array


def _categories_of_pandas(array: Any, column: Column, hole: np.ndarray, cells: np.ndarray) -> Any:
    categories = array.categories.tolist()
    text = bool(categories) and all(isinstance(category, str) for category in categories)
    extended = _extended(categories, column, cells, array.ordered, text)
    if extended is None:
        return None
    grown, guess = extended
    if len(grown) > len(categories):
        known = set(categories)
        array = array.add_categories([level for level in grown if level not in known])
        array = array.reorder_categories(grown)
    codes = array.codes.astype(np.intp)
    codes[hole] = guess
    return library("pandas").Categorical.from_codes(codes, dtype=array.dtype)


def _in_polars(series: nw.Series, column: Column, hole: np.ndarray, cells: np.ndarray) -> Any:
    pl = library("polars")
    native = series.to_native()
    dtype = native.dtype
    if isinstance(dtype, pl.Enum):
        extended = _extended(dtype.categories.to_list(), column, cells, ordered=True, text=True)
        if extended is None:
            return None
        grown, guess = extended
        dtype = pl.Enum(grown)
        native = native.cast(pl.String).cast(dtype)
        found = pl.Series([grown[code] for code in guess], dtype=dtype)
    else:
        is_decimal = isinstance(dtype, pl.Decimal)
        fitting = (_in_decimals if is_decimal else _fitting)(series, column, cells)
        if fitting is None:
            return None
        is_text = fitting.dtype == object
        found = pl.Series(fitting.tolist(), dtype=dtype) if is_text else pl.Series(fitting)
        found = found if is_text else found.cast(dtype)
    return found.gather(_places(hole)).zip_with(pl.Series(hole), native).alias(native.name)


def _in_pyarrow(series: nw.Series, column: Column, hole: np.ndarray, cells: np.ndarray) -> Any:
    import pyarrow.compute as pc  # where there are frames of it

    pa = library("pyarrow")
    native = series.to_native()
    if isinstance(native.type, pa.DictionaryType):
        return _dictionary_of_pyarrow(native, column, hole, cells)
    is_decimal = pa.types.is_decimal(native.type)
    fitting = (_in_decimals if is_decimal else _fitting)(series, column, cells)
    if fitting is None:
        return None
    is_text = fitting.dtype == object
    found = pa.array(fitting.tolist(), native.type) if is_text else pa.array(fitting)
    found = found.cast(native.type).take(pa.array(_places(hole)))
    return pc.if_else(pa.array(hole), found, native)


def _dictionary_of_pyarrow(native: Any, column: Column, hole: np.ndarray, cells) -> Any:
    pa = library("pyarrow")
    dtype = native.type
    whole = pa.concat_arrays(native.unify_dictionaries().chunks)
    categories = whole.dictionary.to_pylist()
    text = nw.from_native(native.cast(dtype.value_type), series_only=True).dtype == nw.String
    extended = _extended(categories, column, cells, dtype.ordered, text)
    if extended is None or (not text and any(isinstance(level, str) for level in extended[0])):
        return None
    grown, guess = extended
    moved = np.array([*map(grown.index, categories), -1])
    codes = moved[whole.indices.cast("int64").fill_null(len(categories)).to_numpy()]
    codes[hole] = guess
    fits = len(grown) <= np.iinfo(dtype.index_type.to_pandas_dtype()).max
    codes = pa.array(codes, dtype.index_type if fits else pa.int32())
    return pa.DictionaryArray.from_arrays(
        codes, pa.array(grown, dtype.value_type), ordered=dtype.ordered
    )


def _in_decimals(series: nw.Series, column: Column, cells: np.ndarray) -> np.ndarray | None:
    """Return cells as floats in the range of decimals, whose largest a float may not hold."""
    dtype = dtype_of(series)
    largest = min(
        float(10**dtype.precision - 1) / 10.0**dtype.scale,
        np.nextafter(10.0 ** (dtype.precision - dtype.scale), 0.0),
    )
    values = _as_numbers(cells, np.dtype(np.float64))
    return None if values is None else np.clip(values, -largest, largest)


def _places(hole: np.ndarray) -> np.ndarray:
    """Return for every row its place among the filled cells, or that of the first."""
    return np.where(hole, np.cumsum(hole) - 1, 0)


def _join_pandas(X, filled: dict[int, Any]) -> Any:
    pd = library("pandas")
    columns = {n: X.iloc[:, n] for n in range(X.shape[1])}
    for n, cells in filled.items():
        cells = cells.set_axis(X.index) if isinstance(cells, pd.Series) else cells
        columns[n] = pd.Series(cells, index=X.index, dtype=cells.dtype)
    return _as_came(X, pd.DataFrame(columns, index=X.index))


def _as_came(X, frame) -> Any:
    frame.index, frame.columns = X.index.copy(), X.columns.copy()  # whose names can be set
    frame.attrs.update(X.attrs)
    return frame


def _is_matrix(X) -> bool:
    """Whether a frame of pandas is one matrix of floats, of which columns may be thousands."""
    dtypes = set(X.dtypes)
    return len(dtypes) == 1 and isinstance(dtype := dtypes.pop(), np.dtype) and dtype.kind == "f"


def _join_polars(X, filled: dict[int, Any]) -> Any:
    return X.with_columns([column.alias(X.columns[n]) for n, column in filled.items()])


def _join_pyarrow(X, filled: dict[int, Any]) -> Any:
    for n, column in filled.items():
        X = X.set_column(n, X.schema.field(n).with_type(column.type), column)
    return X


# For every library: a column with its gaps filled, or None, and the frame with such columns.
_FILLERS: dict[str, tuple[Callable, Callable]] = {
    "pandas": (_in_pandas, _join_pandas),
    "polars": (_in_polars, _join_polars),
    "pyarrow": (_in_pyarrow, _join_pyarrow),
}
