"""The section on what became of every column."""

from skvae.amounts import counted
from skvae.report.entry import Entry
from skvae.report.markup import Markup, joined, paragraphs, table, tag
from skvae.report.sections.section import Found, Section
from skvae.report.words import percent

_MARKS = " What is marked deserves a look."


class Columns(Section):
    """What became of every column."""

    title = "Your columns"

    def body(self, found: Found) -> Markup:
        account, study = found.account, found.study
        taken = sum(entry.is_taken for entry in account)
        n_out = len(account) - taken
        lines = [
            f"{counted(len(account), 'column')}: {taken} taken, {n_out} left out. "
            f"Each is in this table once.{_MARKS if any(e.is_doubtful for e in account) else ''}",
            f"{counted(found.sheet.n_rows, 'row')} in the file; {'; '.join(found.sheet.told)}.",
        ]
        n_used = len(study.frame)
        if n_used < found.sheet.n_rows:
            lines.append(
                f"{n_used:,} of the rows are used: rows without any cell are left out, and of more "
                f"than {study.wishes.n_rows:,} some are drawn at random (--rows)."
            )
        rows = [
            (
                _marked(entry),
                _role(entry, found),
                percent(entry.n_missing / max(found.sheet.n_rows, 1))
                if entry.n_missing
                else "none",
                entry.how + _added(entry, found),
            )
            for entry in account
        ]
        return joined(
            [
                paragraphs(*lines),
                table(["column", "taken as", "missing", "how, or why not"], rows, [2]),
            ]
        )


def _marked(entry: Entry) -> Markup:
    mark = tag("span", "look: ", class_="mark") if entry.is_doubtful else ""
    return joined([mark, tag("b", entry.name)])


def _role(entry: Entry, found: Found) -> str:
    if entry.name == found.study.wishes.target and entry.is_taken:
        return f"target ({entry.role})"
    return entry.role


def _added(entry: Entry, found: Found) -> str:
    """What the choice of rows did to a column."""
    if entry.name == found.study.wishes.target:
        prediction = found.study.prediction
        if prediction is not None and prediction.reason:
            return "; codes never see it, and it is not predicted"
        return "; codes never see it, it is only predicted from them"
    if entry.is_taken and entry.name not in found.study.frame:
        return "; it does not vary in the rows that are used, and takes no part"
    return ""
