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
    """A saved model as a function of batches of rows, which other processes can be sent.

    Engines for many rows (Spark, Ray, Dask, polars) call it with one batch after another. It
    pickles as a path: each process loads the file once, when its first batch comes.

    Parameters
    ----------
    path : str or path-like
        A file that `save` has written, where all processes can read it.
    method : {"transform", "score_samples", "impute", "inverse_transform"}, default="transform"
        What is asked about the rows.
    keep : sequence of str, default=()
        Columns that are none of the model's and are carried through, such as identifiers; others
        are an error that names them.

    Returns
    -------
    function : callable
        Called with a frame of pandas or polars, a table or record batch of Arrow, it returns the
        answer in kind; called with an iterator of these, an iterator of answers. Number of rows,
        order and pandas' index are kept. Columns go by their names, in any order; those of a model
        that was fitted to an array, by their position. Codes are named as `get_feature_names_out`
        has them, the column of `score_samples` is "log_likelihood" in nats, and "impute" gives
        the table with its gaps filled.

    Raises
    ------
    ValueError
        If `method` is none of these. When it is called: if a column is missing or not known, or
        a cell is none that the model takes.
    LoadError
        When it is called: if the file is not what `save` writes.

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
    """What `batch_function` makes.

    Parameters
    ----------
    path : str
        The file.
    method : str
        What is asked.
    keep : tuple
        Columns that are carried through.
    """

    def __init__(self, path: str, method: str, keep: tuple[Any, ...]) -> None:
        self.path, self.method, self.keep = path, method, keep

    def __repr__(self) -> str:
        return f"batch_function({self.path!r}, {self.method!r}, keep={list(self.keep)!r})"

    def __call__(self, batch: Any) -> Any:
        """The answer about a table; of an iterator, an iterator of answers."""
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
