"""Rows that tell what columns can hold: the first with each level, the first without a value.

Of very many rows all processes know some, drawn at random. These are known beside them, so that
columns are the same as if all rows had been read.
"""

from collections.abc import Iterator
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse

from skvae.data.input import Input
from skvae.distributed.layout import Layout
from skvae.distributed.pieces import Pieces

_MOST_LEVELS = 4096  # of a column of numbers: with more its numbers are no levels

# A column and what it holds there; None stands for a missing cell.
First = dict[tuple[int, Any], int]


def telling_places(layout: Layout, pieces: Pieces, has_chosen: bool) -> np.ndarray:
    """Places of such rows, in order, the same whoever has the rows."""
    mine: First = {}
    for place, table, _ in zip(*pieces.ordered(), strict=True):
        first, given = layout.firsts[place], Input.of(table)
        if not given.n_rows:
            continue
        for what, row in _first_rows(given, has_chosen):
            mine.setdefault(what, first + row)
    found: First = {}
    for own in layout.team.gather(mine):
        for what, where in own.items():
            found[what] = min(where, found.get(what, where))
    return np.unique(np.fromiter(found.values(), np.int64, len(found)))


def _first_rows(given: Input, has_chosen: bool) -> Iterator[tuple[tuple[int, Any], int]]:
    """What each column holds, and in which row first."""
    if given.frame is not None:
        for j, name in enumerate(given.names):
            column = given.frame[name]
            if not column.dtype.is_float() or has_chosen:
                yield from _levels(j, column)
            missing = column.is_null()
            if column.dtype.is_float():
                missing = missing | column.is_nan()
            if missing.any():
                yield (j, None), int(missing.arg_true()[0])
    elif not sparse.issparse(given.native):
        yield from _of_array(np.asarray(given.native), has_chosen)


def _levels(j: int, column: nw.Series) -> Iterator[tuple[tuple[int, Any], int]]:
    firsts = column.is_first_distinct().arg_true().to_numpy()
    if column.dtype.is_numeric() and len(firsts) > _MOST_LEVELS:
        return
    values = column[firsts].to_list()
    yield from (((j, value), int(row)) for value, row in zip(values, firsts, strict=True))


def _of_array(X: np.ndarray, has_chosen: bool) -> Iterator[tuple[tuple[int, Any], int]]:
    for j, column in enumerate(X.T):
        if column.dtype.kind == "f":
            row = int(np.isnan(column).argmax())
            if np.isnan(column[row]):
                yield (j, None), row
        if has_chosen or column.dtype.kind not in "iufb":
            values, firsts = np.unique(column[column == column], return_index=True)
            if len(values) <= _MOST_LEVELS or column.dtype.kind not in "iufb":
                rows = np.flatnonzero(column == column)[firsts]
                yield from (((j, v), int(row)) for v, row in zip(values, rows, strict=True))
