"""What is said of one column, and the question that it answers."""

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

NUMBER, BOOLEAN, CATEGORY, LEFT_OUT = "number", "yes or no", "category", "left out"


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
    is_mark_given: bool = False  # whether a person said the decimal mark

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


def taken(
    asked: Question,
    role: str,
    how: str,
    cells: pd.Series,
    is_doubtful: bool = False,
    start: float | None = None,
) -> Entry:
    """A column that takes part, with its cells."""
    missing = int(cells.isna().sum())
    return Entry(asked.name, role, how, cells.reset_index(drop=True), missing, is_doubtful, start)


def left_out(asked: Question, reason: str, is_doubtful: bool = False) -> Entry:
    """A column that takes no part, and why."""
    return Entry(asked.name, LEFT_OUT, reason, None, int(asked.cells.isna().sum()), is_doubtful)
