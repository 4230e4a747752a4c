"""X as a model gets it: checked by scikit-learn, its cells as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skvae._sklearn import float_dtypes, to_numpy
from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.data.refusals import first_bad_cell, refuse_masked, refuse_non_numeric, with_nan
from skvae.data.schema import matrix_of


@dataclass(frozen=True, eq=False)
class Reading:
    """Rows as they came, and what they are."""

    given: Input
    checked: Any  # in the array library that came, which answers are given in
    values: np.ndarray | sparse.csr_array  # NaN where missing, levels as codes
    columns: Columns


def read(
    owner: BaseEstimator,
    given: Input,
    columns: Columns | None,
    likelihood: Any = "auto",
    fewest: int = 1,
) -> Reading:
    """Read rows of known columns; without any they are learnt, and the owner gets their names."""
    learns, name = columns is None, type(owner).__name__
    if columns is None and given.is_frame:
        columns = Columns.of(given, likelihood)
    if columns is not None and given.is_frame and columns.has_codes:
        _check_names(owner, given, learns)
        dtype = np.float32 if given.is_single else np.float64
        values = columns.encode(given, name, fewest).astype(dtype, copy=False)
        checked = values
    else:
        checked = _checked(owner, given, learns, fewest)
        values = to_numpy(checked)
        if sparse.issparse(values):
            values = _summed(values)
        elif min(values.strides) < 0:
            values = values.copy()  # torch has no steps back
        array = Input.of(values)
        columns = columns or Columns.of(array, likelihood)
        if columns.has_codes:
            values = columns.encode(array, name, fewest).astype(values.dtype)
    columns.check(values, names_of(owner, columns))
    return Reading(given, checked, values, columns)


def read_codes(owner: BaseEstimator, X: Any, latent_dim: int) -> Any:
    """Codes of rows as scikit-learn checks them, in the array library that came."""
    refuse_masked(X)
    codes = check_array(X, dtype=float_dtypes(X))
    if codes.shape[1] != latent_dim:
        raise ValueError(
            f"X has {codes.shape[1]} codes per row, but this {type(owner).__name__} was "
            f"fitted with latent_dim={latent_dim}."
        )
    return codes


def _summed(values: sparse.csr_array) -> sparse.csr_array:
    """Return sparse rows with one entry per cell: a cell is the sum of its entries."""
    if not values.has_canonical_format:
        values = values.copy()  # theirs stays as it came
        values.sum_duplicates()
    return values


def names_of(owner: BaseEstimator, columns: Columns) -> Sequence:
    """Names of the columns, or their positions."""
    if columns.schema is not None:
        return columns.schema.names
    return getattr(owner, "feature_names_in_", range(owner.n_features_in_))


def _check_names(owner: BaseEstimator, given: Input, learns: bool) -> None:
    """Let scikit-learn learn the names of a frame, or compare them with those of fit."""
    if learns or not _is_alike(owner, given):
        validate_data(owner, given.header, reset=learns, skip_check_array=True)


def _is_alike(owner: BaseEstimator, given: Input) -> bool:
    """Whether columns have the names and the number of fit, which scikit-learn is slow to see."""
    names = getattr(owner, "feature_names_in_", None)
    if given.is_frame:
        return names is not None and given.names == list(names)
    X = given.native
    is_matrix = type(X) is np.ndarray and X.ndim == 2
    return names is None and is_matrix and X.shape[1] == owner.n_features_in_


def _checked(owner: BaseEstimator, given: Input, learns: bool, fewest: int) -> Any:
    """A matrix of numbers as scikit-learn checks it."""
    if learns or not given.is_frame:  # a frame is held to the columns of fit when it is encoded
        refuse_non_numeric(given)
    X = with_nan(given.native)
    rules = {
        "accept_sparse": "csr",
        "dtype": [np.float32] if given.is_single else float_dtypes(X),
        "ensure_all_finite": True if sparse.issparse(X) else "allow-nan",
        "ensure_min_samples": fewest,
    }
    try:
        if given.is_frame:
            _check_names(owner, given, learns)
            return check_array(matrix_of(given), estimator=owner, input_name="X", **rules)
        if learns or not _is_alike(owner, given):
            return validate_data(owner, X, reset=learns, **rules)
        return check_array(X, estimator=owner, input_name="X", **rules)
    except (ValueError, TypeError) as error:
        if sparse.issparse(X) and "contains NaN" in str(error):
            raise ValueError(
                f"sparse rows cannot have missing cells. {first_bad_cell(X)}"
            ) from error
        if any(cause in str(error) for cause in ("contains NaN", "contains inf", "NAType")):
            raise ValueError(f"{error}\n{first_bad_cell(X)}") from error
        raise
