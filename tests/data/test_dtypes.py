"""Dtypes, labels and missing cells as plain values, and fitted models that hold nothing else."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import skops.io
from pandas.testing import assert_index_equal

from skvae import VAETransformer
from skvae.data.dtypes import (
    dtype_from,
    labels_from,
    missing_from,
    plain_dtype,
    plain_labels,
    plain_missing,
)
from skvae.data.input import Input
from skvae.data.schema import Schema

ARROW = [
    pa.float32(),
    pa.large_string(),
    pa.decimal128(10, 2),
    pa.dictionary(pa.int8(), pa.string(), ordered=True),
]
PANDAS = [
    pd.CategoricalDtype(["lo", "hi"], ordered=True),
    pd.CategoricalDtype([3, 1]),
    pd.CategoricalDtype(pd.Index(["a"], dtype="string")),
    pd.Int8Dtype(),
    pd.BooleanDtype(),
    pd.StringDtype(),
    pd.SparseDtype(np.float64),
    pd.ArrowDtype(pa.string()),
    pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string())),
]
LABELS = [
    pd.Index(["a", "b"], name="column"),
    pd.Index([1, 2]),
    pd.Index(["a", "b"], dtype="string"),
    pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "y"]),
]


@pytest.mark.parametrize("dtype", [*PANDAS, *ARROW, np.dtype("f4"), None], ids=str)
def test_a_dtype_comes_back(dtype):
    plain = plain_dtype(dtype)
    assert dtype_from(plain) == dtype
    assert dtype is None or isinstance(plain, dict | np.dtype)


@pytest.mark.parametrize("name", ["read_csv", "scan_csv", "Config", "nothing"])
def test_polars_is_asked_for_dtypes_alone(name):
    with pytest.raises(ValueError, match="no dtype of polars"):
        dtype_from({"polars": name, "options": {"source": "/"}})


def test_what_a_name_does_not_tell_stays_as_it_is():
    dtype = pd.SparseDtype(np.float64, fill_value=7.0)
    assert dtype_from(plain_dtype(dtype)) == dtype


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_labels_come_back(labels):
    assert_index_equal(labels_from(plain_labels(labels)), labels, exact=True)


@pytest.mark.parametrize("cell", [pd.NA, pd.NaT, None], ids=str)
def test_a_missing_cell_comes_back(cell):
    plain = plain_missing(cell)
    json.dumps(plain)
    assert missing_from(plain) is cell


def frame(container):
    rng = np.random.default_rng(0)
    z = rng.standard_normal(60)
    columns = {
        "number": z + 0.3 * rng.standard_normal(60),
        "count": pd.array([1, None, 2] * 20, dtype="Int64"),
        "text": pd.array(["u", None, "v"] * 20, dtype="string"),
        "order": pd.Categorical(np.where(z > 0, "hi", "lo"), ["lo", "hi"], ordered=True),
        "flag": z > 0.5,
    }
    table = pd.DataFrame(columns)
    if container == "numbers":
        return table[["number"]].assign(other=z).to_numpy()
    if container == "polars":
        return pl.from_pandas(table)
    return pa.Table.from_pandas(table) if container == "pyarrow" else table


@pytest.mark.parametrize("container", ["numbers", "pandas", "polars", "pyarrow"])
def test_skops_keeps_a_model_by_types_of_skvae_numpy_and_polars_alone(container):
    X = frame(container)
    vae = VAETransformer(1, max_iter=0).fit(X)
    dumped = skops.io.dumps(vae)
    types = skops.io.get_untrusted_types(data=dumped)
    assert {name.partition(".")[0] for name in types} <= {"skvae", "numpy", "polars"}
    again = skops.io.loads(dumped, trusted=types)
    np.testing.assert_array_equal(again.transform(X), vae.transform(X))
    drawn, same = again.sample(5, random_state=0), vae.sample(5, random_state=0)
    assert Schema.of(Input.of(drawn)) == Schema.of(Input.of(same))
