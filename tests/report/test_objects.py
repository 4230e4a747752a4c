"""Objects of Python become numbers and text where they can be."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from skvae.report.objects import plain


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([decimal.Decimal("1.20"), None], [1.2, None]),
        ([decimal.Decimal("120"), None, decimal.Decimal("-1E+20")], ["120", None, f"-{10**20}"]),
        ([datetime.date(1, 2, 3), None], ["0001-02-03", None]),
        ([datetime.time(4, 5), datetime.time(4, 5, 6, 7)], ["04:05:00", "04:05:06.000007"]),
        (["é".encode(), b"a"], ["é", "a"]),
    ],
)
def test_what_can_be_told(cells, told):
    found = plain(pd.Series(cells, dtype=object))
    assert found.astype(object).where(found.notna(), None).tolist() == told


@pytest.mark.parametrize(
    "cells", [[b"\xff"], [[1], [2]], ["a", 1], [None], [], [np.arange(2)], [{"a": 1}]]
)
def test_what_cannot_be_told_stays(cells):
    own = pd.Series(cells, dtype=object)
    assert plain(own) is own
