"""Bodies of the nonlinear branches: what stands beside the linear path of encoder and decoder.

An architecture is a component, or any callable, called with (n_in, n_out): it returns a module
that maps (batch, n_in) to (batch, n_out) and treats every row on its own. Its last layer must be
linear, because a branch starts at zero. To add one: a component here, a row in ARCHITECTURES.
"""

import threading
from collections.abc import Callable, Iterable
from numbers import Integral

import torch
from sklearn.base import BaseEstimator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}

_NARROW = 128
_WIDTHS = {False: 256, True: 512}
TABLE_WIDTHS = (256, 256)  # a level of a category is less than a column of numbers

Architecture = Callable[[int, int], nn.Module]

_global_generator = threading.Lock()


class MLP(BaseEstimator):
    """Options of a fully connected body.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int or "auto", default="auto"
        Units of each hidden layer, for encoder and decoder alike; "auto" is (256, 256), and
        (512, 512) where more than 128 columns go in or come out; (256, 256) for tables, which
        are anything but numbers without gaps.
    activation : {"silu", "relu", "gelu", "elu", "tanh"}, default="silu"
        Nonlinearity after each hidden layer.

    Examples
    --------
    >>> from skvae import MLP, VAETransformer
    >>> VAETransformer(latent_dim=2, architecture=MLP(hidden_layer_sizes=(64,)))
    VAETransformer(architecture=MLP(hidden_layer_sizes=(64,)))
    """

    def __init__(self, *, hidden_layer_sizes="auto", activation="silu"):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the module.

        Parameters
        ----------
        n_in, n_out : int
            Columns in and columns out.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out).

        Raises
        ------
        ValueError
            If the activation is unknown or a layer has no units.
        """
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation={self.activation!r} is unknown; known: {sorted(ACTIVATIONS)}."
            )
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, str) and sizes == "auto":
            sizes = (_WIDTHS[max(n_in, n_out) > _NARROW],) * 2
        if isinstance(sizes, str) or not isinstance(sizes, Iterable):
            raise ValueError(
                f"hidden_layer_sizes={sizes!r} must be 'auto' or a tuple of whole numbers, "
                "such as (256, 256)."
            )
        sizes = tuple(sizes)
        if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
            raise ValueError(f"hidden_layer_sizes={sizes} must be whole numbers from 1 up.")
        layers: list[nn.Module] = []
        for size in sizes:
            layers += [nn.Linear(n_in, size), ACTIVATIONS[self.activation]()]
            n_in = size
        return nn.Sequential(*layers, nn.Linear(n_in, n_out))


class Linear(BaseEstimator):
    """A body of one linear layer: the linear VAE, whose optimum is probabilistic PCA."""

    def __call__(self, n_in: int, n_out: int) -> nn.Module:
        """Build the module.

        Parameters
        ----------
        n_in, n_out : int
            Columns in and columns out.

        Returns
        -------
        torch.nn.Module
            Maps (batch, n_in) to (batch, n_out).
        """
        return nn.Linear(n_in, n_out)


def build(architecture: Architecture, sizes: list[tuple[int, int]], seed: int) -> list[nn.Module]:
    """One module per (n_in, n_out), weights drawn from seed alone.

    Modules draw their first weights from torch's global generator, so it is borrowed: seeded,
    used and put back, by one thread at a time.
    """
    with _global_generator:
        before = torch.default_generator.get_state()
        try:
            torch.default_generator.manual_seed(seed)
            modules = [architecture(n_in, n_out) for n_in, n_out in sizes]
        finally:
            torch.default_generator.set_state(before)
    for module, (n_in, n_out) in zip(modules, sizes, strict=True):
        if not isinstance(module, nn.Module):
            raise TypeError(f"architecture must return a torch.nn.Module, got {type(module)!r}.")
        unfit = [m for m in module.modules() if isinstance(m, (_DropoutNd, _BatchNorm))]
        if unfit:
            raise ValueError(
                f"the architecture's module holds {unfit[0]}: rows must be treated each on its "
                "own and without draws from torch's global generator; remove it (LayerNorm is "
                "possible)."
            )
        with torch.no_grad():
            shape = tuple(module.eval()(torch.zeros(2, n_in)).shape)
        if shape != (2, n_out):
            raise ValueError(
                f"architecture({n_in}, {n_out}) must map rows of {n_in} to rows of {n_out} "
                f"columns; it maps 2 rows to shape {shape}."
            )
    return modules


def start_at_zero(module: nn.Module, n_in: int) -> None:
    """Zero the last layer, so that the branch adds nothing before the first step."""
    last = [m for m in module.modules() if isinstance(getattr(m, "weight", None), nn.Parameter)]
    with torch.no_grad():
        for parameter in last[-1].parameters(recurse=False) if last else ():
            parameter.zero_()
        if module(torch.ones(2, n_in)).any():
            raise ValueError(
                "the last layer of the architecture's module must be linear, so that its "
                "output can start at zero; remove what follows it or use init='random'."
            )


ARCHITECTURES: dict[str, type[BaseEstimator]] = {"mlp": MLP, "linear": Linear}
