"""Roots and inverses of each row's matrix, which ONNX has no operators for.

Shapes: n rows, matrices of q by q. A loop takes one column or row of all matrices at a time.
"""

from collections.abc import Sequence

import numpy as np

from skvae.export.graph import Value


def triangle_of(matrices: Value, q: int) -> Value:
    """Lower triangle L of each positive definite matrix L L', shape (n, q, q)."""
    graph = matrices.graph
    below = np.tril(np.ones((q, q)))

    def step(number: Value, left: Value) -> tuple[Sequence[Value], Sequence[Value], None]:
        column = left.take(number, axis=2)
        pivot = column.take(number, axis=1).widened(1).apply("Sqrt")
        own = graph.constant(below, left.dtype).take(number, axis=1) * column / pivot
        return [left - own.widened(2) * own.widened(1)], [own], None

    _, columns = graph.loop(q, [matrices], step)
    return columns.turned(1, 2, 0)


def inverse_of(triangles: Value, q: int) -> Value:
    """Inverse of each lower triangle, shape (n, q, q)."""
    graph = triangles.graph
    units = graph.constant(np.eye(q), triangles.dtype)

    def step(number: Value, known: Value) -> tuple[Sequence[Value], Sequence[Value], None]:
        own = triangles.take(number, axis=1)  # (n, q)
        unit = units.take(number, axis=0)  # (q,)
        left = unit - (own.widened(1) @ known).shaped(0, q)
        row = left / own.take(number, axis=1).widened(1)
        return [known + unit.shaped(1, q, 1) * row.widened(1)], [], None

    (inverse,) = graph.loop(q, [triangles * 0.0], step)
    return inverse


def times(matrices: Value, vectors: Value) -> Value:
    """Product of each matrix with its vector, shape (n, q)."""
    # Up to 1.25 onnxruntime has no MatMul of doubles that takes what was just transposed.
    return (matrices * vectors.widened(1)).sum(2)


def transposed(matrices: Value) -> Value:
    """Each matrix with rows as columns."""
    return matrices.turned(0, 2, 1)
