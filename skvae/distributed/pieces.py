"""The rows of a process, as pieces of all rows."""

from typing import Any, NamedTuple

import numpy as np

from skvae.data.joined import joined


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
        weight = None if sample_weight is None else np.asarray(sample_weight)
        return cls([rank], [X], [weight])


def joined_pieces(all_pieces: list[Pieces]) -> tuple[Any, np.ndarray | None]:
    """The rows of all processes as one table, in the order of their places, and their weights."""
    found = sorted(
        (one for pieces in all_pieces for one in zip(*pieces, strict=True)),
        key=lambda one: one[0],
    )
    weights = [weight for _, _, weight in found if weight is not None]
    return joined([table for _, table, _ in found]), np.concatenate(weights) if weights else None
