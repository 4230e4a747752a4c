"""The subcommand that reports on a table, on a page of its own."""

from argparse import ArgumentParser, Namespace
from importlib.util import find_spec
from pathlib import Path

from skvae.amounts import counted
from skvae.command.console import Console
from skvae.command.errors import CommandError
from skvae.command.streams import STREAM, put
from skvae.command.subcommand import Subcommand, add_reading, count, refuse_own, seed
from skvae.report.account import account_of, check_name
from skvae.report.page import headline, page_of
from skvae.report.sections.section import Found
from skvae.report.sheet import SEPARATORS, Sheet, read_sheet
from skvae.report.study import FEWEST_ROWS, Wishes, study

_STEPS = 5
_ENDINGS = ("", ".html", ".htm")


class Report(Subcommand):
    """Report on a table."""

    summary = "make a report on a table: its columns and its codes"
    description = (
        "It reads a text file, as spreadsheets export it, or a Parquet file. Then it fits a model "
        "and writes one HTML page, which needs no network. The page lists every column."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("table", metavar="TABLE", help="text or Parquet file")
        parser.add_argument(
            "-o", "--output", metavar="FILE", default="report.html",
            help="file for the page (default: %(default)s); - is standard output",
        )  # fmt: skip
        parser.add_argument(
            "--target", metavar="COLUMN",
            help="column to predict from the codes; the model does not use it",
        )  # fmt: skip
        parser.add_argument(
            "--color",
            metavar="COLUMN",
            help="column that sets the colours of the map (default: the target)",
        )
        parser.add_argument(
            "--drop", metavar="COLUMN", action="append", default=[],
            help="leave this column out; may be repeated",
        )  # fmt: skip
        parser.add_argument(
            "--codes", metavar="N", type=count,
            help="number of codes, at least 2 (default: chosen by held-out rows)",
        )  # fmt: skip
        parser.add_argument(
            "--rows", metavar="N", type=count, default=Wishes.n_rows,
            help="use at most this many rows, drawn at random (default: %(default)s)",
        )  # fmt: skip
        add_reading(parser, "detected", None, "detected")
        parser.add_argument("--seed", metavar="N", type=seed, default=0, help="random seed")

    def run(self, given: Namespace, console: Console) -> None:
        _require_matplotlib()
        _check_paths(given.table, given.output)
        if given.codes == 1:
            raise CommandError("a map needs two codes: use --codes 2 or more.")
        sheet = read_sheet(given.table, given.separator, not given.no_header)
        _check_size(given.table, sheet)
        if given.color is not None:
            check_name(given.color, sheet.names)
        account = account_of(sheet, given.target, tuple(given.drop), given.decimal)
        wishes = Wishes(
            target=given.target, color=given.color, n_codes=given.codes, n_rows=given.rows,
            seed=given.seed,
        )  # fmt: skip
        n_out = sum(not entry.is_taken for entry in account)
        console.tell(
            f"{given.table}: {counted(sheet.n_rows, 'row')}, {counted(len(account), 'column')}, "
            f"{n_out or 'none'} of them left out."
        )
        with console.progress("report", _STEPS, "step") as report:
            done = iter(range(1, _STEPS + 1))
            found = Found(sheet, account, study(account, wishes, lambda _: report(next(done))))
            page = page_of(given.table, found)
        console.tell(headline(found.study))
        prediction = found.study.prediction
        if prediction is not None and prediction.reason:
            console.tell(f"the target {given.target!r} is not predicted: {prediction.reason}.")
        put(given.output, lambda file: file.write(page.encode()))
        if given.output != STREAM:
            console.tell(f"wrote the report to {given.output}; open it in a browser.")


def _check_paths(table: str, output: str) -> None:
    path, ending = Path(table), Path(output).suffix.lower()
    if not path.exists():
        raise CommandError(f"there is no file {table}.")
    if path.is_dir():
        raise CommandError(f"{table} is a folder: choose a file in it.")
    refuse_own(output, table)
    if output != STREAM and ending not in _ENDINGS:
        raise CommandError(
            f"the report is an HTML page: give -o a name that ends in .html, not {output}."
        )


def _check_size(path: str, sheet: Sheet) -> None:
    if len(sheet.names) == 1 and sheet.separator is not None:
        between = SEPARATORS.get(sheet.separator, repr(sheet.separator))
        raise CommandError(
            f"{path} has one column if cells are separated by {between}, but a report needs 2: "
            "use --separator for another character."
        )
    if sheet.n_rows < FEWEST_ROWS:
        rows = counted(sheet.n_rows, "row")
        raise CommandError(f"{path} has {rows}, and a report needs {FEWEST_ROWS}.")


def _require_matplotlib() -> None:
    if find_spec("matplotlib") is None:
        raise CommandError(
            "a report needs matplotlib, which is not installed: pip install 'skvae[report]'."
        )
