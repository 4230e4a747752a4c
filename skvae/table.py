"""Tables as a person brings them: which are refused, and why.

scikit-learn reads the values; this module names the column when they cannot be used.
"""

import narwhals as nw
import numpy as np
from scipy import sparse

_REMEDIES = {
    "text": "encode it (OneHotEncoder, OrdinalEncoder) or drop it",
    "category": "encode it (OneHotEncoder, OrdinalEncoder) or drop it",
    "date": "turn it into numbers (days since a date, month, weekday) or drop it",
}


def refuse_non_numeric(X) -> None:
    """Raise a ValueError that names the first column which is text, a category or a date."""
    if sparse.issparse(X):
        return
    if isinstance(X, np.ma.MaskedArray) and np.ma.is_masked(X):
        raise ValueError(
            "X is a masked array with masked cells, which would be read as numbers; "
            "fill them (X.filled, SimpleImputer) before fit."
        )
    frame = nw.from_native(_without_duplicates(X), eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame):
        for name, dtype in frame.schema.items():
            _refuse(_kind(dtype), f"column {name!r}", dtype)
    elif isinstance(X, np.ndarray):
        _refuse(
            {"U": "text", "S": "text", "M": "date", "m": "date"}.get(X.dtype.kind), "X", X.dtype
        )
        if X.dtype == object and X.ndim == 2:
            _refuse_strings(X)


def _without_duplicates(X):
    columns = getattr(X, "columns", None)
    if columns is not None and not getattr(columns, "is_unique", True):
        names = sorted(set(columns[columns.duplicated()]), key=str)
        raise ValueError(f"X has several columns named {names}; rename or drop all but one.")
    return X


def _kind(dtype: nw.dtypes.DType) -> str | None:
    if dtype in (nw.String, nw.Binary):
        return "text"
    if dtype in (nw.Categorical, nw.Enum):
        return "category"
    return "date" if dtype.is_temporal() else None


def _refuse(kind: str | None, where: str, dtype) -> None:
    if kind is not None:
        raise ValueError(
            f"{where} has dtype {dtype}, and VAETransformer takes numbers: {_REMEDIES[kind]}."
        )


def _refuse_strings(X: np.ndarray) -> None:
    for column, values in enumerate(X.T):
        for value in values:
            if isinstance(value, str):
                raise ValueError(
                    f"column {column} holds the text {value!r}, and VAETransformer takes "
                    f"numbers: {_REMEDIES['text']}."
                )


def first_bad_cell(X) -> str:
    """Where the first cell that is not finite stands, and what can be done about it."""
    names = getattr(X, "columns", None)
    if sparse.issparse(X):
        cells = X.tocoo()
        bad = int(np.flatnonzero(~np.isfinite(cells.data))[0])
        row, column, value = cells.row[bad], cells.col[bad], cells.data[bad]
    else:
        cells = np.asarray(X, dtype=np.float64)
        row, column = np.argwhere(~np.isfinite(cells))[0]
        value = cells[row, column]
    name = column if names is None else repr(names[column])
    return (
        f"The first such cell is {value} in column {name}, row {row}; fill it (SimpleImputer), "
        "clip it or drop the row."
    )
