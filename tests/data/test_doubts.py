"""Columns in doubt: which are, which are not, and what the one warning says."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skvae import ColumnWarning, VAETransformer
from skvae.data.doubts import warn_of
from skvae.data.input import Input
from skvae.data.schema import Schema

N = 200
NUMBERS = {
    "thousands": [f"{1000 + 17 * i:,}" for i in range(N)],
    "percent": [f"{i % 90}.{i % 10}%" for i in range(N)],
    "percent apart": [f"{i % 90} %" for i in range(N)],
    "dollars": [f"${i % 50}" for i in range(N)],
    "euros": [f"{i % 50},50 €" for i in range(N)],
    "exponents": [f"{1 + i % 40}e{i % 5}" for i in range(N)],
    "signs": [f"{i % 40 - 20:+d}" for i in range(N)],
    "accounts": [f"({i % 40 + 1}.5)" for i in range(N)],
    "whole": [str(i % 70) for i in range(N)],
    "with blanks": [f" {i % 70} " for i in range(N)],
    "one that is unknown": [str(i % 70) if i else "unknown" for i in range(N)],
    "points for thousands": [f"{1 + i % 70}.000,5" for i in range(N)],
}
DATES = {
    "ISO": [f"2024-{i % 12 + 1:02d}-{i % 28 + 1:02d}" for i in range(N)],
    "slashes": [f"{i % 12 + 1}/{i % 28 + 1}/2024" for i in range(N)],
    "points": [f"{i % 28 + 1:02d}.{i % 12 + 1:02d}.24" for i in range(N)],
    "with a time": [f"2024-01-{i % 28 + 1:02d}T{i % 24:02d}:00:00Z" for i in range(N)],
    "month in words": [f"{i % 28 + 1} Mar 2024" for i in range(N)],
    "month before the day": [f"March {i % 28 + 1}, 2024" for i in range(N)],
    "times": [f"{i % 24:02d}:{i % 60:02d}" for i in range(N)],
}
IDENTIFIERS = {
    "names": [f"user{i}x" for i in range(N)],
    "nearly all differ": [f"user{min(i, 185)}x" for i in range(N)],
    "codes with zeros": [f"{i:05d}" for i in range(N)],
    "some missing": [f"user{i}x" if i % 3 else None for i in range(N)],
}
DOUBTFUL = {
    case: (cells, word)
    for table, word in (
        (NUMBERS, "reads as numbers"),
        (DATES, "reads as dates"),
        (IDENTIFIERS, "differs in nearly every row"),
    )
    for case, cells in table.items()
}
PLAIN = {
    "two levels": ["x", "y"] * (N // 2),
    "digits of few levels": [str(i % 9) for i in range(N)],
    "codes with zeros": [f"0{i % 50:02d}" for i in range(N)],
    "ranges": [f"{i % 20}-{i % 20 + 9}" for i in range(N)],
    "bounds": [f"<={i % 30}K" for i in range(N)],
    "ordinals": [f"{i % 30}th" for i in range(N)],
    "words and numbers": ["none" if i % 3 == 0 else f"unit {i % 30}" for i in range(N)],
    "one number among words": ["a place"[: 1 + i % 7] + 10 * chr(97 + i % 23) for i in range(N - 1)]
    + ["7"],
    "many levels": [f"city {i % 120}" for i in range(N)],
    "addresses": [f"10.0.0.{i % 50}" for i in range(N)],
    "few rows": [f"user{i}x" if i < 45 else None for i in range(N)],
    "few rows of numbers": [f"{i}.5" if i < 45 else None for i in range(N)],
}
MAKES = {
    "pandas": pd.DataFrame,
    "objects": lambda cells: pd.DataFrame(cells, dtype=object),
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}


def warned(X):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        given = Input.of(X)
        warn_of(given.table, Schema.of(given).columns)
    assert all(each.category is ColumnWarning for each in seen)
    return [str(each.message) for each in seen]


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("case", DOUBTFUL)
def test_columns_in_doubt_are_named(case, make):
    cells, word = DOUBTFUL[case]
    (message,) = warned(MAKES[make]({"n": ["a", "b"] * (N // 2), "col": cells}))
    assert message.startswith(f"column 'col' {word}" if "differs" in word else "column 'col' holds")
    assert word in message
    assert "drop it" in message


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("case", PLAIN)
def test_other_columns_are_not(case, make):
    assert warned(MAKES[make]({"col": PLAIN[case]})) == []


def test_the_example_is_one_that_reads_so():
    """Levels are sorted, and what stands for a missing cell often comes first."""
    for cells in (NUMBERS["percent"], DATES["ISO"]):
        (message,) = warned(pd.DataFrame({"col": ["-", "", *cells]}))
        assert f"such as {min(cells)!r}" in message


def test_declared_categories_may_look_like_numbers_but_not_like_identifiers():
    for cells in (NUMBERS["whole"], DATES["ISO"]):
        assert warned(pd.DataFrame({"col": pd.Categorical(cells)})) == []
        assert warned(pl.DataFrame({"col": pl.Series(cells, dtype=pl.Categorical)})) == []
    names = IDENTIFIERS["names"]
    assert len(warned(pd.DataFrame({"col": pd.Categorical(names)}))) == 1
    assert len(warned(pl.DataFrame({"col": pl.Series(names, dtype=pl.Categorical)}))) == 1
    unused = pd.Categorical(["user1x"] * N, names)
    assert warned(pd.DataFrame({"col": unused})) == []


def test_numbers_and_orders_are_never_in_doubt():
    X = pd.DataFrame({"id": np.arange(N), "x": np.arange(N) / 7})
    assert warned(X.assign(o=pd.cut(X["x"], N))) == []


def test_all_columns_share_one_short_warning():
    X = pd.DataFrame({f"{'c' * 10_000}{i}": IDENTIFIERS["names"] for i in range(8)})
    (message,) = warned(X)
    assert "3 more columns" in message
    assert len(message) < 1500


def test_fit_warns_once_and_can_be_told_not_to():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"x": rng.normal(size=N), "k": rng.choice(["a", "b"], N)})
    X = X.assign(who=IDENTIFIERS["names"], share=NUMBERS["percent"])
    vae = VAETransformer(1, max_iter=0, random_state=0)
    with pytest.warns(ColumnWarning, match=r"column 'who' .*; column 'share' ") as seen:
        vae.fit(X)
    assert [each.filename for each in seen] == [__file__]
    vae.transform(X)  # where there is nothing to be warned of
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ColumnWarning)
        vae.fit(X)
    vae.fit(X[["x", "k"]])
