"""What networks with hidden layers share, and how their options are checked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

from torch import nn

from skvae._sklearn import Documented
from skvae.model.networks.layers import ACTIVATIONS, NORMALIZATIONS, Dropout

Architecture = Callable[[int, int], nn.Module]


class HiddenLayers(Documented, ABC):
    """Base class of networks with hidden layers, with the options that they share."""

    of_columns = False
    activation: str
    dropout: float
    normalization: str | None

    @abstractmethod
    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build a module that maps (batch, n_in) to (batch, n_out)."""

    def _check_hidden(self) -> None:
        check_name("activation", self.activation, ACTIVATIONS)
        if self.normalization is not None:
            check_name("normalization", self.normalization, NORMALIZATIONS, " or None")
        if not isinstance(self.dropout, Real) or not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout={self.dropout!r} must be at least 0 and below 1, such as 0.1."
            )

    @property
    def _bias(self) -> bool:
        """Whether a hidden layer needs one: normalization of batches would take it away."""
        return self.normalization != "batch"

    def _dense(self, n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Linear(n_in, n_out, bias=self._bias), *self._after(n_out)]

    def _after(self, n_units: int, of_maps: bool = False) -> list[nn.Module]:
        """What follows the linear part of a hidden layer."""
        layers: list[nn.Module] = []
        if self.normalization is not None:
            layers.append(NORMALIZATIONS[self.normalization][of_maps](n_units))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout:
            layers.append(Dropout(self.dropout))
        return layers


def check_name(option: str, name: object, table: Mapping[str, object], more: str = "") -> None:
    """Raise a ValueError where a name is not in a table."""
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"{option}={name!r} is unknown; known: {sorted(table)}{more}.")


def is_auto(value: object) -> bool:
    """Whether an option is left to the rows."""
    return isinstance(value, str) and value == "auto"


def is_count(value: object) -> bool:
    """Whether a value is a number of things."""
    return isinstance(value, Integral) and int(value) >= 1


def whole_numbers(option: str, values: Any, alternative: str, example: str) -> tuple[int, ...]:
    """Values of an option as numbers of things; a ValueError where they are none."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(
            f"{option}={values!r} must be {alternative}a tuple of whole numbers, such as {example}."
        )
    values = tuple(values)
    if not all(map(is_count, values)):
        raise ValueError(f"{option}={values} must be whole numbers from 1 up, such as {example}.")
    return tuple(map(int, values))
