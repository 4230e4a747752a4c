"""A graph of ONNX under construction: values that are added and multiplied become its nodes.

A `Value` knows its dtype, not its shape. Numbers and arrays beside it become constants of the same
dtype, each held once. What does not change between rows is computed in numpy beforehand.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

OPSET = 18  # of which onnxruntime knows every operator in both precisions that is used here
ML_OPSET = 3  # of the operators of classical models, which look up text
IR_VERSION = 8  # that the oldest onnxruntime allowed reads
_MANY = 64  # numbers, from which on it pays to hold them in single precision where that is exact

Operand: TypeAlias = "Value | np.ndarray | float"


class Port(NamedTuple):
    """An input or an output of the graph: a column, or a matrix of a row's numbers."""

    name: str
    dtype: np.dtype
    width: int
    doc: str = ""


class Value:
    """What a node makes, or an input."""

    __array_ufunc__ = None  # arrays before an operator leave it to the value

    def __init__(self, graph: "Graph", name: str, dtype: np.dtype) -> None:
        self.graph, self.name, self.dtype = graph, name, dtype

    def __add__(self, other: Operand) -> "Value":
        return self.graph.node("Add", self, other)

    def __radd__(self, other: Operand) -> "Value":
        return self + other

    def __sub__(self, other: Operand) -> "Value":
        return self.graph.node("Sub", self, other)

    def __rsub__(self, other: Operand) -> "Value":
        return self.graph.node("Sub", self.like(other), self)

    def __mul__(self, other: Operand) -> "Value":
        return self.graph.node("Mul", self, other)

    def __rmul__(self, other: Operand) -> "Value":
        return self * other

    def __truediv__(self, other: Operand) -> "Value":
        return self.graph.node("Div", self, other)

    def __rtruediv__(self, other: Operand) -> "Value":
        return self.graph.node("Div", self.like(other), self)

    def __matmul__(self, other: Operand) -> "Value":
        return self.graph.node("MatMul", self, other)

    def __neg__(self) -> "Value":
        return self.graph.node("Neg", self)

    def __gt__(self, other: Any) -> "Value":
        return self.graph.node("Greater", self, other, dtype=np.dtype(bool))

    def __lt__(self, other: Any) -> "Value":
        return self.graph.node("Less", self, other, dtype=np.dtype(bool))

    def __ge__(self, other: Any) -> "Value":
        return self.graph.node("GreaterOrEqual", self, other, dtype=np.dtype(bool))

    def __le__(self, other: Any) -> "Value":
        return self.graph.node("LessOrEqual", self, other, dtype=np.dtype(bool))

    def __and__(self, other: "Value") -> "Value":
        return self.graph.node("And", self, other)

    def __or__(self, other: "Value") -> "Value":
        return self.graph.node("Or", self, other)

    def __invert__(self) -> "Value":
        return self.graph.node("Not", self)

    def like(self, other: Operand) -> "Value":
        """A number or an array as a constant of this dtype; a value as it is."""
        return other if isinstance(other, Value) else self.graph.constant(other, self.dtype)

    def apply(self, op: str, **attributes: Any) -> "Value":
        """What an operator of one input makes of it."""
        return self.graph.node(op, self, **attributes)

    def to(self, dtype: Any) -> "Value":
        """The same in another dtype."""
        dtype = np.dtype(dtype)
        if dtype == self.dtype:
            return self
        return self.graph.node("Cast", self, dtype=dtype, to=self.graph.type_of(dtype))

    def sum(self, *axes: int, keep: bool = False) -> "Value":
        """Sum over axes."""
        return self.graph.node("ReduceSum", self, self.graph.ints(*axes), keepdims=int(keep))

    def any(self) -> "Value":
        """Whether one of them is true, a scalar."""
        count = self.to(np.int64)
        total = self.graph.node("ReduceSum", count, keepdims=0)
        return total > np.array(0)

    def take(self, index: "np.ndarray | Sequence[int] | int | Value", axis: int = 1) -> "Value":
        """What stands at places of an axis."""
        if not isinstance(index, Value):
            index = self.graph.constant(np.asarray(index), np.int64)
        return self.graph.node("Gather", self, index, axis=axis)

    def between(self, first: int, last: int, axis: int = 1) -> "Value":
        """From a place to before another."""
        ints = self.graph.ints
        return self.graph.node("Slice", self, ints(first), ints(last), ints(axis))

    def shaped(self, *shape: int) -> "Value":
        """The same numbers in another shape; 0 keeps a size, -1 is what is left."""
        return self.graph.node("Reshape", self, self.graph.ints(*shape))

    def widened(self, axis: int) -> "Value":
        """With one axis more, of size one."""
        return self.graph.node("Unsqueeze", self, self.graph.ints(axis))

    def turned(self, *axes: int) -> "Value":
        """With axes in another order."""
        return self.graph.node("Transpose", self, perm=list(axes))

    def clipped(self, low: "Operand | None", high: "Operand | None") -> "Value":
        """Not below the one, nor above the other."""
        found = self if low is None else self.graph.node("Max", self, low)
        return found if high is None else self.graph.node("Min", found, high)

    def is_nan(self) -> "Value":
        """Which are no numbers."""
        return self.graph.node("IsNaN", self, dtype=np.dtype(bool))

    def places(self) -> "Value":
        """Where there is a true one, shape (k,)."""
        found = self.graph.node("NonZero", self, dtype=np.dtype(np.int64))
        return self.graph.node("Squeeze", found, self.graph.ints(0))

    def put(self, place: "Value", rows: "Value") -> "Value":
        """The same with other rows at some places."""
        return self.graph.node("ScatterND", self, place.widened(1), rows)

    def rows(self) -> "Value":
        """How many rows there are, shape (1,)."""
        shape = self.graph.node("Shape", self, dtype=np.dtype(np.int64))
        return shape.between(0, 1, axis=0)


