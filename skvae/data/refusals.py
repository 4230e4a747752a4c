"""What no model of a table takes, and what can be done about it.

Each refusal names the column, what it holds, and the remedy. To add a kind of cell or of column,
enter it in the tables of kinds and give it a remedy.
"""

import datetime
import decimal
import fractions
import math
import numbers
from collections.abc import Iterable

import narwhals as nw
import numpy as np
from scipy import sparse

from skvae.data.containers import library
from skvae.data.excerpts import excerpt, label
from skvae.data.input import Input

_REMEDIES = {
    "text": "encode it (OneHotEncoder, OrdinalEncoder), pass it in a DataFrame, or drop it",
    "category": "encode it (OneHotEncoder, OrdinalEncoder) or drop it",
    "date": "turn it into numbers (days since a date, month, weekday) or drop it",
    "nested object": "give each of its parts a column of its own or drop it",
    "complex number": "give its real and its imaginary part columns of their own or drop it",
    "binary value": "decode it to text or drop it",
    "signaling NaN": "make it None, which is a missing cell, or drop it",
    "number": "no float can hold it: divide the column, take its logarithm, or drop it",
    "value": "turn it into numbers or text or drop it",
}
_KINDS_OF_ARRAY = {"U": "text", "S": "text", "M": "date", "m": "date"}
DATES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)

# What a cell among objects can be: the first row that fits. All but levels are refused.
_KINDS_OF_CELL: dict[str, tuple[type, ...]] = {
    "date": (*DATES, datetime.time),
    "level": (str, numbers.Real, decimal.Decimal),
    "complex number": (numbers.Complex,),
    "binary value": (bytes, bytearray, memoryview),
    "nested object": (list, tuple, dict, set, frozenset, np.ndarray),
    "value": (object,),
}


def refuse_non_numeric(given: Input) -> None:
    """Raise a ValueError that names the first column which is text, a category or a date."""
    X = given.native
    if sparse.issparse(X):
        return
    refuse_masked(X)
    if given.frame is not None:
        _refuse_columns(given, given.frame)
    elif isinstance(X, np.ndarray) and X.dtype != object:
        refuse(_KINDS_OF_ARRAY.get(X.dtype.kind), "X", f"dtype {X.dtype}")
    elif isinstance(X, (np.ndarray, list, tuple)):
        _refuse_objects(X)


def refuse_masked(X) -> None:
    """Raise a ValueError where cells of an array are masked, whose numbers mean nothing."""
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "X is a masked array with masked cells, which would be read as numbers; "
            "fill them (X.filled(np.nan) makes them missing cells)."
        )


def refuse_endless(levels: Iterable, where: str) -> None:
    """Raise a ValueError where a level is infinite: infinity is no level, and no number."""
    for level in levels:
        if isinstance(level, float) and math.isinf(level):
            raise ValueError(
                f"Input X contains infinity: {level} in {where}; clip it or drop the row."
            )


def refuse_far(codes: np.ndarray) -> None:
    """Raise a ValueError that names the first row whose code its dtype cannot hold."""
    is_far = ~np.isfinite(codes).all(1)
    if is_far.any():
        raise ValueError(
            f"row {int(is_far.argmax())} of X is so far out that {codes.dtype} cannot hold its "
            "code: clip it or drop it, or pass X in float64."
        )


def _refuse_columns(given: Input, frame: nw.DataFrame) -> None:
    if given.is_plain:
        return
    for name, dtype in given.dtypes.items():
        where = f"column {label(name)!r}"
        refuse(_kind_of_column(dtype), where, f"dtype {label(str(dtype))}")
        if dtype == nw.Object:
            _refuse_cells(frame[name].to_list(), where)


def refuse(kind: str | None, where: str, what: str, takes: str = "numbers") -> None:
    """Raise a ValueError with the remedy of a kind."""
    if kind is not None:
        raise ValueError(
            f"{where} has {what}, but VAETransformer takes {takes}: {_REMEDIES[kind]}."
        )


