"""Filled gaps: the table that came, its observed cells to the bit, its gaps filled by what fits."""

import copy
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from skvae import MLP
from skvae.data.batches import batches
from skvae.data.input import Input
from skvae.data.schema import Schema
from tests.samples import OneSplit, gaussian

N = 60
GRADES = ["low", "mid", "high"]
BODY = MLP(hidden_layer_sizes=(8,))


def quick(latent_dim=2, **params):
    quickly = {"max_iter": 0, "architecture": BODY, "random_state": 0}
    return OneSplit(latent_dim, **quickly | params)


# Columns that fit may see, and what the same column may come as afterwards


def cells_of(n=N, seed=0):
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, n))
    return {
        "x": one + 0.3 * other,
        "count": np.round(10 + 3 * one).astype(int),
        "yes": other > 0,
        "city": np.where(one > 0, "Rome", "Oslo"),
        "grade": np.array(GRADES)[np.digitize(other, [-0.5, 0.5])],
    }


def holed(cells, every=3):
    """Python's own cells, None where one is missing."""
    return {
        name: [None if i % every == j % every else cell for i, cell in enumerate(column.tolist())]
        for j, (name, column) in enumerate(cells.items())
    }


def categories(levels, ordered=False):
    return lambda cells: pd.Series(pd.Categorical(cells, levels, ordered))


def series(dtype):
    return lambda cells: pd.Series(cells, dtype=dtype)


def arrow_dtype(dtype):
    return series(pd.ArrowDtype(dtype))


def of_polars(dtype):
    return lambda cells: pl.Series(cells, dtype=dtype)


def of_arrow(dtype):
    return lambda cells: pa.array(cells, dtype)


def decimals(make):
    return lambda cells: make([None if c is None else Decimal(f"{c:.2f}") for c in cells])


