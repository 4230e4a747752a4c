"""Columns that may not be what they are taken for: text that is an identifier, a number or a date.

`warn_of` looks at the levels of columns, not at their cells, and gives one warning for all columns
in doubt. Few rows and few levels are never in doubt, and text that is declared as categories may
look like numbers.
"""

import re
from collections.abc import Iterable

import narwhals as nw

from skvae.ambient import warn
from skvae.data.column import Column
from skvae.data.excerpts import excerpt

_FEWEST_ROWS = 50
_FEWEST_LEVELS = 10
_SHARE_OF_ROWS = 0.9  # levels of an identifier
_MOST_READ, _SHARE_READ = 1000, 0.95  # levels that are looked at, and that have to look alike
_LONGEST = 40  # characters of a number or a date
_MOST_NAMED = 5

# Whole numbers without leading zeros, which codes have; thousands apart; decimals.
_DIGITS = (
    r"(?:\d{1,3}(?:[, ']\d{3})+(?:\.\d*)?|\d{1,3}(?:\.\d{3})+,\d*"
    r"|(?:0|[1-9]\d*)(?:[.,]\d*)?|[.,]\d+)"
)
_SIGN = r"[$€£¥%]?"
_TIME = r"(?:[T ]\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[AP]M)?(?: ?Z| ?[+-]\d\d:?\d\d)?)?"
_MONTH = r"(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)[A-Z]*\.?"
_PATTERNS = {
    "dates": (
        rf"\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}{_TIME}",
        rf"\d{{1,2}}([-/.])\d{{1,2}}\1\d{{2,4}}{_TIME}",
        rf"\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}{_TIME}",
        rf"{_MONTH} \d{{1,2}},? \d{{4}}{_TIME}",
        r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[AP]M)?",
    ),
    "numbers": (rf"[(+-]?{_SIGN} ?[+-]?{_SIGN}{_DIGITS}(?:E[+-]?\d+)? ?{_SIGN}\)?",),
}
_READINGS = {
    what: [re.compile(pattern, re.IGNORECASE) for pattern in patterns]
    for what, patterns in _PATTERNS.items()
}
_REMEDIES = {
    "dates": "turn it into numbers (days since a date, month, weekday) or drop it",
    "numbers": (
        "give it a numeric dtype, drop it if it is an identifier, or declare it as a category"
    ),
}


class ColumnWarning(UserWarning):
    """Warning that the text of a column looks like identifiers, numbers or dates."""


def warn_of(frame: nw.DataFrame, columns: Iterable[Column]) -> None:
    """Give one warning that names the columns of a frame in doubt, and what to do about each."""
    found = [
        f"{column.where} {doubt}"
        for column, series in zip(columns, frame.iter_columns(), strict=True)
        if (doubt := _doubt(column, series))
    ]
    if found:
        more = len(found) - _MOST_NAMED
        rest = f"; {more} more columns are like these" if more > 0 else ""
        warn("; ".join(found[:_MOST_NAMED]) + rest + ".", ColumnWarning)


def _doubt(column: Column, series: nw.Series) -> str | None:
    if column.kind != "category" or column.numpy_dtype or len(column.levels) < _FEWEST_LEVELS:
        return None
    n_observed = len(series) - series.null_count()
    if n_observed < _FEWEST_ROWS:
        return None
    if series.dtype != nw.Categorical and (found := _reading(column.levels)):
        what, one = found
        return f"holds text that reads as {what}, such as {excerpt(one)}: {_REMEDIES[what]}"
    if _n_different(column, series) >= _SHARE_OF_ROWS * n_observed:
        return (
            "differs in nearly every row, as identifiers do, and samples would repeat its values: "
            "drop it"
        )
    return None


def _n_different(column: Column, series: nw.Series) -> int:
    """Return the number of values; where levels are declared some may never occur."""
    if series.dtype == nw.Categorical:
        return series.drop_nulls().n_unique()
    return len(column.levels)


def _reading(levels: tuple) -> tuple[str, str] | None:
    """Return what nearly all of some levels, evenly taken from all, can be read as, and one."""
    some = levels[:: -(-len(levels) // _MOST_READ)]
    for what, patterns in _READINGS.items():
        read = [level for level in some if _reads(level, patterns)]
        if len(read) >= _SHARE_READ * len(some):
            return what, read[0]
    return None


def _reads(level: object, patterns: list[re.Pattern]) -> bool:
    if not isinstance(level, str) or len(level) > _LONGEST:
        return False
    text = level.strip()
    return any(pattern.fullmatch(text) for pattern in patterns)
