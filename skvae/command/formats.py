"""Tables in files, a part of the rows at a time: text with delimiters, and Parquet.

What reads a file says the names of its columns, and gives its rows in parts of a number that it is
asked for, of which the last is smaller; of a file without rows, one part without rows. To add a
format, write a `Format` and enter its ending in the table that ends the module.
"""

import csv
import gzip
import io
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import pandas as pd

from skvae.command.errors import CommandError
from skvae.command.streams import STREAM, incoming
from skvae.data.arrow import arrow_of
from skvae.data.column import objects
from skvae.data.excerpts import excerpt
from skvae.report.numerals import COMMA
from skvae.report.sheet import SEPARATORS, said_separator

TAB = "\t"
_MOST_SHOWN = 1000  # characters of a line
_QUOTED_END = "\r\n"  # of a line, both signs of which a writer then quotes in cells


class Part(NamedTuple):
    """Some rows of a file."""

    rows: Any  # a frame of pandas, all of text, or a table of Arrow
    first: int  # number of the first of them, from 1
    done: int  # of the file, up to the end of the part


class Source(NamedTuple):
    """A file that is open."""

    names: list[str]
    total: int | None  # of what `done` counts
    unit: str
    parts: Callable[[int], Iterator[Part]]  # of so many rows
    doubt: str = ""  # why its columns may not be what they seem, and what to do


class Format(ABC):
    """How a table is written in a file."""

    @abstractmethod
    def read(self, path: str, has_header: bool = True, separator: str | None = None) -> Any:
        """A context that opens a file, as a Source; of text, with another separator if given."""

    @abstractmethod
    def write(self, file: IO[bytes], tables: Iterator[Any]) -> None:
        """Write tables of the same columns, one after another."""


class Text(Format):
    """Cells in lines, as spreadsheets write them, in UTF-8.

    Parameters
    ----------
    delimiter : str
        What is between cells.
    is_packed : bool
        Whether the file is packed by gzip.
    """

    def __init__(self, delimiter: str, is_packed: bool = False) -> None:
        self.delimiter, self.is_packed = delimiter, is_packed

    @contextmanager
    def read(
        self, path: str, has_header: bool = True, separator: str | None = None
    ) -> Iterator[Source]:
        with ExitStack() as stack:
            if path == STREAM:
                raw, total = incoming(), None
            else:
                raw, total = stack.enter_context(Path(path).open("rb")), Path(path).stat().st_size
            data: Any = gzip.GzipFile(fileobj=raw) if self.is_packed else raw
            text = io.TextIOWrapper(data, "utf-8-sig", newline="")
            stack.callback(text.detach)
            with _told(path):
                opening = _Opening.of(text)
                own = separator or opening.said or self.delimiter
                doubt = _doubt(opening.line, own)
                lines = chain(opening.blank, [opening.line], text)
                cells = _cells(lines, own, path, opening.n_before, doubt)
                names, rows = _named(path, cells, len(opening.blank), has_header)
                yield _source_of_cells(path, names, rows, raw, total, doubt)

    def write(self, file: IO[bytes], tables: Iterator[Any]) -> None:
        packed: Any = gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if self.is_packed else file
        text = io.TextIOWrapper(packed, "utf-8", newline="")
        try:
            for n, table in enumerate(tables):
                frame = table if isinstance(table, pd.DataFrame) else _to_pandas(table)
                frame.set_axis(_names(frame), axis=1).to_csv(
                    _Lines(text, self.delimiter), sep=self.delimiter, index=False, header=n == 0,
                    lineterminator=_QUOTED_END,
                )  # fmt: skip
        finally:  # else it closes what it writes into, which may be standard output
            text.detach()
        if self.is_packed:
            packed.close()