DICTIONARY = pa.dictionary(pa.int8(), pa.string())
TEXT = {
    "pandas": {
        "text": pd.Series,
        "object": series(object),
        "string": series("string"),
        "string of arrow": series("string[pyarrow]"),
        "dictionary": arrow_dtype(DICTIONARY),
        "category": lambda cells: pd.Series(cells).astype("category"),
    },
    "polars": {"String": of_polars(pl.String), "Categorical": of_polars(pl.Categorical)},
    "pyarrow": {
        "string": of_arrow(pa.string()),
        "large": of_arrow(pa.large_string()),
        "dictionary": lambda cells: pa.array(cells).dictionary_encode(),
        "pieces": lambda cells: pa.chunked_array([cells[:5], cells[5:]]),
        "pieces of a dictionary": lambda cells: pa.chunked_array(
            [pa.array(cells[:5]).dictionary_encode(), pa.array(cells[5:]).dictionary_encode()]
        ),
    },
}
NUMBERS = {
    "pandas": {
        "float64": series("float64"),
        "float32": series("float32"),
        "object": series(object),
        "Float32": series("Float32"),
        "decimal": decimals(arrow_dtype(pa.decimal128(8, 2))),
        "double": arrow_dtype(pa.float64()),
        "sparse": lambda cells: pd.Series(pd.arrays.SparseArray(np.array(cells, float))),
        "category": lambda cells: pd.Series(cells).astype("category"),
    },
    "polars": {
        "Float64": of_polars(pl.Float64),
        "Float32": of_polars(pl.Float32),
        "NaN": lambda cells: pl.Series([np.nan if c is None else c for c in cells]),
        "Decimal": decimals(of_polars(pl.Decimal(8, 2))),
    },
    "pyarrow": {
        "double": of_arrow(pa.float64()),
        "float": of_arrow(pa.float32()),
        "decimal": decimals(of_arrow(pa.decimal128(8, 2))),
    },
}
WHOLE = {
    "pandas": {
        "float64": series("float64"),
        "Int64": series("Int64"),
        "Int8": series("Int8"),
        "UInt16": series("UInt16"),
        "Float64": series("Float64"),
        "int8 of arrow": arrow_dtype(pa.int8()),
        "object": series(object),
        "category": lambda cells: pd.Series(cells).astype("category"),
    },
    "polars": {
        "Int64": of_polars(pl.Int64),
        "UInt8": of_polars(pl.UInt8),
        **({"Int128": of_polars(pl.Int128)} if hasattr(pl, "Int128") else {}),
        "Float64": of_polars(pl.Float64),
        "Decimal": decimals(of_polars(pl.Decimal(8, 2))),
    },
    "pyarrow": {
        "int64": of_arrow(pa.int64()),
        "uint8": of_arrow(pa.uint8()),
        "double": of_arrow(pa.float64()),
        "decimal": decimals(of_arrow(pa.decimal256(50, 2))),
    },
}
BOOLEANS = {
    "pandas": {
        "object": series(object),
        "boolean": series("boolean"),
        "bool of arrow": arrow_dtype(pa.bool_()),
        "Int64": series("Int64"),
        "float64": series("float64"),
    },
    "polars": {"Boolean": of_polars(pl.Boolean), "Int8": of_polars(pl.Int8)},
    "pyarrow": {
        "bool": of_arrow(pa.bool_()),
        "int8": lambda cells: pa.array(cells, pa.bool_()).cast("int8"),
    },
}
ORDERED = {
    "pandas": {
        "all": categories(GRADES, True),
        "more": categories(["least", *GRADES, "most"], True),
        "turned round": categories(GRADES[::-1], True),
        "without an order": categories(GRADES),
        "text": pd.Series,
    },
    "polars": {
        "Enum": of_polars(pl.Enum(GRADES)),
        "more": of_polars(pl.Enum(["least", *GRADES, "most"])),
        "turned round": of_polars(pl.Enum(GRADES[::-1])),
        "Categorical": of_polars(pl.Categorical),
        "String": of_polars(pl.String),
    },
    "pyarrow": {
        "string": of_arrow(pa.string()),
        "dictionary": lambda cells: pa.array(cells).dictionary_encode(),
        "ordered": lambda cells: pa.DictionaryArray.from_arrays(
            pa.array([None if c is None else GRADES.index(c) for c in cells], pa.int8()),
            GRADES,
            ordered=True,
        ),
    },
}
COMES_AS = {"x": NUMBERS, "count": WHOLE, "yes": BOOLEANS, "city": TEXT, "grade": ORDERED}
LIBRARIES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
# The columns of a table as their first cases have them, their second, and so on.
CASES = [
    pytest.param(library, turn, id=f"{library}-{turn}")
    for library in LIBRARIES
    for turn in range(max(len(cases[library]) for cases in COMES_AS.values()))
]
PLAIN = {"pandas": "text", "polars": "String", "pyarrow": "string"}


def table(cells, library, **changed):
    """A frame with one of its columns as a case has it; the others in dtypes that hold gaps."""
    plain = {
        "x": NUMBERS[library]["Float64" if library == "polars" else "double"],
        "count": WHOLE[library]["int64" if library == "pyarrow" else "Int64"],
        "yes": BOOLEANS[library][{"pandas": "boolean", "polars": "Boolean"}.get(library, "bool")],
        "city": TEXT[library][PLAIN[library]],
        "grade": ORDERED[library][PLAIN[library]],
    }
    made = {name: (plain | changed)[name](column) for name, column in cells.items()}
    return LIBRARIES[library](made)


def whole_table(library):
    """Rows without gaps, in the dtypes that these have by themselves."""
    cells = cells_of()
    if library == "pandas":
        return pd.DataFrame(cells).assign(grade=pd.Categorical(cells["grade"], GRADES, True))
    if library == "polars":
        return pl.DataFrame(cells, schema_overrides={"grade": pl.Enum(GRADES)})
    return pa.table(cells)


@pytest.fixture(scope="module", params=LIBRARIES)
def vae(request):
    return quick().fit(whole_table(request.param))


def dtypes_of(frame):
    if isinstance(frame, pa.Table):
        return {field.name: field.type for field in frame.schema}
    return dict(frame.schema if isinstance(frame, pl.DataFrame) else frame.dtypes)


