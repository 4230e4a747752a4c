"""Whether what an object is to be made of is what it declares: names, and types of values."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
from sklearn.base import BaseEstimator

from skvae.registry import REGISTRY


def check_parts(kept: type, parts: Mapping[str, Any], is_plain: bool = False) -> None:
    """Raise a ValueError where a type cannot be made of parts; plain: not yet as it declares.

    Options of components are free: what uses them checks them. What has a default may be missing:
    it was added since.
    """
    hints = _hints(kept)
    if strange := parts.keys() - hints.keys():
        raise ValueError(f"{kept.__name__} has no part {min(strange)!r:.80}.")
    if missing := hints.keys() - parts.keys() - _optional(kept):
        raise ValueError(f"{kept.__name__} lacks the part {min(missing)!r:.80}.")
    if is_plain or issubclass(kept, BaseEstimator):
        return
    for name, value in parts.items():
        if not is_of(value, hints[name]):
            raise ValueError(
                f"{name} of {kept.__name__} is {value!r:.80}, which is not of its type."
            )


@cache
def _hints(kept: type) -> dict[str, Any]:
    """Declared types of the parts, by name."""
    if issubclass(kept, BaseEstimator):
        return dict.fromkeys(kept._get_param_names(), Any)  # type: ignore[attr-defined]
    hints = get_type_hints(kept)
    if is_dataclass(kept):
        return {field.name: hints[field.name] for field in fields(kept) if field.init}
    return {name: hints[name] for name in kept._fields}  # type: ignore[attr-defined]


@cache
def _optional(kept: type) -> set[str]:
    """Names of the parts that have a default."""
    parameters = inspect.signature(kept).parameters.values()
    return {own.name for own in parameters if own.default is not inspect.Parameter.empty}


def is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a declared type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or hint is object:
        return True
    if origin in _OF_ARGUMENTS:
        return _OF_ARGUMENTS[origin](value, arguments)
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _is_tuple(value: Any, of: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple):
        return False
    if of[1:] == (...,):
        return all(is_of(item, of[0]) for item in value)
    return len(value) == len(of) and all(map(is_of, value, of))


def _is_dict(value: Any, of: tuple[Any, ...]) -> bool:
    return isinstance(value, dict) and all(
        is_of(key, of[0]) and is_of(own, of[1]) for key, own in value.items()
    )


def _is_any(value: Any, of: tuple[Any, ...]) -> bool:
    return any(is_of(value, NoneType if each is None else each) for each in of)


def _is_known(value: Any) -> bool:
    """Whether it is a component, or what this process has registered: files bring no others."""
    return isinstance(value, BaseEstimator) or REGISTRY.name_of(value) is not None


_NUMBERS: dict[Any, Any] = {float: (int, float, np.floating), int: (int, np.integer)}
_OF_ARGUMENTS: dict[Any, Callable[[Any, tuple[Any, ...]], bool]] = {
    tuple: _is_tuple,
    dict: _is_dict,
    list: lambda value, of: isinstance(value, list) and all(is_of(item, of[0]) for item in value),
    Union: _is_any,
    UnionType: _is_any,
    Literal: lambda value, of: value in of,
    Callable: lambda value, of: callable(value) and _is_known(value),
}
