"""A function of tensors, done again in one launch: CUDA graphs, after some plain calls.

A step on a GPU is some hundred small launches, which take longer than their arithmetic. A graph
keeps them with the addresses of what they read and write. So the function's Python runs once: what
changes between two calls has to be a tensor, and nothing may depend on what a tensor holds.
"""

import threading
import warnings
from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor

PLAIN_CALLS = 5  # before one is captured: in them libraries make what they keep

_UNCAPTURED = (
    "a step of this training cannot be held in a graph of the device ({}): its operations are "
    "launched one by one, with the same result in more time."
)

_one_at_a_time = threading.Lock()  # captures in a process
# Later versions find the generators by themselves, and complain of help.
_REGISTERS_GENERATORS = torch.__version__ < "2.14"


@cache
def _stream_of(device: torch.device) -> torch.cuda.Stream:
    """One per device for all captures: what libraries keep for a stream, they keep for good."""
    return torch.cuda.Stream(device)


class CudaGraph:
    """What a function does to its inputs, and to tensors that stay where they are.

    Parameters
    ----------
    function : callable
        Takes tensors, returns a tuple of them.
    inputs : tuple of Tensor
        Such as it will be called with; they are copied.
    generator : torch.Generator
        All that the function draws from; every call draws anew.

    Raises
    ------
    RuntimeError
        If the function waits for the device, or does what a graph cannot hold. None of its work
        was done then, and generators go on as before.
    """

    def __init__(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        inputs: tuple[Tensor, ...],
        generator: torch.Generator,
    ) -> None:
        self.inputs = tuple(tensor.clone() for tensor in inputs)
        device = generator.device
        with _one_at_a_time, torch.cuda.device(device):
            self.graph = torch.cuda.CUDAGraph()
            if _REGISTERS_GENERATORS:
                self.graph.register_generator_state(generator)
            capture = torch.cuda.graph(
                self.graph, stream=_stream_of(device), capture_error_mode="thread_local"
            )
            try:
                # A capture that fails leaves its own stream behind; the outer block goes back.
                with torch.cuda.stream(torch.cuda.current_stream()), capture:
                    self.outputs = function(*self.inputs)
            except RuntimeError:
                # A copy of a state does not know that it was being captured.
                default = torch.cuda.default_generators[torch.cuda.current_device()]
                for each in (generator, default):
                    each.graphsafe_set_state(each.clone_state())
                raise

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The function's outputs for these inputs, which have the shapes of the first."""
        for mine, theirs in zip(self.inputs, inputs, strict=True):
            mine.copy_(theirs, non_blocking=True)
        self.graph.replay()
        return tuple(tensor.clone() for tensor in self.outputs)


# What holds a function: made with the function, its inputs, and all that it draws from.
GraphType = Callable[
    [Callable[..., tuple[Tensor, ...]], tuple[Tensor, ...], torch.Generator],
    Callable[..., tuple[Tensor, ...]],
]
# By the type of a device; on others nothing is captured.
GRAPHS: dict[str, GraphType] = {"cuda": CudaGraph}


class Captured:
    """A function of tensors as a graph, once it has been called some times.

    Parameters
    ----------
    graphs : mapping of str to callable
        What holds a function, by the type of the device.
    """

    def __init__(self, graphs: Mapping[str, GraphType]) -> None:
        self.graphs = dict(graphs)
        self.fixed: tuple[object, ...] = ()
        self.n_plain = 0
        self.graph: Callable[..., tuple[Tensor, ...]] | None = None

    def __call__(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        inputs: tuple[Tensor, ...],
        fixed: tuple[object, ...],
        generator: torch.Generator,
    ) -> tuple[Tensor, ...]:
        """The function's outputs; where what is fixed in a graph changes, it takes another.

        The generator is all that the function draws from; on its device the tensors are.
        """
        if fixed != self.fixed:
            self.fixed, self.n_plain, self.graph = fixed, 0, None
        if self.n_plain < PLAIN_CALLS:
            self.n_plain += 1
        elif self.graph is None and generator.device.type in self.graphs:
            self.graph = self._capture(function, inputs, generator)
        return (self.graph or function)(*inputs)

    def _capture(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        inputs: tuple[Tensor, ...],
        generator: torch.Generator,
    ) -> Callable[..., tuple[Tensor, ...]] | None:
        try:
            return self.graphs[generator.device.type](function, inputs, generator)
        except RuntimeError as error:
            warnings.warn(_UNCAPTURED.format(error), RuntimeWarning, stacklevel=2)
            self.graphs = {}  # of this training: the next may be one that can be held
            return None
