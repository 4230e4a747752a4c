"""What a subcommand is, and the arguments that several of them share."""

import os
from abc import ABC, abstractmethod
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from importlib import import_module
from pathlib import Path

from skvae.command.console import Console
from skvae.command.errors import CommandError
from skvae.command.formats import TAB
from skvae.command.streams import STREAM, outgoing
from skvae.report.numerals import COMMA, POINT

_LARGEST_SEED = 2**32 - 1
_MOST = 10**12  # things that are counted


class Subcommand(ABC):
    """One thing that the command does."""

    summary: str  # one line
    description: str = ""  # what else help says

    @abstractmethod
    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare its arguments."""

    @abstractmethod
    def run(self, given: Namespace, console: Console) -> None:
        """Do it.

        Raises
        ------
        CommandError, ValueError, OSError
            If it cannot be done with what was given.
        """


def add_model(parser: ArgumentParser) -> None:
    """The model, which comes first."""
    parser.add_argument("model", metavar="MODEL", help="model file (.skvae), written by save")
    parser.add_argument(
        "--import", metavar="MODULE", action="append", default=[], dest="modules",
        help="module that registers your own components or architectures (skvae.register); it is "
        "executed; may be repeated",
    )  # fmt: skip


def import_own(modules: list[str]) -> None:
    """Run modules that a person names, which may register parts of models.

    Raises
    ------
    CommandError
        If one cannot be found.
    """
    for name in modules:
        try:
            import_module(name)
        except ImportError as error:
            raise CommandError(
                f"--import {name}: {error}. Install it, or name its folder in PYTHONPATH."
            ) from error


def add_output(parser: ArgumentParser, what: str) -> None:
    """Where the answer goes."""
    parser.add_argument(
        "-o", "--output", metavar="FILE", default=STREAM,
        help=f"{what}; its ending sets the format (default: CSV on standard output)",
    )  # fmt: skip


def add_reading(parser: ArgumentParser, separators: str, decimal: str | None, marks: str) -> None:
    """How text is read; the defaults are given in words."""
    parser.add_argument(
        "--separator", metavar="CHARACTER", type=separator,
        help=f"character between cells of text input, or 'tab' (default: {separators})",
    )  # fmt: skip
    parser.add_argument(
        "--decimal", metavar="MARK", choices=(POINT, COMMA), default=decimal,
        help=f"decimal mark of numbers in text input, '.' or ',' (default: {marks})",
    )  # fmt: skip
    parser.add_argument(
        "--no-header", action="store_true",
        help="the first line of text contains cells, not names; columns are named 0, 1, 2, ...",
    )  # fmt: skip


def count(text: str) -> int:
    """A number of things from 1 up."""
    return _whole(text, 1, _MOST)


def seed(text: str) -> int:
    """What random numbers begin from."""
    return _whole(text, 0, _LARGEST_SEED)


def separator(text: str) -> str:
    """What is between cells of text."""
    own = {"tab": TAB, "\\t": TAB}.get(text, text)
    if len(own) != 1 or own in '"\r\n':
        raise ArgumentTypeError(f"{text!r} is not a single character, or cannot separate cells")
    return own


def _whole(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
    return number


def refuse_own(output: str, *inputs: str) -> None:
    """Raise a CommandError where an answer would take the place of what is read, or has none."""
    if output == STREAM:
        outgoing()
        return
    target = Path(output)
    if target.is_dir():
        raise CommandError(f"the output {output} is a folder: name a file in it.")
    for own in inputs:
        if own != STREAM and target.exists() and target.samefile(own):
            raise CommandError(f"the output {output} is an input file: choose another name.")
    if not target.parent.is_dir():
        raise CommandError(f"there is no folder {target.parent}: make it, or give another name.")
    if not os.access(target.parent, os.W_OK):
        raise CommandError(f"the folder {target.parent} cannot be written to: give another name.")
