"""What a pickle of an estimator holds: the version that made it, and all that this one needs.

A pickle of another version may lack what was added since. It is refused when it is loaded, by the
name of what is not there, and not by an AttributeError at some later call.
"""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from sklearn.base import BaseEstimator

VERSION = "0.2.0"
_VERSION = "_skvae_version"


def signed(state: dict[str, Any]) -> dict[str, Any]:
    """A state with the version that made it."""
    return state | {_VERSION: VERSION}


def opened(state: Any, owner: str, needed: Iterable[str]) -> dict[str, Any]:
    """The state; a ValueError where something is not there, a warning of another version."""
    if not isinstance(state, Mapping):
        raise ValueError(
            f"the state of a {owner} is a dict of its attributes, not {state!r:.80}: this is not "
            "a pickle of one."
        )
    own = {name: value for name, value in state.items() if name != _VERSION}
    made_by = str(state.get(_VERSION, "unknown"))
    lost = next((name for name in needed if name not in own), None) or _lost(own)
    if lost is not None:
        raise ValueError(
            f"this {owner} was pickled by skvae {made_by:.80} and has no {lost}, which skvae "
            f"{VERSION} needs: load it with the version that made it, or fit it again."
        )
    if made_by != VERSION:
        warnings.warn(
            f"this {owner} was pickled by skvae {made_by:.80} and is loaded by {VERSION}; results "
            "may differ. Fit it again to be safe.",
            UserWarning,
            stacklevel=3,
        )
    return own


def _lost(value: Any) -> str | None:
    """Name of the first field or option that is not there, here or inside."""
    parts: Iterable[Any] = ()
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)]
        lost = next((name for name in names if not hasattr(value, name)), None)
        if lost is not None:
            return f"{type(value).__name__}.{lost}"
        parts = (getattr(value, name) for name in names)
    elif isinstance(value, BaseEstimator):
        try:
            parts = value.get_params(deep=False).values()
        except AttributeError as error:
            return f"{type(value).__name__}.{error.name}"
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, tuple | list):
        parts = value
    return next((lost for part in parts if (lost := _lost(part)) is not None), None)


def of_older_version(name: str) -> Any:
    """What modules that were moved answer for a name that a pickle of skvae 0.1 asks for.

    Raises
    ------
    ValueError
        For the name of a class; tools ask modules for other names by themselves.
    """
    if not name[:1].isupper():
        raise AttributeError(name)
    raise ValueError(
        f"this was pickled by skvae 0.1 (it needs {name!r:.80}), whose classes had other places: "
        "load it with that version, or fit the estimator again."
    )
