"""Cells of text as the columns of a model need them, whatever else is in the same rows.

A column is read by what it held in fit: numbers, booleans, or levels, which stay text even where
they look like numbers. An empty cell, or one of the words for nothing, is a missing one, unless fit
had it as a level. What cannot be read is refused with its place.

Readers know numbers with a point. Where commas are decimal marks, both signs change places before.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from skvae.command.errors import CommandError
from skvae.data.column import Column, objects
from skvae.data.excerpts import excerpt, excerpts
from skvae.report.account import BOOLEANS
from skvae.report.numerals import COMMA, POINT

NOTHING = frozenset(
    {"", "NA", "N/A", "<NA>", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "#N/A"}
)
_PAIRS = (*BOOLEANS, ("1", "0"), ("1.0", "0.0"))
_BOOLEANS = {word: word == pair[0] for pair in _PAIRS for word in pair}
_REMEDY = "correct the cell, or leave it empty, which is a missing cell"
_NO_NUMBER = "is no number, such as -12 or 2e-3"
_SWAPPED = str.maketrans(POINT + COMMA, COMMA + POINT)

_DOUBLE = 8  # bytes
_DIGITS = 18  # of which every whole number is in range

Cells = Sequence[str]


class UnreadError(ValueError):
    """Why a cell cannot be read."""


def typed(
    text: pd.DataFrame, readers: Mapping[int, Callable[[Cells], Any]], where: str, first: int
) -> pd.DataFrame:
    """A frame of text with the columns at some positions as their readers have them.

    Raises
    ------
    CommandError
        With the file, row, column and value of the first cell that cannot be read.
    """
    columns = {}
    for n, name in enumerate(text.columns):
        cells = text.iloc[:, n].tolist()
        if n not in readers:
            columns[n] = pd.Series(objects(cells), dtype=object)
            continue
        try:
            columns[n] = readers[n](cells)
        except ValueError:
            row, error = _first_unread(cells, readers[n])
            place = f"{where}, row {first + row}, column {name!r}"
            hint = _hint(cells[row], readers[n])
            raise CommandError(f"{place}: {excerpt(cells[row])} {error}; {hint}.") from error
    frame = pd.DataFrame(columns, index=text.index)
    frame.columns = text.columns
    return frame


def _first_unread(cells: Cells, read: Callable[[Cells], Any]) -> tuple[int, ValueError]:
    """Position of the first cell that cannot be read, and why."""
    for row, cell in enumerate(cells):
        try:
            read([cell])
        except ValueError as error:
            return row, error
    raise AssertionError("each cell can be read, but not all of them together")


def _hint(cell: str, read: Callable[[Cells], Any]) -> str:
    """What to do about a cell that cannot be read: perhaps its decimal mark is the other one."""
    try:
        read([cell.translate(_SWAPPED)])
    except ValueError:
        return _REMEDY
    mark = COMMA if COMMA in cell else POINT
    return f"where {mark!r} is the decimal mark, give --decimal {mark!r}, else {_REMEDY}"


def pointed(cell: str, decimal: str) -> str:
    """A cell with its decimal mark as a point; a point that is none becomes what no number has."""
    return cell if decimal == POINT else cell.translate(_SWAPPED)


def numbers(dtype: np.dtype) -> Callable[[Cells], np.ndarray]:
    """A reader of numbers, as precise as they are in the frame."""

    def read(cells: Cells) -> np.ndarray:
        with np.errstate(over="ignore"):
            values = _floats(cells).astype(dtype, copy=False)
        if np.isinf(values).any():
            raise UnreadError(f"is too large for numbers of {dtype}, which fit had there")
        return values

    return read


def _floats(cells: Cells) -> np.ndarray:
    found = objects([math.nan if cell in NOTHING else cell for cell in cells])
    if "_" in "\n".join(cells):  # which Python takes between digits
        raise UnreadError(_NO_NUMBER)
    try:
        values = found.astype(np.float64)
    except ValueError:
        raise UnreadError(_NO_NUMBER) from None
    if np.isinf(values).any():
        raise UnreadError("is infinite, or too large for a number")
    return values


def whole_numbers(dtype: np.dtype) -> Callable[[Cells], pd.Series]:
    """A reader of whole numbers, which keeps them to the last digit."""
    name = "UInt64" if dtype == np.uint64 else "Int64"
    info = np.iinfo(name.lower())
    least, most = int(info.min), int(info.max)

    def whole_of(cell: str) -> int | None:
        number = _whole(cell)
        if number is not None and not least <= number <= most:
            raise UnreadError(f"is out of range: whole numbers go from {least} to {most} there")
        return number

    return lambda cells: pd.Series(pd.array([whole_of(cell) for cell in cells], dtype=name))


def _whole(cell: str) -> int | None:
    """A cell as a whole number of any size; None if it is missing."""
    if cell.isdecimal() and len(cell) <= _DIGITS:  # as most are
        return int(cell)
    value = float(_floats([cell])[0])
    if math.isnan(value):
        return None
    number = Decimal(cell.strip())  # which floats would round
    if number != number.to_integral_value():
        raise UnreadError("is not a whole number, but fit had whole numbers there")
    return int(number)


def booleans(cells: Cells) -> pd.Series:
    """A reader of booleans."""
    found = [None if cell in NOTHING else _boolean(cell) for cell in cells]
    return pd.Series(pd.array(found, dtype="boolean"))


def _boolean(cell: str) -> bool:
    known = _BOOLEANS.get(cell.strip().lower())
    if known is None:
        raise UnreadError("is not a boolean, such as true or false, yes or no, or 1 or 0")
    return known


def _holds_text(column: Column) -> bool:
    """Whether cells are levels that are text, or may be as far as fit has seen."""
    if column.kind == "boolean" or column.numpy_dtype is not None:
        return False
    return not column.levels or any(isinstance(level, str) for level in column.levels)


def levels(column: Column) -> Callable[[Cells], pd.Series]:
    """A reader of levels; what fit has not seen stays what it is."""
    known = {str(level): level for level in reversed(column.levels)}
    known |= {level: level for level in column.levels if isinstance(level, str)}
    has_text = _holds_text(column)
    are_whole = all(isinstance(level, int | np.integer) for level in column.levels)

    def level_of(cell: str) -> Any:
        if cell in known:
            return known[cell]
        if cell in NOTHING:
            return None
        if has_text:
            return cell
        try:
            number = float(_floats([cell])[0])
        except ValueError:
            raise UnreadError(f"is not one of the levels {excerpts(column.levels)}") from None
        own = _whole(cell) if are_whole and number.is_integer() else number
        return next((level for level in column.levels if level == own), own)

    def read(cells: Cells) -> pd.Series:
        own = {cell: level_of(cell) for cell in dict.fromkeys(cells)}  # few different ones
        return pd.Series(objects([own[cell] for cell in cells]), dtype=object)

    return read


def reader_of(
    column: Column, dtype: np.dtype, keeps_whole: bool, decimal: str = POINT
) -> Callable[[Cells], Any]:
    """What reads the cells of a column of fit.

    dtype is that of the numbers of the model; `keeps_whole` asks for whole numbers as such.
    Decimal marks matter where cells are numbers: levels that are text stay what they are.
    """
    read = _reader_of(column, dtype, keeps_whole)
    if decimal == POINT or _holds_text(column):
        return read
    return lambda cells: read([pointed(cell, decimal) for cell in cells])


def _reader_of(column: Column, dtype: np.dtype, keeps_whole: bool) -> Callable[[Cells], Any]:
    if column.kind == "boolean":
        return booleans
    if column.numpy_dtype is None:
        return levels(column)
    if keeps_whole and column.numpy_dtype.kind in "iu":
        return whole_numbers(column.numpy_dtype)
    is_short = column.numpy_dtype.kind == "f" and column.numpy_dtype.itemsize < _DOUBLE
    return numbers(column.numpy_dtype if is_short else dtype)
