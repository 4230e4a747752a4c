"""X is read once, and what is asked of it afterwards is what came."""

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse

from skvae import MLP, VAETransformer
from skvae.data.input import Input
from tests.samples import OneSplit

FRAME = pd.DataFrame({"a": [1.5, 2.5], "k": ["x", "y"]})
N = 40
NUMBERS = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=list("abc"))
MIXED = NUMBERS.assign(kind=["u", "v"] * (N // 2), flag=NUMBERS["a"] > 0)
TABLES = {
    "pandas, numbers": NUMBERS,
    "pandas": MIXED,
    "polars, numbers": pl.from_pandas(NUMBERS),
    "polars": pl.from_pandas(MIXED),
    "pyarrow, numbers": pa.table(NUMBERS),
    "pyarrow": pa.table(MIXED),
    "list": NUMBERS.to_numpy().tolist(),
}
ARRAYS = {"array": NUMBERS.to_numpy(), "sparse": sparse.csr_array(NUMBERS.to_numpy())}


@pytest.fixture
def readings(monkeypatch):
    """What narwhals is asked to read, from now on."""
    read, seen = nw.from_native, []

    def counted(X, *args, **kwargs):
        seen.append(X)
        return read(X, *args, **kwargs)

    monkeypatch.setattr(nw, "from_native", counted)
    return seen


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", [*TABLES, *ARRAYS])
@pytest.mark.parametrize("params", [{}, {"likelihood": "student_t"}], ids=str)
def test_a_table_is_read_once_by_every_method(case, params, readings):
    X = (TABLES | ARRAYS)[case]
    if params and (case in ("pandas", "polars", "pyarrow", "sparse")):
        pytest.skip("this likelihood is for dense numbers")
    body = MLP(hidden_layer_sizes=(8,))
    vae = OneSplit(2, architecture=body, max_iter=1, random_state=0, **params)
    n_expected = int(case not in ARRAYS)
    for ask in (vae.fit, vae.transform, vae.encode, vae.score, vae.score_samples, vae.partial_fit):
        readings.clear()
        ask(X)
        assert len(readings) == n_expected, ask.__name__


def test_levels_of_an_array_are_read_once(readings):
    X = np.random.default_rng(0).integers(0, 3, (N, 2)).astype(float)
    vae = VAETransformer(1, likelihood="categorical", max_iter=0).fit(X)
    assert len(readings) == 1
    vae.transform(X)
    assert len(readings) == 2


def test_frames_in_single_precision():
    single = pd.DataFrame({"a": np.ones(2, "float32")})
    assert Input.of(single).is_single
    assert Input.of(single.assign(b=np.ones(2, "int16"), c=True)).is_single
    assert Input.of(single.astype("Float32")).is_single
    assert Input.of(pl.from_pandas(single)).is_single
    assert not Input.of(single.assign(b=1.0)).is_single
    assert not Input.of(single.assign(b=1)).is_single
    assert not Input.of(np.ones((2, 2), "float32")).is_single


@pytest.mark.parametrize(
    ("X", "container"),
    [
        (FRAME, "pandas"),
        (pl.from_pandas(FRAME), "polars"),
        (pa.table(FRAME), "pyarrow"),
        ([[1.0]], "numpy"),
        (np.eye(2), "numpy"),
        (sparse.eye(2), "numpy"),
    ],
    ids=lambda X: type(X).__name__,
)
def test_containers(X, container):
    given = Input.of(X)
    assert given.container == container
    assert given.is_frame == (container != "numpy")


def test_columns_that_pandas_holds_as_numbers_are_known():
    given = Input.of(MIXED.assign(n=pd.array([1] * N, "Int64")))
    assert given.are_numpy_numbers.tolist() == [True, True, True, False, True, False]
    assert not given.is_plain
    assert Input.of(NUMBERS.assign(flag=True)).is_plain
    assert not Input.of(pl.from_pandas(NUMBERS)).is_plain


@pytest.mark.parametrize("case", [case for case in TABLES if case != "list"])
def test_every_scikit_learn_sees_names_in_the_header(case):
    X = TABLES[case]
    header = Input.of(X).header
    assert isinstance(header, pd.DataFrame)
    assert list(header.columns) == list(MIXED.columns[: header.shape[1]])
    assert header is X or header.empty
