"""Numbers that are written as text: `9.9%`, `25,707`, `$1,200`, `1.234,5`, `(300)`."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

POINT, COMMA = ".", ","
CURRENCIES = "$€£¥"
_SPACES = (
    " \N{NO-BREAK SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}'\N{RIGHT SINGLE QUOTATION MARK}"
)
_SIGNS = {"\N{MINUS SIGN}": "-", "+": ""}
_AFFIX = re.compile(rf"[{CURRENCIES}%]")


def _pattern(mark: str) -> re.Pattern[str]:
    """Numbers with a decimal mark; thousands are apart by the other mark, a space or a quote."""
    other = re.escape(COMMA if mark == POINT else POINT)
    return re.compile(
        rf"(?P<whole>[1-9]\d{{0,2}}(?:(?P<apart>[{other}{_SPACES}])\d{{3}})(?:(?P=apart)\d{{3}})*"
        rf"|\d*)(?:{re.escape(mark)}(?P<part>\d*))?(?P<power>[eE][+-]?\d+)?"
    )


_PATTERNS = {mark: _pattern(mark) for mark in (POINT, COMMA)}


class Numerals(NamedTuple):
    """Cells read as numbers."""

    values: dict[str, float]  # of those that can be read; whole ones are integers
    mark: str  # the decimal mark
    is_sure: bool  # whether the other mark would not do as well


def numerals(
    counts: Mapping[str, int], prefers: str, share: float, is_given: bool = False
) -> Numerals | None:
    """Cells of a column as numbers, where nearly all can be read.

    Parameters
    ----------
    counts : mapping of str to int
        Different cells, and how often each occurs.
    prefers : str
        The decimal mark where the column could have either.
    share : float
        Share of the cells that has to be numbers.
    is_given : bool
        Whether a person said that mark, so that nothing is doubtful.

    Returns
    -------
    found : Numerals or None
        None for columns of other text, of codes with leading zeros, and of several currencies.
    """
    if any(re.fullmatch(r"0\d+", cell) for cell in counts) or len(currencies_of(counts)) > 1:
        return None
    total = sum(counts.values())
    readings = {mark: _read(counts, mark) for mark in _PATTERNS}
    n_read = {mark: sum(counts[c] for c in own) for mark, own in readings.items()}
    is_sure = n_read[POINT] != n_read[COMMA] or readings[POINT] == readings[COMMA]
    has_points = not is_given and bool(currencies_of(counts) & {"$", "£"})  # as their countries do
    if has_points and not is_sure:
        mark, is_sure = POINT, True
    elif n_read[POINT] == n_read[COMMA]:
        mark = POINT if is_sure else prefers
    else:
        mark = max(n_read, key=n_read.__getitem__)
    if n_read[mark] < share * total or not n_read[mark]:
        return None
    return Numerals(readings[mark], mark, is_sure or is_given)


def currencies_of(cells: Iterable[str]) -> set[str]:
    """Signs of currencies in cells."""
    return {letter for cell in cells for letter in cell if letter in CURRENCIES}


def _read(cells: Iterable[str], mark: str) -> dict[str, float]:
    found = {cell: number_of(cell, mark) for cell in cells}
    return {cell: value for cell, value in found.items() if value is not None}


def number_of(cell: str, mark: str) -> float | None:
    """A cell as a number, a whole one to its last digit; None if it is none."""
    text, sign = cell.strip(), 1
    if text.startswith("(") and text.endswith(")"):  # how accounts write what is owed
        text, sign = text[1:-1], -1
    text = _AFFIX.sub("", text, count=2).strip()
    text = _SIGNS.get(text[:1], text[:1]) + text[1:]
    if text.startswith("-"):
        text, sign = text[1:].strip(), -sign
    text = _AFFIX.sub("", text, count=1).strip()
    match = _PATTERNS[mark].fullmatch(text)
    if match is None or not (match["whole"] or match["part"]):
        return None
    whole = re.sub(r"\D", "", match["whole"]) or "0"
    value = sign * float(f"{whole}.{match['part'] or '0'}{match['power'] or ''}")
    if abs(value) == float("inf"):
        return None
    is_whole = match["part"] is None and match["power"] is None
    return sign * int(whole) if is_whole else value
