"""Which tables are refused, and with which words."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from skvae.table import first_bad_cell, refuse_non_numeric

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
    refuse_non_numeric(TAKEN[case])


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_number_is_refused(case):
    table, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        refuse_non_numeric(table)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["array", "pandas", "polars", "csr", "csc"])
def test_first_bad_cell_is_named(kind, value):
    cells = np.ones((4, 3))
    cells[2, 1] = cells[3, 0] = value
    make = {
        "array": np.asarray,
        "pandas": lambda X: pd.DataFrame(X, columns=["a", "b", "c"]),
        "polars": lambda X: pl.DataFrame(X, schema=["a", "b", "c"]),
        "csr": sparse.csr_matrix,
        "csc": sparse.csc_matrix,
    }
    text = first_bad_cell(make[kind](cells))
    column = "'b'" if kind in {"pandas", "polars"} else "1"
    # The order of sparse cells is that of their storage.
    where = (f"{value} in column {column}, row 2", f"{value} in column 0, row 3")
    assert where[0] in text or (kind == "csc" and where[1] in text)
    assert "fill it" in text
