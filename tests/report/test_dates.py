"""Dates as people write them."""

import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skvae.report.dates import date_text, dates, days_of
from tests.generated import WITHOUT_A_FIT


def days(*cells, day_first=False):
    return dates(dict.fromkeys(cells, 1), day_first, 0.95)


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("2024-03-05", "2024-03-05"),
        ("2024/3/5 14:30", "2024-03-05"),
        ("2024-03-05T23:30:00-02:00", "2024-03-06"),
        ("5.3.2024", "2024-03-05"),
        ("05.03.24", "2024-03-05"),
        ("5 March 2024", "2024-03-05"),
        ("Mar 5, 2024", "2024-03-05"),
        ("Mar-2024", "2024-03-01"),
        ("2024-03", "2024-03-01"),
    ],
)
def test_cells(cell, date):
    assert date_text(days(cell).values[cell]) == date


@WITHOUT_A_FIT
@given(st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1)))
def test_every_date_comes_back(date):
    assert date_text(days(date.isoformat()).values[date.isoformat()]) == date.isoformat()


@pytest.mark.parametrize(
    ("cells", "day_first", "order", "is_sure"),
    [
        (["3/4/2024", "13/4/2024"], False, "day first", True),
        (["3/4/2024", "3/14/2024"], True, "month first", True),
        (["3/4/2024", "4/5/2024"], True, "day first", False),
        (["3/4/2024", "4/5/2024"], False, "month first", False),
        (["3.4.2024", "4.5.2024"], False, "day first", True),
    ],
)
def test_the_order_is_that_of_the_column(cells, day_first, order, is_sure):
    found = days(*cells, day_first=day_first)
    assert (found.order, found.is_sure) == (order, is_sure)


def test_times_are_hours():
    assert days("14:30", "2:15 PM").values == {"14:30": 14.5, "2:15 PM": 14.25}


CLOCKS = [
    ("00:01:12.412", 72.412),
    ("23:59:59,5", 86399.5),
    ("9:05:00.000001", 32700.000001),
    ("12:00:00.25 am", 0.25),
]


@pytest.mark.parametrize(("clock", "seconds"), CLOCKS)
@pytest.mark.parametrize("date", ["", "2024-03-05 ", "5.3.2024 ", "Mar 5, 2024 "])
def test_fractions_of_a_second_are_kept(clock, seconds, date):
    found = days(date + clock)
    (value,) = found.values.values()
    expected = seconds / 86400 + 19787 if date else seconds / 3600
    assert (found.unit, value) == ("days" if date else "hours", pytest.approx(expected, rel=1e-15))


@pytest.mark.parametrize("clock", ["24:00", "99:15", "12:60", "12:15:60", "1:75:00", "25:00:00.5"])
@pytest.mark.parametrize("date", ["", "2024-03-05 ", "5.3.2024T", "Mar 5, 2024 "])
def test_what_no_clock_shows_is_no_time(clock, date):
    assert days(date + clock) is None
    times = [f"{date}{hour:02}:30" for hour in range(10)]
    assert days(*times) is not None
    assert days(*times, date + clock) is None


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_are_days(unit):
    times = np.array(["1969-12-31T12:00:00", "NaT", "2024-01-01T00:00:01"], f"datetime64[{unit}]")
    found = days_of(times)
    assert found.tolist()[::2] == [-0.5, 19723 + 1 / 86400]
    assert np.isnan(found[1])


@pytest.mark.parametrize(
    "cells", [["2024-13-01"], ["x"], ["13/14/2024"], ["13/1/2024", "1/13/2024"]]
)
def test_other_text_is_no_date(cells):
    assert days(*cells) is None
