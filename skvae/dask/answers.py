"""Answers that are given partition by partition, when they are asked for.

An answer about a frame is a frame with its divisions and its index; about an array an array in the
same chunks of rows or, where a row is more than numbers or a frame is asked for, a frame. What an
answer is like is told by one without rows, its `meta`.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.array.utils import meta_from_array
from dask.dataframe.utils import make_meta
from dask.delayed import Delayed, delayed

from skvae.dask.rows import partitions
from skvae.data.input import Input
from skvae.estimator import VAETransformer

Ask = Callable[[VAETransformer, Any], Any]  # what is asked about the rows of a partition
Meta = Any  # an answer without rows: an array of NumPy, a frame or a series of pandas


@dataclass(frozen=True)
class Model:
    """A fitted estimator that goes to each worker once."""

    vae: VAETransformer
    name: str
    asked: str  # the containers of answers about arrays: "default" or "pandas"

    def container(self, X: Any) -> str:
        """The containers of answers about such rows."""
        return "pandas" if isinstance(X, dd.DataFrame) else self.asked

    def local(self, container: str) -> VAETransformer:
        """The estimator, with answers in these containers."""
        return copy.copy(self.vae).set_output(transform=container)

    def sent(self, container: str) -> Delayed:
        """The same for the workers."""
        return delayed(self.local(container), name=f"{self.name}-{container}", traverse=False)


def empty(X: Any) -> Any:
    """The rows of X without any of them."""
    return make_meta(X) if isinstance(X, dd.DataFrame) else meta_from_array(X)


def dtype_of(X: Any) -> np.dtype:
    """The dtype of answers about rows of numbers."""
    rows = empty(X)
    is_frame = isinstance(rows, pd.DataFrame)
    is_single = Input.of(rows).is_single if is_frame else rows.dtype == np.float32
    return np.dtype(np.float32 if is_single else np.float64)


def example(vae: VAETransformer, X: Any) -> Any:
    """A row of the model, such as those of X."""
    row = vae.sample(1, random_state=0)
    if isinstance(X, dd.DataFrame) or not isinstance(row, pd.DataFrame):
        return row
    return row.to_numpy()


def numbers(model: Model, X: Any, names: list[str] | str) -> Meta:
    """The meta of an answer of numbers: a column for each name, or one number for each row."""
    is_one = isinstance(names, str)
    values = np.empty(0 if is_one else (0, len(names)), dtype_of(X))
    if model.container(X) == "default":
        return values
    return pd.Series(values, name=names) if is_one else pd.DataFrame(values, columns=names)


def answered(model: Model, X: Any, ask: Ask, meta: Meta) -> Any:
    """The answer about an array or a dataframe."""
    vae = model.sent(model.container(X))
    if isinstance(X, dd.DataFrame):
        meta = meta.set_axis(empty(X).index[:0], axis=0)
        return X.map_partitions(_of_rows, vae, ask=ask, like=meta, meta=meta)
    if isinstance(meta, np.ndarray):
        axes = {"drop_axis": 1} if meta.ndim == 1 else {"chunks": (X.chunks[0], meta.shape[1:])}
        return X.map_blocks(
            _of_rows, vae=vae, ask=ask, like=meta, dtype=meta.dtype, meta=meta, **axes
        )
    make = delayed(_of_rows)
    parts = [
        make(rows, vae, ask=ask, like=meta, start=start)
        for rows, start in zip(partitions(X), starts_of(X.chunks[0]), strict=True)
    ]
    return collected(parts, X.chunks[0], meta)


def collected(parts: list[Delayed], sizes: Sequence[float], meta: Meta) -> Any:
    """One array or dataframe of parts that have so many rows."""
    if isinstance(meta, np.ndarray):
        arrays = [
            da.from_delayed(part, (size, *meta.shape[1:]), meta=meta)
            for part, size in zip(parts, sizes, strict=True)
        ]
        return da.concatenate(arrays, allow_unknown_chunksizes=True)
    is_known = not np.isnan(sizes).any() and all(sizes)
    ends = (*starts_of(sizes), int(sum(sizes)) - 1) if is_known else None
    return dd.from_delayed(parts, meta=meta, divisions=ends)


def starts_of(sizes: Sequence[float]) -> list[int]:
    """The places of the first rows of chunks; of unknown sizes each begins with 0."""
    if np.isnan(sizes).any():
        return [0] * len(sizes)
    return [int(start) for start in accumulate(sizes[:-1], initial=0)]


def in_kind(answer: Any, like: Meta, index: pd.Index) -> Any:
    """An answer as its meta is."""
    if isinstance(like, np.ndarray):
        return answer
    if isinstance(like, pd.Series):
        return pd.Series(answer, index=index, name=like.name)
    if isinstance(answer, np.ndarray):
        return pd.DataFrame(answer, index=index, columns=like.columns)
    return answer.set_axis(index, axis=0)


def index_of(rows: Any, start: int) -> pd.Index:
    """The index of an answer about rows: theirs, or their places."""
    is_frame = isinstance(rows, pd.DataFrame)
    return rows.index if is_frame else pd.RangeIndex(start, start + rows.shape[0])


def _of_rows(rows: Any, vae: VAETransformer, ask: Ask, like: Meta, start: int = 0) -> Any:
    """The answer about a partition, which may be empty, as its meta is."""
    return in_kind(ask(vae, rows), like, index_of(rows, start)) if rows.shape[0] else like
