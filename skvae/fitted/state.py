"""A fitted model as arrays and JSON values, and back.

A tree of our own dataclasses, tuples and components becomes a tree that JSON can hold, with a name
in the place of every array. Only the types of the table below can come out of it: a state that
others give can hold no code.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator

from skvae.data.column import Column
from skvae.data.columns import Columns
from skvae.data.schema import Schema
from skvae.data.units import Fixed, Part, Units
from skvae.fitted.parts import check_parts
from skvae.fitted.stored_rows import StoredRows
from skvae.likelihoods import LIKELIHOODS
from skvae.model.diagnostics import CodeUse
from skvae.model.networks import ARCHITECTURES
from skvae.model.priors import PRIORS
from skvae.registry import REGISTRY, Registry, is_component
from skvae.start.factor_start import FactorStart
from skvae.start.factors import FactorModel
from skvae.start.ppca import ProbabilisticPCA

Arrays = dict[str, np.ndarray]
Kinds = Mapping[str, type]  # what can be kept beside plain values, by name

_STATED = re.compile(r"[<>|=]?[biuf](1|2|4|8|16)")  # dtypes of numbers, as numpy writes them
_ENDLESS = ("nan", "inf", "-inf")


class KeptState(NamedTuple):
    """What is kept: a tree of JSON values, and the arrays that it names."""

    tree: Any
    arrays: Arrays


def to_state(value: Any) -> KeptState:
    """A value of the kept types as JSON values and arrays.

    Raises
    ------
    TypeError
        If something in it is of another type, such as an architecture that is a function.
    """
    writer = Writer(KEPT)
    return KeptState(writer.tree(value, ""), writer.arrays)


def from_state(state: KeptState) -> Any:
    """The value that `to_state` was given.

    Raises
    ------
    ValueError
        If the tree names what is not kept.
    """
    return Reader(state.arrays, KEPT).value(state.tree)


class Writer:
    """Makes trees of values; what several of them share is written once."""

    def __init__(self, kinds: Kinds, registry: Registry = REGISTRY) -> None:
        self.arrays: Arrays = {}
        self._registry = registry
        self._names = {kept: name for name, kept in kinds.items()}
        self._known: dict[int, tuple[Any, str]] = {}  # by identity, with what keeps that alive

    def tree(self, value: Any, path: str) -> Any:
        """The tree of a value; arrays in it are named by its path.

        Raises
        ------
        TypeError
            If something in it cannot be kept.
        """
        if value is None or isinstance(value, bool | str):
            return value
        if type(value) in self._names:
            return self._object(value, path)
        if callable(value) or isinstance(value, BaseEstimator):
            return self.registered(value, path)
        for kind, write in _WRITERS:
            if isinstance(value, kind):
                return write(self, value, path)
        raise TypeError(
            f"{value!r:.80} is of the type {type(value).__name__}, which cannot be saved; use a "
            "name or a component of skvae instead."
        )

    def registered(self, value: Any, path: str) -> dict[str, Any]:
        """What a person has registered: a callable by its name, a component with its options."""
        is_component = isinstance(value, BaseEstimator)
        own = type(value) if is_component else value
        name = self._registry.name_of(own)
        if name is None:
            raise TypeError(
                f"{value!r:.80} is code, which a file cannot contain: call skvae.register(name, "
                f"{getattr(own, '__name__', '...')}) before saving and before loading, or use a "
                "name or a component of skvae instead."
            )
        if not is_component:
            return {"registered": name}
        options = value.get_params(deep=False)
        return {
            "registered": name,
            "options": {key: self.tree(part, f"{path}.{key}") for key, part in options.items()},
        }

    def _object(self, value: Any, path: str) -> dict[str, Any]:
        if id(value) in self._known:
            return {"same": self._known[id(value)][1]}
        parts = {key: self.tree(own, f"{path}.{key}") for key, own in _parts(value).items()}
        tree = {"type": self._names[type(value)], "parts": parts}
        if not hasattr(value, "get_params"):  # components are made for one place
            tree["name"] = path
            self._known[id(value)] = value, path
        return tree

    def number(self, value: float, path: str) -> Any:
        """JSON has no number that is not finite."""
        is_told = isinstance(value, int) or np.isfinite(value)
        return value if is_told else {"float": repr(float(value))}

    def scalar(self, value: np.generic, path: str) -> dict[str, Any]:
        """A number of numpy."""
        if not _STATED.fullmatch(value.dtype.str):
            raise TypeError(f"{value!r:.80} is of the dtype {value.dtype}, which cannot be kept.")
        return {"scalar": value.dtype.str, "value": self.tree(value.item(), path)}

    def mapping(self, value: Mapping[Any, Any], path: str) -> dict[str, Any]:
        """A dict, whose keys need not be text."""
        pairs = [
            [self.tree(key, f"{path}.key"), self.tree(own, f"{path}.{key}")]
            for key, own in value.items()
        ]
        return {"dict": pairs}

    def sequence(self, value: list[Any] | tuple[Any, ...], path: str) -> dict[str, Any]:
        """A list or a tuple."""
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [self.tree(own, f"{path}.{n}") for n, own in enumerate(value)]}

    def array(self, value: np.ndarray, path: str) -> dict[str, Any]:
        """An array by its name; of objects or text, its items."""
        if value.dtype.kind in "OU":
            items = [self.tree(item, path) for item in value.ravel().tolist()]
            tree = {"objects": items, "shape": list(value.shape)}
            return tree if value.dtype == object else tree | {"text": value.dtype.str}
        if id(value) not in self._known:
            key = path.lstrip(".") or "array"
            self.arrays[key] = value
            self._known[id(value)] = value, key
        # Products of the transpose are rounded otherwise.
        order = {"order": "F"} if value.flags.f_contiguous and not value.flags.c_contiguous else {}
        return {"array": self._known[id(value)][1]} | order

    def generator(self, value: np.random.RandomState, path: str) -> dict[str, Any]:
        """A source of random numbers, where it stands."""
        name, key, *others = value.get_state(legacy=True)
        if name != "MT19937":
            raise TypeError(
                f"{value!r:.80} uses the generator {name}, which cannot be saved; use an integer "
                "seed."
            )
        return {"generator": [self.array(np.array(key), f"{path}.key"), *map(self._own, others)]}

    def _own(self, value: Any) -> Any:
        return self.number(value, "")


def _parts(value: Any) -> dict[str, Any]:
    """What an object of a kept type is made of, without objects of other libraries."""
    if hasattr(value, "get_params"):
        return value.get_params(deep=False)
    if isinstance(value, tuple):
        return value._asdict()  # type: ignore[attr-defined]
    state = value.__getstate__() if type(value) in _PLAIN else vars(value)
    return {field.name: state[field.name] for field in fields(value) if field.init}


class Reader:
    """Makes values of trees."""

    def __init__(
        self, arrays: Mapping[str, np.ndarray], kinds: Kinds, registry: Registry = REGISTRY
    ) -> None:
        self._registry = registry
        self.used: set[str] = set()  # names of the arrays
        self._arrays = arrays
        self._kinds = kinds
        self._known: dict[str, Any] = {}

    def value(self, tree: Any) -> Any:
        """The value of a tree.

        Raises
        ------
        ValueError
            If it is none, or holds what is not kept.
        """
        if tree is None or isinstance(tree, bool | str | int | float):
            return tree
        if isinstance(tree, dict):
            for needed, optional, read in _READERS:
                if needed <= tree.keys() <= needed | optional:
                    return read(self, tree)
        raise ValueError(f"{tree!r:.80} is nothing that is kept.")

    def object(self, tree: dict[str, Any]) -> Any:
        """An object of a kept type."""
        kept = self._kinds.get(_text(tree["type"]))
        if kept is None:
            raise ValueError(f"{tree['type']!r:.80} is not among the types that are kept.")
        parts = {name: self.value(part) for name, part in tree["parts"].items()}
        check_parts(kept, parts, is_plain=kept in _PLAIN)
        if kept in _PLAIN:
            made: Any = object.__new__(kept)
            made.__setstate__(parts)
        else:
            made = kept(**parts)
        if "name" in tree:
            self._known[_text(tree["name"])] = made
        return made

    def registered(self, tree: dict[str, Any]) -> Any:
        """What a person has registered, and nothing else under its name."""
        name = _text(tree["registered"])
        own = self._registry.get(name)
        if is_component(own) != ("options" in tree):
            raise ValueError(f"{name!r} was a component in one process, and is none in the other.")
        if not is_component(own):
            return own
        options = {key: self.value(part) for key, part in tree["options"].items()}
        check_parts(own, options)
        return own(**options)

    def same(self, tree: dict[str, Any]) -> Any:
        """What has been read before."""
        if _text(tree["same"]) not in self._known:
            raise ValueError(f"{tree['same']!r:.80} is named before it is told.")
        return self._known[tree["same"]]

    def array(self, tree: dict[str, Any]) -> np.ndarray:
        """An array."""
        name = _text(tree["array"])
        if name not in self._arrays:
            raise ValueError(f"there is no array {name!r:.80}.")
        self.used.add(name)
        if name not in self._known or not isinstance(self._known[name], np.ndarray):
            own = self._arrays[name]
            self._known[name] = np.asfortranarray(own) if tree.get("order") == "F" else own
        return self._known[name]

    def objects(self, tree: dict[str, Any]) -> np.ndarray:
        """An array of objects or text."""
        items = np.empty(len(tree["objects"]), dtype=object)
        items[:] = [self.value(item) for item in tree["objects"]]
        shape = [int(n) for n in tree["shape"]]
        found = items.reshape(shape)
        return found.astype(str) if "text" in tree else found

    def generator(self, tree: dict[str, Any]) -> np.random.RandomState:
        """A source of random numbers."""
        made = np.random.RandomState(0)
        made.set_state(("MT19937", *map(self.value, tree["generator"])))
        return made

    def scalar(self, tree: dict[str, Any]) -> Any:
        """A number of numpy."""
        return _dtype(tree["scalar"]).type(self.value(tree["value"]))

    def mapping(self, tree: dict[str, Any]) -> dict[Any, Any]:
        """A dict."""
        return {self.value(key): self.value(own) for key, own in tree["dict"]}

    def items(self, items: list[Any]) -> list[Any]:
        """Values of trees."""
        if not isinstance(items, list):
            raise ValueError(f"{items!r:.80} is no list.")
        return [self.value(item) for item in items]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.80} is no text.")
    return value


def _dtype(name: Any) -> np.dtype:
    """A dtype of numbers or of objects by its name: others could ask for memory without end."""
    if name != "|O" and not _STATED.fullmatch(_text(name)):
        raise ValueError(f"{name!r:.80} is no dtype of numbers.")
    return np.dtype(name)


def _endless(name: Any) -> float:
    if name not in _ENDLESS:
        raise ValueError(f"{name!r:.80} is none of {', '.join(_ENDLESS)}.")
    return float(name)


def _write_dtype(writer: Writer, value: np.dtype, path: str) -> dict[str, Any]:
    if value.kind != "O" and not _STATED.fullmatch(value.str):
        raise TypeError(f"the dtype {value} cannot be kept.")
    return {"dtype": value.str}


# Generic numbers come first: NumPy's double precision is a float of Python's, too.
_WRITERS: tuple[tuple[type | UnionType, Callable[[Writer, Any, str], Any]], ...] = (
    (np.generic, Writer.scalar),
    (int | float, Writer.number),
    (np.ndarray, Writer.array),
    (np.dtype, _write_dtype),
    (np.random.RandomState, Writer.generator),
    (bytes, lambda writer, value, path: {"bytes": value.hex()}),
    (Mapping, Writer.mapping),
    (list | tuple, Writer.sequence),
)

# Keys that a tree has, keys that it may have, and what reads it.
_READERS: tuple[tuple[set[str], set[str], Callable[[Reader, dict[str, Any]], Any]], ...] = (
    ({"type", "parts"}, {"name"}, Reader.object),
    ({"same"}, set(), Reader.same),
    ({"registered"}, {"options"}, Reader.registered),
    ({"array"}, {"order"}, Reader.array),
    ({"objects", "shape"}, {"text"}, Reader.objects),
    ({"float"}, set(), lambda reader, tree: _endless(tree["float"])),
    ({"scalar", "value"}, set(), Reader.scalar),
    ({"dtype"}, set(), lambda reader, tree: _dtype(tree["dtype"])),
    ({"generator"}, set(), Reader.generator),
    ({"bytes"}, set(), lambda reader, tree: bytes.fromhex(tree["bytes"])),
    ({"dict"}, set(), Reader.mapping),
    ({"list"}, set(), lambda reader, tree: reader.items(tree["list"])),
    ({"tuple"}, set(), lambda reader, tree: tuple(reader.items(tree["tuple"]))),
)

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
