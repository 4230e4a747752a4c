"""What scikit-learn keeps private or changed between versions, behind public names."""

from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils._array_api import _convert_to_numpy, get_namespace_and_device
from sklearn.utils._param_validation import Interval as _Interval
from sklearn.utils._param_validation import RealNotInt, StrOptions, make_constraint
from sklearn.utils._set_output import _get_output_config

__all__ = [
    "OF_CALLBACKS",
    "CallbackSupportMixin",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "check_options",
    "check_same_namespace",
    "float_dtypes",
    "has_callbacks",
    "in_dtype",
    "like",
    "output_container",
    "to_numpy",
    "with_callbacks",
    "with_our_names",
]

Method = TypeVar("Method", bound=Callable)

try:
    from sklearn.utils._array_api import check_same_namespace
except ImportError:  # before 1.9 nothing asks for this error

    def check_same_namespace(X, estimator, *, attribute, method):
        """Accept everything."""


try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before 1.9 there are none

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Without callbacks."""

    def with_callbacks(method: Method) -> Method:
        """Leave the method as it is."""
        return method


# What scikit-learn notes in an estimator: its callbacks; while it is fitted, where these stand.
CALLBACKS = "_skl_callbacks"
OF_CALLBACKS = (
    CALLBACKS,
    "_callback_fit_ctx",
    "_parent_callback_ctx",
    "_skl_callbacks_to_teardown",
)


def has_callbacks(estimator: BaseEstimator) -> bool:
    """Whether there is a callback that a fit has to call."""
    return bool(getattr(estimator, CALLBACKS, ()))


def check_options(component: BaseEstimator) -> None:
    """Raise a ValueError with the first option that the `_parameter_constraints` do not allow."""
    for option, constraints in component._parameter_constraints.items():
        value = getattr(component, option)
        allowed = [make_constraint(constraint) for constraint in constraints]
        if not any(constraint.is_satisfied_by(value) for constraint in allowed):
            raise ValueError(
                f"{option}={value!r} of {type(component).__name__} must be "
                f"{' or '.join(map(str, allowed))}."
            )


class Interval(_Interval):
    """Numbers between two ends, of any type that Python counts as one, such as fractions."""

    def is_satisfied_by(self, val):
        is_float = isinstance(val, Real) and not isinstance(val, Integral)
        return super().is_satisfied_by(float(val) if is_float else val)


def float_dtypes(X):
    """float64 and float32 of the array library that X belongs to."""
    xp = get_namespace_and_device(X)[0]
    return [xp.float64, xp.float32]


def to_numpy(X):
    """A dense or sparse matrix as numpy holds it; arrays of other libraries are brought over."""
    if isinstance(X, np.ndarray) or sparse.issparse(X):
        return X
    return _convert_to_numpy(X, get_namespace_and_device(X)[0])


def like(X, array):
    """A numpy array in the array library and on the device of X, when dispatch is on."""
    xp, is_array_api, device = get_namespace_and_device(X)
    if not is_array_api or sparse.issparse(X) or isinstance(X, np.ndarray):
        return array
    return xp.asarray(array, device=device)


def in_dtype(values, dtype) -> np.ndarray:
    """Numbers in a dtype; as they are where it would make one of them infinite or nothing."""
    values = np.asarray(values)
    with np.errstate(over="ignore", under="ignore"):
        cast = values.astype(dtype)
    is_lost = (np.isinf(cast) & np.isfinite(values)) | ((cast == 0) & (values != 0))
    return values if is_lost.any() else cast


def output_container(estimator) -> str:
    """What set_output asks of an estimator: "default", "pandas" or "polars"."""
    return _get_output_config("transform", estimator)["dense"]


def with_our_names(**ours: str) -> Callable[[Callable], Callable]:
    """Let an `__init__` say what it calls the parameters that other estimators call otherwise."""

    def decorate(init: Callable) -> Callable:
        @wraps(init)  # whose parameters scikit-learn reads
        def checked(self: Any, *args: Any, **given: Any) -> None:
            for name in given.keys() & ours.keys():
                raise TypeError(
                    f"{type(self).__name__} has no parameter {name!r}: it is called {ours[name]}; "
                    f"give {ours[name]}={given[name]!r:.80}."
                )
            init(self, *args, **given)

        return checked

    return decorate
