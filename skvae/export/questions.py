"""What is exported of a fitted estimator: its model, as the estimator asks it at the moment."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

import skvae.choices as choices
from skvae.data.reading import names_of
from skvae.export.exporting import Exported


def exported(estimator: Any, dtype: Any = None) -> Exported:
    """What is exported of a fitted estimator, and how it is asked.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    ValueError
        If the dtype is none of those that there are.
    """
    assert isinstance(estimator, BaseEstimator)
    check_is_fitted(estimator)
    own: Any = estimator
    try:
        given = own._dtype if dtype is None else np.dtype(dtype)
    except TypeError:
        given = None
    if given not in (np.float32, np.float64):
        raise ValueError(f"dtype={dtype!r:.80} must be 'float32', 'float64' or None.")
    columns, names = own._columns, names_of(estimator, own._columns)
    steps = choices.refinement_of(estimator)
    return Exported(own._model, columns, list(names), bool(own.whiten), steps, given)
