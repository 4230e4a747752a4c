"""Columns of a table as inputs and outputs of a graph: named, each of its own type.

A matrix is one input, `X`. Of frames with anything but numbers every column is an input of shape
(n, 1): numbers as doubles or floats, NaN where missing; whole numbers and booleans as such, if fit
saw no gaps in them, else as doubles; levels as text, whole numbers, booleans or doubles. Any text
or number that is no level stands for a missing cell.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skvae.data.column import Column
from skvae.data.columns import Columns
from skvae.data.excerpts import excerpt
from skvae.export.graph import Graph, Port, Value

_NO_LEVEL = -1  # the place of what is no level


class Inputs(NamedTuple):
    """What goes in."""

    ports: list[Port]
    matrix: Value | None  # as it comes, where it is one
    values: Value  # (n, d) double precision: numbers, codes of levels, NaN where missing


def is_table(columns: Columns) -> bool:
    """Whether every column is an input of its own."""
    return columns.has_codes and columns.schema is not None and columns.schema.container != "numpy"


def inputs(
    graph: Graph, columns: Columns, dtype: np.dtype, names: Sequence[str], matrix_name: str
) -> Inputs:
    """The inputs of a graph: a matrix by its name, or columns by theirs, made safe."""
    if not is_table(columns):
        port = Port(matrix_name, dtype, len(names), "rows; NaN where a cell is missing")
        matrix = graph.input(port.name, dtype)
        return Inputs([port], matrix, _values_of_matrix(columns, matrix))
    assert columns.schema is not None
    ports, parts = [], []
    for name, column in zip(names, columns.schema.columns, strict=True):
        port = Port(name, _dtype_in(column), 1, _doc(column))
        ports.append(port)
        parts.append(_values(column, graph.input(port.name, port.dtype)))
    return Inputs(ports, None, graph.joined(parts))


def _values_of_matrix(columns: Columns, matrix: Value) -> Value:
    """Numbers as they are; those that are levels as codes."""
    if columns.schema is None or not any(own.levels for own in columns.schema.columns):
        return matrix.to(np.float64)
    parts = [
        _values(column, matrix.between(j, j + 1)) for j, column in enumerate(columns.schema.columns)
    ]
    return matrix.graph.joined(parts)


def _dtype_in(column: Column) -> np.dtype:
    """The type of a column's input."""
    if column.levels:
        return _dtype_of_levels(column)
    own = column.numpy_dtype
    if own is None or own.kind == "f":
        return np.dtype(np.float32 if own == np.float32 else np.float64)
    if column.missing is not None:
        return np.dtype(np.float64)
    return own if own.kind == "b" or own == np.uint64 else np.dtype(np.int64)


def _doc(column: Column) -> str:
    """The name of a column as it was, but for what is no Unicode."""
    return f"column {column.name}".encode(errors="backslashreplace").decode()


def _dtype_of_levels(column: Column) -> np.dtype:
    """The type of a column's levels, which holds all of them."""
    kinds = set(map(type, column.levels))
    for kind, dtype in ((str, object), (bool, bool), (int, np.int64), (float, np.float64)):
        if kinds == {kind}:
            _check_levels(column, np.dtype(dtype))
            return np.dtype(dtype)
    named = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(
        f"{column.where} has levels of the type {named}, which cannot be exported to ONNX; "
        "convert them to text before fit."
    )


def _check_levels(column: Column, dtype: np.dtype) -> None:
    """Name a level that is no Unicode, or no number of the type."""
    for level in column.levels:
        try:
            level.encode() if isinstance(level, str) else np.array(level, dtype)
        except (UnicodeEncodeError, OverflowError) as error:
            raise ValueError(
                f"{column.where} has the level {excerpt(level)}, which ONNX cannot hold; make it "
                "other text before fit."
            ) from error


def _values(column: Column, own: Value) -> Value:
    """Values of a column, (n, 1), double precision."""
    if not column.levels:
        return own.to(np.float64)
    graph, n = own.graph, len(column.levels)
    if own.dtype == object:
        place = graph.node(
            "LabelEncoder",
            own,
            dtype=np.int64,
            domain="ai.onnx.ml",
            keys_strings=list(column.levels),
            values_int64s=list(range(n)),
            default_int64=_NO_LEVEL,
        )
    else:
        levels = np.array(column.levels, own.dtype)
        is_it = graph.node("Equal", own, levels, dtype=bool).to(np.int64)
        # One more for what it is, so that nothing is the one before the first.
        place = (is_it * np.arange(1, n + 1)).sum(1, keep=True) - np.array(1)
    return graph.where(place >= np.array(0), place.to(np.float64), np.nan)


def outputs(
    columns: Columns, values: Value, dtype: np.dtype, names: Sequence[str], prefix: str
) -> list[tuple[Port, Value]]:
    """Rows in the user's units as outputs: a matrix, or a column each."""
    schema, doc = columns.schema, "rows as their codes tell them, in the units of the data"
    has_levels = schema is not None and any(own.levels for own in schema.columns)
    if schema is None or not (has_levels or is_table(columns)):
        return [(Port(prefix, dtype, len(names), doc), values.to(dtype))]
    cells = [_cells(own, values.between(j, j + 1)) for j, own in enumerate(schema.columns)]
    if not is_table(columns):
        matrix = values.graph.joined([cell.to(dtype) for cell in cells])
        return [(Port(prefix, dtype, len(names), doc), matrix)]
    return [
        (Port(f"{prefix}_{name}", cell.dtype, 1, _doc(column)), cell)
        for name, cell, column in zip(names, cells, schema.columns, strict=True)
    ]


def _cells(column: Column, values: Value) -> Value:
    """Cells of a column as fit had them, (n, 1)."""
    graph = values.graph
    if column.levels:
        levels = np.array(column.levels, _dtype_of_levels(column))
        place = values.clipped(0.0, len(levels) - 1.0).to(np.int64)
        return graph.constant(levels).take(place, axis=0)
    own = column.numpy_dtype
    assert own is not None
    if own.kind == "b":
        return values >= 0.5
    if own.kind in "iu":
        dtype = np.dtype(np.uint64 if own == np.uint64 else np.int64)
        info = np.iinfo(own)
        # Bounds that are doubles, so that none is beyond what the type holds.
        low, high = np.float64(info.min), np.nextafter(np.float64(info.max), 0.0)
        high = np.float64(info.max) if int(np.float64(info.max)) == info.max else high
        return values.apply("Round").clipped(low, high).to(dtype)
    return values.to(own if own in (np.float32, np.float64) else np.float64)


def safe_names(names: Sequence[object], outputs: Sequence[str]) -> list[str]:
    """Names that any reader of ONNX takes, each once: letters, digits and underscores."""
    found: list[str] = []
    taken = set(outputs)
    for name in names:
        safe = re.sub(r"\W", "_", str(name), flags=re.ASCII)
        safe = f"_{safe}" if not safe or safe[0].isdigit() else safe
        own, n = safe, 1
        while taken & {own, *(f"{output}_{own}" for output in outputs)}:
            n += 1
            own = f"{safe}_{n}"
        taken |= {own, *(f"{output}_{own}" for output in outputs)}
        found.append(own)
    return found
