"""Estimators as steps of a Pipeline that skl2onnx converts."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from skvae.export.exporting import Exported
from skvae.export.graph import OPSET
from skvae.export.questions import exported

_ALIAS = "SkvaeVAETransformer"


def register(kind: type) -> None:
    """Tell skl2onnx how estimators of a class are converted.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    """
    try:
        from skl2onnx import update_registered_converter  # where it is needed: it is an extra
    except ImportError as error:
        raise ImportError(
            "the export of a Pipeline needs skl2onnx, which is not installed: pip install "
            "'skvae[onnx]'."
        ) from error
    update_registered_converter(kind, _ALIAS, _shape, _convert, overwrite=True)


def _shape(operator: Any) -> None:
    """Say what comes out: as many codes for each row, of the type that goes in."""
    given = operator.inputs[0].type
    operator.outputs[0].type = type(given)([given.shape[0], operator.raw_operator.latent_dim_])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add one step to a Pipeline, as a loop of one round.

    At its end skl2onnx gives values other names and sorts nodes by what they ask for, but sees no
    graph inside of a node: so one holds all, and nothing in it is a name of the Pipeline.
    """
    from onnx import numpy_helper  # where it is needed: it is an extra
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    (given, *others), (made,) = operator.inputs, operator.outputs
    dtypes = {FloatTensorType: np.float32, DoubleTensorType: np.float64}
    if others or type(given.type) not in dtypes:
        raise TypeError(
            "in a Pipeline a VAETransformer can be exported to ONNX only if its input is a "
            "matrix of floats; for tables export it alone, with to_onnx."
        )
    prefix = scope.get_unique_operator_name("skvae")
    names = [f"{prefix}/{name}" for name in ("rounds", "begins", "given", "made")]
    rounds, begins, matrix, codes = names
    body = _body(exported(operator.raw_operator, dtypes[type(given.type)]), prefix)
    for name, value in ((rounds, 1), (begins, True)):
        tensor = numpy_helper.from_array(np.array(value), name)
        container.add_node("Constant", [], [name], name=name, value=tensor)
    # It renames what an Identity asks for and makes, but no value that a loop does.
    container.add_node("Identity", [given.full_name], [matrix], name=matrix)
    version = max(_versions(body.node))
    container.add_node("Loop", names[:3], [codes], op_version=version, name=prefix, body=body)
    container.add_node("Identity", [codes], [made.full_name], name=codes)


def _body(own: Exported, prefix: str) -> Any:
    """The graph of a model as a loop has it: the matrix of a round becomes the codes."""
    from onnx import TensorProto, helper

    graph, (port,), ((_, value),) = own.graph(("codes",), prefix, f"{prefix}/X")
    goes_on, ends, codes = (f"{prefix}/{name}" for name in ("goes_on", "ends", "codes"))
    graph.name(graph.input(goes_on, bool), ends)
    graph.name(value, codes)
    nodes, constants = graph.needed([ends, codes])
    kind, info = graph.type_of(port.dtype), helper.make_tensor_value_info
    ins = [info(f"{prefix}/round", TensorProto.INT64, []), info(goes_on, TensorProto.BOOL, [])]
    outs = [info(ends, TensorProto.BOOL, []), info(codes, kind, None)]
    return helper.make_graph(nodes, prefix, [*ins, info(port.name, kind, None)], outs, constants)


def _versions(nodes: Iterable[Any]) -> Iterator[int]:
    """The versions of the operators of nodes, and of those inside of them."""
    from onnx import defs

    for node in nodes:
        yield defs.get_schema(node.op_type, OPSET, node.domain).since_version
        for attribute in node.attribute:
            yield from _versions(attribute.g.node)
