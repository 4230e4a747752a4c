"""What is around a call has no say in it: torch's and numpy's settings, and other threads.

`undisturbed` undoes for a while what a caller may have set for its thread or process: autocast,
inference mode, gradients, default dtype, default device, numpy's handling of errors. Public methods
of an estimator are `asking` or `learning`: they work on a twin of the object. What a method asks is
thus answered by one state, and what another learned appears all at once, or, where it failed, not
at all.
"""

import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

Method = TypeVar("Method", bound=Callable)

# Packages whose lines are not those of whoever is to be warned.
_WITHIN = ("skvae", "sklearn", "torch")

# Functions that make numbers of the default dtype where none is given.
_MAKE_DEFAULT = frozenset(
    {"empty", "eye", "linspace", "logspace", "ones", "rand", "randn", "zeros"}
)
# Those that do so where Python's own numbers are not whole.
_MAKE_AS_GIVEN = frozenset({"arange", "as_tensor", "full", "scalar_tensor", "tensor"})
_NUMPY_ERRORS: dict[str, Any] = {
    "divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"
}  # fmt: skip


class SinglePrecision(TorchFunctionMode):
    """While it lasts, in its thread, torch's functions take float32 for their default dtype."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        if kwargs.get("dtype") is None and self._is_default(name, args, kwargs):
            kwargs["dtype"] = torch.float32
        return func(*args, **kwargs)

    def _is_default(self, name: str, args: tuple, kwargs: dict) -> bool:
        """Whether the function would take the default dtype."""
        if name in _MAKE_DEFAULT:
            return "out" not in kwargs
        return name in _MAKE_AS_GIVEN and any(map(_has_fractions, (*args, *kwargs.values())))


def _has_fractions(value: Any) -> bool:
    """Whether a number of Python, or one in its lists, is a float."""
    if isinstance(value, (list, tuple)):
        return any(map(_has_fractions, value))
    return isinstance(value, float) and not isinstance(value, np.floating)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Settings as they are where nobody has touched them; the caller's come back."""
    with ExitStack() as stack:
        stack.enter_context(np.errstate(**_NUMPY_ERRORS))
        stack.enter_context(torch.inference_mode(False))  # which lets gradients be, too
        for device_type in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(device_type):
                stack.enter_context(torch.autocast(device_type, enabled=False))
        # Modes cost time at every operation.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if torch.get_default_dtype() != torch.float32:
            stack.enter_context(SinglePrecision())
        yield


def asking(method: Method) -> Method:
    """A method that reads its object, in the state in which that is when the method is called."""

    @functools.wraps(method)
    def ask(self, *args, **kwargs):
        with undisturbed():
            return method(_twin(self), *args, **kwargs)

    return ask  # type: ignore[return-value]


def learning(method: Method) -> Method:
    """A method that changes its object and returns it: at once, when it has succeeded."""

    @functools.wraps(method)
    def learn(self, *args, **kwargs):
        twin = _twin(self)
        with undisturbed():
            method(twin, *args, **kwargs)
        self.__dict__ = vars(twin)
        return self

    return learn  # type: ignore[return-value]


def _twin(original: Any) -> Any:
    """Another object of the same class and state."""
    twin = object.__new__(type(original))
    twin.__dict__ = vars(original).copy()
    return twin


def warn(message: str | Warning, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the caller's own that led here, however deep in the package this is."""
    frame, level = inspect.currentframe(), 1
    while frame is not None and frame.f_globals.get("__name__", "").split(".")[0] in _WITHIN:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
