"""Rows as Dask has them: arrays and dataframes in partitions, which may not have been made yet."""

from collections.abc import Sequence
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed, delayed

Piece = tuple[int, Any, "np.ndarray | None"]  # place of a partition, its rows, their weights


def is_lazy(X: Any) -> bool:
    """Whether it is of Dask; else it is at hand."""
    return bool(is_dask_collection(X))


def checked(X: Any) -> "da.Array | dd.DataFrame":
    """An array or a dataframe in partitions of whole rows.

    Raises
    ------
    TypeError
        If it is something else; the message says what to do.
    ValueError
        If an array has not two dimensions.
    """
    if isinstance(X, dd.DataFrame):
        return X
    if isinstance(X, dd.Series):
        raise TypeError("X is one column of Dask; pass a DataFrame: X.to_frame().")
    if not isinstance(X, da.Array):
        kind = type(X).__name__
        remedy = (
            "make a dask.array or a dask.dataframe of it."
            if is_lazy(X)
            else "fit a VAETransformer to rows that are at hand, or spread them: "
            "dask.array.from_array(X), dask.dataframe.from_pandas(X, npartitions=...)."
        )
        raise TypeError(f"X is of the type {kind}; {remedy}")
    if X.ndim != 2:
        raise ValueError(f"X has the shape {X.shape}; pass a 2-dimensional array.")
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1})


def partitions(X: "da.Array | dd.DataFrame") -> list[Delayed]:
    """The partitions, in the order of their rows."""
    return list(X.to_delayed().ravel()) if isinstance(X, da.Array) else list(X.to_delayed())


def pieces(X: "da.Array | dd.DataFrame", sample_weight: Any) -> list[Delayed]:
    """The partitions with their places and weights.

    Raises
    ------
    TypeError
        If weights are at hand and it is not known yet which rows are in which partition.
    ValueError
        If weights are in other partitions.
    """
    tables = partitions(X)
    weights = [None] * len(tables) if sample_weight is None else _weights(X, sample_weight)
    if len(weights) != len(tables):
        raise ValueError(
            f"sample_weight has {len(weights)} partitions and X {len(tables)}; "
            "pass weights in the partitions of X."
        )
    make = delayed(_piece, pure=False)
    return [make(i, *own) for i, own in enumerate(zip(tables, weights, strict=True))]


def _weights(X: "da.Array | dd.DataFrame", sample_weight: Any) -> Sequence[Any]:
    """Weights by partition."""
    has_sizes = isinstance(X, da.Array) and not np.isnan(X.chunks[0]).any()
    if not is_lazy(sample_weight):
        if not has_sizes:
            raise TypeError(
                "sample_weight is in memory, but the partitions of X have unknown sizes; pass a "
                "Dask collection with the partitions of X, such as a column: X['weight']."
            )
        sample_weight = da.from_array(np.asarray(sample_weight, np.float64), chunks=-1)
    if isinstance(sample_weight, da.Array) and sample_weight.ndim != 1:
        raise ValueError(f"sample_weight has the shape {sample_weight.shape}; pass one per row.")
    if has_sizes and isinstance(sample_weight, da.Array):
        if sample_weight.shape != X.shape[:1]:
            raise ValueError(f"{sample_weight.shape[0]} sample weights for {X.shape[0]} rows.")
        sample_weight = sample_weight.rechunk((X.chunks[0],))
    return list(sample_weight.to_delayed())


def _piece(place: int, table: Any, weight: Any) -> Piece:
    """A partition, as the worker that holds it has it."""
    if weight is None:
        return place, table, None
    weight = np.asarray(weight, np.float64)
    if weight.shape != (table.shape[0],):
        raise ValueError(
            f"partition {place} has {table.shape[0]} rows and {len(weight)} sample weights."
        )
    return place, table, weight
