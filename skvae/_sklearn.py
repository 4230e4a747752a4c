"""Everything that scikit-learn keeps private or changed between versions, behind public names."""

import sys

import numpy as np
from scipy import sparse
from sklearn.utils._array_api import get_namespace_and_device
from sklearn.utils._param_validation import Interval, InvalidParameterError, StrOptions

__all__ = [
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_same_namespace",
    "inside_search",
    "like",
    "to_numpy",
]

try:
    from sklearn.utils._array_api import check_same_namespace
except ImportError:  # before 1.9 nothing asks for this error

    def check_same_namespace(X, estimator, *, attribute, method):
        """Accept everything."""


def to_numpy(X):
    """A dense or sparse matrix as numpy holds it; arrays of other libraries are brought over."""
    if isinstance(X, np.ndarray) or sparse.issparse(X):
        return X
    if hasattr(X, "detach"):  # a torch tensor, on any device
        return X.detach().cpu().numpy()
    return np.asarray(X)


def like(X, array):
    """A numpy array in the array library and on the device of X, when dispatch is on."""
    xp, is_array_api, device = get_namespace_and_device(X)
    if not is_array_api or sparse.issparse(X) or isinstance(X, np.ndarray):
        return array
    return xp.asarray(array, device=device)


def inside_search() -> bool:
    """Whether a cross-validation or a search of scikit-learn is on the call stack."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("sklearn.model_selection"):
            return True
        frame = frame.f_back
    return False
