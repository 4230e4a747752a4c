"""Weights of rows, as a person gives them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from skvae._sklearn import to_numpy, weights_of
from skvae.data.batches import LARGEST
from skvae.data.columns import refuse_empty
from skvae.data.reading import Reading


def weighted(
    reading: Reading, sample_weight: Any, names: Sequence, fewest: int, in_stream: bool
) -> tuple[Any, np.ndarray | None]:
    """The rows that have a weight, and these weights; None where they are equal.

    In a stream they are compared with those of other batches, and stay as they are.
    """
    X, weight = reading.values, _checked(sample_weight, reading.checked)
    if not in_stream:
        weight /= weight.max()  # their sum must be a number
    elif weight.max() > LARGEST:
        raise ValueError(
            f"sample_weight holds {weight.max():.3g}, and weights of all batches are added up: "
            f"divide those of every batch by the same number, so that none is beyond {LARGEST:.0e}."
        )
    if (weight == 0).any():
        X, weight = X[weight > 0], weight[weight > 0]
        if X.shape[0] < fewest:
            raise ValueError("only 1 sample has a weight above zero; fit needs 2 or more.")
        refuse_empty(X, names)
    is_equal = not in_stream and bool((weight == weight[0]).all())
    return X, None if is_equal else weight


def per_row(sample_weight: Any, X: Any) -> np.ndarray:
    """One number for each row of X, float64."""
    try:
        weight = weights_of(sample_weight, X)
    except (ValueError, TypeError) as error:
        raise type(error)(f"sample_weight is not a number per row: {error}") from error
    return to_numpy(weight).astype(np.float64)


def _checked(sample_weight: Any, X: Any) -> np.ndarray:
    """One number per row, float64, none negative and not all zero."""
    weight = per_row(sample_weight, X)
    if (weight < 0).any() or not weight.any():
        raise ValueError(
            "sample_weight must have no negative weight and at least one above zero; the "
            f"smallest is {weight.min()}, the largest {weight.max()}."
        )
    return weight
