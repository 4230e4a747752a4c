"""A file as a sheet of cells: text as spreadsheets export it, or Parquet.

The separator, the encoding and what stands for a missing cell are found out, and what was found is
told. Nothing is dropped: lines that cannot be a row of the table are errors that name the line.
"""

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import or_
from pathlib import Path
from typing import Any

import pandas as pd

from skvae.data.column import objects
from skvae.data.excerpts import excerpt
from skvae.report.objects import plain

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
# What stands for a missing cell, whatever its case.
NOTHING = frozenset(
    {"", "na", "n/a", "n.a.", "<na>", "nan", "null", "none", "nil", "#n/a", "#na", "?", "-", "--"}
    | {"#div/0!", "#value!", "#ref!", "#null!", "#num!", "#name?", "\N{EN DASH}", "\N{EM DASH}"}
)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # how xlsx, ods and xls begin
_LOOKED_AT = 200  # lines, to find the separator


@dataclass(frozen=True, eq=False)
class Sheet:
    """A table as it was read.

    Parameters
    ----------
    names : tuple of str
        Of the columns; no two are the same.
    columns : tuple of Series
        Their cells: text, None where missing; of Parquet, what the file holds, text as that of
        other files.
    told : tuple of str
        What was found out, or done, to read it.
    gaps : tuple of Counter
        Of each column, how often which text stood for a missing cell.
    separator : str or None
        What is between cells of text.
    options : dict
        Of text, what `pandas.read_csv` has to be told to read the same columns.
    """

    names: tuple[str, ...]
    columns: tuple[pd.Series, ...]
    told: tuple[str, ...]
    gaps: tuple[Counter, ...]
    separator: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.columns[0]) if self.columns else 0


def read_sheet(path: str, separator: str | None = None, has_header: bool = True) -> Sheet:
    """Read a file.

    Raises
    ------
    ValueError
        If it is not a text table or a Parquet file; the message names the line and the remedy.
    """
    data = Path(path).read_bytes()
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path} is not a gzip file, or incomplete: {error}.") from error
    if data.startswith(_WORKBOOKS):
        raise ValueError(f"{path} is a workbook; save the sheet as CSV, and use that file.")
    if data.startswith(b"PAR1"):
        return _parquet(path, data)
    text, told, options = _decoded(path, data)
    return _sheet_of_text(path, text, told, separator, has_header, options)


def _decoded(path: str, data: bytes) -> tuple[str, list[str], dict[str, Any]]:
    """Text of bytes, what is to be told about it, and how pandas decodes it."""
    options: dict[str, Any] = {}
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        told, options = ["the text is in UTF-16"], {"encoding": "utf-16"}
        return data.decode("utf-16", errors="replace"), told, options
    try:
        text, told = data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        told = ["the text is not in UTF-8; it was read as Windows-1252"]
        options = {"encoding": "cp1252", "encoding_errors": "replace"}
    if "\0" in text:
        raise ValueError(f"{path} is not a text table; use a CSV, TSV or Parquet file.")
    return text, told, options


def _sheet_of_text(
    path: str,
    text: str,
    told: list[str],
    separator: str | None,
    has_header: bool,
    options: dict[str, Any],
) -> Sheet:
    first, _, rest = text.partition("\n")
    skipped = 0
    if said := said_separator(first):
        separator, text, skipped = separator or said, rest, 1
    separator = separator or _separator_of(text)
    lines, n_empty = _lines(path, text, separator, skipped)
    if not lines:
        raise ValueError(f"{path} is empty; its first line has to name the columns.")
    width = len(lines[0][1])
    head = lines[0][1] if has_header else [""] * width
    body, notes = _squared(path, lines[1:] if has_header else lines, width)
    names, renamed = _names(head)
    told = [f"cells are separated by {SEPARATORS.get(separator, repr(separator))}", *told, *notes]
    if n_empty:
        ends = "a line" if n_empty == 1 else f"{n_empty} lines"
        told.append(f"{ends} without a cell at the end of the file counted as none")
    options = {
        **({"sep": separator} if separator != "," else {}),
        **options,
        **({} if has_header else {"header": None}),
        **({"skiprows": skipped} if skipped else {}),
    }
    if has_header:
        told += renamed
        if all(_is_plain_number(name) for name in head if name) and any(head):
            told.append("the first line holds numbers; if these are cells, give --no-header")
    cells = (pd.Series(objects([row[n] for row in body]), dtype=object) for n in range(width))
    return _sheet(names, cells, told, separator, options)


