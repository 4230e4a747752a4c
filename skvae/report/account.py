"""What becomes of every column: taken as numbers, yes or no, or categories; or left out, and why.

Every column of a sheet has one `Entry`, in the order of the file, and every entry says in a
sentence what was done. To take columns in another way, write a `Way` and enter it in the table that
ends the module: the first that has something to say about a column decides.
"""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from skvae.data.column import objects
from skvae.data.excerpts import excerpt, excerpts
from skvae.report.dates import date_text, dates
from skvae.report.numerals import COMMA, POINT, currencies_of, numerals
from skvae.report.sheet import Sheet

NUMBER, BOOLEAN, CATEGORY, LEFT_OUT = "number", "yes or no", "category", "left out"
MOST_LEVELS = 50
OTHER = "(other)"
FEWEST_CELLS = 10  # of a column that says anything
_SHARE_READ = 0.95  # of cells, for a column to be numbers or dates
_SHARE_DIFFERENT = 0.9  # of cells, in identifiers
_SHARE_COVERED = 0.5  # of cells, by the levels that are kept
_FEWEST_OF_IDENTIFIERS = 20
_WORDS, _LETTERS = 3, 25  # per cell, about, from which on text is no name of a thing
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, eq=False)
class Entry:
    """One column of the account.

    Parameters
    ----------
    name : str
        Of the column.
    role : str
        What it is taken as.
    how : str
        What was done, in a sentence.
    cells : Series or None
        Numbers, booleans or levels; None where the column is left out.
    n_missing : int
        Cells without a value.
    is_doubtful : bool
        Whether a person should look at this.
    start : float or None
        Of dates, the first of them in days since 1970-01-01, which the numbers count from.
    """

    name: str
    role: str
    how: str
    cells: pd.Series | None = None
    n_missing: int = 0
    is_doubtful: bool = False
    start: float | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the column takes part."""
        return self.cells is not None


@dataclass(frozen=True, eq=False)
class Question:
    """A column that is to be accounted for."""

    name: str
    cells: pd.Series
    prefers: str  # decimal mark
    is_target: bool = False
    counts: Counter = field(default_factory=Counter)  # of cells of text

    @property
    def known(self) -> pd.Series:
        """Cells with a value."""
        return self.cells.dropna()

    @property
    def is_text(self) -> bool:
        """Whether cells are text or other objects."""
        return not (
            pd.api.types.is_numeric_dtype(self.cells)
            or pd.api.types.is_datetime64_any_dtype(self.cells)
        )


class Way(ABC):
    """A way to take columns, or to leave them out."""

    @abstractmethod
    def entry(self, asked: Question) -> Entry | None:
        """What becomes of a column; None where others have to say."""


class TooFew(Way):
    """Columns that hold nothing, or always the same."""

    def entry(self, asked: Question) -> Entry | None:
        n_known, n_rows = len(asked.known), len(asked.cells)
        if not n_known:
            return _left_out(asked, "no cell is filled")
        if n_known < FEWEST_CELLS and not asked.is_target:
            return _left_out(asked, f"only {n_known} of {n_rows} cells are filled")
        levels = asked.known.map(str) if asked.is_text else asked.known
        if levels.nunique() == 1:
            one = excerpt(_plain(asked.known.iloc[0]))
            return _left_out(asked, f"every filled cell is {one}: it never varies")
        return None


class Booleans(Way):
    """true and false."""

    def entry(self, asked: Question) -> Entry | None:
        words = {word.lower() for word in asked.counts}
        if pd.api.types.is_bool_dtype(asked.cells) or (
            not asked.counts and asked.is_text and set(map(type, asked.known)) == {bool}
        ):
            cells = asked.cells.astype("boolean")
        elif words and words <= set(_BOOLEANS):
            cells = _mapped(asked.cells, lambda c: _BOOLEANS[c.lower()]).astype("boolean")
        else:
            return None
        return _taken(asked, BOOLEAN, "true or false", cells)


class Numbers(Way):
    """Numbers, also where they are written as text."""

    def entry(self, asked: Question) -> Entry | None:
        if not asked.is_text and pd.api.types.is_numeric_dtype(asked.cells):
            values = asked.cells.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
            infinite = np.isinf(values)
            values[infinite] = np.nan
            how = f"; {infinite.sum()} infinite cells count as missing" if infinite.any() else ""
            return _of_numbers(asked, values, f"{_range(values)}{how}", is_doubtful=bool(how))
        found = numerals(asked.counts, asked.prefers, _SHARE_READ) if asked.counts else None
        if found is None:
            return None
        values = _mapped(asked.cells, found.values.get).to_numpy(np.float64)
        how, is_doubtful = _range(values), False
        odd = max((c for c in found.values if not _is_plain(c)), key=len, default=None)
        if odd is not None:
            how += f", written as text: {excerpt(odd)} is read as {found.values[odd]:.10g}"
            is_doubtful = not found.is_sure
        if is_doubtful:
            how += f" (nothing in the column tells whether {COMMA!r} is a decimal mark)"
        unread = _unread(asked, found.values)
        return _of_numbers(asked, values, how + unread, is_doubtful or bool(unread))


class Days(Way):
    """Dates and times of day, which become numbers."""

    def entry(self, asked: Question) -> Entry | None:
        if pd.api.types.is_datetime64_any_dtype(asked.cells):
            times = pd.to_datetime(asked.cells, utc=True)
            since = (times - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)
            return _of_days(asked, since.to_numpy(np.float64, na_value=np.nan), "dates")
        found = dates(asked.counts, asked.prefers == COMMA, _SHARE_READ) if asked.counts else None
        if found is None:
            return None
        values = _mapped(asked.cells, found.values.get).to_numpy(np.float64)
        unread = _unread(asked, found.values)
        one = next(cell for cell in asked.counts if cell in found.values)
        if found.unit == "hours":
            how = f"times of day, as hours: {excerpt(one)} is {found.values[one]:.4g}"
            return _of_numbers(asked, values, how + unread, bool(unread))
        how = f"dates such as {excerpt(one)}, {date_text(found.values[one])}"
        if found.order:
            how += f" ({found.order}{'' if found.is_sure else '; nothing in the column tells'})"
        return _of_days(asked, values, how + unread, bool(unread) or not found.is_sure)


class Levels(Way):
    """Text: levels of a category, unless it is an identifier or has too many."""

    def entry(self, asked: Question) -> Entry | None:
        cells = asked.cells.astype(object)
        strange = next((c for c in cells.dropna() if not isinstance(c, str | int | bool)), None)
        if strange is not None:
            return _left_out(
                asked, f"it holds values such as {excerpt(strange)}, which are no numbers or text"
            )
        cells = _mapped(cells, str)
        counts = cells.value_counts()
        n_known, n_levels = int(counts.sum()), len(counts)
        if asked.is_target:
            return _taken(asked, CATEGORY, f"{n_levels} classes", cells)
        if n_levels >= _SHARE_DIFFERENT * n_known and n_known >= _FEWEST_OF_IDENTIFIERS:
            return _left_out(asked, _why_different(counts), is_doubtful=True)
        if n_levels <= MOST_LEVELS:
            doubt = _doubt_of(asked)
            how = f"{n_levels} different texts, such as {_frequent(counts)}{doubt}"
            return _taken(asked, CATEGORY, how, cells, is_doubtful=bool(doubt))
        kept = counts.index[: MOST_LEVELS - 1]
        share = counts.iloc[: MOST_LEVELS - 1].sum() / n_known
        if share < _SHARE_COVERED:
            reason = (
                f"{n_levels} different texts, of which the {MOST_LEVELS - 1} most frequent fill "
                f"only {share:.0%} of the cells: too many to learn from"
            )
            return _left_out(asked, reason, is_doubtful=True)
        rest = n_levels - len(kept)
        how = f"{n_levels} different texts: the {len(kept)} most frequent, and {rest} as {OTHER!r}"
        merged = cells.where(cells.isna() | cells.isin(kept), OTHER)
        return _taken(asked, CATEGORY, how, merged, is_doubtful=True)


def account_of(sheet: Sheet, target: str | None, dropped: tuple[str, ...] = ()) -> list[Entry]:
    """What becomes of every column of a sheet, in its order.

    Raises
    ------
    ValueError
        If a name is none of the sheet's.
    """
    for name in (*dropped, *([] if target is None else [target])):
        if name not in sheet.names:
            raise ValueError(f"no column {name!r}; the columns are {', '.join(sheet.names)}.")
    counts = [_counts(cells) for cells in sheet.columns]
    prefers = _mark_of(counts, sheet.separator)
    account = []
    for name, cells, own, gaps in zip(sheet.names, sheet.columns, counts, sheet.gaps, strict=True):
        asked = Question(name, cells, prefers, name == target, own)
        if name in dropped:
            account.append(_left_out(asked, "as asked by --drop"))
            continue
        entry = next(found for way in WAYS.values() if (found := way.entry(asked)))
        words = {word: n for word, n in gaps.items() if word}
        if words:
            told = ", ".join(f"{excerpt(word)} ({n})" for word, n in words.items())
            entry = _with(entry, how=f"{entry.how}; missing where the cell is {told}")
        account.append(entry)
    return account


def _counts(cells: pd.Series) -> Counter:
    """How often each text occurs, where all cells are text."""
    known = cells.dropna()
    if known.dtype == object or pd.api.types.is_string_dtype(known):
        counts = known.map(lambda cell: cell if isinstance(cell, str) else None)
        if not counts.isna().any():
            return Counter(dict(counts.value_counts()))
    if isinstance(known.dtype, pd.CategoricalDtype):
        return _counts(known.astype(object)) if len(known) else Counter()
    return Counter()


def _mark_of(counts: list[Counter], separator: str | None) -> str:
    """The decimal mark of a file: what more columns can have than not; else that of its kind."""
    sure: Counter[str] = Counter()
    for own in counts:
        found = numerals(own, POINT, _SHARE_READ) if own else None
        if found is not None and found.is_sure and any(found.mark in cell for cell in found.values):
            sure[found.mark] += 1
    if sure[POINT] != sure[COMMA]:
        return max(sure, key=sure.__getitem__)
    return COMMA if separator == ";" else POINT


def _of_numbers(asked: Question, values: np.ndarray, how: str, is_doubtful: bool) -> Entry:
    known = values[~np.isnan(values)]
    if len(np.unique(known)) < 2:  # of what could be read
        return _left_out(asked, "its numbers never vary")
    if not asked.is_target and _counts_up(known):
        reason = f"whole numbers that count up, from {known.min():.10g} to {known.max():.10g}, as "
        return _left_out(asked, f"{reason}identifiers do", is_doubtful=True)
    if set(np.unique(known)) == {0.0, 1.0} and "text" not in how:
        cells = pd.Series(values).astype("Int64").astype("boolean")
        return _taken(asked, BOOLEAN, "0 or 1", cells)
    return _taken(asked, NUMBER, how, pd.Series(values), is_doubtful)


def _of_days(asked: Question, values: np.ndarray, how: str, is_doubtful: bool = False) -> Entry:
    if len(np.unique(values[~np.isnan(values)])) < 2:
        return _left_out(asked, "its dates never vary")
    start = float(np.floor(np.nanmin(values)))
    how = f"{how}; as days since {date_text(start)}"
    return _taken(asked, NUMBER, how, pd.Series(values - start), is_doubtful, start)


def _range(values: np.ndarray) -> str:
    if np.isnan(values).all():
        return "numbers"
    low, high = (f"{v:,.0f}" if abs(v) >= 1e5 else f"{v:.6g}" for v in _ends(values))
    return f"numbers from {low} to {high}"


def _ends(values: np.ndarray) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def _frequent(counts: pd.Series) -> str:
    """The most frequent levels."""
    return ", ".join(excerpt(level) for level in counts.index[:3])


def _counts_up(known: np.ndarray) -> bool:
    """Whether numbers are those that rows are counted by: whole, all different, without gaps."""
    n = len(known)
    if n < _FEWEST_OF_IDENTIFIERS or (known % 1 != 0).any() or len(np.unique(known)) < n:
        return False
    return bool(np.ptp(known) < 1.1 * n or (np.diff(known) > 0).all())


def _why_different(counts: pd.Series) -> str:
    texts = counts.index[:200]
    words = np.mean([len(text.split()) for text in texts])
    letters = np.mean([len(text) for text in texts])
    if words >= _WORDS or letters >= _LETTERS:
        return f"text that differs in nearly every row, such as {excerpt(texts[0])}: free text"
    return f"it differs in nearly every row, as identifiers do, such as {excerpt(texts[0])}"


def _doubt_of(asked: Question) -> str:
    """Why text that could have been numbers is not."""
    found = sorted(currencies_of(asked.counts))
    if len(found) > 1 and all(currencies_of([cell]) for cell in asked.counts):
        return f"; amounts in several currencies, {' and '.join(found)}, are not compared"
    if any(cell[0] == "0" and cell.isdigit() and len(cell) > 1 for cell in asked.counts):
        return "; codes with leading zeros, which are no numbers"
    return ""


def _unread(asked: Question, values: dict[str, float]) -> str:
    others = [cell for cell in asked.counts if cell not in values]
    if not others:
        return ""
    n_cells = sum(asked.counts[cell] for cell in others)
    return f"; {n_cells} cells cannot be read so and count as missing: {excerpts(others[:3])}"


def _mapped(cells: pd.Series, read: Any) -> pd.Series:
    """What a function makes of cells that are there; None for the others."""
    known = {cell: read(cell) for cell in cells.dropna().unique()}
    missing = cells.isna()
    return pd.Series(
        objects(
            [
                None if gap else known[cell]
                for cell, gap in zip(cells.tolist(), missing.tolist(), strict=True)
            ]
        ),
        dtype=object,
    )


def _is_plain(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _taken(
    asked: Question,
    role: str,
    how: str,
    cells: pd.Series,
    is_doubtful: bool = False,
    start: float | None = None,
) -> Entry:
    missing = int(cells.isna().sum())
    return Entry(asked.name, role, how, cells.reset_index(drop=True), missing, is_doubtful, start)


def _left_out(asked: Question, reason: str, is_doubtful: bool = False) -> Entry:
    return Entry(asked.name, LEFT_OUT, reason, None, int(asked.cells.isna().sum()), is_doubtful)


def _with(entry: Entry, how: str) -> Entry:
    return Entry(**{**vars(entry), "how": how})


WAYS: dict[str, Way] = {
    "too few": TooFew(),
    "booleans": Booleans(),
    "numbers": Numbers(),
    "days": Days(),
    "levels": Levels(),
}
