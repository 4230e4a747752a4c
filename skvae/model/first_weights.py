"""The modules of a fit before its first step: built, checked, their weights drawn from a seed.

Layers of torch, and modules that people write, draw their first weights from torch's global
generator, which every thread shares. While an architecture is called, in its thread alone, what
draws is handed a generator of the fit's own instead; nobody's stream is read or moved.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skvae.ambient import SinglePrecision
from skvae.model.networks import Architecture, evaluating

# Functions and methods of torch that take a generator, and draw from the global one without.
_DRAW = frozenset(
    {
        "bernoulli", "bernoulli_", "binomial", "cauchy_", "exponential_", "geometric_",
        "kaiming_normal_", "kaiming_uniform_", "log_normal_", "multinomial", "normal", "normal_",
        "orthogonal_", "poisson", "rand", "randint", "randn", "random_", "randperm", "sparse_",
        "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_",
    }
)  # fmt: skip
# Those that take none: what fills an empty tensor in their place.
_DRAW_ALIKE = {"rand_like": "uniform_", "randn_like": "normal_"}
# torch's own layers that draw from the global generator, and those that end no network linearly.
_DROPOUTS = (
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.AlphaDropout, nn.FeatureAlphaDropout),
)
_BATCH_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.LazyBatchNorm1d, nn.LazyBatchNorm2d, nn.LazyBatchNorm3d),
)


class DrawnFrom(TorchFunctionMode):
    """While it lasts, in its thread, torch's functions draw from a generator of the CPU.

    Parameters
    ----------
    generator : torch.Generator
        What is drawn from.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name, kwargs = getattr(func, "__name__", ""), dict(kwargs or {})
        if name in _DRAW_ALIKE:
            empty = torch.empty_like(*args, **kwargs)
            return getattr(empty, _DRAW_ALIKE[name])(generator=self.generator)
        if name in _DRAW and kwargs.get("generator") is None:
            kwargs["generator"] = self.generator
        return func(*args, **kwargs)


def build(architecture: Architecture, sizes: list[tuple[int, int]], seed: int) -> list[nn.Module]:
    """One module per (n_in, n_out), weights drawn from seed alone.

    In the seed's stream they are those that torch's global generator would give if it had that
    seed. What modules draw by other means than torch's functions, such as numpy's, is their own.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    with SinglePrecision(), DrawnFrom(generator):
        modules = [architecture(n_in, n_out) for n_in, n_out in sizes]
        for module, (n_in, n_out) in zip(modules, sizes, strict=True):
            _check(module, n_in, n_out)
    return modules


def _check(module: nn.Module, n_in: int, n_out: int) -> None:
    """Refuse what cannot be a network; layers that wait for their first rows get some."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"architecture must return a torch.nn.Module, got {type(module)!r}.")
    unfit = [m for m in module.modules() if isinstance(m, _DROPOUTS)]
    if unfit:
        raise ValueError(
            f"the architecture's module holds {unfit[0]}, which draws from torch's global "
            "generator; remove it, or use skvae.MLP(dropout=...) or skvae.model.networks.Dropout."
        )
    lost = [name for part in module.modules() for name in _left_out(part)]
    if lost:
        raise ValueError(
            f"the architecture's module has the tensor {lost[0]!r}, which is not part of its "
            "state and would be lost in a saved model; make it a persistent buffer: "
            f"register_buffer({lost[0]!r}, ...)."
        )
    shape = tuple(_evaluate(module, torch.zeros(2, n_in, dtype=torch.float32)).shape)
    if shape != (2, n_out):
        raise ValueError(
            f"architecture({n_in}, {n_out}) must map rows of {n_in} to rows of {n_out} "
            f"columns; it maps 2 rows to shape {shape}."
        )


def start_at_zero(module: nn.Module, n_in: int) -> None:
    """Zero the last layer, so that the network adds nothing before the first step."""
    layers = [m for m in module.modules() if _has_weight(m) or isinstance(m, _BATCH_NORMS)]
    is_linear = not (layers and isinstance(layers[-1], _BATCH_NORMS))
    last = list(layers[-1].parameters(recurse=False)) if layers else []
    x, outputs = torch.ones(2, n_in, dtype=torch.float32), []
    with torch.no_grad():
        for value in (1.0, -1.0, 0.0):
            for parameter in last:
                parameter.fill_(value)
            outputs.append(_evaluate(module, x))
    # What cuts off one sign, as ReLU does, would hold the network at zero for ever.
    cuts_off = bool(outputs[0].isfinite().all()) and not torch.equal(outputs[0], -outputs[1])
    if not is_linear or cuts_off or outputs[2].any():
        raise ValueError(
            "the last layer of the architecture's module must be linear, so that its "
            "output can start at zero; remove what follows it or use init='random'."
        )


def _left_out(module: nn.Module) -> list[str]:
    """Names of tensors that a module holds, but not as state."""
    plain = [name for name, value in vars(module).items() if isinstance(value, Tensor)]
    buffers = {name for name, _ in module.named_buffers(recurse=False)}
    return plain + sorted(buffers - module.state_dict().keys())


def _has_weight(module: nn.Module) -> bool:
    return isinstance(getattr(module, "weight", None), nn.Parameter)


def _evaluate(module: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad(), evaluating(module):
        return module(x)