def column_of(frame, name):
    """Cells as Python has them."""
    column = frame[name]
    cells = column.to_pylist() if isinstance(frame, pa.Table) else column.to_list()
    return [None if pd.isna(cell) else cell for cell in cells]


def assert_filled(filled, given):
    """The container and its dtypes, the observed cells, and no gap."""
    assert type(filled) is type(given)
    for name in COMES_AS:
        ours, theirs = column_of(filled, name), column_of(given, name)
        assert None not in ours
        for found, observed in zip(ours, theirs, strict=True):
            assert observed is None or (type(found), found) == (type(observed), observed)


@pytest.mark.parametrize("n_draws", [None, 2])
@pytest.mark.parametrize(("library", "turn"), CASES)
def test_what_comes_goes_back_filled(vae, library, turn, n_draws):
    cases = {name: [*of[library].items()] for name, of in COMES_AS.items()}
    chosen = {name: of[turn % len(of)] for name, of in cases.items()}
    changed = {name: make for name, (_, make) in chosen.items()}
    given = table(holed(cells_of(12, seed=1)), library, **changed)
    answer = vae.impute(given, n_draws, random_state=0)
    for filled in [answer] if n_draws is None else answer:
        assert_filled(filled, given)
        for name, (case, _) in chosen.items():
            if case != "category":  # to which values that are new may be added
                assert dtypes_of(filled)[name] == dtypes_of(given)[name]
        assert set(column_of(filled, "city")) <= {"Rome", "Oslo"}
        assert set(column_of(filled, "grade")) <= set(GRADES)
        assert {float(cell) for cell in column_of(filled, "yes")} <= {0.0, 1.0}
        assert all(float(cell).is_integer() for cell in column_of(filled, "count"))


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_cannot_be_missing_is_left_alone(vae, library):
    given = whole_table(library)
    assert_filled(vae.impute(given), given)
    assert dtypes_of(vae.impute(given)) == dtypes_of(given)


NOTHING = {
    "pandas": {
        "objects": series(object),
        "floats": series("float64"),
        "no category": lambda cells: pd.Series(pd.Categorical(cells)),
        "string": series("string"),
        "booleans": series("boolean"),
        "null": arrow_dtype(pa.null()),
    },
    "polars": {
        "Null": of_polars(pl.Null),
        "floats": of_polars(pl.Float64),
        "String": of_polars(pl.String),
        "no level": of_polars(pl.Enum([])),
        "Categorical": of_polars(pl.Categorical),
    },
    "pyarrow": {
        "null": of_arrow(pa.null()),
        "floats": of_arrow(pa.float64()),
        "string": of_arrow(pa.string()),
        "dictionary": of_arrow(DICTIONARY),
    },
}


@pytest.mark.parametrize(
    ("library", "case"), [(library, case) for library, cases in NOTHING.items() for case in cases]
)
def test_columns_that_were_never_observed_are_filled(vae, library, case):
    empty = ["yes", "city", "grade", "count"]
    cells = holed(cells_of(12, seed=1)) | {name: [None] * 12 for name in empty}
    given = table(cells, library, **dict.fromkeys(empty, NOTHING[library][case]))
    filled = vae.impute(given)
    assert_filled(filled, given)
    assert set(column_of(filled, "city")) <= {"Rome", "Oslo"}
    assert set(column_of(filled, "grade")) <= set(GRADES)
    assert all(isinstance(cell, (int, float)) for cell in column_of(filled, "yes"))
    assert all(isinstance(cell, (int, float)) for cell in column_of(filled, "count"))


# Categories that lack a level


