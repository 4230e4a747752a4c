"""Tables become numbers and come back; which are refused, and with which words."""

import datetime
import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal as assert_polars_equal
from scipy import sparse

from skvae.data.column import rounded
from skvae.data.input import Input
from skvae.data.refusals import first_bad_cell, refuse_non_numeric
from skvae.data.schema import Schema

NUMBERS = [1.5, 2.5]
TAKEN = {
    "list": [[1, 2], [3, 4]],
    "array": np.zeros((2, 2)),
    "integers": np.zeros((2, 2), int),
    "booleans": np.zeros((2, 2), bool),
    "numbers as objects": np.array([[1, 2.5], [3, 4]], dtype=object),
    "sparse": sparse.eye(3, format="csr"),
    "pandas": pd.DataFrame({"a": NUMBERS, "b": [1, 2], "c": [True, False]}),
    "pandas, no names": pd.DataFrame([[1.0, 2.0]]),
    "pandas, nullable": pd.DataFrame({"a": pd.array([1, 2], "Int64")}),
    "polars": pl.DataFrame({"a": NUMBERS, "b": [1, 2]}),
    "masked, nothing masked": np.ma.masked_array(np.zeros((2, 2))),
}
DAY = datetime.date(2026, 1, 1)
REFUSED = {
    "pandas text": (pd.DataFrame({"a": NUMBERS, "city": ["x", "y"]}), "'city'.*OneHotEncoder"),
    "pandas category": (
        pd.DataFrame({"a": NUMBERS, "kind": pd.Categorical(["x", "y"])}),
        "'kind'.*OneHotEncoder",
    ),
    "pandas date": (
        pd.DataFrame({"a": NUMBERS, "day": pd.to_datetime(["2026-01-01"] * 2)}),
        "'day'.*days since",
    ),
    "pandas duration": (
        pd.DataFrame({"a": NUMBERS, "wait": pd.to_timedelta([1, 2], "s")}),
        "'wait'.*into numbers",
    ),
    "pandas names twice": (pd.DataFrame([[1, 2, 3]], columns=list("aba")), r"\['a'\]; rename"),
    "polars text": (pl.DataFrame({"a": NUMBERS, "city": ["x", "y"]}), "'city'.*OneHotEncoder"),
    "polars date": (pl.DataFrame({"a": NUMBERS, "day": [DAY, DAY]}), "'day'.*days since"),
    "polars category": (
        pl.DataFrame({"kind": ["x", "y"]}, schema={"kind": pl.Categorical}),
        "'kind'.*OneHotEncoder",
    ),
    "array of text": (np.array([["x", "y"]]), "takes numbers: encode it"),
    "array of bytes": (np.array([[b"x", b"y"]]), "takes numbers: encode it"),
    "array of dates": (np.array([["2026-01-01"]], "datetime64[D]"), "takes numbers: turn it"),
    "a text among objects": (np.array([[1.0, 2.0], [3.0, "x"]], dtype=object), "column 1.*'x'"),
    "masked": (np.ma.masked_array(np.zeros((2, 2)), [[0, 1], [0, 0]]), "masked cells.*fill"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_numbers_are_taken(case):
    refuse_non_numeric(Input.of(TAKEN[case]))


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_number_is_refused(case):
    table, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        refuse_non_numeric(Input.of(table))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["array", "pandas", "polars", "pyarrow", "csr", "csc"])
def test_first_bad_cell_is_named(kind, value):
    cells = np.ones((4, 3))
    cells[2, 1] = cells[3, 0] = value
    make = {
        "array": np.asarray,
        "pandas": lambda X: pd.DataFrame(X, columns=["a", "b", "c"]),
        "polars": lambda X: pl.DataFrame(X, schema=["a", "b", "c"]),
        "pyarrow": lambda X: pa.table(dict(zip("abc", X.T, strict=True))),
        "csr": sparse.csr_matrix,
        "csc": sparse.csc_matrix,
    }
    text = first_bad_cell(make[kind](cells))
    column = "'b'" if kind in {"pandas", "polars", "pyarrow"} else "1"
    # The order of sparse cells is that of their storage.
    where = (f"{value} in column {column}, row 2", f"{value} in column 0, row 3")
    assert where[0] in text or (kind == "csc" and where[1] in text)
    assert "fill it" in text


CITIES = ["Rome", "Oslo", "Rome"]
PANDAS = {
    "float64": pd.Series([1.5, np.nan, -2.0]),
    "float32": pd.Series([0.1, np.nan, 3.0], dtype="float32"),
    "int8": pd.Series([-128, 0, 127], dtype="int8"),
    "int32": pd.Series([1, 2, 3], dtype="int32"),
    "largest int64": pd.Series([-(2**63), 0, 2**63 - 1]),
    "largest uint64": pd.Series([0, 1, 2**64 - 1], dtype="uint64"),
    "Int64": pd.Series([1, None, 3], dtype="Int64"),
    "UInt8": pd.Series([1, None, 255], dtype="UInt8"),
    "Float64": pd.Series([1.5, None, 3.0], dtype="Float64"),
    "sparse": pd.Series(pd.arrays.SparseArray([0.0, 0.0, 1.0])),
    "bool": pd.Series([True, False, True]),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "text": pd.Series([*CITIES[:2], None]),
    "string": pd.Series([*CITIES[:2], None], dtype="string"),
    "text of digits": pd.Series(["10", "9", "10"]),
    "object, None": pd.Series([*CITIES[:2], None], dtype=object),
    "object, NaN": pd.Series([*CITIES[:2], np.nan], dtype=object),
    "object, NA": pd.Series([*CITIES[:2], pd.NA], dtype=object),
    "object, numbers": pd.Series([1, 2.5, None], dtype=object),
    "object, booleans": pd.Series([True, None, False], dtype=object),
    "object, mixed": pd.Series(["1", 1, 2], dtype=object),
    "category": pd.Series(pd.Categorical(["b", None, "a"], categories=["b", "a", "never"])),
    "category of integers": pd.Series(pd.Categorical([3, 1, 3])),
    "category of days": pd.Series(pd.Categorical(pd.to_datetime(["2026-01-01"] * 3))),
    "ordered": pd.Series(pd.Categorical(["low", None, "high"], ["low", "mid", "high"], True)),
    "intervals": pd.cut(pd.Series([1.0, np.nan, 9.0]), [0, 2, 5, 10]),
}
POLARS = {
    "Float64": pl.Series([1.5, None, -2.0]),
    "Float64, NaN": pl.Series([1.5, float("nan"), -2.0]),
    "Float32": pl.Series([0.1, None, 3.0], dtype=pl.Float32),
    "Int16": pl.Series([1, None, -3], dtype=pl.Int16),
    "largest Int64": pl.Series([-(2**63), 0, 2**63 - 1]),
    "largest UInt64": pl.Series([0, 1, 2**64 - 1], dtype=pl.UInt64),
    "Decimal": pl.Series(["1.5", None, "3.0"]).cast(pl.Decimal(10, 2)),
    "Boolean": pl.Series([True, None, False]),
    "String": pl.Series([*CITIES[:2], None]),
    "Categorical": pl.Series([*CITIES[:2], None], dtype=pl.Categorical),
    "Enum": pl.Series(["low", None, "high"], dtype=pl.Enum(["low", "mid", "high"])),
}


def encoded(X, coded=()):
    return Schema.of(Input.of(X), coded).encode(Input.of(X))[0]


@pytest.mark.parametrize("case", PANDAS)
@pytest.mark.parametrize("empty", [False, True])
def test_pandas_comes_back_as_it_was(case, empty):
    X = pd.DataFrame({"x": PANDAS[case], "n": [1.0, 2.0, 3.0]})
    X.index = pd.Index(["r", "r", "s"], name="row")
    X.columns.name = "columns"
    schema = pickle.loads(pickle.dumps(Schema.of(Input.of(X))))
    assert schema == Schema.of(Input.of(X))
    X = X[:0] if empty else X
    values, unseen = schema.encode(Input.of(X))
    np.testing.assert_array_equal(np.isnan(values), X.isna())
    pd.testing.assert_frame_equal(schema.decode(values, index=X.index), X)
    assert unseen == {}


@pytest.mark.parametrize("case", POLARS)
def test_polars_comes_back_as_it_was(case):
    X = pl.DataFrame({"x": POLARS[case], "n": [1.0, 2.0, 3.0]})
    schema = pickle.loads(pickle.dumps(Schema.of(Input.of(X))))
    assert schema == Schema.of(Input.of(X))
    back = schema.decode(schema.encode(Input.of(X))[0])
    assert_polars_equal(back, X, check_exact=True)
    assert back.schema == X.schema


LOW_AND_HIGH = pa.array([1, None, 0], pa.int8()), pa.array(["low", "high"])
ARROW = {
    "double": pa.array([1.5, None, -2.0]),
    "float": pa.array([0.1, None, 3.0], pa.float32()),
    "int16": pa.array([1, None, -3], pa.int16()),
    "largest uint64": pa.array([0, 1, 2**64 - 1], pa.uint64()),
    "bool": pa.array([True, None, False]),
    "string": pa.array([*CITIES[:2], None]),
    "dictionary": pa.DictionaryArray.from_arrays(*LOW_AND_HIGH),
    "ordered dictionary": pa.DictionaryArray.from_arrays(*LOW_AND_HIGH, ordered=True),
}


@pytest.mark.parametrize("case", ARROW)
def test_arrow_comes_back_as_it_was(case):
    X = pa.table({"x": ARROW[case], "n": [1.0, 2.0, 3.0]})
    schema = pickle.loads(pickle.dumps(Schema.of(Input.of(X))))
    assert schema == Schema.of(Input.of(X))
    back = schema.decode(schema.encode(Input.of(X))[0])
    assert back.schema == X.schema
    assert back.equals(X)


def test_objects_of_polars_come_back_as_they_were():
    X = pl.DataFrame({"x": pl.Series([1, "a", None], dtype=pl.Object)})
    back = Schema.of(Input.of(X)).decode(encoded(X))
    assert back.schema == X.schema
    assert back["x"].to_list() == X["x"].to_list()


@pytest.mark.parametrize(
    "X",
    [
        np.array([[1.5, np.nan], [2.5, 3.0]]),
        np.array([[1, 2], [3, 4]], dtype="int16"),
        [[1, 2.5], [3, 4]],
        np.array([[1, None], [np.nan, 2.5], [3, pd.NA]], dtype=object),
    ],
    ids=["float", "int", "list", "object"],
)
@pytest.mark.parametrize("coded", [(), (0,)])
def test_an_array_comes_back_as_floats(X, coded):
    schema = Schema.of(Input.of(X), coded)
    assert (schema.container, schema.names) == ("numpy", [0, 1])
    assert schema.is_numeric == (not coded)
    back = schema.decode(schema.encode(Input.of(X))[0])
    assert back.dtype == np.float64
    cells = np.array(X, dtype=object)
    np.testing.assert_array_equal(back, np.where(pd.isna(cells), np.nan, cells).astype(float))


KINDS = {
    "number": ["float64", "int32", "Int64", "Float64", "sparse"],
    "boolean": ["bool", "boolean"],
    "category": ["text", "string", "text of digits", "object, booleans", "category"],
    "ordered": ["ordered", "intervals"],
}


@pytest.mark.parametrize(("kind", "case"), [(k, c) for k, cases in KINDS.items() for c in cases])
def test_the_kind_follows_the_dtype(kind, case):
    (column,) = Schema.of(Input.of(pd.DataFrame({"x": PANDAS[case]}))).columns
    assert column.kind == kind
    is_integer = column.is_number and column.numpy_dtype.kind == "i"
    assert is_integer == (case in {"int32", "Int64"})


@pytest.mark.parametrize(
    ("case", "levels"),
    [
        ("text of digits", ("10", "9")),
        ("object, numbers", (2.5, 1)),
        ("object, mixed", (1, 2, "1")),
        ("category", ("b", "a", "never")),
        ("ordered", ("low", "mid", "high")),
        ("category of integers", (1, 3)),
    ],
)
def test_levels_are_declared_or_sorted(case, levels):
    (column,) = Schema.of(Input.of(pd.DataFrame({"x": PANDAS[case]}))).columns
    assert column.levels == levels


def test_levels_of_polars():
    columns = Schema.of(
        Input.of(pl.DataFrame({c: POLARS[c] for c in ("Categorical", "Enum")}))
    ).columns
    assert [c.kind for c in columns] == ["category", "ordered"]
    assert [c.levels for c in columns] == [("Oslo", "Rome"), ("low", "mid", "high")]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_coded_numbers_are_levels(make):
    X = make({"a": [30, 10, 30], "b": [True, False, True], "c": [1.5, 2.5, 1.5], "d": list("xyx")})
    schema = Schema.of(Input.of(X), coded={0, 1, 3})
    assert [c.kind for c in schema.columns] == ["category", "category", "number", "category"]
    assert [c.levels for c in schema.columns] == [(10, 30), (False, True), (), ("x", "y")]
    values, _ = schema.encode(Input.of(X))
    np.testing.assert_array_equal(values[:, 0], [1, 0, 1])
    assert schema.decode(values).equals(X)


def test_missing_and_unseen_levels():
    schema = Schema.of(Input.of(pd.DataFrame({"x": ["a", "b"], "y": ["a", "b"]})))
    X = pd.DataFrame({"x": ["b", "new", None, "newer"], "y": ["b", "a", "b", None]})
    values, unseen = schema.encode(Input.of(X))
    np.testing.assert_array_equal(values, [[1, 1], [-1, 0], [np.nan, 1], [-1, np.nan]])
    assert unseen == {"x": 2}
    assert schema.decode(values)["x"].isna().tolist() == [False, True, True, True]


HARMLESS = {
    "int for float": (pd.Series([1.5, 2]), pd.Series([1, 2]), [1, 2]),
    "objects for float": (pd.Series([1.5, 2]), pd.Series([1, None], dtype=object), [1, np.nan]),
    "categories for int": (pd.Series([1, 2]), pd.Series(pd.Categorical([7, 8])), [7, 8]),
    "nothing but missing": (pd.Series([1, 2]), pd.Series([None, None], dtype=object), [np.nan] * 2),
    "boolean for bool": (PANDAS["bool"], PANDAS["boolean"], [1, np.nan, 0]),
    "objects for bool": (PANDAS["bool"], PANDAS["object, booleans"], [1, np.nan, 0]),
    "numbers for bool": (PANDAS["bool"], pd.Series([0, 1]), [0, 1]),
    "bool for int": (pd.Series([1, 2]), PANDAS["bool"], [1, 0, 1]),
    "category for text": (pd.Series(CITIES), pd.Series(CITIES, dtype="category"), [1, 0, 1]),
    "text for category": (pd.Series(CITIES, dtype="category"), pd.Series(CITIES), [1, 0, 1]),
    "float for levels": (PANDAS["category of integers"], pd.Series([3.0, 1.0]), [1, 0]),
    "text for numbers": (PANDAS["category of integers"], pd.Series(["3", "1"]), [-1, -1]),
    "days for days": (
        PANDAS["category of days"],
        pd.Series(pd.to_datetime(["2026-01-01"])),
        [0],
    ),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_harmless_changes_of_dtype(case):
    fitted, given, values = HARMLESS[case]
    schema = Schema.of(Input.of(pd.DataFrame({"x": fitted})))
    np.testing.assert_array_equal(
        schema.encode(Input.of(pd.DataFrame({"x": given})))[0][:, 0], values
    )


CHANGED = {
    "text": (pd.Series([1.5, 2]), pd.Series(["1", "2"]), "'x' has the text '1', and held numbers"),
    "days": (pd.Series([1.5]), pd.Series(pd.to_datetime(["2026-01-01"])), "'x' has the date.*days"),
    "text for booleans": (
        PANDAS["bool"],
        pd.Series(["a", "b"]),
        "'x' has the text 'a', and held booleans.*booleans.",
    ),
    "objects for booleans": (
        PANDAS["bool"],
        pd.Series([True, "b"], dtype=object),
        "'x' has the text 'b', and held bool",
    ),
    "text for booleans with gaps": (
        pd.Series([True, None, False], dtype="boolean"),
        pd.Series([None, "b"]),
        "and held booleans",
    ),
    "two": (PANDAS["bool"], pd.Series([0, 2]), "'x' has the value 2, and held booleans"),
    "lists": (pd.Series(CITIES), pd.Series([[1], [2]]), "'x' has the nested object.*column of its"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_other_changes_of_dtype_are_refused(case):
    fitted, given, message = CHANGED[case]
    with pytest.raises(ValueError, match=message):
        Schema.of(Input.of(pd.DataFrame({"x": fitted}))).encode(
            Input.of(pd.DataFrame({"x": given}))
        )


NOT_TAKEN = {
    "date": pd.Series(pd.to_datetime(["2026-01-01"])),
    "duration": pd.Series(pd.to_timedelta([1], "s")),
    "zoned date": pd.Series(pd.to_datetime(["2026-01-01"], utc=True)),
    "date object": pd.Series([DAY, "x"], dtype=object),
    "time object": pd.Series([datetime.time(1)], dtype=object),
    "NumPy date": pd.Series([np.datetime64(1, "ns"), "x"], dtype=object),
    "list": pd.Series([None, [1], [2]]),
    "dict": pd.Series([{"a": 1}]),
    "set": pd.Series([{1}]),
    "tuple": pd.Series([(1, 2)]),
    "array": pd.Series([np.zeros(2), np.zeros(2)]),
    "complex": pd.Series([1j]),
    "complex object": pd.Series([1j, "x"], dtype=object),
    "bytes": pd.Series([b"x"]),
    "period": pd.Series(pd.period_range("2026", periods=1)),
    "interval": pd.Series(pd.interval_range(0, 1)),
    "object": pd.Series([pd], dtype=object),
    "polars date": pl.Series([DAY]),
    "polars time": pl.Series([datetime.time(1)]),
    "polars list": pl.Series([[1], [2]]),
    "polars struct": pl.Series([{"a": 1}]),
    "polars bytes": pl.Series([b"x"]),
    "polars object": pl.Series([{1}], dtype=pl.Object),
}


@pytest.mark.parametrize("case", NOT_TAKEN)
def test_what_is_neither_number_nor_level_is_refused(case):
    cells = NOT_TAKEN[case]
    make = pl.DataFrame if isinstance(cells, pl.Series) else pd.DataFrame
    message = "column 'c' has .*, but VAETransformer takes numbers, text and categories: .* drop it"
    with pytest.raises(ValueError, match=message):
        Schema.of(Input.of(make({"c": cells})))


def test_dates_are_named_by_their_dtype():
    with pytest.raises(ValueError, match=r"'c' has dtype datetime64\[\w+\], but .*days since"):
        Schema.of(Input.of(pd.DataFrame({"c": NOT_TAKEN["date"]})))


@pytest.mark.parametrize(
    "X",
    [
        pd.DataFrame({"a": [1, 2], "c": [np.nan, np.nan]}),
        pd.DataFrame({"a": [1, 2], "c": [None, None]}),
        pd.DataFrame({"a": [1, 2], "c": pd.Categorical([None, None], ["x"])}),
        pd.DataFrame({"a": [1, 2], "c": pd.array([None, None], "boolean")}),
        pl.DataFrame({"a": [1, 2], "c": [None, None]}),
        pl.DataFrame({"a": [1, 2], "c": [float("nan"), None]}),
        pl.DataFrame({"a": ["x", "y"], "c": pl.Series([None, None], dtype=pl.Object)}),
        np.array([[1, np.nan], [2, np.nan]]),
        np.array([[1, None], [2, None]], dtype=object),
    ],
)
def test_a_column_without_a_cell_is_refused(X):
    with pytest.raises(ValueError, match=r"column ('c'|1) has no observed cell; drop it"):
        Schema.of(Input.of(X))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["a"], "yet now missing:\n- b$"),
        (["a", "b", "c"], "unseen at fit time:\n- c$"),
        (["a", "c"], "unseen at fit time:\n- c\nFeature.*missing:\n- b$"),
        (["b", "a"], "must be in the same order"),
    ],
)
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_names_must_be_those_of_fit(make, columns, message):
    schema = Schema.of(Input.of(make({"a": [1, 2], "b": [3, 4]})))
    with pytest.raises(ValueError, match=message):
        schema.encode(Input.of(make({name: [1, 2] for name in columns})))


def test_few_of_the_strange_names_are_listed():
    schema = Schema.of(Input.of(pd.DataFrame(np.eye(9), columns=list("abcdefghi"))))
    with pytest.raises(ValueError, match="unseen at fit time") as caught:
        schema.encode(Input.of(pd.DataFrame(np.eye(9), columns=list("rstuvwxyz"))))
    lines = str(caught.value).splitlines()
    assert [line[2:] for line in lines if line.startswith("- ")] == [
        *("r", "s", "t", "u", "v", "..."),
        *("a", "b", "c", "d", "e", "..."),
    ]


def test_an_array_for_a_frame():
    numeric = Schema.of(Input.of(pd.DataFrame({"a": [1, 2], "b": [True, False]})))
    np.testing.assert_array_equal(numeric.encode(Input.of([[1, 0]]))[0], [[1, 0]])
    with pytest.raises(ValueError, match="3 features, but 2"):
        numeric.encode(Input.of([[1, 2, 3]]))
    with pytest.raises(ValueError, match=r"'b' held text.*pass a frame"):
        Schema.of(Input.of(pd.DataFrame({"a": [1, 2], "b": CITIES[:2]}))).encode(Input.of([[1, 0]]))


def test_a_frame_for_an_array():
    schema = Schema.of(Input.of(np.zeros((2, 2))))
    np.testing.assert_array_equal(
        schema.encode(Input.of(pl.DataFrame({"a": [1], "b": [2]})))[0], [[1, 2]]
    )


@pytest.mark.parametrize("X", [[1, 2], np.float64(1), sparse.eye(2, format="csr")])
def test_only_tables_have_a_schema(X):
    with pytest.raises(ValueError, match="rows and columns"):
        Schema.of(Input.of(X))


def test_several_columns_of_one_name_are_refused():
    with pytest.raises(ValueError, match=r"\['a'\]; rename or drop"):
        Schema.of(Input.of(pd.DataFrame([[1, 2, 3]], columns=list("aba"))))


def test_names_are_those_of_python():
    schema = Schema.of(Input.of(pd.DataFrame([[1, 2]], columns=pd.Index([5, 7]))))
    assert [repr(name) for name in schema.names] == ["5", "7"]


def test_integers_are_rounded_and_kept_in_range():
    dtypes = ("int8", "uint8", "int64", "uint64")
    schema = Schema.of(Input.of(pd.DataFrame({dtype: np.ones(2, dtype) for dtype in dtypes})))
    back = schema.decode(np.repeat([[-np.inf], [np.inf], [1.6]], 4, axis=1))
    for dtype in dtypes:
        info = np.iinfo(dtype)
        np.testing.assert_array_equal(back[dtype], np.array([info.min, info.max, 2], dtype))


@pytest.mark.parametrize("scale", [0, 2, 7])
@pytest.mark.parametrize(
    "make",
    [
        lambda cells, scale: pl.DataFrame({"d": cells}, schema={"d": pl.Decimal(38, scale)}),
        lambda cells, scale: pa.table({"d": pa.array(cells, pa.decimal128(38, scale))}),
        lambda cells, scale: pd.DataFrame(
            {"d": pd.array(cells, dtype=pd.ArrowDtype(pa.decimal128(38, scale)))}
        ),
    ],
    ids=["polars", "pyarrow", "arrow in pandas"],
)
def test_decimals_have_the_digits_of_fit_in_every_container(make, scale):
    schema = Schema.of(Input.of(make([Decimal(1), Decimal(2)], scale)))
    values = np.random.default_rng(0).normal(scale=100, size=(50, 1))
    for container in ("pandas", "polars", "pyarrow", "numpy"):
        found = schema.decode(values, container=container)
        found = found if container == "numpy" else found["d"].to_numpy()
        cells = np.asarray(found, dtype=float).ravel()
        assert np.abs(cells - values[:, 0]).max() <= 0.5 * 10.0**-scale
        assert [round(cell, scale) for cell in cells.tolist()] == cells.tolist()


def test_decimals_with_more_digits_than_floats_stay():
    values = np.array([1e300, -0.1, np.pi, np.nan, np.inf])
    np.testing.assert_array_equal(rounded(values, 38), values)


def test_booleans_are_the_nearer_of_the_two():
    schema = Schema.of(Input.of(pd.DataFrame({"a": [True, False]})))
    assert schema.decode(np.array([[0.3], [0.7]]))["a"].tolist() == [False, True]


@pytest.mark.parametrize(("ordered", "kind"), [(True, "ordered"), (False, "category")])
def test_dictionaries_of_arrow_may_be_ordered(ordered, kind):
    levels = pa.DictionaryArray.from_arrays(pa.array([0, 1]), ["low", "high"], ordered=ordered)
    (column,) = Schema.of(Input.of(pa.table({"x": levels}))).columns
    assert column.kind == kind


def test_values_are_no_view_of_the_table():
    X = pd.DataFrame({"a": [1.0, 2.0]})
    encoded(X)[:] = 0
    assert X["a"].tolist() == [1, 2]


def test_missing_cells_of_decode():
    X = pd.DataFrame({"a": pd.array([1, 2], "Int64"), "b": ["x", "y"], "c": [1, 2]})
    schema, values = Schema.of(Input.of(X)), encoded(X)
    hidden = np.array([[True, False, False], [False, True, False]])
    np.testing.assert_array_equal(schema.decode(np.where(hidden, np.nan, values)).isna(), hidden)
    with pytest.raises(ValueError, match="'c' has missing cells, which int64 cannot hold"):
        schema.decode(np.where(~hidden, np.nan, values))
    with pytest.raises(ValueError, match=r"shape \(2, 2\) for 3"):
        schema.decode(values[:, :2])


def test_other_containers():
    X = pd.DataFrame(
        {
            "number": [1, 2],
            "yes": [True, False],
            "text": ["x", "y"],
            "mixed": pd.Series([1, "y"], dtype=object),
            "ordered": pd.Categorical(["lo", "hi"], ["lo", "hi"], ordered=True),
        }
    )
    schema, values = Schema.of(Input.of(X)), encoded(X)
    frame = schema.decode(values, container="polars")
    enum = pl.Enum(["lo", "hi"])
    assert frame.dtypes == [pl.Int64, pl.Boolean, pl.String, pl.String, enum]
    back = Schema.of(Input.of(frame)).decode(values, container="pandas")
    pd.testing.assert_frame_equal(
        back.astype({"mixed": object}), X.astype({"mixed": str}).astype({"mixed": object})
    )
    array = schema.decode(values, container="numpy")
    assert array.tolist() == [[1, True, "x", 1, "lo"], [2, False, "y", "y", "hi"]]
    hidden = np.ones_like(values, dtype=bool)
    assert (
        schema.decode(np.where(hidden, np.nan, values), container="polars").null_count().row(0)
        == (2,) * 5
    )
    assert (
        Schema.of(Input.of(frame))
        .decode(np.where(hidden, np.nan, values), container="pandas")
        .isna()
        .all(axis=None)
    )
    nothing = schema.decode(np.where(hidden, np.nan, values), container="numpy")
    assert all(isinstance(cell, float) and np.isnan(cell) for cell in nothing.flat)


def test_frames_of_an_array():
    schema = Schema.of(Input.of(np.eye(2)))
    assert schema.decode(np.eye(2), container="polars").columns == ["0", "1"]
    back = schema.decode(np.eye(2), container="pandas", index=[5, 6])
    pd.testing.assert_frame_equal(back, pd.DataFrame(np.eye(2), index=[5, 6]))


def test_matrices_are_framed_with_the_names_of_fit():
    names = pd.Index([5, "b"], name="columns")
    schema = Schema.of(Input.of(pd.DataFrame(np.eye(2), columns=names)))
    framed = schema.framed(np.ones((3, 2)), "pandas")
    pd.testing.assert_frame_equal(framed, pd.DataFrame(np.ones((3, 2)), columns=names))
    assert schema.framed(np.ones((3, 2)), "polars").columns == ["5", "b"]
    assert Schema.of(Input.of(np.eye(2))).framed(np.eye(2), "pandas").columns.tolist() == [0, 1]
