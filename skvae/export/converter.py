"""Estimators as steps of a Pipeline that skl2onnx converts."""

from typing import Any

import numpy as np

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
    """Add the nodes of one step to those of a Pipeline."""
    from onnx import defs, helper  # where they are needed: they are an extra
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    (given, *others), (made,) = operator.inputs, operator.outputs
    dtypes = {FloatTensorType: np.float32, DoubleTensorType: np.float64}
    if others or type(given.type) not in dtypes:
        raise TypeError(
            "in a Pipeline a VAETransformer can be exported to ONNX only if its input is a "
            "matrix of floats; for tables export it alone, with to_onnx."
        )
    prefix = scope.get_unique_operator_name("skvae")
    own = exported(operator.raw_operator, dtypes[type(given.type)])
    graph, _, ((_, codes),) = own.graph(("codes",), prefix, given.full_name)
    graph.name(codes, made.full_name)
    nodes, constants = graph.needed([made.full_name])
    for tensor in constants:
        container.add_node("Constant", [], [tensor.name], name=tensor.name, value=tensor)
    for node in nodes:
        version = defs.get_schema(node.op_type, OPSET, node.domain).since_version
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        container.add_node(
            node.op_type,
            list(node.input),
            list(node.output),
            op_domain=node.domain,
            op_version=version,
            name=node.name,
            **attributes,
        )
