"""What a factor model says of rows, given the features that are there, as nodes.

What `model.inference` and `model.tails` say in tensors. Shapes: n rows, D features, q latent units.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from skvae.export.graph import Value
from skvae.export.layers import array_of
from skvae.export.triangles import inverse_of, times, transposed, triangle_of
from skvae.model.inference import FactorInference
from skvae.model.tails import ROUNDS


class Told(NamedTuple):
    """The posterior of rows, and their features."""

    mean: Value  # (n, q)
    features: Value  # (n, D) centred; missing ones as they are expected
    log_variance: Value  # (n, q)
    root: Value  # (n, q, q)
    precision: Value | None = None  # (n, q, q) that the features add to that of the prior
    triangle: Value | None = None  # (n, q, q) of the whole precision


def told(inference: FactorInference, features: Value, there: Value) -> Told:
    """What features say that are there; of columns with heavy tails far ones count less."""
    loadings, noise, center, df = (
        array_of(own)
        for own in (
            inference.factor_loadings,
            inference.factor_noise,
            inference.factor_center,
            inference.factor_df,
        )
    )
    graph, q = features.graph, loadings.shape[1]
    centred = graph.where(there, features - center, 0.0)
    weights = there.to(centred.dtype)
    if inference.has_tails:
        weights = _tail_weights(centred, weights, loadings, noise, df)
    scaled = loadings / noise[:, None]
    precision = _precision(weights, loadings, noise)
    triangle = triangle_of(precision + np.eye(q), q)
    inverse = inverse_of(triangle, q)
    root = transposed(inverse)
    mean = times(root, times(inverse, (weights * centred) @ scaled))
    expected = mean @ loadings.T
    share = weights.clipped(None, 1.0)
    filled = expected + share * (centred - expected)
    return Told(mean, filled, mean * 0.0, root, precision, triangle)


def _precision(weights: Value, loadings: np.ndarray, noise: np.ndarray) -> Value:
    """What features of these weights, (n, D), add to the precision, shape (n, q, q)."""
    graph, (_, q) = weights.graph, loadings.shape
    own, others = graph.constant(loadings), graph.constant(loadings / noise[:, None])
    parts = (own.widened(1) * others.widened(2)).shaped(-1, q * q)  # small in the file so
    return (weights @ parts).shaped(0, q, q)


def _tail_weights(
    centred: Value, there: Value, loadings: np.ndarray, noise: np.ndarray, df: np.ndarray
) -> Value:
    """Weights of features, shape (n, D): 0 where not there, 1 where noise is normal."""
    graph, q = centred.graph, loadings.shape[1]
    has_tail = graph.constant(df > 0)
    scaled, degrees = loadings / noise[:, None], np.where(df > 0, df, 1.0)
    square = centred * centred / (noise + np.square(loadings).sum(1))

    def weighed(square: Value) -> Value:
        return graph.where(has_tail, there * (degrees + 1.0) / (square + degrees), there)

    def step(number: Value, square: Value) -> tuple[Sequence[Value], Sequence[Value], None]:
        weights = weighed(square)
        triangle = triangle_of(_precision(weights, loadings, noise) + np.eye(q), q)
        inverse = inverse_of(triangle, q)
        mean = (weights * centred) @ scaled
        mean = times(transposed(inverse), times(inverse, mean))
        left = centred - mean @ loadings.T
        return [left * left / noise], [], None

    (square,) = graph.loop(ROUNDS - 1, [square], step)
    return weighed(square)
