"""Errors about rows of a file, with the file and the number of the row."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skvae.command.errors import CommandError

_ROW = re.compile(r"\brow 0\b")


@contextmanager
def with_place(where: str, rows: Any, first: int, ask: Callable[[Any], Any]) -> Iterator[None]:
    """Tell where a ValueError comes from: the first row that is refused alone, or else the file.

    Raises
    ------
    CommandError
        In place of the ValueError.
    """
    try:
        yield
    except ValueError as error:
        found = _first_refused(rows, ask)
        if found is None:
            raise CommandError(f"{where}: {error}") from error
        row, told = found
        text = _ROW.sub(f"row {first + row}", str(told))
        raise CommandError(f"{where}, row {first + row}: {text}") from error


def _first_refused(rows: Any, ask: Callable[[Any], Any]) -> tuple[int, ValueError] | None:
    """The first row that is refused by itself, by halves, and the error about it."""
    low, high = 0, len(rows)  # the rows before low are taken, those before high are not
    while high - low > 1:
        middle = (low + high) // 2
        if _refusal(rows[low:middle], ask) is None:
            low = middle
        else:
            high = middle
    told = _refusal(rows[low:high], ask)
    return None if told is None else (low, told)


def _refusal(rows: Any, ask: Callable[[Any], Any]) -> ValueError | None:
    try:
        ask(rows)
    except ValueError as error:
        return error
    return None
