"""The subcommand that draws rows from a model."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np

from skvae.command.console import Console
from skvae.command.formats import STREAM, format_of
from skvae.command.subcommand import Subcommand, add_model, add_output, count, refuse_own, seed
from skvae.estimator import VAETransformer
from skvae.persistence.writing import replace_by

_AT_ONCE = 65536  # rows; those of one seed hang on it


class Sample(Subcommand):
    """Draw rows."""

    summary = "draw new rows from the model"
    description = (
        "Rows have the columns of the training rows and include noise. The same seed gives the "
        f"same rows. Up to {_AT_ONCE} rows are those of sample(n, random_state=seed) in Python."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_model(parser)
        parser.add_argument(
            "-n", "--rows", metavar="N", type=count, default=1, help="number of rows (default: 1)"
        )
        parser.add_argument("--seed", metavar="N", type=seed, help="random seed")
        add_output(parser, "file for the rows")

    def run(self, given: Namespace, console: Console) -> None:
        refuse_own(given.output, given.model)
        write = format_of(given.output).write
        vae = VAETransformer.load(given.model).set_output(transform="pandas")
        drawn = _draws(vae, given.rows, given.seed, console)
        if given.output == STREAM:
            write(sys.stdout.buffer, drawn)
            sys.stdout.buffer.flush()
        else:
            replace_by(given.output, lambda file: write(file, drawn))


def _draws(vae: Any, n_rows: int, seed: int | None, console: Console) -> Iterator[Any]:
    rng = np.random.RandomState(seed)
    with console.progress("sample", n_rows, "row") as report:
        for first in range(0, n_rows, _AT_ONCE):
            n = min(_AT_ONCE, n_rows - first)
            yield vae.sample(n, random_state=rng)
            report(first + n)
