"""Classes and functions of a person's own that files of models name, and this process knows.

A file holds no code. It can hold a name, under which whoever loads it has registered the class or
the function that was meant. The one registry is a variable of the process, as imports are: what a
name means has to be settled before a file is read, and by nobody but the program that reads it.
"""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import BaseEstimator

_NAME = re.compile(r"[A-Za-z][\w.-]{0,79}")


class Registry:
    """Names of a person's own components and architectures."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}
        self._reserved: dict[str, Any] = {}

    def reserve(self, names: Mapping[str, Any]) -> None:
        """Take names, of what files know without being told."""
        self._reserved |= names

    def register(self, name: str, own: Any) -> None:
        """Register your own component or architecture under a name for `save` and `load`.

        A saved model contains no code, only the name. Every process that loads it has to register
        the same class or function first. `load` detects many differences: unknown options, weights
        with other names or shapes, and rows with other codes than at the time of saving.

        Parameters
        ----------
        name : str
            Name in the file, such as "acme.Residual". It begins with a letter and has at most 80
            letters, digits, ".", "-" and "_".
        own : class or callable
            A component or an architecture. A component is a subclass of `BaseEstimator`, such as a
            likelihood, a prior or an objective. Its options must be plain values: None, booleans,
            numbers, text, and lists or dicts of these. An architecture is a function or class that
            takes `(n_in, n_out)` and returns a `torch.nn.Module`. The file contains its weights.

        Raises
        ------
        ValueError
            If `name` is not valid or already in use, or if `own` has another name already.
        TypeError
            If `own` is neither a class nor a function, or a component with a default that JSON
            cannot represent.

        Examples
        --------
        >>> from torch import nn
        >>> import skvae
        >>> def shallow(n_in, n_out):
        ...     return nn.Sequential(nn.Linear(n_in, 4), nn.Tanh(), nn.Linear(4, n_out))
        >>> skvae.register("shallow", shallow)
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"name={name!r:.80} must begin with a letter and have at most 80 letters, digits, "
                "'.', '-' and '_'."
            )
        if name in self._reserved or own in self._reserved.values():
            raise ValueError(
                f"{name!r}, {own!r:.80}: this belongs to skvae and needs no registration."
            )
        _check(own)
        before = self._known.get(name)
        if before is not None and not _is_same(before, own):
            raise ValueError(
                f"the name {name!r} is already registered for {before!r:.80}; choose another name "
                f"for {own!r:.80}."
            )
        other = self.name_of(own)
        if other is not None and other != name:
            raise ValueError(f"{own!r:.80} is registered as {other!r}; use that name.")
        self._known[name] = own

    def name_of(self, own: Any) -> str | None:
        """The name of a class or function, None where it has none."""
        return next((name for name, known in self._known.items() if _is_same(known, own)), None)

    def get(self, name: str) -> Any:
        """What a name stands for.

        Raises
        ------
        ValueError
            If it stands for nothing.
        """
        if name not in self._known:
            raise ValueError(
                f"{name!r:.90} is a class or function of the person who saved the model, and is "
                f"not registered here: call skvae.register({name!r:.90}, ...) with the same "
                "object first, or use --import MODULE of the command."
            )
        return self._known[name]


def is_component(own: Any) -> bool:
    """Whether it is a class of components."""
    return isinstance(own, type) and issubclass(own, BaseEstimator)


def _check(own: Any) -> None:
    if not callable(own) or isinstance(own, BaseEstimator):
        raise TypeError(
            f"{own!r:.80} is neither a class nor a function; register the class of a component, "
            "or a callable (n_in, n_out) -> torch.nn.Module."
        )
    if not is_component(own):
        return
    for option, parameter in inspect.signature(own).parameters.items():
        default = parameter.default
        if default is not parameter.empty and not is_plain(default):
            raise TypeError(
                f"the option {option} of {own.__name__} has the default {default!r:.80}, which "
                "JSON cannot represent; use a plain value, such as a name."
            )


def is_plain(value: Any) -> bool:
    """Whether JSON can tell a value."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(own) for key, own in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)


def _is_same(one: Callable[..., Any], two: Callable[..., Any]) -> bool:
    """Whether two are one, or the later one is the same text run again, as notebooks do."""
    if one is two:
        return True
    places = [
        (getattr(own, "__module__", None), getattr(own, "__qualname__", "<")) for own in (one, two)
    ]
    return places[0] == places[1] and "<" not in places[0][1]


REGISTRY = Registry()