def _sheet(
    names: tuple[str, ...],
    cells: Iterable[pd.Series],
    told: Iterable[str],
    separator: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Sheet:
    """A sheet of cells as a file holds them: what stands for a missing cell is found here."""
    found = [_without_gaps(own) for own in cells]
    columns, gaps = (tuple(part) for part in zip(*found, strict=True)) if found else ((), ())
    return Sheet(names, columns, tuple(told), gaps, separator, options or {})


def _without_gaps(cells: pd.Series) -> tuple[pd.Series, Counter]:
    """Text less the spaces around it, None for what is missing; how often which text stood for it.

    Cells that are no text stay what they are.
    """
    own = cells.astype(object).tolist() if _may_hold_text(cells) else []
    if not any(isinstance(cell, str) for cell in own):
        return cells, Counter()
    own = [cell.strip() if isinstance(cell, str) else cell for cell in own]
    is_nothing = [isinstance(cell, str) and cell.lower() in NOTHING for cell in own]
    gaps = Counter(cell for cell, is_gap in zip(own, is_nothing, strict=True) if is_gap)
    are_gaps = [*map(or_, is_nothing, cells.isna())]
    left = [None if is_gap else cell for cell, is_gap in zip(own, are_gaps, strict=True)]
    return pd.Series(objects(left), dtype=object), gaps


def _may_hold_text(cells: pd.Series) -> bool:
    types, is_category = pd.api.types, isinstance(cells.dtype, pd.CategoricalDtype)
    return is_category or types.is_object_dtype(cells) or types.is_string_dtype(cells)


def said_separator(first_line: str) -> str | None:
    """What separates cells where the first line of a file says so, as some spreadsheets write."""
    said = re.fullmatch(r"\s*sep=(.)\s*", first_line, re.IGNORECASE)
    return said[1] if said else None


def _separator_of(text: str) -> str:
    """What splits the first lines into as many cells as the very first has, and into many."""
    lines = [line for line in text.splitlines()[: 4 * _LOOKED_AT] if line.strip()][:_LOOKED_AT]

    def fits(separator: str) -> tuple[float, int]:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator) if row]
        except csv.Error:
            return 0.0, 0
        if not widths or widths[0] == 1:
            return 0.0, 0
        return sum(width == widths[0] for width in widths) / len(widths), widths[0]

    return max(SEPARATORS, key=fits)


def _lines(
    path: str, text: str, separator: str, skipped: int
) -> tuple[list[tuple[int, list[str]]], int]:
    """Lines as cells, with their numbers in the file, from the first to the last with a cell.

    Blank lines are none of them; the second answer is how many others the last one leaves out.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        lines = [(reader.line_num + skipped, row) for row in reader if not _is_blank(row)]
    except csv.Error as error:
        where = f"{path}, line {reader.line_num + skipped}"
        raise ValueError(f"{where}: {error}; a quote in a cell is written twice.") from error
    filled = [n for n, (_, row) in enumerate(lines) if any(map(str.strip, row))]
    if not filled:
        return [], 0
    return lines[filled[0] : filled[-1] + 1], len(lines) - 1 - filled[-1]


def _is_blank(row: list[str]) -> bool:
    return not row or (len(row) == 1 and not row[0].strip())


def _squared(
    path: str, lines: list[tuple[int, list[str]]], width: int
) -> tuple[list[list[str]], list[str]]:
    """Rows of one width, and what was done for it."""
    body, short = [], []
    for number, row in lines:
        if any(cell.strip() for cell in row[width:]):
            raise ValueError(
                f"{path}, line {number}: {len(row)} cells, but the first line has {width}; the "
                f"line begins with {excerpt(row[0])}. Quote a cell that contains the separator."
            )
        if len(row) < width:
            short.append(number)
        body.append(row[:width] + [""] * (width - len(row)))
    if not short:
        return body, []
    return body, [
        f"{len(short)} {'line is' if len(short) == 1 else 'lines are'} shorter than the first "
        f"(line {short[0]}): the cells that lack count as missing"
    ]


def _names(head: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Names that differ, and which were made."""
    names: list[str] = []
    told = []
    given = {name.strip() for name in head}
    for n, name in enumerate(head):
        own = base = " ".join(name.split()) or f"column {n + 1}"
        count = 1
        while own in names or (own != base and own in given):
            count += 1
            own = f"{base} ({count})"
        if own != base:
            told.append(f"the name {excerpt(base)} occurs again: column {n + 1} is {excerpt(own)}")
        elif not name.strip():
            told.append(f"column {n + 1} has no name: it is {excerpt(own)}")
        names.append(own)
    return tuple(names), told


def _is_plain_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _parquet(path: str, data: bytes) -> Sheet:
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ValueError(
            "Parquet files need pyarrow, which is not installed: pip install 'skvae[parquet]'."
        ) from error
    try:
        table = ParquetFile(io.BytesIO(data)).read()
        # Without what pandas noted there, its index is a column like any other.
        own = table.rename_columns([str(n) for n in range(table.num_columns)])
        frame = own.replace_schema_metadata().to_pandas()
    except (ValueError, OSError, NotImplementedError) as error:
        raise ValueError(f"{path} is not a readable Parquet file: {error}") from error
    names, told = _names([str(name) for name in table.column_names])
    cells = (plain(frame.iloc[:, n]) for n in range(frame.shape[1]))
    return _sheet(names, cells, ("a file of Parquet", *told))
