"""What likelihoods of levels share: cells count the levels that fit has seen, -1 is another."""

from abc import abstractmethod

import numpy as np
from torch import Tensor

from skvae.likelihoods.base import Constants, Likelihood, Params


class Levels(Likelihood):
    """Base class of likelihoods for columns with levels."""

    takes_noise = False
    is_coded = True

    def standardised(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        cells = np.full(values.shape, np.nan)
        for j, known in enumerate(known_levels(constants)):
            place = np.searchsorted(known, values[:, j]).clip(max=len(known) - 1)
            cells[:, j] = np.where(known[place] == values[:, j], place, -1.0)
        return np.where(np.isnan(values), np.nan, cells)

    @abstractmethod
    def indicators(self, params: Params, x: Tensor) -> tuple[Tensor, ...]:
        """Probabilities for known cells: 0 or 1, one tensor of shape (batch, levels) per column."""

    def restored(self, constants: Constants, cells: np.ndarray) -> np.ndarray:
        level = np.nan_to_num(cells).astype(int).clip(0)
        return np.stack(
            [known[codes] for known, codes in zip(known_levels(constants), level.T, strict=True)],
            axis=1,
        ).astype(np.float64)


def known_levels(constants: Constants) -> list[np.ndarray]:
    """Codes, in the user's table, of the levels of each column."""
    return np.split(constants["levels"], constants["first_level"][1:])


def levels_seen(
    column: np.ndarray, weight: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of the levels that occur in a column, their counts, and the sums of their weights."""
    seen = ~np.isnan(column) & (column >= 0)
    known, place = np.unique(column[seen].astype(int), return_inverse=True)
    w = None if weight is None else weight[seen]
    mass = np.bincount(place, w, minlength=len(known)).astype(float)
    return known, np.bincount(place, minlength=len(known)).astype(float), mass


def first_levels(levels: list[np.ndarray]) -> np.ndarray:
    """Where the levels of each column begin, among those of all."""
    sizes = [len(known) for known in levels]
    return np.cumsum(sizes) - sizes
