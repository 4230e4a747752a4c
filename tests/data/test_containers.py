"""What a table comes in, and what comes in nothing that is at hand."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from skvae import VAETransformer
from skvae.data.input import Input

FRAME = pd.DataFrame({"a": [1.5, 2.5], "k": ["x", "y"]})


class Dask:
    """A collection of dask, by the mark that these have."""

    columns = ["a"]

    def __dask_graph__(self):
        return {}


class LikeDask(Dask):
    """An array that may be lazy and is not, as those of xarray."""

    def __dask_graph__(self):
        return None


FOREIGN = {
    "lazy frame": (pl.from_pandas(FRAME).lazy(), r"lazy frame; .*X\.collect\(\)"),
    "dask": (Dask(), r"lazy Dask of Dask; .*DaskVAETransformer.*X\.compute\(\)"),
    "series": (FRAME["a"], r"2-dimensional container.*X\.to_frame\(\)"),
    "series of text": (FRAME["k"], r"2-dimensional container.*X\.to_frame\(\)"),
    "index": (pd.Index(["x", "y"]), r"2-dimensional container.*X\.to_frame\(\)"),
    "polars series": (pl.Series(["x"]), r"2-dimensional container.*X\.to_frame\(\)"),
    "arrow array": (pa.array(["x"]), r"2-dimensional container.*pyarrow\.table\("),
    "arrow chunks": (pa.chunked_array([["x"]]), r"2-dimensional container.*pyarrow\.table\("),
    "record batch": (
        pa.RecordBatch.from_pandas(FRAME),
        r"RecordBatch; .*pyarrow\.Table\.from_batches\(\[X\]\)",
    ),
    "reader": (pa.table(FRAME).to_reader(), r"RecordBatchReader; .*pyarrow\.table\(X\)"),
    "dict": ({"a": [1, 2]}, r"dict; .*pandas\.DataFrame\(X\)"),
    "records": (FRAME.to_records(), r"array of records; .*pandas\.DataFrame\(X\)"),
    "path": ("table.csv", r"the text 'table\.csv'; .*pandas\.read_csv"),
    "names twice": (FRAME.set_axis(["a", "a"], axis=1), r"several columns named \['a'\]; rename"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_the_call_that_makes_a_table_is_named(case):
    X, message = FOREIGN[case]
    for ask in (Input.of, VAETransformer(1, max_iter=0).fit):
        with pytest.raises(ValueError, match=message):
            ask(X)


@pytest.mark.parametrize(
    "X",
    [
        FRAME,
        pl.from_pandas(FRAME),
        pa.table(FRAME),
        np.eye(2),
        [[1, 2]],
        sparse.eye(2),
        LikeDask(),
    ],
    ids=lambda X: type(X).__name__,
)
def test_tables_at_hand_are_not(X):
    assert Input.of(X).native is X


def test_a_lazy_frame_is_not_made_to_work():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="lazy frame"):
            Input.of(FOREIGN["lazy frame"][0])