class _Lines:
    """Where a writer of cells puts its lines, which end in one sign in the file.

    To quote what looks like the end of a line, of whatever system, the writer has to believe that
    they end in both signs. A line of spaces alone is quoted, because readers skip such.
    """

    def __init__(self, text: IO[str], delimiter: str) -> None:
        self._text, self._delimiter = text, delimiter

    def write(self, line: str) -> None:
        """Put one line, whose end is both signs."""
        own = line.removesuffix(_QUOTED_END)
        is_bare = not own.strip() and self._delimiter not in own
        self._text.write(f'"{own}"\n' if is_bare else f"{own}\n")


def _named(
    path: str, cells: Iterator[list[str]], n_blank: int, has_header: bool
) -> tuple[list[str], Iterator[list[str]]]:
    """Names of the columns, and rows, of lines that begin with some blank ones."""
    before = list(islice(cells, n_blank))
    head = next(cells, None)
    if not head:
        raise CommandError(f"{_shown(path)} is empty; its first line has to name the columns.")
    if has_header:
        return head, _rows(cells, len(head))
    names = [str(n) for n in range(len(head))]
    return names, _rows(chain(before, [head], cells), len(head))


def _source_of_cells(
    path: str, names: list[str], rows: Iterator[list[str]], raw: Any, total: int | None, doubt: str
) -> Source:
    def parts(n_rows: int) -> Iterator[Part]:
        first = 1
        while True:
            block = list(islice(rows, n_rows))
            _check_widths(block, len(names), path, first, doubt)
            if block or first == 1:
                columns = zip(*block, strict=True) if block else [()] * len(names)
                frame = pd.DataFrame(
                    {n: objects(list(cells)) for n, cells in enumerate(columns)}, dtype=object
                )
                frame.columns = names
                yield Part(frame, first, 0 if total is None else raw.tell())
            if len(block) < n_rows:
                return
            first += len(block)

    return Source(names, total, "B", parts, doubt)


class _Opening(NamedTuple):
    """The first lines of a file."""

    n_before: int  # which are no cells at all
    blank: list[str]  # after those, which are cells where there is one column without a name
    line: str  # the first with more, or nothing
    said: str | None  # the separator that one before it says

    @classmethod
    def of(cls, text: IO[str]) -> "_Opening":
        """Read as far as that line."""
        blank: list[str] = []
        n_before, said = 0, None
        for line in text:
            if own := said_separator(line):
                n_before, blank, said = n_before + len(blank) + 1, [], own
            elif line.strip():
                return cls(n_before, blank, line, said)
            else:
                blank.append(line)
        return cls(n_before, blank, "", said)


