"""Containers of tables: which library a frame is of, and what is no table that is at hand.

"pandas", "polars" and "pyarrow" are frames, as narwhals finds them. What comes as one column, or
is not in memory yet, is refused with the call that makes a table of it.
"""

from typing import Any

import narwhals as nw

from skvae.data.excerpts import excerpt, excerpts

# What a library's own call is for the frame that a lazy one gives.
_CALLS = {
    "duckdb": "X.df()",
    "ibis": "X.to_pandas()",
    "pyspark": "X.toPandas()",
    "pyspark[connect]": "X.toPandas()",
}


def name_of(frame: nw.DataFrame) -> str:
    """Return the library of a frame: those that are like pandas go by its name."""
    made_by = frame.implementation
    return str(made_by) if made_by.is_polars() or made_by.is_pyarrow() else "pandas"


def index_of(X: Any) -> Any:
    """Return the index of a frame of pandas, None for all else."""
    return X.index if nw.dependencies.is_pandas_like_dataframe(X) else None


def library(name: str) -> Any:
    """Return a library of frames, which is imported when it is needed."""
    return nw.Implementation.from_string(name).to_native_namespace()


def refuse_foreign(X: Any, known: Any) -> None:
    """Raise a ValueError where X, known to narwhals as this, is no table at hand."""
    if _is_of_dask(X):
        raise ValueError(
            f"X is a lazy {type(X).__name__} of Dask; use a skvae.dask.DaskVAETransformer "
            "(from_local makes one from this estimator), or compute it: X.compute()."
        )
    if isinstance(known, nw.LazyFrame):
        call = _CALLS.get(str(known.implementation), "X.collect()")
        raise ValueError(f"X is a lazy frame; collect it first: {call}.")
    if isinstance(known, nw.Series):
        _refuse_one_column(X)
    if not isinstance(known, nw.DataFrame):
        _refuse_pieces(X)


def _is_of_dask(X: Any) -> bool:
    """Whether X is yet to be computed: arrays of xarray, which may be, have a graph then."""
    graph_of = getattr(X, "__dask_graph__", None)
    return graph_of is not None and graph_of() is not None


def _refuse_pieces(X) -> None:
    if hasattr(X, "__arrow_c_array__") or hasattr(X, "__arrow_c_stream__"):
        if not hasattr(X, "schema"):
            _refuse_one_column(X)
        is_batch = type(X).__name__ == "RecordBatch"
        call = "pyarrow.Table.from_batches([X])" if is_batch else "pyarrow.table(X)"
        raise ValueError(f"X is a {type(X).__name__}; pass a table instead: {call}.")
    if hasattr(X, "to_frame"):  # pandas' index
        _refuse_one_column(X)
    if isinstance(X, (str, bytes)):
        raise ValueError(f"X is the text {excerpt(X)}; pass a table, such as pandas.read_csv(X).")
    if isinstance(X, dict) and not hasattr(X, "tocsr"):  # as sparse rows of older scipy are
        raise ValueError("X is a dict; pass a DataFrame instead: pandas.DataFrame(X).")
    if getattr(getattr(X, "dtype", None), "names", None):
        raise ValueError("X is an array of records; pass a DataFrame instead: pandas.DataFrame(X).")


def _refuse_one_column(X) -> None:
    call = "X.to_frame()" if hasattr(X, "to_frame") else "pyarrow.table({'x': X})"
    raise ValueError(
        f"Expected a 2-dimensional container but got {type(X)} instead. X is one column; pass a "
        f"frame of it: {call}."
    )


def refuse_duplicates(X: Any) -> None:
    """Raise a ValueError where several columns of pandas have one name."""
    if nw.dependencies.is_pandas_like_dataframe(X) and not X.columns.is_unique:
        names = excerpts(sorted(set(X.columns[X.columns.duplicated()]), key=str))
        raise ValueError(f"X has several columns named {names}; rename or drop all but one.")