@pytest.mark.parametrize(
    ("came", "grown"),
    [
        (["low", "high"], ["low", "mid", "high"]),
        (["high", "top"], ["low", "mid", "high", "top"]),
        (["worst", "low"], ["worst", "low", "mid", "high"]),
        ([], ["low", "mid", "high"]),
    ],
)
def test_levels_enter_an_order_behind_those_below_them(came, grown):
    fitted = pd.DataFrame({"g": pd.Categorical(GRADES, GRADES, True), "n": [1.0, 2.0, 3.0]})
    schema = Schema.of(Input.of(fitted))
    values = np.array([[0.0, 1], [1, 2], [2, 3]])
    X = pd.DataFrame({"g": pd.Categorical([None] * 3, came, True), "n": [1.0, 2.0, 3.0]})
    missing = np.array([[True, False]] * 3)
    filled = schema.fill(Input.of(X), missing, values)
    assert filled["g"].tolist() == GRADES
    assert filled["g"].cat.categories.tolist() == grown
    assert filled["g"].cat.ordered
    X = pl.DataFrame({"g": pl.Series([None] * 3, dtype=pl.Enum(came)), "n": [1.0, 2.0, 3.0]})
    filled = schema.fill(Input.of(X), missing, values)
    assert filled.schema["g"] == pl.Enum(grown)
    assert filled["g"].to_list() == GRADES


def test_levels_are_added_behind_the_categories_without_an_order():
    schema = Schema.of(Input.of(pd.DataFrame({"k": ["a", "b", "c"]})))
    X = pd.DataFrame({"k": pd.Categorical(["z", None, None, "b"], ["z", "never", "b"])})
    missing = X.isna().to_numpy()
    filled = schema.fill(Input.of(X), missing, np.array([[-1.0], [0], [2], [1]]))
    assert filled["k"].tolist() == ["z", "a", "c", "b"]
    assert filled["k"].cat.categories.tolist() == ["z", "never", "b", "a", "c"]
    X = pa.table({"k": pa.array(["z", None, None, "b"]).dictionary_encode()})
    filled = schema.fill(Input.of(X), missing, np.array([[-1.0], [0], [2], [1]]))
    assert filled["k"].to_pylist() == ["z", "a", "c", "b"]
    assert filled["k"].combine_chunks().dictionary.to_pylist() == ["z", "b", "a", "c"]
    assert filled.schema == X.schema


def test_a_dictionary_too_small_for_a_level_gets_a_larger_index():
    schema = Schema.of(Input.of(pd.DataFrame({"k": ["a", "b"]})))
    indices = pa.array([*range(127), 127, None], pa.uint8()).cast("int8", safe=False)
    X = pa.table({"k": pa.DictionaryArray.from_arrays(indices, [f"{i}" for i in range(128)])})
    missing = np.arange(129)[:, None] == 128
    filled = schema.fill(Input.of(X), missing, np.where(missing, 0.0, -1.0))
    assert filled["k"].to_pylist() == [*map(str, range(128)), "a"]
    assert filled.schema.field("k").type.index_type == pa.int32()


@pytest.mark.parametrize("library", LIBRARIES)
def test_numbers_beside_a_level_of_text_become_what_holds_both(library):
    schema = Schema.of(Input.of(pd.DataFrame({"k": ["a", "b"]})))
    X = LIBRARIES[library]({"k": [1.5, None]})
    filled = schema.fill(Input.of(X), np.array([[False], [True]]), np.array([[-1.0], [1.0]]))
    assert column_of(filled, "k") == [1.5 if library == "pandas" else "1.5", "b"]


def test_levels_of_numbers_are_filled_to_the_last_digit():
    big = 2**60 + 1
    for dtype in (object, "int64", "category"):
        schema = Schema.of(
            Input.of(pd.DataFrame({"k": pd.Series([big, 7], dtype=dtype)})), coded={0}
        )
        values = schema.encode(Input.of(pd.DataFrame({"k": [big]})))[0]
        for make in (series("Int64"), series(object), arrow_dtype(pa.int64())):
            X = pd.DataFrame({"k": make([7, None])})
            filled = schema.fill(Input.of(X), X.isna().to_numpy(), np.vstack([values, values]))
            assert filled["k"].tolist() == [7, big]


