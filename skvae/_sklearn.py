"""What scikit-learn keeps private or changed between versions, behind public names.

Nothing else imports such a name. Where one is gone, what stands here in its place does as much of
the same as can be done without: a version that renames what is its own leaves skvae at work.
"""

from abc import ABC
from collections.abc import Callable
from functools import wraps
from inspect import signature
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_consistent_length

__all__ = [
    "OF_CALLBACKS",
    "CallbackSupportMixin",
    "Documented",
    "Interval",
    "RealNotInt",
    "StrOptions",
    "check_options",
    "check_parameters",
    "check_same_namespace",
    "feature_names_of",
    "float_dtypes",
    "has_callbacks",
    "in_dtype",
    "like",
    "output_container",
    "to_numpy",
    "weights_of",
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
    from sklearn.utils._array_api import get_namespace_and_device
except ImportError:  # then arrays of other libraries come out as numpy's

    def get_namespace_and_device(X):
        """Numpy, whatever came."""
        return np, False, "cpu"


try:
    from sklearn.utils._array_api import _convert_to_numpy
except ImportError:

    def _convert_to_numpy(X, xp):
        return np.asarray(X)


try:
    from sklearn.utils._param_validation import Interval as _Interval
    from sklearn.utils._param_validation import RealNotInt, StrOptions, make_constraint

    _check = BaseEstimator._validate_params
except (ImportError, AttributeError):  # these are the kinds that skvae declares

    class RealNotInt(Real):  # type: ignore[no-redef]
        """Numbers that are no integers."""

    RealNotInt.register(float)

    class _Interval:  # type: ignore[no-redef]
        """Numbers of a type between two ends; `closed` says which of these belong to it."""

        def __init__(self, type: type, left: Any, right: Any, *, closed: str) -> None:
            self.type, self.left, self.right, self.closed = type, left, right, closed

        def is_satisfied_by(self, val: Any) -> bool:
            """Whether it is one of them."""
            if not isinstance(val, self.type) or val != val:
                return False
            left: Any = -np.inf if self.left is None else self.left
            right: Any = np.inf if self.right is None else self.right
            above = val > left or (val == left and self._has("left"))
            return above and (val < right or (val == right and self._has("right")))

        def _has(self, end: str) -> bool:
            return self.closed in (end, "both")

        def __str__(self) -> str:
            kind = "an int" if self.type is Integral else "a float"
            begin, end = "[" if self._has("left") else "(", "]" if self._has("right") else ")"
            left = "-inf" if self.left is None else self.left
            right = "inf" if self.right is None else self.right
            return f"{kind} in the range {begin}{left}, {right}{end}"

    class StrOptions:  # type: ignore[no-redef]
        """Names."""

        def __init__(self, options: set[str]) -> None:
            self.options = options

        def is_satisfied_by(self, val: Any) -> bool:
            """Whether it is one of them."""
            return isinstance(val, str) and val in self.options

        def __str__(self) -> str:
            return f"a str among {sorted(self.options)}"

    class _Kind:
        """Whatever a test accepts."""

        def __init__(self, name: str, test: Any) -> None:
            self.name, self.is_satisfied_by = name, test

        def __str__(self) -> str:
            return self.name

    def _is_seed(val: Any) -> bool:
        is_state = val is None or isinstance(val, np.random.RandomState)
        return is_state or (isinstance(val, Integral) and 0 <= int(val) < 2**32)

    _BY_NAME = {
        "boolean": _Kind("a bool", lambda val: isinstance(val, bool | np.bool_)),
        "verbose": _Kind(
            "an int or a bool", lambda val: isinstance(val, Integral) and int(val) >= 0
        ),
        "random_state": _Kind("an int, a RandomState or None", _is_seed),
    }

    def make_constraint(constraint: Any) -> Any:
        """What says whether a value satisfies a constraint as classes declare it."""
        if constraint is None:
            return _Kind("None", lambda val: val is None)
        if isinstance(constraint, str):
            return _BY_NAME[constraint]
        if isinstance(constraint, type):
            return _Kind(
                f"an instance of {constraint.__name__}", lambda val: isinstance(val, constraint)
            )
        if constraint is callable:
            return _Kind("a callable", callable)
        return constraint

    def _check(estimator: BaseEstimator) -> None:
        """Raise a ValueError with the first parameter that is not allowed."""
        for name, constraints in estimator._parameter_constraints.items():
            value = getattr(estimator, name)
            allowed = [make_constraint(constraint) for constraint in constraints]
            if not any(each.is_satisfied_by(value) for each in allowed):
                raise ValueError(
                    f"The {name!r} parameter of {type(estimator).__name__} must be "
                    f"{' or '.join(map(str, allowed))}. Got {value!r} instead."
                )


try:
    from sklearn.utils._set_output import _get_output_config
except ImportError:

    def _get_output_config(method, estimator):
        chosen = getattr(estimator, "_sklearn_output_config", {}).get(method)
        return {"dense": chosen or get_config()[f"{method}_output"]}


try:
    from sklearn.utils.validation import _check_feature_names_in
except ImportError:

    def _check_feature_names_in(estimator):
        names = [f"x{i}" for i in range(estimator.n_features_in_)]
        return getattr(estimator, "feature_names_in_", np.array(names, dtype=object))


try:
    from sklearn.utils.validation import _check_sample_weight
except ImportError:

    def _check_sample_weight(sample_weight, X, *, dtype):
        dtype = np.dtype(str(dtype).rpartition(".")[-1]) if "torch" in str(dtype) else dtype
        if sample_weight is None or isinstance(sample_weight, Real):
            value = 1.0 if sample_weight is None else sample_weight
            return np.full(X.shape[0], value, dtype)
        weight = check_array(
            sample_weight, dtype=dtype, ensure_2d=False, input_name="sample_weight", copy=True
        )
        if weight.ndim != 1:
            raise ValueError(
                f"Sample weights must be 1D array or scalar, got {weight.ndim}D array."
            )
        check_consistent_length(weight, X)
        return weight


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


def check_parameters(estimator: BaseEstimator) -> None:
    """Raise a ValueError with the first parameter that `_parameter_constraints` do not allow."""
    _check(estimator)


def feature_names_of(estimator: BaseEstimator) -> np.ndarray:
    """Names of the columns that fit has seen, or "x0", "x1", ..."""
    return _check_feature_names_in(estimator)


def weights_of(sample_weight: Any, X: Any) -> np.ndarray:
    """One weight per row, double precision; a ValueError or a TypeError where it is none."""
    return _check_sample_weight(sample_weight, X, dtype=float_dtypes(X)[0])


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


class Documented(BaseEstimator, ABC):
    """Base class of components. In notebooks it shows its parameters and a link to the API page."""

    _doc_link_module = "skvae"
    _doc_link_template = "https://github.com/skvae/skvae/blob/main/docs/api.md"

    def _get_params_html(self, *args, **kwargs):
        # Options of a component that nobody has set are taken for changed by scikit-learn.
        shown = super()._get_params_html(*args, **kwargs)
        changed = [name for name in shown.non_default if _is_changed(self, name)]
        shown.non_default = tuple(changed)
        shown.data = {name: shown.data[name] for name in dict.fromkeys([*changed, *shown.data])}
        return shown


def _is_changed(owner: BaseEstimator, name: str) -> bool:
    """Whether a parameter that is said to be changed is, by the component that it is of."""
    head, _, option = name.partition("__")
    if not option:
        return True
    part = getattr(owner, head)
    if "__" in option:
        return _is_changed(part, option)
    default = signature(type(part)).parameters[option].default
    return repr(getattr(part, option)) != repr(default)


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
                    f"{type(self).__name__} has no parameter {name!r}. Use "
                    f"{ours[name]}={given[name]!r:.80} instead."
                )
            init(self, *args, **given)

        return checked

    return decorate
