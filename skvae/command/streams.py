"""Standard input and output, as bytes: what goes out does not hang on the encoding of a terminal.

Whoever calls the command can have closed any of the three streams.
"""

import sys
from collections.abc import Callable
from typing import IO

from skvae.command.errors import CommandError
from skvae.persistence.writing import replace_by

STREAM = "-"  # the name of stdin and of stdout


def incoming() -> IO[bytes]:
    """Standard input.

    Raises
    ------
    CommandError
        If it is closed.
    """
    if sys.stdin is None:
        raise CommandError("standard input is closed: name a file of rows.")
    return sys.stdin.buffer


def outgoing() -> IO[bytes]:
    """Standard output.

    Raises
    ------
    CommandError
        If it is closed.
    """
    if sys.stdout is None:
        raise CommandError("standard output is closed: redirect it to a file.")
    return sys.stdout.buffer


def put(output: str, write: Callable[[IO[bytes]], object]) -> None:
    """Write an answer to standard output, or to a file that is there as a whole or not at all."""
    if output != STREAM:
        replace_by(output, write)
        return
    file = outgoing()
    write(file)
    file.flush()


def say(text: str) -> None:
    """Say something on stderr, if it is open."""
    if sys.stderr is not None:
        sys.stderr.write(f"skvae: {text}\n")
