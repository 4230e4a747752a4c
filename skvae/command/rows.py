"""Subcommands that ask a model about the rows of a file, and those of a folder file by file.

An answer has as many rows as the file, in its order. Rows are asked about in parts of blocks as the
model asks of a whole table, so that the answer is that of the whole, to the bit.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skvae.command.cells import pointed, reader_of, typed
from skvae.command.console import Console
from skvae.command.errors import CommandError
from skvae.command.folders import files_of
from skvae.command.formats import Part, Source, format_of
from skvae.command.places import with_place
from skvae.command.streams import STREAM, incoming, put
from skvae.command.subcommand import (
    Subcommand,
    add_model,
    add_output,
    add_reading,
    count,
    refuse_own,
)
from skvae.data.batches import rows_at_once
from skvae.data.excerpts import excerpt
from skvae.estimator import VAETransformer
from skvae.report.numerals import POINT
from skvae.serving.questions import Asker
from skvae.serving.selection import Carried, Selection

_AT_ONCE = 65536  # rows, about


class RowQuestion(Subcommand):
    """Ask a model about rows.

    Parameters
    ----------
    method : str
        What is asked.
    summary : str
        What it is, in one line.
    answer : str
        What the output holds.
    """

    def __init__(self, method: str, summary: str, answer: str) -> None:
        self.method, self.summary, self._answer = method, summary, answer
        self.description = (
            "Columns are matched by name, in any order. For a model that was fitted to an array "
            "they are matched by position."
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_model(parser)
        parser.add_argument(
            "rows", metavar="ROWS",
            help="file of rows (.csv, .tsv, .parquet, .csv.gz, .tsv.gz), a folder of such files, "
            "or - for CSV on standard input",
        )  # fmt: skip
        add_output(parser, f"{self._answer}, or a folder if ROWS is one")
        parser.add_argument(
            "--keep", metavar="COLUMN", action="append", default=[],
            help="copy this column to the output, such as an identifier that the model does not "
            "use; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--drop-others", action="store_true",
            help="leave out columns that neither the model nor --keep names, instead of an error",
        )  # fmt: skip
        add_reading(parser, "commas, and tabs in .tsv", POINT, "a point")
        parser.add_argument(
            "--rows-at-once", metavar="N", type=count, default=_AT_ONCE,
            help="approximate number of rows in memory at once (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--overwrite", action="store_true",
            help="for a folder: replace output files; without it they are skipped",
        )  # fmt: skip

    def run(self, given: Namespace, console: Console) -> None:
        if given.rows == STREAM:
            incoming()
        elif not Path(given.rows).exists():
            raise CommandError(f"there is no file {given.rows}.")
        is_folder = given.rows != STREAM and Path(given.rows).is_dir()
        pairs = (
            files_of(given.rows, given.output, given.overwrite, console)
            if is_folder
            else [(given.rows, given.output)]
        )
        for path, output in pairs:
            refuse_own(output, given.model, path)
            format_of(path), format_of(output)
        vae = VAETransformer.load(given.model)
        carried = Carried(
            given.keep, given.drop_others, "--keep {}", "leave it out by --drop-others"
        )
        asker = Asker(vae, self.method, carried)
        for path, output in pairs:
            _FileOfRows(vae, asker, carried, path, console).into(output, given)


class _FileOfRows:
    """One file and its answers."""

    def __init__(
        self, vae: Any, asker: Asker, carried: Carried, path: str, console: Console
    ) -> None:
        self._block = rows_at_once(vae.n_features_in_)
        self._asker, self._carried = asker, carried
        self._path, self._console = path, console
        self._where = "standard input" if path == STREAM else path

    def into(self, output: str, given: Namespace) -> None:
        """Write the answers to a file, which is there as a whole or not at all."""
        with format_of(self._path).read(self._path, not given.no_header, given.separator) as source:
            answers = self._answers(source, given)
            write = format_of(output).write
            put(output, lambda file: write(file, answers))

    def _answers(self, source: Source, given: Namespace) -> Iterator[Any]:
        selection = self._selection(source, not given.no_header, given.decimal)
        readers = self._readers(selection, given.decimal)
        n_rows = self._block * max(1, round(given.rows_at_once / self._block))
        total = Total(self._asker.question.averaged)
        with self._console.progress(self._where, source.total, source.unit) as report:
            for part in source.parts(n_rows):
                answer = self._answer(part, readers)
                total.add(answer)
                yield answer
                report(part.done)
        if said := str(total):
            self._console.tell(f"{self._where}: {said}")

    def _selection(self, source: Source, has_header: bool, decimal: str) -> Selection:
        needed = self._asker.needed
        if has_header and not needed.is_named and source.unit == "B":
            self._refuse_cells(source.names, decimal)
        try:
            selection = Selection.of(source.names, needed, self._carried)
        except ValueError as error:
            names = "" if has_header else " Columns go by names: leave --no-header out."
            why = source.doubt or f"{error}{names if needed.is_named else ''}"
            raise CommandError(f"{self._where}: {why}") from error
        if not needed.is_named:
            own = [source.names[n] for n in selection.own]
            self._console.note(
                "the model was fitted to an array without names: columns are matched by "
                f"position, from {own[0]!r} to {own[-1]!r}."
            )
        return selection

    def _refuse_cells(self, names: list[str], decimal: str) -> None:
        """Raise a CommandError where names are numbers: the first line is no header."""
        own = [name for name in names if name not in self._carried.kept]
        if own and all(_is_number(name, decimal) for name in own):
            raise CommandError(
                f"{self._where}: the first line holds the numbers {excerpt(own[0])} and so on, "
                "which are taken for names: give --no-header."
            )

    def _readers(self, selection: Selection, decimal: str) -> dict[int, Any]:
        """What reads text in each of the model's columns."""
        needed, keeps_whole = self._asker.needed, self._asker.question.keeps_columns
        return {
            n: reader_of(column, needed.dtype, keeps_whole, decimal)
            for n, column in zip(selection.own, needed.columns, strict=True)
        }

    def _answer(self, part: Part, readers: dict[int, Any]) -> Any:
        rows = part.rows
        if isinstance(rows, pd.DataFrame):
            rows = typed(rows, readers, self._where, part.first)
        with (
            with_place(self._where, rows, part.first, self._asker),
            self._console.noting(
                f"{self._where}, rows {part.first} to {part.first + len(rows) - 1}"
            ),
        ):
            return self._asker(rows)


class Total:
    """The mean of a column of answers, part by part.

    Parameters
    ----------
    column : str or None
        Its name; None where answers have no mean.
    """

    def __init__(self, column: str | None) -> None:
        self._column, self._sum, self._n = column, 0.0, 0

    def add(self, answer: Any) -> None:
        """One more part."""
        if self._column is not None:
            values = np.asarray(answer[self._column], dtype=np.float64)
            self._sum, self._n = self._sum + float(values.sum()), self._n + len(values)

    def __str__(self) -> str:
        if self._column is None or self._n == 0:
            return ""
        return f"mean {self._column} {self._sum / self._n:.6g} nats per row, of {self._n} rows"


def _is_number(name: str, decimal: str) -> bool:
    try:
        float(pointed(name, decimal))
    except ValueError:
        return False
    return True
