"""Rows of tables, whatever library they are of: some of one, or those of several as one table."""

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse

from skvae.data.input import Input


def taken(table: Any, index: np.ndarray) -> Any:
    """Some rows of a table, in the order of the index."""
    frame = Input.of(table).frame
    if frame is not None:
        return frame[index].to_native()
    return table[index] if hasattr(table, "shape") else [table[i] for i in index]


def joined(tables: Sequence[Any]) -> Any:
    """One table of the rows of several, in their order; those without rows do not count.

    Levels of unordered categories are those of all tables, in the order of their values.
    """
    filled = [table for table in tables if Input.of(table).n_rows] or list(tables[:1])
    if len(filled) == 1:
        return filled[0]
    if sparse.issparse(filled[0]):
        return sparse.vstack(filled, format="csr")
    frames = [frame for table in filled if (frame := Input.of(table).frame) is not None]
    if not frames:
        concatenate = np.ma.concatenate if np.ma.isMaskedArray(filled[0]) else np.concatenate
        return concatenate(filled)
    return nw.concat(_with_same_levels(frames), how="vertical").to_native()


def _with_same_levels(frames: list[nw.DataFrame]) -> list[nw.DataFrame]:
    """The frames, their columns of categories with the levels of all of them."""
    for name, dtype in frames[0].schema.items():
        if dtype == nw.Categorical:
            levels = [frame[name].cat.get_categories().to_list() for frame in frames]
            if any(own != levels[0] for own in levels):
                frames = _with_levels(frames, name, sorted(set().union(*levels)))
    return frames


def _with_levels(frames: list[nw.DataFrame], name: str, levels: list) -> list[nw.DataFrame]:
    """The frames, a column of categories with these levels."""
    if not frames[0].implementation.is_pandas_like():
        return frames  # whose libraries join them
    natives = [frame.to_native() for frame in frames]
    return [
        nw.from_native(native.assign(**{name: native[name].cat.set_categories(levels)}))
        for native in natives
    ]
