"""What a person gives for a part of the model: a name or a component.

A fit has components of its own, with options as Python has them: grids that numpy made hold
numpy's numbers, whose sums overflow, and arrays, which are neither equal nor unequal.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone


def component(choice: Any, table: Mapping[str, type[BaseEstimator]]) -> Any:
    """A component of the fit's own, or the one that a name stands for."""
    if isinstance(choice, str):
        return table[choice]()
    if isinstance(choice, type) and issubclass(choice, BaseEstimator):
        raise TypeError(f"{choice.__name__} is a class; pass an instance, {choice.__name__}().")
    return plain(choice)


def plain(value: Any) -> Any:
    """A value without numpy: numbers, booleans, tuples; copies of components and dicts of such."""
    if isinstance(value, BaseEstimator):
        options = value.get_params(deep=False)
        return clone(value).set_params(**{name: plain(own) for name, own in options.items()})
    if isinstance(value, np.floating):  # of which the longest would stay as it is
        return float(value)
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: plain(own) for key, own in value.items()}
    return tuple(map(plain, value)) if isinstance(value, list | tuple) else value


def is_same(choice: Any, other: Any, table: Mapping[str, type[BaseEstimator]]) -> bool:
    """Whether two choices, or dicts of them, ask for the same: a name is its component."""
    if isinstance(choice, Mapping) and isinstance(other, Mapping):
        return choice.keys() == other.keys() and all(
            is_same(choice[key], other[key], table) for key in choice
        )
    one, two = (
        table[each]() if isinstance(each, str) and each in table else plain(each)
        for each in (choice, other)
    )
    if isinstance(one, BaseEstimator) and type(one) is type(two):
        mine, theirs = one.get_params(deep=False), two.get_params(deep=False)
        return all(is_same(mine[name], theirs[name], {}) for name in mine)
    return bool(one == two)


def unless_auto(value: Any) -> Any:
    """A plain value, or None where "auto" leaves it to the rows."""
    return None if isinstance(value, str) else plain(value)
