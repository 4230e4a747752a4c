"""Numbers and cells in words, as a page has them."""

import math
from typing import Any

import numpy as np

from skvae.report.dates import date_text
from skvae.report.entry import Entry

_LONGEST = 60
NONE = "\N{EN DASH}"  # where there is no number


def number(value: float, digits: int = 3) -> str:
    """A number of some digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return NONE
    if value and abs(value) < 1e-4:
        return f"{value:.1e}"
    rounded = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
    return rounded.replace("-", "\N{MINUS SIGN}")


def signed(value: float, digits: int = 3) -> str:
    """A number with its sign."""
    own = number(value, digits)
    return f"+{own}" if value > 0 else own


def nats(value: float, digits: int = 3) -> str:
    """So many nats."""
    own = number(value, digits)
    return f"{own} nat" if own == "1" else f"{own} nats"


def percent(share: float) -> str:
    """A share in percent; a dash where there is none."""
    if share is None or math.isnan(share):
        return NONE
    decimals = 1 if share < 0.0995 else 0
    return f"{100 * share:.{decimals}f}%"


def cell(value: Any, entry: Entry) -> str:
    """A cell of a column: dates as dates, booleans as yes or no, long text cut."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        own = float(value)
        return date_text(entry.start + own) if entry.start is not None else number(own, 4)
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