class Graph:
    """Nodes and constants; `prefix` begins their names.

    Raises
    ------
    ImportError
        If onnx is not installed.
    """

    def __init__(self, prefix: str = "") -> None:
        self._helper, self._numpy_helper = _library()
        self._prefix, self._n_names = prefix, 0
        self.nodes: list[Any] = []
        self._casts: list[Any] = []  # of constants: before all other nodes
        self._constants: dict[Any, Value] = {}
        self.initializers: list[Any] = []

    def type_of(self, dtype: np.dtype) -> int:
        """The number that ONNX has for a dtype; objects are text."""
        text = np.dtype(object) if np.dtype(dtype).kind == "U" else np.dtype(dtype)
        return self._helper.np_dtype_to_tensor_dtype(text)

    def input(self, name: str, dtype: Any) -> Value:
        """An input, by its name."""
        return Value(self, name, np.dtype(dtype))

    def ints(self, *values: int) -> Value:
        """Sizes, axes or places, shape (n,)."""
        return self.constant(np.array(values), np.int64)

    def constant(self, values: Any, dtype: Any = None) -> Value:
        """A constant; those that are alike are one."""
        array = np.asarray(values, dtype)
        array = np.ascontiguousarray(array).reshape(array.shape)  # of scalars it makes arrays
        content = tuple(array.ravel().tolist()) if array.dtype == object else array.tobytes()
        key = (array.dtype.str, array.shape, content)
        if key not in self._constants:
            self._constants[key] = self._new_constant(array)
        return self._constants[key]

    def _new_constant(self, array: np.ndarray) -> Value:
        if array.dtype == np.float64 and array.size >= _MANY:
            with np.errstate(over="ignore"):
                single = array.astype(np.float32)
            if np.array_equal(single.astype(np.float64), array, equal_nan=True):
                held = self.constant(single)
                cast = Value(self, self._new_name(), array.dtype)
                own = self._helper.make_node(
                    "Cast", [held.name], [cast.name], name=cast.name, to=self.type_of(array.dtype)
                )
                self._casts.append(own)
                return cast
        found = Value(self, self._new_name(), array.dtype)
        self.initializers.append(self._numpy_helper.from_array(array, found.name))
        return found

    def node(self, op: str, *inputs: Operand, dtype: Any = None, **attributes: Any) -> Value:
        """What an operator makes; its dtype is that of the first value, where none is given."""
        first = next(each for each in inputs if isinstance(each, Value))
        made = Value(self, self._new_name(), first.dtype if dtype is None else np.dtype(dtype))
        names = [first.like(each).name for each in inputs]
        self._append(op, names, [made.name], **attributes)
        return made

    def _append(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        self.nodes.append(
            self._helper.make_node(op, inputs, outputs, name=self._new_name(), **attributes)
        )

    def where(self, condition: Value, yes: Operand, no: Operand) -> Value:
        """One or the other."""
        own = yes if isinstance(yes, Value) else no
        assert isinstance(own, Value)
        return self.node("Where", condition, own.like(yes), own.like(no), dtype=own.dtype)

    def joined(self, parts: Sequence[Value], axis: int = 1) -> Value:
        """Parts side by side."""
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=axis)

    def filled(self, n_rows: Value, width: int, value: float, dtype: Any) -> Value:
        """One number everywhere, shape (n, width)."""
        shape = self.joined([n_rows, self.ints(width)], axis=0)
        array = np.array([value], dtype)
        return self.node(
            "ConstantOfShape", shape, dtype=dtype, value=self._numpy_helper.from_array(array)
        )

    def name(self, value: Value, name: str) -> None:
        """Give a value the name of an output."""
        self._append("Identity", [value.name], [name])

    def loop(
        self,
        n_steps: int,
        begin: Sequence[Value],
        step: Callable[..., tuple[Sequence[Value], Sequence[Value], Value | None]],
    ) -> list[Value]:
        """What a loop makes of the values it begins with.

        The step takes its number and the values as they are. It returns them as they become, what
        is to be collected of all steps, and whether to go on: None goes on to the end.
        """
        number = Value(self, self._new_name(), np.dtype(np.int64))
        goes_on = Value(self, self._new_name(), np.dtype(bool))
        carried = [Value(self, self._new_name(), own.dtype) for own in begin]

        def body() -> list[Value]:
            become, collected, going = step(number, *carried)
            return [going or goes_on, *become, *collected]

        graph, outputs = self._subgraph(body, [number, goes_on, *carried])
        made = [Value(self, self._new_name(), own.dtype) for own in outputs[1:]]
        begin_names = [self.constant(np.array(own)).name for own in (n_steps, True)]
        begin_names += [own.name for own in begin]
        self._append("Loop", begin_names, [own.name for own in made], body=graph)
        return made

    def choose(
        self,
        condition: Value,
        yes: Callable[[], Sequence[Value]],
        no: Callable[[], Sequence[Value]],
    ) -> list[Value]:
        """What one of two branches makes; the other is not run."""
        then, outputs = self._subgraph(yes, [])
        otherwise, _ = self._subgraph(no, [])
        made = [Value(self, self._new_name(), own.dtype) for own in outputs]
        names = [own.name for own in made]
        self._append("If", [condition.name], names, then_branch=then, else_branch=otherwise)
        return made

    def _subgraph(
        self, make: Callable[[], Sequence[Value]], inputs: Sequence[Value]
    ) -> tuple[Any, list[Value]]:
        """A graph inside; its outputs are its own, and not what is around it."""
        around, self.nodes = self.nodes, []
        try:
            outputs = [own.apply("Identity") for own in make()]
        finally:
            nodes, self.nodes = self.nodes, around
        # The number of a step and whether it goes on, which come first, are scalars.
        shapes = [[(), ()] + [None] * len(inputs), [()] * bool(inputs) + [None] * len(outputs)]
        infos = [
            [
                self._helper.make_tensor_value_info(own.name, self.type_of(own.dtype), shape)
                for own, shape in zip(side, own_shapes, strict=False)
            ]
            for side, own_shapes in zip((inputs, outputs), shapes, strict=True)
        ]
        return self._helper.make_graph(nodes, self._new_name(), *infos), outputs

    def _new_name(self) -> str:
        self._n_names += 1
        return f"{self._prefix}/{self._n_names}"  # as no column is named

    def needed(self, outputs: Iterable[str]) -> tuple[list[Any], list[Any]]:
        """Nodes that outputs need, each after those that it needs, and constants."""
        names, found = set(outputs), []
        for node in reversed([*self._casts, *self.nodes]):
            if names.intersection(node.output):
                found.append(node)
                names |= _asked(node)
        return found[::-1], [each for each in self.initializers if each.name in names]

    def model(self, inputs: Sequence[Port], outputs: Sequence[Port], **about: str) -> Any:
        """The whole as a model of ONNX."""
        helper = self._helper
        infos = [
            [
                helper.make_tensor_value_info(
                    port.name, self.type_of(port.dtype), ["n", port.width], port.doc
                )
                for port in side
            ]
            for side in (inputs, outputs)
        ]
        nodes, constants = self.needed(port.name for port in outputs)
        graph = helper.make_graph(nodes, "skvae", *infos, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, **about)


def _asked(node: Any) -> set[str]:
    """Names that a node asks for, those of graphs inside it too."""
    inner = {
        name
        for own in node.attribute
        if own.HasField("g")
        for each in own.g.node
        for name in _asked(each)
    }
    return inner.union(node.input)


def _library() -> tuple[Any, Any]:
    try:
        from onnx import helper, numpy_helper  # where it is needed: it is an extra
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx, which is not installed: pip install 'skvae[onnx]'."
        ) from error
    return helper, numpy_helper
