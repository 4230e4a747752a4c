"""Numbers as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skvae.report.numerals import COMMA, POINT, number_of, numerals
from tests.generated import WITHOUT_A_FIT


@pytest.mark.parametrize(
    ("cell", "mark", "value"),
    [
        ("9.9%", POINT, 9.9),
        ("25,707", POINT, 25707),
        ("25,707", COMMA, 25.707),
        ("$1,200", POINT, 1200),
        ("-$3.50", POINT, -3.5),
        ("$-3.50", POINT, -3.5),
        ("(1,200)", POINT, -1200),
        ("1.234.567,8", COMMA, 1234567.8),
        ("12 345,6", COMMA, 12345.6),
        ("12'345.6", POINT, 12345.6),
        ("3,5 €", COMMA, 3.5),
        ("\N{MINUS SIGN}4", POINT, -4),
        ("+4", POINT, 4),
        (".5", POINT, 0.5),
        ("1e-3", POINT, 1e-3),
        ("1,2,3", POINT, None),
        ("1,23", POINT, None),
        ("12-3", POINT, None),
        ("%", POINT, None),
        (".", POINT, None),
        ("1e999", POINT, None),
    ],
)
def test_cells(cell, mark, value):
    assert number_of(cell, mark) == (None if value is None else pytest.approx(value))


@WITHOUT_A_FIT
@given(st.floats(-1e15, 1e15, allow_nan=False), st.sampled_from([POINT, COMMA]))
def test_what_is_written_with_either_mark_comes_back(value, mark):
    text = f"{value:,.3f}"
    if mark == COMMA:
        text = text.translate(str.maketrans(",.", ".,"))
    assert number_of(text, mark) == pytest.approx(value, abs=6e-4, rel=1e-9)


@WITHOUT_A_FIT
@given(st.integers(-(10**30), 10**30), st.sampled_from(["{}", "{:,}", " {} ", "{} €"]))
def test_whole_numbers_are_read_to_the_last_digit(number, form):
    found = number_of(form.format(number), POINT)
    assert isinstance(found, int)
    assert found == number


@pytest.mark.parametrize(
    ("cells", "prefers", "mark", "is_sure"),
    [
        (["1,5", "2,25"], POINT, COMMA, True),
        (["1.5", "2.25"], COMMA, POINT, True),
        (["25,707", "1,200"], POINT, POINT, False),
        (["25,707", "1,200"], COMMA, COMMA, False),
        (["25,707", "1,200,300"], COMMA, POINT, True),
        (["$25,707", "$1,200"], COMMA, POINT, True),
        (["1", "2"], COMMA, POINT, True),
    ],
)
def test_the_decimal_mark_is_that_of_the_column(cells, prefers, mark, is_sure):
    found = numerals(dict.fromkeys(cells, 1), prefers, 0.95)
    assert (found.mark, found.is_sure) == (mark, is_sure)


@pytest.mark.parametrize("cells", [["007", "12"], ["$1", "€2"], ["x", "1"], ["1.5", "1,5"]])
def test_other_text_is_no_number(cells):
    assert numerals(dict.fromkeys(cells, 1), POINT, 0.95) is None


@pytest.mark.parametrize("cells", [["1,234", "5,678"], ["$1,234", "$5,678"]])
def test_a_mark_that_is_given_decides(cells):
    found = numerals(dict.fromkeys(cells, 1), COMMA, 1.0, is_given=True)
    assert list(found.values.values()) == [1.234, 5.678]
    assert found.is_sure
    sure = numerals({"1.5": 1, "2.25": 1}, COMMA, 1.0, is_given=True)
    assert list(sure.values.values()) == [1.5, 2.25]
