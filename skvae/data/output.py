"""Rows as a person gets them: in the container that came or was asked for, with its dtypes."""

from typing import Any

import numpy as np

from skvae._sklearn import like, to_numpy
from skvae.data.input import Input
from skvae.data.reading import Reading
from skvae.data.schema import Schema


def restored(schema: Schema | None, rows: np.ndarray, asked: str, given: Any, index: Any) -> Any:
    """Rows as fit had them: a frame if that had more than numbers, or if one is asked for.

    Arrays are like what was given; a frame of pandas has the index of the one that was given.
    """
    if schema is None or (asked == "default" and schema.is_numeric):
        return like(given, rows)
    container = schema.container if asked == "default" else asked
    table = schema.decode(rows, index if container == "pandas" else None, container)
    return like(given, table) if container == "numpy" else table


def filled(schema: Schema, rows: np.ndarray, asked: str, reading: Reading) -> Any:
    """Rows in the container that came, with its observed cells; of arrays in that asked for."""
    given, missing = reading.given, np.isnan(reading.values)
    if given.is_frame:
        return schema.fill(given, missing, rows)
    array = to_numpy(reading.checked)
    if asked != "default":
        return schema.framed(schema.fill(Input.of(array), missing, rows), asked)
    own = given if isinstance(given.native, np.ndarray) else Input.of(array)
    return like(reading.checked, schema.fill(own, missing, rows))