def _cells(
    text: Iterable[str], delimiter: str, path: str, n_before: int, doubt: str
) -> Iterator[list[str]]:
    """Lines as cells; one that cannot be read is told by its number."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        yield from reader
    except csv.Error as error:
        why = doubt or f"{error}; a quote in a cell is written twice."
        raise CommandError(f"{_shown(path)}, line {reader.line_num + n_before}: {why}") from error


def _rows(lines: Iterable[list[str]], n_columns: int) -> Iterator[list[str]]:
    """Lines that are rows: blank ones are those of a file of one column alone."""
    for line in lines:
        if n_columns == 1:
            yield line or [""]
        elif len(line) > 1 or (line and line[0].strip()):
            yield line


def _doubt(first_line: str, delimiter: str) -> str:
    """What to do where another character cuts the first line in more cells than the delimiter."""
    counts = {each: first_line.count(each) for each in (*SEPARATORS, delimiter)}
    if any(counts[each] for each in counts if each != COMMA):  # then these may be decimal marks
        counts[COMMA] -= len(re.findall(r"\d,(?=\d)", first_line))
    likely = max(SEPARATORS, key=counts.__getitem__)
    if counts[likely] <= counts[delimiter]:
        return ""
    return (
        f"cells seem to be separated by {SEPARATORS[likely]}, and were taken to be by "
        f"{SEPARATORS.get(delimiter, repr(delimiter))}: give --separator "
        f"{shlex.quote('tab' if likely == TAB else likely)}. The first line begins with "
        f"{excerpt(first_line[:_MOST_SHOWN].strip())}."
    )


def _check_widths(
    block: list[list[str]], n_columns: int, path: str, first: int, doubt: str
) -> None:
    for n, line in enumerate(block):
        if len(line) != n_columns:
            why = doubt or "A cell that holds the separator goes in quotes."
            raise CommandError(
                f"{_shown(path)}, row {first + n}: {len(line)} cells, but there are {n_columns} "
                f"columns; the row begins with {excerpt(line[0])}. {why[0].upper()}{why[1:]}"
            )


def _shown(path: str) -> str:
    return "standard input" if path == STREAM else path


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Errors of reading, with the file and the remedy."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise CommandError(
            f"{_shown(path)} is not UTF-8 text ({error.reason} at byte {error.start} of a part); "
            "save it as UTF-8."
        ) from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise CommandError(f"{path} is not a gzip file, or incomplete: {error}.") from error


def _to_pandas(table: Any) -> pd.DataFrame:
    """A table of Arrow, with whole numbers whole where cells are missing."""
    return table.to_pandas(types_mapper=pd.ArrowDtype)


class Parquet(Format):
    """Columns of Arrow."""

    @contextmanager
    def read(
        self, path: str, has_header: bool = True, separator: str | None = None
    ) -> Iterator[Source]:
        arrow, parquet = _arrow()
        try:
            file = parquet.ParquetFile(path)
        except arrow.ArrowInvalid as error:
            raise CommandError(f"{path} is not a Parquet file: {error}") from error
        with file:
            yield Source(
                file.schema_arrow.names, file.metadata.num_rows, "row",
                lambda n_rows: _parts_of(arrow, file, n_rows),
            )  # fmt: skip

    def write(self, file: IO[bytes], tables: Iterator[Any]) -> None:
        parquet = _arrow()[1]
        writer = None
        for table in tables:
            own = arrow_of(table, _names(table)) if isinstance(table, pd.DataFrame) else table
            writer = writer or parquet.ParquetWriter(file, own.schema)
            writer.write_table(own.cast(writer.schema))
        if writer is not None:
            writer.close()


def _parts_of(arrow: Any, file: Any, n_rows: int) -> Iterator[Part]:
    """Batches of a file may be shorter where its groups of rows end: they are put together."""
    first, waiting = 1, file.schema_arrow.empty_table()
    for batch in file.iter_batches(batch_size=n_rows):
        waiting = arrow.concat_tables([waiting, arrow.Table.from_batches([batch])])
        while len(waiting) >= n_rows:
            yield Part(waiting[:n_rows], first, first + n_rows - 1)
            first, waiting = first + n_rows, waiting[n_rows:]
    if len(waiting) or first == 1:
        yield Part(waiting, first, first + len(waiting) - 1)


def _names(frame: pd.DataFrame) -> list[str]:
    """Names of columns as files have them: one text each, whatever pandas has as a name."""
    return [str(name) for name in frame.columns]


def _arrow() -> Any:
    """Arrow and its module of Parquet, where they are installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise CommandError(
            "Parquet files need pyarrow, which is not installed: pip install 'skvae[parquet]', "
            "or use a CSV file."
        ) from None
    return pyarrow, pyarrow.parquet


def format_of(path: str) -> Format:
    """The format of a file by its ending; streams are CSV.

    Raises
    ------
    CommandError
        If the ending is none of the table.
    """
    if path == STREAM:
        return FORMATS[".csv"]
    for ending, known in FORMATS.items():
        if path.lower().endswith(ending):
            return known
    raise CommandError(
        f"{path} must end in one of {', '.join(FORMATS)}, which sets the format; rename it."
    )


FORMATS: dict[str, Format] = {
    ".csv": Text(","),
    ".tsv": Text(TAB),
    ".csv.gz": Text(",", is_packed=True),
    ".tsv.gz": Text(TAB, is_packed=True),
    ".parquet": Parquet(),
}
