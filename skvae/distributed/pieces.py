"""The rows of a process, as pieces of all rows."""

from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from skvae.data.input import Input
from skvae.data.joined import joined, taken
from skvae.data.weights import per_row


class Pieces(NamedTuple):
    """Tables whose rows follow each other where their places do.

    A process of a group has one, whose place is the number of the process. An engine that spreads
    pieces over processes as it likes says where each belongs.
    """

    places: list[int]
    tables: list[Any]
    weights: list[np.ndarray | None]

    @classmethod
    def of(cls, X: Any, sample_weight: Any, rank: int) -> "Pieces":
        """What came, as pieces."""
        if isinstance(X, Pieces):
            return X
        if sample_weight is None:
            return cls([rank], [X], [None])
        is_empty = not Input.of(X).n_rows and not np.size(sample_weight)
        return cls([rank], [X], [np.zeros(0) if is_empty else per_row(sample_weight, X)])

    @property
    def sizes(self) -> dict[int, int]:
        """Rows of every piece, by its place."""
        counts = (Input.of(table).n_rows for table in self.tables)
        return dict(zip(self.places, counts, strict=True))

    def ordered(self) -> "Pieces":
        """The same, by their places."""
        order = np.argsort(self.places, kind="stable")
        return Pieces(*([column[i] for i in order] for column in self))

    def weighted(self) -> "Pieces":
        """The rows that have a weight."""
        tables, weights = list(self.tables), list(self.weights)
        for i, weight in enumerate(weights):
            if weight is not None and not weight.all():
                own = np.flatnonzero(weight)
                tables[i], weights[i] = taken(tables[i], own), weight[own]
        return Pieces(self.places, tables, weights)

    def taken(self, firsts: dict[int, int], index: np.ndarray) -> "Pieces":
        """The rows that stand at places of all rows, given where each piece begins."""
        tables, weights = [], []
        for (place, n), table, weight in zip(
            self.sizes.items(), self.tables, self.weights, strict=True
        ):
            first = firsts[place]
            own = index[(first <= index) & (index < first + n)] - first
            tables.append(taken(table, own))
            weights.append(None if weight is None else weight[own])
        return Pieces(self.places, tables, weights)


def joined_pieces(all_pieces: list[Pieces]) -> tuple[Any, np.ndarray | None]:
    """The rows of all processes as one table, in the order of their places, and their weights."""
    found = Pieces(*(list(chain(*column)) for column in zip(*all_pieces, strict=True))).ordered()
    weights = [weight for weight in found.weights if weight is not None]
    return joined(found.tables), np.concatenate(weights) if weights else None
