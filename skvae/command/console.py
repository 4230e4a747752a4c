"""What is said beside the answer, on stderr: notes in one line each, and a bar of progress."""

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from skvae.command.streams import say

_NUMBER = re.compile(r"\d+")


class Console:
    """Notes and progress of one command.

    Parameters
    ----------
    is_quiet : bool
        Whether only errors are told.
    """

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet or sys.stderr is None
        self._told: set[str] = set()

    def note(self, text: str) -> None:
        """Say something in one line, once: the same about other numbers is not said again."""
        key = _NUMBER.sub("#", text)
        if key in self._told:
            return
        self._told.add(key)
        self.tell(text)

    def tell(self, text: str) -> None:
        """Say something in one line."""
        if self._is_quiet:
            return
        with tqdm.external_write_mode(file=sys.stderr):
            say(one_line(text))

    @contextmanager
    def noting(self, where: str) -> Iterator[None]:
        """Turn warnings into notes."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            yield
        for warning in caught:
            if issubclass(warning.category, UserWarning):
                self.note(f"{where}: {warning.message} (Shown once, for the first such rows.)")

    @contextmanager
    def progress(self, what: str, total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
        """A bar, where somebody looks; it is told how much is done."""
        is_seen = not self._is_quiet and sys.stderr.isatty()
        scaled = unit == "B"
        with tqdm(
            desc=what, total=total, unit=unit, unit_scale=scaled, disable=not is_seen, leave=False,
            file=sys.stderr,
        ) as bar:  # fmt: skip
            yield lambda done: None if bar.disable else _move(bar, done)


def _move(bar: tqdm, done: int) -> None:
    bar.update(done - bar.n)


def one_line(text: object) -> str:
    """A message without line breaks."""
    return " ".join(str(text).split())
