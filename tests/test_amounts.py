"""Numbers of things in words."""

import pytest

from skvae.amounts import counted


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((1, "row"), "1 row"),
        ((0, "row"), "0 rows"),
        ((60_000, "row"), "60,000 rows"),
        ((1, "pass", "passes"), "1 pass"),
        ((2, "pass", "passes"), "2 passes"),
    ],
)
def test_one_and_several(words, text):
    assert counted(*words) == text
