"""Levels and names that are no text and no numbers, as plain values, and back.

Each becomes a dict of its kind and of what it is made of. The table of kinds ends the module.
"""

import datetime
import decimal
import fractions
from collections.abc import Callable
from typing import Any, NamedTuple

from skvae.data.containers import library


class Kind(NamedTuple):
    """How a kind of scalar is told, taken apart and made."""

    fits: Callable[[Any], bool]
    parts: Callable[[Any], list]
    make: Callable[..., Any]


def plain_scalar(value: Any) -> Any:
    """Return a dict that stands for a scalar of the table; others as they are."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple):  # a name of several levels
        return tuple(map(plain_scalar, value))
    for name, kind in _KINDS.items():
        if kind.fits(value):
            return {"scalar": name, "parts": [plain_scalar(part) for part in kind.parts(value)]}
    return value


def scalar_from(plain: Any) -> Any:
    """Return the scalar that `plain_scalar` has made plain."""
    if isinstance(plain, tuple):
        return tuple(map(scalar_from, plain))
    if not isinstance(plain, dict):
        return plain
    if plain.keys() != {"scalar", "parts"} or plain["scalar"] not in _KINDS:
        raise ValueError(f"{plain!r:.80} is no level and no name.")
    return _KINDS[plain["scalar"]].make(*map(scalar_from, plain["parts"]))


def _of_pandas(name: str) -> Callable[[Any], bool]:
    """Return what tells a type of pandas without importing it."""

    def fits(value: Any) -> bool:
        of = type(value)
        return of.__name__ == name and of.__module__.partition(".")[0] == "pandas"

    return fits


def _timestamp(text: str, zone: str | None) -> Any:
    made = library("pandas").Timestamp(text)
    return made if zone is None else made.tz_convert(zone)


def _of(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


# Dates of pandas are dates of Python, too: exact types alone are told.
_KINDS: dict[str, Kind] = {
    "decimal": Kind(_of(decimal.Decimal), lambda own: [str(own)], decimal.Decimal),
    # Of two whole numbers: text may be one whose digits no memory holds.
    "fraction": Kind(
        _of(fractions.Fraction),
        lambda own: [own.numerator, own.denominator],
        lambda over, under: fractions.Fraction(int(over), int(under)),
    ),
    "date": Kind(_of(datetime.date), lambda own: [own.isoformat()], datetime.date.fromisoformat),
    "datetime": Kind(
        _of(datetime.datetime), lambda own: [own.isoformat()], datetime.datetime.fromisoformat
    ),
    "timestamp": Kind(
        _of_pandas("Timestamp"),
        lambda own: [own.isoformat(), None if own.tz is None else str(own.tz)],
        _timestamp,
    ),
    "timedelta": Kind(
        _of_pandas("Timedelta"),
        lambda own: [own.isoformat()],
        lambda text: library("pandas").Timedelta(text),
    ),
    "period": Kind(
        _of_pandas("Period"),
        lambda own: [str(own), own.freqstr],
        lambda text, unit: library("pandas").Period(text, freq=unit),
    ),
    "interval": Kind(
        _of_pandas("Interval"),
        lambda own: [own.left, own.right, own.closed],
        lambda *parts: library("pandas").Interval(*parts),
    ),
}
