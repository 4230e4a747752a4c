"""A fitted model as arrays and JSON values, and back.

A tree of our own dataclasses, tuples and components becomes a tree that JSON can hold, with a name
in the place of every array. Only the types of the table below can come out of it: a state that
others give can hold no code.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, NamedTuple

import numpy as np

from skvae.data.column import Column
from skvae.data.columns import Columns
from skvae.data.schema import Schema
from skvae.data.units import Fixed, Part, Units
from skvae.fitted.stored_rows import StoredRows
from skvae.likelihoods import LIKELIHOODS
from skvae.model.diagnostics import CodeUse
from skvae.model.networks import ARCHITECTURES
from skvae.model.priors import PRIORS
from skvae.start.factor_start import FactorStart
from skvae.start.factors import FactorModel
from skvae.start.ppca import ProbabilisticPCA

Arrays = dict[str, np.ndarray]


class KeptState(NamedTuple):
    """What is kept: a tree of JSON values, and the arrays that it names."""

    tree: Any
    arrays: dict[str, np.ndarray]


def to_state(value: Any) -> KeptState:
    """A value of the kept types as JSON values and arrays.

    Raises
    ------
    TypeError
        If something in it is of another type, such as an architecture that is a function.
    """
    arrays: Arrays = {}
    return KeptState(_tree(value, "", arrays), arrays)


def from_state(state: KeptState) -> Any:
    """The value that `to_state` was given.

    Raises
    ------
    ValueError
        If the tree names what is not kept.
    """
    return _value(state.tree, state.arrays)


def _tree(value: Any, path: str, arrays: Arrays) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    name = _NAME_OF.get(type(value))
    if name is not None:
        parts = {key: _tree(own, f"{path}.{key}", arrays) for key, own in _parts(value).items()}
        return {"type": name, "parts": parts}
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value, path, arrays)
    raise TypeError(
        f"{value!r:.80} is of the type {type(value).__name__}, which cannot be kept; use a name or "
        "a component of skvae in its place."
    )


def _number(value: float, path: str, arrays: Arrays) -> Any:
    """JSON has no number that is not finite."""
    return value if np.isfinite(value) else {"float": repr(value)}


def _scalar(value: np.generic, path: str, arrays: Arrays) -> dict[str, Any]:
    return {"scalar": value.dtype.str, "value": _tree(value.item(), path, arrays)}


def _mapping(value: Mapping[Any, Any], path: str, arrays: Arrays) -> dict[str, Any]:
    pairs = [
        [_tree(key, f"{path}.key", arrays), _tree(own, f"{path}.{key}", arrays)]
        for key, own in value.items()
    ]
    return {"dict": pairs}


def _sequence(value: list[Any] | tuple[Any, ...], path: str, arrays: Arrays) -> dict[str, Any]:
    kind = "list" if isinstance(value, list) else "tuple"
    return {kind: [_tree(own, f"{path}.{n}", arrays) for n, own in enumerate(value)]}


def _array(value: np.ndarray, path: str, arrays: Arrays) -> dict[str, Any]:
    if value.dtype == object:
        items = [_tree(item, path, arrays) for item in value.ravel().tolist()]
        return {"objects": items, "shape": list(value.shape)}
    key = path.lstrip(".") or "array"
    arrays[key] = value
    return {"array": key}


def _parts(value: Any) -> dict[str, Any]:
    """What an object of a kept type is made of, without objects of other libraries."""
    if hasattr(value, "get_params"):
        return value.get_params(deep=False)
    if isinstance(value, tuple):
        return value._asdict()  # type: ignore[attr-defined]
    state = value.__getstate__() if type(value) in _PLAIN else vars(value)
    return {field.name: state[field.name] for field in fields(value) if field.init}


def _value(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if not isinstance(tree, dict):
        return tree
    for key, read in _READERS.items():
        if key in tree:
            return read(tree, arrays)
    raise ValueError(f"{tree!r:.80} is nothing that is kept.")


def _object(tree: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    kept = KEPT.get(tree["type"])
    if kept is None:
        raise ValueError(f"{tree['type']!r:.80} is not among the types that are kept.")
    parts = {name: _value(part, arrays) for name, part in tree["parts"].items()}
    if kept in _PLAIN:
        made: Any = object.__new__(kept)
        made.__setstate__(parts)
        return made
    return kept(**parts)


def _objects(tree: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    items = np.empty(len(tree["objects"]), dtype=object)
    items[:] = [_value(item, arrays) for item in tree["objects"]]
    return items.reshape(tree["shape"])


# Generic numbers come first: NumPy's double precision is a float of Python's, too.
_WRITERS: tuple[tuple[type | UnionType, Callable[[Any, str, Arrays], Any]], ...] = (
    (np.generic, _scalar),
    (int | float, _number),
    (np.ndarray, _array),
    (np.dtype, lambda value, path, arrays: {"dtype": value.str}),
    (bytes, lambda value, path, arrays: {"bytes": value.hex()}),
    (Mapping, _mapping),
    (list | tuple, _sequence),
)

_READERS: dict[str, Callable[[dict[str, Any], Mapping[str, np.ndarray]], Any]] = {
    "type": _object,
    "array": lambda tree, arrays: arrays[tree["array"]],
    "objects": _objects,
    "float": lambda tree, arrays: float(tree["float"]),
    "scalar": lambda tree, arrays: np.dtype(tree["scalar"]).type(_value(tree["value"], arrays)),
    "dtype": lambda tree, arrays: np.dtype(tree["dtype"]),
    "bytes": lambda tree, arrays: bytes.fromhex(tree["bytes"]),
    "dict": lambda tree, arrays: {
        _value(key, arrays): _value(own, arrays) for key, own in tree["dict"]
    },
    "list": lambda tree, arrays: [_value(item, arrays) for item in tree["list"]],
    "tuple": lambda tree, arrays: tuple(_value(item, arrays) for item in tree["tuple"]),
}

# Those that keep dtypes and labels of other libraries as plain values (data/dtypes.py).
_PLAIN: tuple[type, ...] = (Column, Schema)

# All that a state can hold beside plain values, by name.
KEPT: dict[str, type] = {
    kept.__name__: kept
    for kept in (
        *(CodeUse, Column, Columns, FactorModel, FactorStart, Fixed, Part, ProbabilisticPCA),
        *(Schema, StoredRows, Units),
        *ARCHITECTURES.values(),
        *LIKELIHOODS.values(),
        *PRIORS.values(),
    )
}
_NAME_OF = {kept: name for name, kept in KEPT.items()}
