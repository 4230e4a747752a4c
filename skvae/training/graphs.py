"""A function of tensors, done again in one launch: CUDA graphs, after some plain calls.

A step on a GPU is some hundred small launches, which take longer than their arithmetic. A graph
keeps them with the addresses of what they read and write. So the function's Python runs once: what
changes between two calls has to be a tensor, and nothing may depend on what a tensor holds.
"""

import threading
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PLAIN_CALLS = 5  # before one is captured: in them libraries make what they keep

_UNCAPTURED = (
    "a step of this training cannot be held in a graph of the device ({}): its operations are "
    "launched one by one, with the same result in more time."
)

_one_at_a_time = threading.Lock()  # captures in a process
# One per device for all captures: what libraries keep for a stream, they keep for good.
_streams: dict[torch.device, torch.cuda.Stream] = {}
# Later versions find the generators by themselves, and complain of help.
_REGISTERS_GENERATORS = torch.__version__ < "2.14"


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
            if device not in _streams:
                _streams[device] = torch.cuda.Stream()
            capture = torch.cuda.graph(
                self.graph, stream=_streams[device], capture_error_mode="thread_local"
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


class Captured:
    """A function of tensors as a graph, once it has been called some times.

    Parameters
    ----------
    generator : torch.Generator
        All that the function draws from; on its device the tensors are.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.graph_type: Any = GRAPHS.get(generator.device.type)
        self.fixed: tuple = ()
        self.n_plain = 0
        self.graph: Callable[..., tuple[Tensor, ...]] | None = None

    def __call__(
        self, function: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...], fixed: tuple
    ) -> tuple[Tensor, ...]:
        """The function's outputs; where what is fixed in a graph changes, it takes another."""
        if fixed != self.fixed:
            self.fixed, self.n_plain, self.graph = fixed, 0, None
        if self.n_plain < PLAIN_CALLS:
            self.n_plain += 1
        elif self.graph is None and self.graph_type is not None:
            self.graph = self._capture(function, inputs)
        return (self.graph or function)(*inputs)

    def _capture(self, function: Callable, inputs: tuple[Tensor, ...]) -> Any:
        try:
            return self.graph_type(function, inputs, self.generator)
        except RuntimeError as error:
            warnings.warn(_UNCAPTURED.format(error), RuntimeWarning, stacklevel=2)
            self.graph_type = None  # of this training: the next may be one that can be held
            return None


# By the type of a device; on others nothing is captured.
GRAPHS: dict[str, Callable] = {"cuda": CudaGraph}