def refuse_object(value, where: str) -> None:
    """Raise a ValueError where a cell among objects cannot be a level."""
    kind = next(kind for kind, types in _KINDS_OF_CELL.items() if isinstance(value, types))
    if kind != "level":
        what = f"the {kind} {excerpt(value)}"
        refuse(kind, where, what, takes="numbers, text and categories")


def refuse_nested(levels: Iterable, where: str) -> None:
    """Raise a ValueError where a level that a column declares is made of parts."""
    for level in levels:
        if isinstance(level, _KINDS_OF_CELL["nested object"]):
            refuse_object(level, where)


def refuse_numbers(cells: Iterable, where: str) -> None:
    """Raise a ValueError that names the first number which no float can hold."""
    for value in cells:
        if isinstance(value, decimal.Decimal) and value.is_snan():
            refuse("signaling NaN", where, f"the cell {value!r}", "numbers, text and categories")
        if isinstance(value, (int, fractions.Fraction)) and not _has_float(value):
            refuse("number", where, f"the number {excerpt(value)}", "numbers up to 1e153")


def _has_float(value) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


def with_nan(X):
    """Return an array of objects with missing values of any kind as NaN, and all else as it is."""
    if not (isinstance(X, np.ndarray) and X.dtype == object):
        return X
    return np.where(library("pandas").isna(X), np.nan, X)


def _refuse_objects(X) -> None:
    try:
        cells = np.asarray(X)
    except ValueError:  # ragged: scikit-learn says so
        return
    if cells.dtype.kind not in "OUSmM":
        return
    if cells.ndim == 1 and cells.size:
        raise ValueError(
            f"Expected 2D array, got 1D array instead, of {excerpt(cells[0])} and so on. Pass a "
            "table of rows and columns; where X is one column, a DataFrame: "
            "pandas.DataFrame({'x': X}). Reshape your data if they are numbers."
        )
    if cells.ndim == 2:
        for column, values in enumerate(np.asarray(X, dtype=object).T):
            _refuse_cells(values, f"column {column}")


def _refuse_cells(values: Iterable, where: str) -> None:
    others = [value for value in values if type(value) is not float]
    for value in others:
        if isinstance(value, (str, bytes)):
            refuse("text", where, f"the text {excerpt(value)}")
        if isinstance(value, DATES):
            refuse("date", where, f"the date {excerpt(value)}")
    refuse_numbers(others, where)


def _kind_of_column(dtype: nw.dtypes.DType) -> str | None:
    if dtype in (nw.String, nw.Binary):
        return "text"
    if dtype in (nw.Categorical, nw.Enum):
        return "category"
    return "date" if dtype.is_temporal() else None


def first_bad_cell(X) -> str:
    """Where the first cell that is not finite stands, and what can be done about it."""
    given = Input.of(X)
    names = given.names if given.is_frame else None
    remedy = "fill it (SimpleImputer), clip it or drop the row"
    if sparse.issparse(X):
        cells = X.tocoo()
        bad = int(np.flatnonzero(~np.isfinite(cells.data))[0])
        row, column, value = cells.row[bad], cells.col[bad], cells.data[bad]
        if np.isnan(value):
            remedy = f"make X dense (X.toarray()), where NaN is a missing cell, or {remedy}"
    else:
        cells = _as_floats(X)
        infinite = np.isinf(cells)
        row, column = np.argwhere(infinite if infinite.any() else np.isnan(cells))[0]
        value = cells[row, column]
    name = column if names is None else repr(label(names[column]))
    return f"The first such cell is {value} in column {name}, row {row}; {remedy}."


def _as_floats(X) -> np.ndarray:
    if hasattr(X, "iloc"):  # pandas' own NA is no float
        return X.astype(object).where(X.notna(), np.nan).to_numpy(dtype=np.float64)
    return np.asarray(X, dtype=np.float64)
