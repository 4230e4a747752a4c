"""Which columns of a table a model is asked about, and which are carried through beside its answer.

Columns go by their names, whatever their order; those of a model that was fitted to an array, which
has no names, by their position.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skvae.data.column import Column
from skvae.data.excerpts import excerpt, excerpts
from skvae.data.schema import Schema


@dataclass(frozen=True)
class Needed:
    """The columns that a question is about."""

    who: str  # has them
    columns: Sequence[Column]
    dtype: np.dtype  # of numbers, as fit had them
    is_named: bool = True  # else they go by their position
    labels: Any = None  # pandas' index of their names

    @classmethod
    def rows_of(cls, vae: BaseEstimator) -> "Needed":
        """The columns of fit."""
        schema = vae._columns.schema
        if schema is None:
            schema = Schema.of_numbers(range(vae.n_features_in_))
        is_named = schema.container != "numpy"
        return cls("the model", schema.columns, vae._dtype, is_named, schema.labels)

    @classmethod
    def codes_of(cls, vae: BaseEstimator) -> "Needed":
        """The columns of codes, as `transform` names them."""
        columns = Schema.of_numbers(vae.get_feature_names_out().tolist()).columns
        return cls("a table of codes", columns, vae._dtype)

    @property
    def names(self) -> list[Any]:
        """Names of the columns."""
        return [column.name for column in self.columns]


@dataclass(frozen=True)
class Carried:
    """What happens to columns that are none of the model's."""

    kept: Sequence[Any] = ()
    drops_others: bool = False
    keeping: str = "keep=[{}]"  # how a column is kept
    leaving: str = "leave it out"  # how it is not


@dataclass(frozen=True)
class Selection:
    """Positions of columns in a table."""

    own: list[int]  # what the model is asked about, in its order
    kept: list[int]  # what is carried through

    @classmethod
    def of(cls, names: Sequence[Any], needed: Needed, carried: Carried) -> "Selection":
        """What is chosen of the columns with these names.

        Raises
        ------
        ValueError
            If a column is missing, there twice, or neither the model's nor kept.
        """
        place = {str(name): n for n, name in enumerate(names)}
        if len(place) < len(names):
            twice = sorted(name for name in place if [*map(str, names)].count(name) > 1)
            raise ValueError(f"there are several columns named {excerpts(twice)}; rename them.")
        absent = [name for name in carried.kept if str(name) not in place]
        if absent:
            raise ValueError(
                f"there is no column {excerpt(absent[0])} to keep; the columns are "
                f"{excerpts(names)}."
            )
        kept = list(dict.fromkeys(place[str(name)] for name in carried.kept))
        if not needed.is_named:
            return cls(_by_position(names, kept, needed, carried), kept)
        return cls(_by_name(names, place, kept, needed, carried), kept)


def _by_position(
    names: Sequence[Any], kept: list[int], needed: Needed, carried: Carried
) -> list[int]:
    own = [n for n in range(len(names)) if n not in kept]
    if len(own) == len(needed.columns):
        return own
    remedy = f" Others are carried through by {carried.keeping.format('NAME')}."
    beside = " beside those that are kept" if kept else ""
    raise ValueError(
        f"the model was fitted to an array without names, and takes {len(needed.columns)} columns "
        f"by position; the table has {len(own)}{beside}, "
        f"{excerpts(names[n] for n in own)}.{remedy if len(own) > len(needed.columns) else ''}"
    )


def _by_name(
    names: Sequence[Any], place: dict[str, int], kept: list[int], needed: Needed, carried: Carried
) -> list[int]:
    if missing := [name for name in needed.names if str(name) not in place]:
        raise ValueError(
            f"{_columns(missing)} missing, but required for {needed.who}; the table has "
            f"{excerpts(names)}."
        )
    own = [place[str(name)] for name in needed.names]
    strange = [names[n] for n in range(len(names)) if n not in own and n not in kept]
    if strange and not carried.drops_others:
        raise ValueError(
            f"{_columns(strange)} not known to the model: copy it with "
            f"{carried.keeping.format(excerpt(strange[0]))}, or {carried.leaving}."
        )
    return own


def _columns(names: Iterable[Any]) -> str:
    names = list(names)
    return f"column {excerpt(names[0])} is" if len(names) == 1 else f"columns {excerpts(names)} are"
