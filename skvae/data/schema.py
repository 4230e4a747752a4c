"""Tables as a person brings them: matrices of numbers, and the faithful way back.

A `Schema` holds what the columns of a table are. `encode` gives values, shape (n, d), and `decode`
the table that values stand for, with the dtypes of fit; `fill` gives a table that came in with
values in its gaps.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import narwhals as nw
import numpy as np

from skvae.data.column import UNSEEN, Column
from skvae.data.dtypes import labels_from, plain_labels
from skvae.data.excerpts import label
from skvae.data.gaps import fill
from skvae.data.input import Input
from skvae.data.refusals import refuse_non_numeric
from skvae.data.writers import WRITERS, to_array

_MOST_NAMES = 5  # that an error lists


@dataclass(frozen=True)
class Schema:
    """The columns of a table: how it becomes values, shape (n, d), and how they become a table."""

    columns: tuple[Column, ...]
    container: str  # "pandas", "polars", "pyarrow" or "numpy"
    labels: Any = field(default=None, compare=False, repr=False)  # pandas' index of columns

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"labels": plain_labels(self.labels)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"labels": labels_from(state["labels"])})

    @classmethod
    def of(cls, given: Input, coded: Iterable[int] = frozenset()) -> "Schema":
        """Return the schema of a table; the numbers of the `coded` positions are levels."""
        frame, container = _table(given), given.container
        coded = frozenset(coded)
        columns = tuple(
            Column.of(series, container, coded=n in coded)
            for n, series in enumerate(frame.iter_columns())
        )
        labels = frame.to_native().columns.copy() if container == "pandas" else None
        return cls(columns, container, labels)

    @classmethod
    def of_numbers(cls, names: Iterable) -> "Schema":
        """Return the schema of an array of floats, whose columns have names."""
        dtype = np.dtype(np.float64)
        columns = (Column(name, "number", dtype=dtype, numpy_dtype=dtype) for name in names)
        return cls(tuple(columns), "numpy")

    def grown(self, given: Input) -> "Schema":
        """Return the schema with levels of text that a later table has."""
        frame = _table(given)
        self._check(given)
        pairs = zip(self.columns, frame.iter_columns(), strict=True)
        return replace(self, columns=tuple(column.grown(series) for column, series in pairs))

    @property
    def is_numeric(self) -> bool:
        """Whether every column is a plain number."""
        return all(column.kind == "number" for column in self.columns)

    @property
    def names(self) -> list:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def encode(self, given: Input) -> tuple[np.ndarray, dict]:
        """Return values, shape (n, d), and the number of unseen levels of the columns with any."""
        frame = _table(given)
        self._check(given)
        if self.is_numeric and given.is_plain:
            return frame.to_native().to_numpy(dtype=np.float64, copy=True), {}
        values = np.empty((len(frame), len(self.columns)))
        are_numbers = given.are_numpy_numbers & [column.is_number for column in self.columns]
        together = np.flatnonzero(are_numbers)
        if len(together):
            cells = frame.to_native().take(together, axis=1).to_numpy(dtype=np.float64)
            for n, own in zip(together.tolist(), cells.T, strict=True):
                values[:, n] = self.columns[n].checked(own)
        unseen = {}
        for n in np.flatnonzero(~are_numbers).tolist():
            column = self.columns[n]
            values[:, n] = column.encode(frame[:, n])
            if column.levels and (count := np.count_nonzero(values[:, n] == UNSEEN)):
                unseen[column.name] = int(count)
        return values, unseen

    def _check(self, given: Input) -> None:
        """Raise a ValueError where the columns are not those of fit."""
        names, container = given.names, given.container
        if "numpy" not in (container, self.container):
            _check_names(self.names, names)
            return
        text = [column.where for column in self.columns if column.numpy_dtype is None]
        if text and container == "numpy":
            raise ValueError(
                f"X is an array, and {text[0]} held text or categories in fit; "
                "pass a frame with the columns of fit."
            )
        if len(names) != len(self.columns):
            raise ValueError(
                f"X has {len(names)} features, but {len(self.columns)} were seen in fit."
            )

    def decode(self, values, index=None, container: str | None = None):
        """Return the table that values, shape (n, d), stand for; NaN are missing cells.

        `index` is that of a pandas result. `container` is another library than that of fit, which
        has no dtypes of fit.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(self.columns):
            raise ValueError(f"Values of shape {values.shape} for {len(self.columns)} columns.")
        container = container or self.container
        if container == "numpy":
            return to_array(self.columns, values)
        native = container == self.container
        build, join = WRITERS[container]
        cells = [build(c, values[:, n], native) for n, c in enumerate(self.columns)]
        return join(cells, self.names if self.labels is None else self.labels, index)

    def framed(self, values: np.ndarray, container: str):
        """Return a matrix of numbers as a frame with the names of fit."""
        names = [str(name) for name in self.names]
        backend: Any = container
        frame = nw.from_numpy(values, schema=names, backend=backend).to_native()
        if container == "pandas":
            frame.columns = self.names if self.labels is None else self.labels.copy()
        return frame

    def fill(self, given: Input, missing: np.ndarray, values: np.ndarray):
        """Return a frame or an array with its missing cells from values, both shape (n, d)."""
        return fill(given, self.columns, missing, values, given.container == self.container)


def _table(given: Input) -> nw.DataFrame:
    """Return a table as a frame; arrays hold numbers alone."""
    if given.frame is None:
        refuse_non_numeric(given)
    return given.table


def matrix_of(given: Input) -> np.ndarray:
    """Return the numbers of a frame, of one dtype; without a copy where pandas holds them so."""
    if given.is_plain:
        dtype = np.float32 if given.is_single else np.float64
        return given.table.to_native().to_numpy(dtype=dtype)
    return Schema.of_numbers(given.names).encode(given)[0]


def _check_names(known: list, names: list) -> None:
    """Raise a ValueError in the words of scikit-learn where the names are not those of fit."""
    if names == known:
        return
    lines = ["The feature names should match those that were passed during fit."]
    for title, of, others in (
        ("Feature names unseen at fit time:", names, set(known)),
        ("Feature names seen at fit time, yet now missing:", known, set(names)),
    ):
        strange = [f"- {label(name)}" for name in of if name not in others]
        more = ["- ..."] if len(strange) > _MOST_NAMES else []
        lines += [title, *strange[:_MOST_NAMES], *more] if strange else []
    if len(lines) == 1:
        lines.append("Feature names must be in the same order as they were in fit.")
    raise ValueError("\n".join(lines))
