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
        told = cells.map(read, na_action="ignore")
    except (ValueError, OverflowError):  # bytes that are no text
        return cells
    return told.astype("float64" if kind is decimal.Decimal else object)


_READERS: dict[type, Callable[[Any], Any]] = {
    decimal.Decimal: float,
    datetime.date: datetime.date.isoformat,
    datetime.time: datetime.time.isoformat,
    bytes: bytes.decode,
}
