"""What all processes of a fit have to have alike."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse

from skvae.components import plain
from skvae.data.input import Input
from skvae.distributed.pieces import Pieces
from skvae.limits import Limits

# Parameters that may be others in every process.
_OWN = ("device", "verbose", "checkpoint_dir", "checkpoint_every")


def facts_of(parameters: Mapping[str, Any], given: Input, has_weight: bool) -> dict[str, Any]:
    """Parameters and columns, by their names in words."""
    facts: dict[str, Any] = {
        f"the parameter {name}": _said(value)
        for name, value in parameters.items()
        if name not in _OWN
    }
    facts["the kind of table"] = kind_of(given)
    facts["the number of columns"] = n_columns(given)
    if given.frame is not None:
        facts["the names of the columns"] = given.names
    facts["whether there is a sample_weight"] = has_weight
    return facts


def facts_of_limits(limits: Limits) -> dict[str, Any]:
    """Limits, by their names in words."""
    return {f"the limit {name}": value for name, value in asdict(limits).items()}


def digest_of(arrays: Mapping[str, np.ndarray]) -> str:
    """A hash of arrays and of their names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()[:16]


def _said(value: Any) -> str:
    """A parameter in words that are the same in every process: without places in its memory."""
    if isinstance(value, np.random.RandomState):
        return "a RandomState"  # of which the first process draws
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", repr(plain(value)))


def dtypes_of(given: Input) -> dict[str, Any]:
    """Dtypes of the columns, by their names in words; of a table without rows they say nothing."""
    if given.n_rows == 0:
        return {}
    if given.frame is None:
        return {"the dtype of X": str(getattr(given.native, "dtype", "float64"))}
    return {f"the dtype of column {name!r}": _text(own) for name, own in given.dtypes.items()}


def facts_of_pieces(
    parameters: Mapping[str, Any], pieces: Pieces
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts of a process, and the dtypes of its columns: those of each of its pieces.

    Raises
    ------
    ValueError
        If pieces are not alike; the message names the first that is not.
    """
    givens = [Input.of(table) for table in pieces.tables]
    found = [
        facts_of(parameters, given, weight is not None)
        for given, weight in zip(givens, pieces.weights, strict=True)
    ]
    for place, facts in zip(pieces.places, found, strict=True):
        for name, value in facts.items():
            if value != found[0].get(name):
                raise ValueError(
                    f"all partitions must have the same columns, but {name} is "
                    f"{found[0].get(name)!s:.200} in partition {pieces.places[0]} and "
                    f"{value!s:.200} in partition {place}."
                )
    dtypes = [dtypes_of(given) for given in givens]
    refuse_other_dtypes(dtypes, pieces.places, "partition")
    return found[0], {name: own for each in reversed(dtypes) for name, own in each.items()}


def refuse_other_dtypes(
    told: Sequence[Mapping[str, Any]], places: Sequence[int] | None = None, where: str = "process"
) -> None:
    """Raise a ValueError where columns have other dtypes in another process or partition."""
    known: dict[str, tuple[int, Any]] = {}
    for rank, dtypes in zip(places or range(len(told)), told, strict=True):
        for name, dtype in dtypes.items():
            first, own = known.setdefault(name, (rank, dtype))
            if dtype != own:
                raise ValueError(
                    f"{name} is {own} in {where} {first} and {dtype} in {where} {rank}: use the "
                    "same dtypes everywhere."
                )


def kind_of(given: Input) -> str:
    """Of a table: the library of a frame, sparse rows, or an array."""
    if given.frame is not None:
        return given.container
    return "sparse rows" if sparse.issparse(given.native) else "an array"


def n_columns(given: Input) -> int:
    """Columns of a table."""
    if given.frame is not None:
        return len(given.names)
    shape = np.shape(given.native) if not sparse.issparse(given.native) else given.native.shape
    if len(shape) != 2:
        raise ValueError(f"X has the shape {shape}; pass a table of rows and columns.")
    return int(shape[1])


def _text(dtype: nw.dtypes.DType) -> str:
    """A dtype, without the levels of unordered categories, which may be others."""
    return "Categorical" if dtype == nw.Categorical else str(dtype)
