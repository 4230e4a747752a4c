"""Short forms of values: long ones are cut, others are left as they are."""

from decimal import Decimal

import numpy as np
import pytest

from skvae.data.excerpts import excerpt, excerpts, label

LONG = {
    "text": "x" * 10**6,
    "bytes": b"x" * 10**6,
    "integer": 10**400,
    "integer that Python does not write": 10**6000,
    "decimal": Decimal("1" * 10_000),
    "list": list(range(10**5)),
    "nested": [["x" * 10**5] * 1000] * 1000,
    "dict": dict.fromkeys(range(1000), "x" * 1000),
    "array": np.arange(10**5),
}


@pytest.mark.parametrize("case", LONG)
def test_long_values_are_cut(case):
    assert len(excerpt(LONG[case])) <= 120
    assert len(excerpts([LONG[case]] * 1000)) <= 700
    assert len(repr(label(LONG[case] if case != "list" else tuple(LONG[case])))) <= 130


@pytest.mark.parametrize(
    "value", ["x", 'it"s', 3, 2.5, None, True, b"x", ("a", 1), ["a"]], ids=repr
)
def test_short_values_are_left_as_they_are(value):
    assert excerpt(value) == repr(value)
    assert label(value) == value
    assert excerpts([value, value]) == repr([value, value])


def test_what_is_cut_shows_both_ends():
    text = excerpt("begin" + "x" * 1000 + "end")
    assert text.startswith("'begin")
    assert text.endswith("end'")
    assert "..." in text
    assert len(text) == 60


def test_a_long_name_shows_as_much_of_its_end_as_of_its_beginning():
    assert label("a" * 60) == "a" * 60
    assert label("a" * 50 + "b" * 50) == "a" * 28 + "..." + "b" * 28


def test_of_many_values_the_first_are_shown():
    assert excerpts(range(10)) == repr(list(range(10)))
    assert excerpts(range(11)) == repr(list(range(10)))[:-1] + ", ...]"
