"""The command: which subcommands there are, and how it ends.

It ends with 0; with 1 where something cannot be done, after one line that says why; with 2 where it
was called in a way that it does not know. To add a subcommand, write a module of its own and enter
it in the table.
"""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from skvae.command.console import Console, one_line
from skvae.command.errors import CommandError
from skvae.command.inspection import Inspect
from skvae.command.reporting import Report
from skvae.command.rows import RowQuestion
from skvae.command.sampling import Sample
from skvae.command.streams import say
from skvae.command.subcommand import Subcommand, import_own
from skvae.persistence.container import LoadError
from skvae.pickles import VERSION

_USER_ERRORS = (CommandError, LoadError, ValueError, OSError)
_INTERRUPTED = 130  # as shells have it

SUBCOMMANDS: dict[str, Subcommand] = {
    "inspect": Inspect(),
    "transform": RowQuestion("transform", "reduce rows to codes", "file for the codes"),
    "inverse": RowQuestion("inverse_transform", "reconstruct rows from codes", "file for the rows"),
    "score": RowQuestion(
        "score_samples", "compute the log-likelihood of rows", "file for the scores"
    ),
    "impute": RowQuestion("impute", "fill missing cells", "file for the complete rows"),
    "sample": Sample(),
    "report": Report(),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    given = _parser().parse_args(arguments)
    console = Console(given.quiet)
    try:
        import_own(getattr(given, "modules", []))
        given.subcommand.run(given, console)
    except BrokenPipeError:  # whoever read the answer has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        say("interrupted; nothing was written.")
        return _INTERRUPTED
    except _USER_ERRORS as error:
        if given.traceback:
            raise
        say(f"error: {_told(error, given)}")
        return 1
    return 0


def _told(error: Exception, given) -> str:
    """An error in one line, with the file that it is about."""
    if isinstance(error, LoadError):
        return f"{given.model}: {one_line(error)}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {one_line(error.strerror)}."
    return one_line(error)


def _parser() -> ArgumentParser:
    shared = ArgumentParser(add_help=False)
    shared.add_argument("--quiet", action="store_true", help="show errors only")
    shared.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    parser = ArgumentParser(
        prog="skvae", description="Use a saved model, or make a report on a table.",
        epilog="Use 'skvae COMMAND --help' for the options of a command.",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"skvae {VERSION}")
    choices = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, subcommand in SUBCOMMANDS.items():
        own = choices.add_parser(
            name, parents=[shared], help=subcommand.summary,
            description=f"{subcommand.summary.capitalize()}. {subcommand.description}",
        )  # fmt: skip
        subcommand.add_arguments(own)
        own.set_defaults(subcommand=subcommand)
    return parser