@pytest.mark.parametrize(("dtype", "held"), [("Int8", [-128, 127]), ("UInt8", [0, 255])])
def test_levels_beyond_the_range_of_integers_are_the_last_in_it(dtype, held):
    schema = Schema.of(
        Input.of(pd.DataFrame({"k": pd.Series([-300, 300, 7], dtype=object)})), coded={0}
    )
    X = pd.DataFrame({"k": pd.Series([7, None, None], dtype=dtype)})
    values = schema.encode(Input.of(pd.DataFrame({"k": pd.Series([7, -300, 300], dtype=object)})))[
        0
    ]
    filled = schema.fill(Input.of(X), X.isna().to_numpy(), values)
    assert filled["k"].tolist() == [7, *held]
    assert filled["k"].dtype == dtype


def test_intervals_are_added_to_others():
    cut = pd.cut(pd.Series([1.0, 5.0, 9.0]), [0, 4, 8, 12])
    schema = Schema.of(Input.of(pd.DataFrame({"k": cut})))
    X = pd.DataFrame({"k": pd.cut(pd.Series([1.0, np.nan]), [0, 2])})
    filled = schema.fill(Input.of(X), X.isna().to_numpy(), np.array([[-1.0], [1.0]]))
    assert filled["k"].tolist() == [pd.Interval(0, 2), pd.Interval(4, 8)]


# What a dtype can hold


@pytest.mark.parametrize(
    ("column", "largest"),
    [
        (pd.Series([1, None], dtype="Int8"), 127),
        (pd.Series([1, None], dtype="UInt8"), 255),
        (pd.Series([1, None], dtype="Int64"), 2**63 - 1),
        (pd.Series([1, None], dtype="float32"), float(np.finfo("float32").max)),
        (pl.Series([1, None], dtype=pl.Int16), 2**15 - 1),
        (pl.Series([1, None], dtype=pl.Decimal(4, 2)), Decimal("99.99")),
        (pa.array([1, None], pa.uint8()), 255),
        (pa.array([1, None], pa.decimal128(4, 2)), Decimal("99.99")),
    ],
    ids=str,
)
def test_a_value_beyond_the_range_is_the_last_in_it(column, largest):
    make = {pd.Series: pd.DataFrame, pl.Series: pl.DataFrame}.get(type(column), pa.table)
    schema = Schema.of(Input.of(pd.DataFrame({"x": [1.0, 2.0]})))
    missing = np.array([[False], [True]])
    for value, expected in ((1e300, largest), (2.4, None)):
        filled = schema.fill(Input.of(make({"x": column})), missing, np.array([[1.0], [value]]))
        found = column_of(filled, "x")
        assert found[0] == 1
        assert found[1] == expected if expected else abs(float(found[1]) - 2.4) <= 0.4 + 1e-6


ROWS = np.round(gaussian(N, 3)) + 10
OF_ARRAYS = {
    "auto": "auto",
    "gaussian_diag": "gaussian_diag",
    "categorical": "categorical",
    "ordinal": "ordinal",
    "one column": {1: "categorical"},
}


@pytest.fixture(scope="module", params=OF_ARRAYS)
def of_arrays(request):
    """The name of a likelihood, and a model of rows without gaps; not to be changed."""
    return request.param, quick(1, likelihood=OF_ARRAYS[request.param]).fit(ROWS)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", ">f8", object])
def test_arrays_come_back_in_their_dtype(dtype, of_arrays):
    likelihood, vae = of_arrays
    X = ROWS.astype(dtype)
    X[::4, 0] = X[1::4, 2] = None if dtype is object else np.nan
    before = X.copy()
    for filled in (vae.impute(X), *vae.impute(X, n_draws=2, random_state=0)):
        observed = ~pd.isna(before)
        assert filled.dtype == X.dtype
        assert_array_equal(filled[observed], before[observed])
        assert np.isfinite(filled.astype(float)).all()
        if likelihood in ("categorical", "ordinal"):
            for j in range(3):
                assert set(filled[:, j].astype(float)) <= set(ROWS[:, j])
    assert_array_equal(X, before)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_arrays_that_hold_no_gap_come_back_as_they_were(dtype):
    X = (np.round(gaussian(N, 3)) > 0).astype(dtype)
    vae = quick(1).fit(X)
    if dtype == "int64":
        X[0, 0] = 2**62 + 1
    filled = vae.impute(X)
    assert filled.dtype == X.dtype
    assert_array_equal(filled, X)
    assert not np.shares_memory(filled, X)


