"""Dates and times of any library as those of numpy, by their own clocks.

What has a time zone keeps the hour that its own clock shows, and a period is the time that it
begins at.
"""

import datetime
from typing import Any

import narwhals as nw
import numpy as np

from skvae.data.containers import library

_UNIT = "datetime64[us]"  # which holds all years that people write, and orders microseconds


def times_of(values: Any) -> np.ndarray | None:
    """Times in the shape of the values, NaT where missing; None of what is no dates or times."""
    series = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(series, nw.Series) and isinstance(series.dtype, nw.Datetime):
        values = series.dt.replace_time_zone(None).to_native()
    cells = np.asarray(values)
    if cells.dtype.kind == "M":
        return cells.astype(_UNIT)
    if cells.dtype.kind != "O":
        return None
    pd = library("pandas")
    times = np.full(cells.shape, "NaT", dtype=_UNIT)
    present = ~pd.isna(cells)
    known = (datetime.date, np.datetime64, pd.Period)
    if not present.any() or not all(isinstance(cell, known) for cell in cells[present]):
        return None
    times[present] = [_time(cell) for cell in cells[present]]
    return times


def _time(cell: Any) -> np.datetime64:
    if isinstance(cell, datetime.datetime):
        return np.datetime64(cell.replace(tzinfo=None), "us")
    if hasattr(cell, "asfreq"):  # in seconds, of which any year has some
        return np.datetime64(cell.asfreq("s", how="start").ordinal, "s")
    return np.datetime64(cell, "us")
