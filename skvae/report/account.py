"""What becomes of every column: taken as numbers, yes or no, or categories; or left out, and why.

Every column of a sheet has one `Entry`, in the order of the file, and every entry says in a
sentence what was done. To take columns in another way, write a `Way` and enter it in the table that
ends the module: the first that has something to say about a column decides.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from skvae.data.column import objects
from skvae.data.excerpts import excerpt, excerpts
from skvae.report.dates import date_text, dates, days_of
from skvae.report.entry import BOOLEAN, CATEGORY, NUMBER, Entry, Question, Way, left_out, taken
from skvae.report.numerals import COMMA, POINT, currencies_of, numerals
from skvae.report.sheet import Sheet

MOST_LEVELS = 50
OTHER = "(other)"
FEWEST_CELLS = 10  # of a column that says anything
_SHARE_READ = 0.95  # of cells, for a column to be numbers or dates
_SHARE_DIFFERENT = 0.9  # of cells, in identifiers
_SHARE_COVERED = 0.5  # of cells, by the levels that are kept
_FEWEST_OF_IDENTIFIERS = 20
_WORDS, _LETTERS = 3, 25  # per cell, about, from which on text is no name of a thing
BOOLEANS = (("true", "false"), ("yes", "no"), ("y", "n"), ("t", "f"))
_LARGEST_EXACT = 2**53  # from which on doubles do not tell whole numbers apart
_LARGEST = 1e150  # whose square is still a number
_FEWEST_NUMBERS = 10  # different ones, beside a word that stands for a missing cell


class TooFew(Way):
    """Columns that hold nothing, or always the same."""

    def entry(self, asked: Question) -> Entry | None:
        n_known, n_rows = len(asked.known), len(asked.cells)
        if not n_rows:
            return left_out(asked, "the table has no rows")
        if not n_known:
            return left_out(asked, "no cell is filled")
        if n_known < FEWEST_CELLS and not asked.is_target:
            filled = f"only {n_known} of {n_rows} cells" if n_known < n_rows else f"{n_known} cells"
            return left_out(asked, f"{filled} are filled, and {FEWEST_CELLS} are needed")
        levels = asked.known.map(str) if asked.is_text else asked.known
        if levels.nunique() == 1:
            one = excerpt(_plain(asked.known.iloc[0]))
            return left_out(asked, f"every filled cell is {one}: it never varies")
        return None


class Booleans(Way):
    """true and false, yes and no, Y and N."""

    def entry(self, asked: Question) -> Entry | None:
        words = {word.lower() for word in asked.counts}
        pair = next((own for own in BOOLEANS if words and words <= set(own)), None)
        if pair is not None:
            cells = _mapped(asked.cells, lambda cell: cell.lower() == pair[0]).astype("boolean")
        elif pd.api.types.is_bool_dtype(asked.cells) or (
            not asked.counts and asked.is_text and set(map(type, asked.known)) == {bool}
        ):
            pair, cells = BOOLEANS[0], asked.cells.astype("boolean")
        else:
            return None
        if cells.nunique() < 2:
            return left_out(asked, f"every filled cell says {pair[int(not cells.max())]!r}")
        return taken(asked, BOOLEAN, f"{pair[0]} or {pair[1]}", cells)


class Numbers(Way):
    """Numbers, also where they are written as text."""

    def entry(self, asked: Question) -> Entry | None:
        if not asked.is_text and pd.api.types.is_numeric_dtype(asked.cells):
            whole = asked.known if pd.api.types.is_integer_dtype(asked.cells) else ()
            if longest := _longest(whole):
                return _too_long(asked, longest)
            values = asked.cells.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
            infinite = np.isinf(values)
            values[infinite] = np.nan
            how = f"; {infinite.sum()} infinite cells count as missing" if infinite.any() else ""
            return _of_numbers(asked, values, f"{_range(values)}{how}", is_doubtful=bool(how))
        found = _read(
            asked,
            lambda counts: numerals(counts, asked.prefers, _SHARE_READ, asked.is_mark_given),
        )
        if found is None:
            return None
        if longest := _longest(found.values.values()):
            return _too_long(asked, longest)
        values = _mapped(asked.cells, found.values.get).to_numpy(np.float64)
        how, is_doubtful = _range(values), False
        odd = max((c for c in found.values if not _is_plain(c)), key=len, default=None)
        if odd is not None:
            how += f", written as text: {excerpt(odd)} is read as {found.values[odd]:.10g}"
            is_doubtful = not found.is_sure
        if is_doubtful:
            how += (
                f" (nothing in the column tells whether {COMMA!r} is a decimal mark; "
                "--decimal says it)"
            )
        unread = _unread(asked, found.values)
        return _of_numbers(asked, values, how + unread, is_doubtful or bool(unread))


class Days(Way):
    """Dates, durations and times of day, which become numbers."""

    def entry(self, asked: Question) -> Entry | None:
        if pd.api.types.is_datetime64_any_dtype(asked.cells):
            own: Any = asked.cells
            times = (own.dt.tz_convert(None) if own.dt.tz is not None else own).to_numpy()
            return _of_days(asked, days_of(times), "dates")
        if pd.api.types.is_timedelta64_dtype(asked.cells):
            days = (asked.cells / pd.Timedelta(days=1)).to_numpy(np.float64)
            return _of_numbers(asked, days, f"durations, in days: {_range(days)}", False)
        found = _read(asked, lambda counts: dates(counts, asked.prefers == COMMA, _SHARE_READ))
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
        strange = next((c for c in cells.dropna() if not isinstance(c, str | int | float)), None)
        if strange is not None:
            return left_out(
                asked, f"it holds values such as {excerpt(strange)}, which are no numbers or text"
            )
        cells = _mapped(cells, str)
        counts = cells.value_counts()
        n_known, n_levels = int(counts.sum()), len(counts)
        if asked.is_target:
            return taken(asked, CATEGORY, f"{n_levels} classes", cells)
        if n_levels >= _SHARE_DIFFERENT * n_known and n_known >= _FEWEST_OF_IDENTIFIERS:
            return left_out(asked, _why_different(counts), is_doubtful=True)
        if n_levels <= MOST_LEVELS:
            doubt = _doubt_of(asked)
            how = f"{n_levels} different texts, such as {_frequent(counts)}{doubt}"
            return taken(asked, CATEGORY, how, cells, is_doubtful=bool(doubt))
        kept = counts.index[: MOST_LEVELS - 1]
        share = counts.iloc[: MOST_LEVELS - 1].sum() / n_known
        if share < _SHARE_COVERED:
            reason = (
                f"{n_levels} different texts, of which the {MOST_LEVELS - 1} most frequent fill "
                f"only {share:.0%} of the cells: too many to learn from"
            )
            return left_out(asked, reason, is_doubtful=True)
        rest = n_levels - len(kept)
        how = f"{n_levels} different texts: the {len(kept)} most frequent, and {rest} as {OTHER!r}"
        merged = cells.where(cells.isna() | cells.isin(kept), OTHER)
        return taken(asked, CATEGORY, how, merged, is_doubtful=True)


def account_of(
    sheet: Sheet, target: str | None, dropped: tuple[str, ...] = (), decimal: str | None = None
) -> list[Entry]:
    """What becomes of every column of a sheet, in its order.

    A decimal mark that is given counts where a column could have either.

    Raises
    ------
    ValueError
        If a name is none of the sheet's.
    """
    for name in (*dropped, *([] if target is None else [target])):
        check_name(name, sheet.names)
    if target in dropped:
        raise ValueError(f"{target!r} is both the target and a column to leave out: choose one.")
    counts = [_counts(cells) for cells in sheet.columns]
    prefers = decimal or _mark_of(counts, sheet.separator)
    account = []
    for name, cells, own, gaps in zip(sheet.names, sheet.columns, counts, sheet.gaps, strict=True):
        asked = Question(name, cells, prefers, name == target, own, decimal is not None)
        if name in dropped:
            account.append(left_out(asked, "as asked by --drop"))
            continue
        entry = next(found for way in WAYS.values() if (found := way.entry(asked)))
        words = {word: n for word, n in gaps.items() if word}
        if words:
            told = ", ".join(f"{excerpt(word)} ({n})" for word, n in words.items())
            entry = _with(entry, how=f"{entry.how}; missing where the cell is {told}")
        account.append(entry)
    return account


def check_name(name: str, names: Sequence[str]) -> None:
    """Raise a ValueError where it is none of the names of columns."""
    if name in names:
        return
    near = get_close_matches(name.lower().strip(), [own.lower() for own in names], 1)
    meant = [own for own in names if own.lower() in near][:1]
    known = f"do you mean {excerpt(meant[0])}?" if meant else f"the columns are {excerpts(names)}."
    raise ValueError(f"no column {excerpt(name)}; {known}")


def _read(asked: Question, read: Callable[[Mapping[str, int]], Any]) -> Any:
    """What cells of text are read as, where one word may stand for the missing ones."""
    found = read(asked.counts) if asked.counts else None
    if found is not None or not asked.counts:
        return found
    words = (cell for cell, _ in asked.counts.most_common() if not any(map(str.isdecimal, cell)))
    word = next(words, None)
    others = {cell: n for cell, n in asked.counts.items() if cell != word}
    if word is None or len(others) < _FEWEST_NUMBERS or asked.counts[word] > sum(others.values()):
        return None
    return read(others)


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
        return left_out(asked, "its numbers never vary")
    if np.abs(known).max() > _LARGEST:
        return left_out(asked, f"{_range(known)}: squares of these are beyond any number")
    if not asked.is_target and _counts_up(known):
        reason = f"whole numbers that count up, from {known.min():.10g} to {known.max():.10g}, as "
        return left_out(asked, f"{reason}identifiers do", is_doubtful=True)
    if set(np.unique(known)) == {0.0, 1.0} and "text" not in how:
        cells = pd.Series(values).astype("Int64").astype("boolean")
        return taken(asked, BOOLEAN, "0 or 1", cells)
    return taken(asked, NUMBER, how, pd.Series(values), is_doubtful)


def _of_days(asked: Question, values: np.ndarray, how: str, is_doubtful: bool = False) -> Entry:
    if len(np.unique(values[~np.isnan(values)])) < 2:
        return left_out(asked, "its dates never vary")
    start = float(np.floor(np.nanmin(values)))
    how = f"{how}; as days since {date_text(start)}"
    return taken(asked, NUMBER, how, pd.Series(values - start), is_doubtful, start)


def _range(values: np.ndarray) -> str:
    if np.isnan(values).all():
        return "numbers"
    low, high = (f"{v:,.0f}" if 1e5 <= abs(v) < 1e15 else f"{v:.6g}" for v in _ends(values))
    return f"numbers from {low} to {high}"


def _longest(values: Iterable[float]) -> int | None:
    """The largest of whole numbers, where doubles do not tell all of that size apart."""
    values = [*values]
    if not values or not all(isinstance(value, int | np.integer) for value in values):
        return None
    longest = max(map(int, values), key=abs)
    return longest if abs(longest) > _LARGEST_EXACT else None


def _too_long(asked: Question, longest: int) -> Entry:
    reason = f"whole numbers as long as {excerpt(longest)}, as identifiers are"
    return left_out(asked, f"{reason}: beyond 2^53 not all can be told apart", is_doubtful=True)


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
    if any(cell.startswith("0") and cell.isdigit() and len(cell) > 1 for cell in asked.counts):
        return "; codes with leading zeros, which are no numbers"
    return ""


def _unread(asked: Question, values: dict[str, float]) -> str:
    others = [cell for cell in asked.counts if cell not in values]
    if not others:
        return ""
    n_cells = sum(asked.counts[cell] for cell in others)
    told = "1 cell is" if n_cells == 1 else f"{n_cells} cells are"
    return f"; {told} none and taken as missing: {excerpts(others[:3])}"


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


def _with(entry: Entry, how: str) -> Entry:
    return Entry(**{**vars(entry), "how": how})


WAYS: dict[str, Way] = {
    "too few": TooFew(),
    "booleans": Booleans(),
    "numbers": Numbers(),
    "days": Days(),
    "levels": Levels(),
}
