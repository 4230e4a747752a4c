"""What all processes of a fit have to have alike."""

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
from scipy import sparse

from skvae.components import plain
from skvae.data.input import Input

# Parameters that may be others in every process.
_OWN = ("device", "verbose", "checkpoint_dir", "checkpoint_every")


def facts_of(parameters: Mapping[str, Any], given: Input, has_weight: bool) -> dict[str, Any]:
    """Parameters and columns, by their names in words."""
    facts: dict[str, Any] = {
        f"the parameter {name}": repr(plain(value))
        for name, value in parameters.items()
        if name not in _OWN and not isinstance(value, np.random.RandomState)
    }
    facts["the kind of table"] = kind_of(given)
    facts["the number of columns"] = n_columns(given)
    if given.frame is not None:
        facts["the names of the columns"] = given.names
    facts["whether there is a sample_weight"] = has_weight
    return facts


def dtypes_of(given: Input) -> dict[str, Any]:
    """Dtypes of the columns, by their names in words; of a table without rows they say nothing."""
    if given.n_rows == 0:
        return {}
    if given.frame is None:
        return {"the dtype of X": str(getattr(given.native, "dtype", "float64"))}
    return {f"the dtype of column {name!r}": _text(own) for name, own in given.dtypes.items()}


def refuse_other_dtypes(told: Sequence[Mapping[str, Any]]) -> None:
    """Raise a ValueError where columns have other dtypes in another process."""
    known: dict[str, tuple[int, Any]] = {}
    for rank, dtypes in enumerate(told):
        for name, dtype in dtypes.items():
            first, own = known.setdefault(name, (rank, dtype))
            if dtype != own:
                raise ValueError(
                    f"{name} is {own} in process {first} and {dtype} in process {rank}: give all "
                    "processes the same dtypes."
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
