"""What a subcommand is, and the arguments that several of them share."""

from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from pathlib import Path

from skvae.command.console import Console
from skvae.command.errors import CommandError
from skvae.command.formats import STREAM


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
    parser.add_argument("model", metavar="MODEL", help="file that save has written, *.skvae")


def add_output(parser: ArgumentParser, what: str) -> None:
    """Where the answer goes."""
    parser.add_argument(
        "-o", "--output", metavar="FILE", default=STREAM,
        help=f"{what}; its ending says the format. Default: standard output, as CSV",
    )  # fmt: skip


def count(text: str) -> int:
    """A number of things from 1 up."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def refuse_own(output: str, *inputs: str) -> None:
    """Raise a CommandError where an answer would be put in the place of what is read."""
    if output == STREAM:
        return
    target = Path(output)
    for own in inputs:
        if own != STREAM and target.exists() and target.samefile(own):
            raise CommandError(f"the output {output} is what is read: give another name.")
    if not target.parent.is_dir():
        raise CommandError(f"there is no folder {target.parent}: make it, or give another name.")
