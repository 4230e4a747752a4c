"""Rows of the training that a fitted model keeps: what `impute` compares others with."""

from dataclasses import dataclass

import numpy as np

from skvae.data.batches import Values, dense
from skvae.limits import Limits


@dataclass(frozen=True)
class StoredRows:
    """Some rows of the training, as they were."""

    values: np.ndarray  # (m, d) float64, codes of levels, NaN where missing
    weight: np.ndarray | None  # (m,), None where all are alike
    seed: int  # of what is drawn by chance when they are used

    @classmethod
    def of(cls, X: Values, weight: np.ndarray | None, seed: int, limits: Limits) -> "StoredRows":
        """As many rows as the limits let be kept, in an order that is drawn by the seed."""
        n, d = X.shape
        most = min(n, limits.stored_rows, limits.stored_cells // d)
        chosen = np.random.RandomState(seed).permutation(n)[:most]
        own = None if weight is None else weight[chosen]
        return cls(dense(X[chosen]), own, seed)
