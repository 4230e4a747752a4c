"""Rows as a page shows them: columns of numbers and dates, and of levels by their places."""

from typing import Any

import numpy as np
from scipy import sparse

from skvae.colors import classes_of, colors_of
from skvae.data.input import Input
from skvae.export.questions import exported

LONGEST = 300  # characters of a cell or a name that the page keeps
# Letters of a date in ISO 8601 down to a unit, and those of milliseconds.
_LETTERS, _MOST_LETTERS = {10: "D", 16: "m", 19: "s"}, 23
_LAST = 8.64e15  # milliseconds, beyond which a browser has no dates
_CLOSE = 1e-6  # of a column's spread, which single precision may lose


def shortened(value: Any) -> str:
    """A value as text, cut in the middle where it is long."""
    text = str(value)
    if len(text) <= LONGEST:
        return text
    kept = LONGEST // 2 - 3
    return f"{text[:kept]} ... {text[-kept:]}"


def named(name: Any) -> str:
    """The name of a column, or words for its position."""
    return shortened(name) if isinstance(name, str) else f"column {shortened(name)}"


def column_names(estimator: Any) -> list[str]:
    """Names of the columns of fit."""
    return [named(name) for name in exported(estimator).names]


def levels_of(estimator: Any) -> list[tuple[Any, ...]]:
    """Levels of the columns of fit: none of numbers, two of booleans."""
    own = exported(estimator)
    if own.columns.schema is None:
        return [() for _ in own.names]
    columns = own.columns.schema.columns
    return [(False, True) if each.kind == "boolean" else each.levels for each in columns]


def columns_of(estimator: Any, X: Any) -> list[dict[str, Any]]:
    """The columns of rows, each as `column_of` tells it; what fit took for numbers are some."""
    found = zip(column_names(estimator), levels_of(estimator), _cells(X), strict=True)
    return [
        column_of(name, cells if levels else _numbers(cells), levels)
        for name, levels, cells in found
    ]


def values_of(estimator: Any, X: Any) -> np.ndarray:
    """Rows as numbers, shape (n, d): of levels their places, NaN where missing."""
    found = zip(levels_of(estimator), _cells(X), strict=True)
    return np.stack([_place_numbers(cells, levels) for levels, cells in found], 1)


def _place_numbers(cells: Any, levels: tuple[Any, ...]) -> np.ndarray:
    if not levels:
        return _numbers(cells)
    places = _places(cells, levels)[0]
    return np.where(places < 0, np.nan, places)


def column_of(name: str, cells: Any, levels: tuple[Any, ...] = ()) -> dict[str, Any]:
    """A column as the page has it.

    `kind` is "number", "date" or "level"; `values` are numbers, milliseconds since 1970, or places
    among `levels`, `missing` where there is none; booleans are levels. `classes` tells which colour
    a value has, where it is one of few.
    """
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        return {"name": name, "kind": "date"} | _date_column(cells)
    numbers = None if levels else _numbers_or_none(cells)
    if numbers is not None:
        return {"name": name, "kind": "number"} | _number_column(numbers)
    places, levels = _places(cells, levels)
    missing = 255 if len(levels) < 255 else 65535 if len(levels) < 65535 else -1
    dtype = {255: np.uint8, 65535: np.uint16, -1: np.int32}[missing]
    return {
        "name": name,
        "kind": "level",
        "levels": [shortened(level) for level in levels],
        "missing": missing,
        "values": np.where(places < 0, missing, places).astype(dtype),
        "classes": _classes_of_levels(places, levels),
    }


def _date_column(times: np.ndarray) -> dict[str, Any]:
    """Dates with as many letters of them as tell all: less where none has a time of day."""
    known = times[~np.isnat(times)]
    letters = next(
        (n for n, unit in _LETTERS.items() if (known == known.astype(f"datetime64[{unit}]")).all()),
        _MOST_LETTERS,
    )
    values = times.astype("datetime64[ms]").astype(np.float64)
    return {
        "letters": letters,
        "values": np.where(np.isnat(times), np.nan, values.clip(-_LAST, _LAST)),
        "classes": None,
    }


