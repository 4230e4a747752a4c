"""Dates of every library are the same times, by their own clocks."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skvae.data.times import times_of

DAYS = [dt.datetime(2024, 3, 5), dt.datetime(1999, 12, 31, 23, 30)]
EXPECTED = np.array([*DAYS, "NaT"], "datetime64[us]")
NAIVE = pd.Series([*DAYS, pd.NaT])
OF_POLARS = pl.Series([*DAYS, None])
FORMS = {
    **{unit: EXPECTED.astype(f"datetime64[{unit}]") for unit in ("m", "s", "ms", "us", "ns")},
    "pandas": NAIVE,
    "pandas with a zone": NAIVE.dt.tz_localize("Europe/Berlin"),
    "index": pd.DatetimeIndex(NAIVE).tz_localize("Asia/Tokyo"),
    "periods": pd.Series(NAIVE.dt.to_period("min")),
    "objects": np.array([*DAYS, None], dtype=object),
    "objects of numpy": np.array([*EXPECTED[:2], np.nan], dtype=object),
    "list": [DAYS[0], DAYS[1].replace(tzinfo=dt.UTC), None],
    "polars": OF_POLARS,
    "polars with a zone": OF_POLARS.dt.replace_time_zone("America/Lima"),
}


@pytest.mark.parametrize("form", FORMS)
def test_times_of_any_form(form):
    found = times_of(FORMS[form])
    assert found.dtype == EXPECTED.dtype
    np.testing.assert_array_equal(found, EXPECTED)


@pytest.mark.parametrize(
    "days",
    [
        [dt.date(2024, 1, 1), None],
        pl.Series([dt.date(2024, 1, 1), None]),
        np.array(["2024", "NaT"], "datetime64[Y]"),
        pd.Series([pd.Period("2024Q1"), pd.NaT]),
        pd.Categorical([pd.Timestamp("2024-01-01"), None]),
    ],
)
def test_dates_are_midnights(days):
    found = times_of(days)
    np.testing.assert_array_equal(found, np.array(["2024-01-01", "NaT"], "datetime64[us]"))


def test_years_that_pandas_has_no_nanoseconds_for():
    found = times_of(pd.period_range("1500-01", periods=1, freq="M"))
    np.testing.assert_array_equal(found, np.array(["1500-01-01"], "datetime64[us]"))


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        ["2024-01-01"],
        [None, None],
        [dt.date(2024, 1, 1), "x"],
        np.array([1.5]),
        pd.Series([pd.Timedelta("1D")]),
        pl.Series(["a"]),
        [],
    ],
)
def test_what_is_no_times(values):
    assert times_of(values) is None


def test_a_column_keeps_its_shape():
    assert times_of(NAIVE.to_frame()).shape == (3, 1)
