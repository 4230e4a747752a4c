"""Cells that pandas has as objects of Python, as numbers and text, which a report can read."""

import datetime
import decimal
from collections.abc import Callable
from typing import Any

import pandas as pd


def plain(cells: pd.Series) -> pd.Series:
    """The same cells, as numbers or text where all of them are of one kind that can be told so."""
    kinds = set(map(type, cells.dropna())) if cells.dtype == object else set()
    if len(kinds) != 1 or (kind := kinds.pop()) not in _READERS:
        return cells
    read = _READERS[kind]
    try:
        if kind is decimal.Decimal and all(cell == int(cell) for cell in cells.dropna()):
            read = _digits
        told = cells.map(read, na_action="ignore")
    except (ValueError, OverflowError):  # bytes that are no text, decimals without an end
        return cells
    return told.astype("float64" if read is float else object)


def _digits(whole: decimal.Decimal) -> str:
    """A whole number to its last digit, as text, because it may be one that no dtype holds."""
    return str(int(whole))


_READERS: dict[type, Callable[[Any], Any]] = {
    decimal.Decimal: float,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    bytes: bytes.decode,
}
