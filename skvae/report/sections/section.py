"""What a section of a report is, and all that it is written from."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from skvae.report.drawings import Draughtsman
from skvae.report.entry import Entry
from skvae.report.frames import is_number
from skvae.report.markup import Markup
from skvae.report.sheet import Sheet
from skvae.report.study import Study
from skvae.report.words import number, percent


@dataclass(frozen=True, eq=False)
class Found:
    """All that a report is written from."""

    sheet: Sheet
    account: list[Entry]
    study: Study
    draughtsman: Draughtsman = field(default_factory=Draughtsman)

    def entry(self, name: str) -> Entry:
        """What became of a column."""
        return next(entry for entry in self.account if entry.name == name)


class Section(ABC):
    """A part of the page."""

    title: str

    @abstractmethod
    def body(self, found: Found) -> Markup | None:
        """What it holds; None where there is nothing to say."""


def loss_text(loss: float, cells: pd.Series) -> str:
    """A squared error as its root, in the column's unit; a share of levels in percent."""
    return number(float(np.sqrt(loss))) if is_number(cells) else f"{percent(loss)} wrong"
