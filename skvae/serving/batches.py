"""A saved model as a function of batches of rows, for engines that run functions in many processes.

The function holds the path of the model's file. A process loads the file with the first batch, and
keeps the model for the next ones.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator

from skvae.data.containers import library
from skvae.data.excerpts import excerpt
from skvae.estimator import VAETransformer
from skvae.serving.questions import QUESTIONS, Asker
from skvae.serving.selection import Carried

_MOST_MODELS = 4  # that a process keeps


def batch_function(
    path: str | PathLike[str], method: str = "transform", *, keep: Sequence[Any] = ()
) -> "BatchFunction":
    """Return a function that applies a saved model to batches of rows.

    Engines for large data (Spark, Ray, Dask, polars) call the function for one batch after
    another. Its pickle contains only the path, so it can be sent to other processes. Each process
    loads the file once, at its first batch.

    Parameters
    ----------
    path : str or path-like
        A file that `save` wrote. All processes must be able to read it.
    method : {"transform", "score_samples", "impute", "inverse_transform"}, default="transform"
        Method of the estimator to call.
    keep : sequence of str, default=()
        Columns to copy to the result, such as identifiers. All other columns that the model does
        not know raise an error.

    Returns
    -------
    function : callable
        It takes a DataFrame of pandas or polars, or a table or record batch of Arrow, and returns
        the same type. For an iterator of these it returns an iterator of results. Number, order
        and pandas index of the rows are preserved. Columns are matched by name, in any order, or by
        position if the model was fitted to an array. Codes have the names of
        `get_feature_names_out`. The column of "score_samples" is "log_likelihood", in nats.
        "impute" returns all columns without missing cells.

    Raises
    ------
    ValueError
        If `method` or `keep` is invalid. The function raises it if a column is missing or unknown,
        or if the model cannot use a cell.
    TypeError
        The function raises it if a batch has another type.
    LoadError
        The function raises it if the file was not written by `save`.
    OSError
        The function raises it if the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from skvae import VAETransformer, batch_function
    >>> rows = pd.DataFrame({"a": range(20), "b": [1.0, 2.0, 4.0, 3.0] * 5}, dtype=float)
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "model.skvae"
    >>> VAETransformer(1, max_iter=0).fit(rows).save(path)
    >>> codes = batch_function(path, keep=["id"])
    >>> codes(rows.assign(id="x").tail(2)).columns.tolist()
    ['id', 'vaetransformer0']
    >>> [len(part) for part in batch_function(path)(iter([rows[:15], rows[15:]]))]
    [15, 5]
    >>> folder.cleanup()
    """
    if method not in QUESTIONS:
        raise ValueError(f"method={excerpt(method)} must be one of {sorted(QUESTIONS)}.")
    if isinstance(keep, str):
        raise ValueError(f"keep={excerpt(keep)} must be a list of columns: keep=[{keep!r:.60}].")
    return BatchFunction(fspath(path), method, tuple(keep))


class BatchFunction:
    """Function that `batch_function` returns.

    Parameters
    ----------
    path : str
        File of the model.
    method : str
        Method of the estimator.
    keep : tuple
        Columns to copy to the result.
    """

    def __init__(self, path: str, method: str, keep: tuple[Any, ...]) -> None:
        self.path, self.method, self.keep = path, method, keep

    def __repr__(self) -> str:
        return f"batch_function({self.path!r}, {self.method!r}, keep={list(self.keep)!r})"

    def __call__(self, batch: Any) -> Any:
        """Result for a table, or an iterator of results for an iterator of tables."""
        return map(self._one, batch) if isinstance(batch, Iterator) else self._one(batch)

    def _one(self, batch: Any) -> Any:
        ask = Asker(_loaded(self.path), self.method, Carried(self.keep))
        if type(batch).__name__ != "RecordBatch":
            return ask(batch)
        return _as_batch(ask(library("pyarrow").Table.from_batches([batch])))


def _as_batch(table: Any) -> Any:
    """A table of Arrow as one record batch, also where it has no rows."""
    pa = library("pyarrow")
    columns = [
        pa.concat_arrays(own.chunks) if own.num_chunks else pa.array([], own.type)
        for own in table.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=table.schema)


def _loaded(path: str) -> BaseEstimator:
    """The model of a file: as this process has it, unless the file is another since."""
    found = Path(path).stat()
    return _load(path, (found.st_ino, found.st_size, found.st_mtime_ns))


@lru_cache(maxsize=_MOST_MODELS)
def _load(path: str, version: tuple[int, ...]) -> BaseEstimator:
    """The one thing that a process remembers: engines have no other place for it."""
    return VAETransformer.load(path)
