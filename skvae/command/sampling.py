"""The subcommand that draws rows from a model."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from skvae.command.cells import reader_of
from skvae.command.console import Console
from skvae.command.errors import CommandError
from skvae.command.formats import format_of
from skvae.command.streams import put
from skvae.command.subcommand import Subcommand, add_model, add_output, count, refuse_own, seed
from skvae.data.column import Column
from skvae.data.excerpts import excerpt
from skvae.estimator import VAETransformer
from skvae.report.account import check_name
from skvae.serving.selection import Needed

_AT_ONCE = 65536  # rows; those of one seed depend on it


class Sample(Subcommand):
    """Draw rows."""

    summary = "draw new rows from the model"
    description = (
        "Rows have the columns of the training rows and include noise. The same seed gives the "
        f"same rows. Up to {_AT_ONCE} rows are those of sample(n, random_state=seed) in Python. "
        "Columns of a model that was fitted to an array are named by their position, from 0."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_model(parser)
        parser.add_argument(
            "-n", "--rows", metavar="N", type=count, default=1, help="number of rows (default: 1)"
        )
        parser.add_argument("--seed", metavar="N", type=seed, help="random seed")
        parser.add_argument(
            "--given", metavar="COLUMN=VALUE", action="append", default=[],
            help="value that a column has in all rows, such as city=Oslo; the other columns are "
            "drawn given it; may be repeated",
        )  # fmt: skip
        add_output(parser, "file for the rows")

    def run(self, given: Namespace, console: Console) -> None:
        refuse_own(given.output, given.model)
        write = format_of(given.output).write
        vae = VAETransformer.load(given.model).set_output(transform="pandas")
        values = _values(given.given, Needed.rows_of(vae))
        drawn = _draws(vae, given.rows, given.seed, values or None, console)
        put(given.output, lambda file: write(file, drawn))


def _values(told: Sequence[str], needed: Needed) -> dict[Any, Any]:
    """Columns with the values that they shall have, as the model knows both.

    Raises
    ------
    CommandError
        With the option, where a column is not the model's or a value cannot be read.
    """
    columns = {str(column.name): column for column in needed.columns}
    values: dict[Any, Any] = {}
    for text in told:
        try:
            name, cell = _split(text, list(columns))
            column = columns[name]
            if column.name in values:
                raise ValueError(f"column {excerpt(name)} has a value already; give it one.")
            values[column.name] = _value(cell, column, needed.dtype)
        except ValueError as error:
            raise CommandError(f"--given {excerpt(text)}: {error}") from error
    return values


def _split(text: str, names: Sequence[str]) -> tuple[str, str]:
    """The name of a column and what is given; a name may hold the sign that is between them."""
    if "=" not in text:
        raise ValueError("it is no COLUMN=VALUE, such as city=Oslo.")
    begun = [name for name in names if text.startswith(f"{name}=")]
    name = max(begun, key=len, default=text.partition("=")[0])
    check_name(name, names)
    return name, text[len(name) + 1 :]


def _value(cell: str, column: Column, dtype: np.dtype) -> Any:
    """A value of the type of its column."""
    try:
        (value,) = reader_of(column, dtype, keeps_whole=True)([cell])
    except ValueError as error:
        raise ValueError(f"{excerpt(cell)} {error}; give another value.") from error
    return value.item() if isinstance(value, np.generic) else value


def _draws(
    vae: Any, n_rows: int, seed: int | None, given: dict[Any, Any] | None, console: Console
) -> Iterator[Any]:
    rng = np.random.RandomState(seed)
    with console.progress("sample", n_rows, "row") as report:
        for first in range(0, n_rows, _AT_ONCE):
            n = min(_AT_ONCE, n_rows - first)
            yield vae.sample(n, random_state=rng, given=given)
            report(first + n)
