"""Rows drawn as lines over their columns, a panel for each."""

from collections.abc import Sequence
from typing import Any

import numpy as np

UNALIKE = 10  # columns whose spreads differ by more than this factor are drawn standardized
MANY_COLUMNS = 16  # more names than these do not fit under an axis
LONG_NAME = 18  # letters of a column's name that are written


def units_of_lines(rows: np.ndarray, image_shape: tuple[int, ...] | None) -> tuple[Any, Any, str]:
    """What to subtract, what to divide by, and what a value is then called."""
    spread = np.nanstd(rows, axis=0)
    some = spread[spread > 0]
    if image_shape is not None or len(some) == 0 or some.max() <= UNALIKE * some.min():
        return 0.0, 1.0, "value"
    return np.nanmean(rows, axis=0), np.where(spread > 0, spread, 1.0), "standardized value"


def finish(panels: list[Any], n_used: int, n_columns: int, value_name: str) -> list[Any]:
    """Give panels one axis of values, said at the left; remove those left over."""
    for panel in panels[n_used:]:
        panel.remove()
    panels = panels[:n_used]
    limits = np.array([panel.get_ylim() for panel in panels])
    for n, panel in enumerate(panels):
        panel.set_ylim(limits[:, 0].min(), limits[:, 1].max())
        is_left, is_lowest = n % n_columns == 0, n + n_columns >= n_used
        panel.tick_params(labelleft=is_left, labelbottom=is_lowest)
        panel.set_ylabel(value_name if is_left else "", fontsize="small")
        if not is_lowest:
            panel.set_xlabel("")
    return panels


def name_columns(ax: Any, n_columns: int, names: Sequence[str] | None) -> None:
    """Write the names of columns under an axis, where they fit."""
    if names is None or n_columns > MANY_COLUMNS:
        ax.set_xlabel("column", fontsize="small")
        ax.xaxis.get_major_locator().set_params(integer=True)
        return
    short = [n if len(n) <= LONG_NAME else n[: LONG_NAME - 1] + "…" for n in names]
    ax.set_xticks(range(n_columns), short, rotation=90, fontsize="x-small")


def room_for_names(names: Sequence[str] | None, n_columns: int, is_ragged: bool) -> float:
    """Inches that names of columns take below panels; a last line with gaps needs them twice."""
    longest = 4
    if names is not None and n_columns <= MANY_COLUMNS:
        longest = min(max(map(len, names)), LONG_NAME)
    return (0.08 * longest) * (2 if is_ragged else 1)
