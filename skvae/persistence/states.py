"""Whether a state that a pickle or skops brings can be one of an estimator that was fitted.

Such a state may be of another version, or of somebody who wants an estimator that does not hold:
its parts have the types that they declare, and agree on their sizes, as those of a file do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from sklearn.base import BaseEstimator

from skvae.fitted.parts import check_parts
from skvae.model.networks import ARCHITECTURES
from skvae.persistence.checks import check_model
from skvae.persistence.estimators import check_learned, in_numpy
from skvae.persistence.tables import KINDS, LEARNED, OPTIONAL, PRIVATE


def check_state(state: Mapping[str, Any], owner: type[BaseEstimator]) -> None:
    """Raise a ValueError unless what a fit has left in a state is such."""
    try:
        _check_names(state, owner)
        known = LEARNED | PRIVATE | OPTIONAL
        learned = {name: in_numpy(state[name]) for name in known if name in state}
        _check_parts(learned)
        check_model(learned["_model"], are_networks_ours=_are_ours(learned["_model"]))
        check_learned(learned, learned["_model"])
    except Exception as error:  # whatever a state can cause: it is not to be trusted
        raise ValueError(
            f"this state does not belong to a fitted {owner.__name__}: {error!s:.300} Load only "
            "your own pickles, with the version that wrote them, or fit again."
        ) from error


def _check_names(state: Mapping[str, Any], owner: type[BaseEstimator]) -> None:
    """Raise a ValueError where an attribute would stand before a method of the class."""
    for name in state:
        if not isinstance(name, str) or (hasattr(owner, name) and name not in OPTIONAL):
            raise ValueError(f"{name!r:.80} is no attribute of an object.")


def _are_ours(model: Any) -> bool:
    """Whether networks are built by skvae alone: a pickle holds whatever else builds them."""
    return type(model.architecture) in (type(None), *ARCHITECTURES.values())


def _check_parts(value: Any) -> None:
    """Raise a ValueError where an object of ours, here or inside, is not what it declares."""
    parts: Iterable[Any] = ()
    if type(value) in KINDS.values() and not isinstance(value, BaseEstimator):
        own = _parts_of(value) if is_dataclass(value) else value._asdict()
        check_parts(type(value), _without_functions(own))
        parts = own.values()
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, tuple | list):
        parts = value
    for part in parts:
        _check_parts(part)


def _without_functions(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts, but for an architecture that is a function: a pickle names any, a file none."""
    architecture = parts.get("architecture")
    is_function = callable(architecture) and not isinstance(architecture, BaseEstimator)
    return parts | {"architecture": None} if is_function else parts


def _parts_of(value: Any) -> dict[str, Any]:
    """What an object is made of; what it has found since is forgotten, and found again."""
    own = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
    vars(value).clear()
    vars(value).update(own)
    for each in fields(value):
        if not each.init and each.default_factory is not MISSING:
            vars(value)[each.name] = each.default_factory()
    return own
