"""Tables as a person brings them: which are refused, and why.

scikit-learn reads the values; this module names the column when they cannot be used.
"""

import datetime
from collections.abc import Iterable

import narwhals as nw
import numpy as np
from scipy import sparse

_REMEDIES = {
    "text": "encode it (OneHotEncoder, OrdinalEncoder) or drop it",
    "category": "encode it (OneHotEncoder, OrdinalEncoder) or drop it",
    "date": "turn it into numbers (days since a date, month, weekday) or drop it",
}
_KINDS_OF_ARRAY = {"U": "text", "S": "text", "M": "date", "m": "date"}
_DATES = (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)


def refuse_non_numeric(X) -> None:
    """Raise a ValueError that names the first column which is text, a category or a date."""
    if sparse.issparse(X):
        return
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "X is a masked array with masked cells, which would be read as numbers; "
            "fill them (X.filled, SimpleImputer) before fit."
        )
    _refuse_duplicates(X)
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        for name, dtype in frame.schema.items():
            where = f"column {name!r}"
            _refuse(_kind_of_column(dtype), where, f"dtype {dtype}")
            if dtype == nw.Object:
                _refuse_cells(frame[name].to_list(), where)
    elif isinstance(X, np.ndarray) and X.dtype != object:
        _refuse(_KINDS_OF_ARRAY.get(X.dtype.kind), "X", f"dtype {X.dtype}")
    elif isinstance(X, (np.ndarray, list, tuple)):
        _refuse_objects(X)


def _refuse_duplicates(X) -> None:
    columns = getattr(X, "columns", None)
    if columns is not None and not getattr(columns, "is_unique", True):
        names = sorted(set(columns[columns.duplicated()]), key=str)
        raise ValueError(f"X has several columns named {names}; rename or drop all but one.")


def _refuse_objects(X) -> None:
    try:
        cells = np.asarray(X)
    except ValueError:  # ragged: scikit-learn says so
        return
    if cells.dtype.kind in "OUSmM" and cells.ndim == 2:
        for column, values in enumerate(np.asarray(X, dtype=object).T):
            _refuse_cells(values, f"column {column}")


def _refuse_cells(values: Iterable, where: str) -> None:
    for value in values:
        if isinstance(value, (str, bytes)):
            _refuse("text", where, f"the text {value!r}")
        if isinstance(value, _DATES):
            _refuse("date", where, f"the date {value!r}")


def _kind_of_column(dtype: nw.dtypes.DType) -> str | None:
    if dtype in (nw.String, nw.Binary):
        return "text"
    if dtype in (nw.Categorical, nw.Enum):
        return "category"
    return "date" if dtype.is_temporal() else None


def _refuse(kind: str | None, where: str, what: str) -> None:
    if kind is not None:
        raise ValueError(
            f"{where} has {what}, and VAETransformer takes numbers: {_REMEDIES[kind]}."
        )


def first_bad_cell(X) -> str:
    """Where the first cell that is not finite stands, and what can be done about it."""
    names = getattr(X, "columns", None)
    if sparse.issparse(X):
        cells = X.tocoo()
        bad = int(np.flatnonzero(~np.isfinite(cells.data))[0])
        row, column, value = cells.row[bad], cells.col[bad], cells.data[bad]
    else:
        cells = _as_floats(X)
        row, column = np.argwhere(~np.isfinite(cells))[0]
        value = cells[row, column]
    name = column if names is None else repr(names[column])
    return (
        f"The first such cell is {value} in column {name}, row {row}; fill it (SimpleImputer), "
        "clip it or drop the row."
    )


def _as_floats(X) -> np.ndarray:
    if hasattr(X, "iloc"):  # pandas' own NA is no float
        return X.astype(object).where(X.notna(), np.nan).to_numpy(dtype=np.float64)
    return np.asarray(X, dtype=np.float64)
