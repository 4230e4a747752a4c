"""A small table of many kinds of columns, and one report on it that tests share."""

import numpy as np
import pytest

from skvae.report.account import account_of
from skvae.report.page import page_of
from skvae.report.sections.section import Found
from skvae.report.sheet import read_sheet
from skvae.report.study import Wishes, study

HOSTILE = [
    "<script>alert(1)</script>",
    "a\"b'c",
    "$x^2$ & $\\frac",
    "</style><b>",
    "${style} $title",
    "日本語",
    "x" * 90,
]


def hostile_lines(n=60, seed=0):
    """Lines of a file whose names and cells try to break the page, and its numbers the reader."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n)
    cells = [
        np.where(z > 0, "<img src=x onerror=alert(1)>", "&amp;"),
        [f"{value:.2f}".replace(".", ",") for value in z],
        np.where(z + rng.standard_normal(n) > 0, "$a$", "$b_"),
        [f"{value:.1f}%" for value in 5 + z],
        [f"{2000 + k % 20}-01-0{1 + k % 9}" for k in range(n)],
        np.where(rng.random(n) < 0.2, "", "long " * 30),
        [f"</td>{k}" for k in range(n)],
    ]
    quoted = ['"' + name.replace('"', '""') + '"' for name in HOSTILE]
    rows = [";".join(['"' + str(c) + '"' for c in row]) for row in zip(*cells, strict=True)]
    return "\n".join([";".join(quoted), *rows, ""])


@pytest.fixture(scope="session")
def found(tmp_path_factory):
    """What was found in that table; the first column is its target."""
    path = tmp_path_factory.mktemp("report") / "hostile.csv"
    path.write_text(hostile_lines(), encoding="utf-8")
    sheet = read_sheet(str(path))
    account = account_of(sheet, HOSTILE[0])
    return Found(sheet, account, study(account, Wishes(target=HOSTILE[0], n_codes=2)))


@pytest.fixture(scope="session")
def page(found):
    return page_of("<b>.csv", found)