def _number_column(numbers: np.ndarray) -> dict[str, Any]:
    present = numbers[np.isfinite(numbers)]
    is_whole = bool((present % 1 == 0).all())
    spread = float(present.std()) if len(present) else 0.0
    classes = None
    named = classes_of(numbers)
    if named is not None and len(present):
        colors = colors_of(named)
        order = {name: place for place, name in enumerate(colors)}
        values = [name for name in colors if not isinstance(name, str)]
        classes = {
            "names": [str(name) for name in colors],
            "colors": list(colors.values()),
            "values": [float(value) for value in values],
            "of": [order[value] for value in values],
        }
    return {
        "whole": is_whole,
        "values": _narrow(numbers, spread, is_whole),
        "spread": spread,
        "classes": classes,
    }


def _narrow(numbers: np.ndarray, spread: float, is_whole: bool) -> np.ndarray:
    """In the fewest bytes that lose nothing to be seen."""
    if is_whole and len(numbers) and numbers.min() >= 0 and numbers.max() <= 255:
        return numbers.astype(np.uint8)  # NaN has no part in these comparisons
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    with np.errstate(invalid="ignore"):
        lost = np.abs(numbers - single)
    is_close = np.isnan(numbers) | (lost <= _CLOSE * spread) | (lost == 0)
    return single if is_close.all() else numbers.astype(np.float64)


def _classes_of_levels(places: np.ndarray, levels: tuple[Any, ...]) -> dict[str, Any] | None:
    """Colours of levels, as `LatentDisplay` gives them to classes."""
    words = np.array([str(level) for level in (*levels, "missing")], dtype=object)
    classes = classes_of(words[places])
    if classes is None or not len(places):
        return None
    colors = colors_of(classes)
    order = {name: place for place, name in enumerate(colors)}
    other = order.get("other", 0)
    return {
        "names": [shortened(name) for name in colors],
        "colors": list(colors.values()),
        "of": [order.get(word, other) for word in words[:-1]],
    }


def _cells(X: Any) -> list[Any]:
    """Cells of every column, as they came."""
    if sparse.issparse(X):
        return list(X.toarray().T)
    given = Input.of(X)
    if not given.is_frame:
        array = np.asarray(given.native)
        return list(array.T)
    return list(given.table.iter_columns())


def _numbers_or_none(cells: Any) -> np.ndarray | None:
    """Numbers, where no cell is text or a boolean."""
    try:
        are_booleans = any(isinstance(cell, bool | np.bool_) for cell in _listed(cells))
        return None if are_booleans else _numbers(cells)
    except (TypeError, ValueError):
        return None


def _numbers(cells: Any) -> np.ndarray:
    """Numbers in double precision, NaN where missing; a ValueError or TypeError where none are.

    Booleans are 0 and 1, as a model of numbers takes them.
    """
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "biuf":
        return cells.astype(np.float64)
    found = [np.nan if _is_missing(cell) else cell for cell in _listed(cells)]
    if any(isinstance(cell, str | bytes) for cell in found):
        raise TypeError("text is no number.")
    return np.array(found, dtype=np.float64)


def _places(cells: Any, levels: tuple[Any, ...]) -> tuple[np.ndarray, tuple[Any, ...]]:
    """Places of cells among the levels, to which those that fit has not seen are added."""
    known = {level: place for place, level in enumerate(levels)}
    places = [
        -1 if _is_missing(cell) else known.setdefault(cell, len(known)) for cell in _listed(cells)
    ]
    return np.array(places, dtype=int), tuple(known)


def _listed(cells: Any) -> list[Any]:
    return cells.tolist() if isinstance(cells, np.ndarray) else cells.to_list()


def _is_missing(cell: Any) -> bool:
    """NaN, None, NA: what is not the same as itself, or does not say."""
    try:
        return cell is None or bool(cell != cell)
    except TypeError:
        return True
