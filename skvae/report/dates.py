"""Dates and times of day that are written as text, as numbers of days and of hours."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<name>{'|'.join(_MONTHS)})[a-z]*\.?"
_CLOCK = (
    r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d(?:[.,]\d+)?))?"
    r"(?: ?(?P<half>[ap])m)?"
)
_TIME = rf"(?:[T ]+{_CLOCK}(?: ?Z| ?(?P<zone>[+-]\d\d):?(?P<zone_minute>\d\d))?)?"
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){_TIME}",
        rf"(?P<a>\d{{1,2}})([-/.])(?P<b>\d{{1,2}})\2(?P<year>\d{{4}}|\d\d){_TIME}",
        rf"(?P<day>\d{{1,2}})[ -]{_MONTH}[ -](?P<year>\d{{4}}|\d\d){_TIME}",
        rf"{_MONTH} (?P<day>\d{{1,2}}),? (?P<year>\d{{4}}){_TIME}",
        rf"{_MONTH}[ -](?P<year>\d{{4}})",
        r"(?P<year>\d{4})-(?P<month>\d{2})",
    )
]
_HOURS = re.compile(_CLOCK, re.IGNORECASE)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86400  # seconds
_FIRST, _LAST = ((datetime(*own, tzinfo=UTC) - _START).days for own in ((1, 1, 1), (9999, 12, 31)))


class Dates(NamedTuple):
    """Cells read as dates."""

    values: dict[str, float]  # days since 1970-01-01, or hours of the day
    unit: str  # "days" or "hours"
    order: str  # "", "day first" or "month first"
    is_sure: bool  # whether the cells tell that order


def dates(counts: Mapping[str, int], day_first: bool, share: float) -> Dates | None:
    """Cells of a column as dates or times of day, where nearly all can be read.

    Parameters
    ----------
    counts : mapping of str to int
        Different cells, and how often each occurs.
    day_first : bool
        What `3/4/2024` is where no cell of the column tells.
    share : float
        Share of the cells that has to be dates.
    """
    least = share * sum(counts.values())
    matches = {cell: match for cell in counts if (match := _match(cell))}
    if matches and sum(counts[cell] for cell in matches) >= least:
        return _days(counts, matches, day_first, least)
    hours = {cell: _clock(match) / 3600 for cell in counts if (match := _HOURS.fullmatch(cell))}
    if hours and sum(counts[cell] for cell in hours) >= least:
        return Dates(hours, "hours", "", is_sure=True)
    return None


def days_of(times: np.ndarray) -> np.ndarray:
    """Times of NumPy in any unit as days since 1970-01-01, NaN where one is missing."""
    ticks, unit = times.astype(np.int64), times.dtype.str.replace("M", "m")
    per_day = np.timedelta64(1, "D").astype(unit).astype(np.int64)
    days = ticks // per_day + (ticks % per_day) / per_day  # to less than a microsecond
    return np.where(np.isnat(times), np.nan, days)


def date_text(days: float) -> str:
    """A number of days since 1970-01-01 as a date, within the years 1 to 9999."""
    return (_START + timedelta(days=min(max(days, _FIRST), _LAST))).date().isoformat()


def _match(cell: str) -> re.Match[str] | None:
    return next((found for each in _PATTERNS if (found := each.fullmatch(cell.strip()))), None)


def _days(
    counts: Mapping[str, int],
    matches: dict[str, re.Match[str]],
    day_first: bool,
    least: float,
) -> Dates | None:
    pairs = [(int(m["a"]), int(m["b"])) for m in matches.values() if "a" in m.groupdict()]
    is_day = any(a > 12 for a, _ in pairs)
    is_month = any(b > 12 for _, b in pairs)
    dotted = any(m[2] == "." for m in matches.values() if "a" in m.groupdict())
    is_sure = is_day != is_month or dotted
    first = is_day if is_day != is_month else (day_first or dotted)
    found = {cell: _date(match, first) for cell, match in matches.items()}
    values = {cell: value for cell, value in found.items() if value is not None}
    if sum(counts[cell] for cell in values) < least:
        return None
    order = ("day first" if first else "month first") if pairs else ""
    return Dates(values, "days", order, is_sure or not pairs)


def _date(match: re.Match[str], day_first: bool) -> float | None:
    parts = match.groupdict()
    year, day = int(parts["year"]), int(parts.get("day") or 1)
    if len(parts["year"]) == 2:
        year += 1900 if year >= 69 else 2000
    if "a" in parts:
        a, b = int(parts["a"]), int(parts["b"])
        day, month = (a, b) if day_first else (b, a)
    elif parts.get("name"):
        month = _MONTHS.index(parts["name"].lower()) + 1
    else:
        month = int(parts["month"])
    try:
        days = (datetime(year, month, day, tzinfo=UTC) - _START).days
    except ValueError:  # there is no such day
        return None
    if not parts.get("hour"):
        return float(days)
    zone = parts["zone"]
    shift = 0 if not zone else int(zone) * 3600
    if zone:
        shift += (1 if shift >= 0 else -1) * int(parts["zone_minute"]) * 60
    return days + (_clock(match) - shift) / _DAY


def _clock(match: re.Match[str]) -> float:
    """Seconds since midnight."""
    hour, half = int(match["hour"]), (match["half"] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    second = float((match["second"] or "0").replace(",", "."))
    return hour * 3600 + int(match["minute"]) * 60 + second