@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("n_draws", [None, 2])
def test_arrays_come_back_in_the_container_asked_for(container, of_arrays, n_draws):
    X, vae = ROWS.copy(), copy.deepcopy(of_arrays[1])
    X[::4, 1] = np.nan
    plain = vae.impute(X, n_draws, random_state=0)
    vae.set_output(transform=container)
    asked = vae.impute(X, n_draws, random_state=0)
    names = list(vae.inverse_transform(vae.transform(X)).columns)
    pairs = [(plain, asked)] if n_draws is None else zip(plain, asked, strict=True)
    for ours, theirs in pairs:
        assert type(theirs) is LIBRARIES[container]
        assert list(theirs.columns) == names
        assert_array_equal(theirs.to_numpy(), ours)


def test_frames_stay_what_they_are_whatever_is_asked_for():
    X = pl.DataFrame(table(holed(cells_of()), "polars"))
    vae = quick().fit(X).set_output(transform="pandas")
    assert isinstance(vae.impute(X), pl.DataFrame)


# What belongs to a frame beside its cells


def test_all_of_a_frame_of_pandas_comes_back():
    X = table(holed(cells_of()), "pandas").set_axis(["a", "a", "b"] * (N // 3))
    X.index.name, X.columns.name, X.attrs["source"] = "who", "what", "survey"
    numbers = X[["x"]].astype("float64").assign(y=1.0)
    for given in (X, numbers):
        filled = quick(1).fit(given).impute(given)
        pd.testing.assert_index_equal(filled.index, given.index)
        pd.testing.assert_index_equal(filled.columns, given.columns)
        assert filled.attrs == {"source": "survey"}
        pd.testing.assert_series_equal(filled.dtypes, given.dtypes)
        filled.iloc[0, 0] = 7.0
        assert given.isna().iloc[0, 0]


def test_columns_of_two_levels_of_names_come_back():
    X = pd.DataFrame(gaussian(N, 2)).mask(np.eye(N, 2) == 1).assign(k=["x", "y"] * (N // 2))
    X.columns = pd.MultiIndex.from_tuples([("a", "b"), ("a", "c"), ("d", "e")])
    pd.testing.assert_index_equal(quick(1).fit(X).impute(X).columns, X.columns)


def test_metadata_of_arrow_comes_back():
    X = table(holed(cells_of()), "pyarrow").replace_schema_metadata({"source": "survey"})
    assert quick().fit(X).impute(X).schema.metadata == {b"source": b"survey"}


def test_a_frame_may_come_where_fit_saw_an_array():
    vae = quick(1).fit(gaussian(N, 3))
    X = pd.DataFrame(gaussian(N, 3)).mask(np.eye(N, 3) == 1).assign(**{"1": np.nan})[[0, "1", 2]]
    X.columns = ["a", "b", "c"]
    with pytest.warns(UserWarning, match="feature names"):
        filled = vae.impute(X)
    assert not filled.isna().any(axis=None)
    assert_array_equal(filled[X.notna()], X)


# Rows of many batches


@pytest.mark.parametrize("likelihood", ["auto", "gaussian_diag"])
def test_rows_of_every_batch_are_filled(likelihood):
    """Some 4000 rows with gaps are held at once."""
    X = np.resize(gaussian(500, 2), (9000, 2))
    X[:, 1] += np.arange(9000) / 9000
    vae = quick(1, likelihood=likelihood).fit(X[:500])
    row_cost = vae._model.of_cells().representation.row_cost
    assert sum(1 for _ in batches(len(X), row_cost)) > 2
    X[:, 0] = np.nan
    for filled in (vae.impute(X), *vae.impute(X, n_draws=1, random_state=0)):
        assert np.isfinite(filled).all()
        assert np.unique(filled[:, 0]).size == 9000
        assert_array_equal(filled[:, 1], X[:, 1])
