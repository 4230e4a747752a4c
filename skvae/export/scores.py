"""Log-densities of rows under the linear start of a matrix, in closed form: nats per row.

What `start.ppca` and `start.gap_view` say in arrays. Shapes: n rows, d columns.
"""

import math
from functools import reduce
from typing import cast

import numpy as np

from skvae.export.factors import told
from skvae.export.graph import Value
from skvae.export.layers import array_of
from skvae.model.inference import FactorInference
from skvae.start.ppca import ProbabilisticPCA

_LOG_2PI = math.log(2 * math.pi)


def score_of_complete(pca: ProbabilisticPCA, x: Value) -> Value:
    """Of standardised rows without gaps, shape (n, 1)."""
    q, d = pca.latent_dim, pca.n_features
    scores = x @ pca.components.T
    square = scores * scores
    outside = square.between(q, len(pca.variances)).sum(1, keep=True)
    if len(pca.variances) < d:
        residual = (x * x).sum(1, keep=True) - square.sum(1, keep=True)
        outside = outside + residual.clipped(0.0, None)
    inside = (square.between(0, q) / pca.variances[:q]).sum(1, keep=True)
    constant = float(np.log(pca.variances[:q]).sum()) + d * _LOG_2PI
    parts = [
        (inside + outside / noise + (constant + (d - q) * math.log(noise))) * -0.5
        for noise in pca.noises
    ]
    return _mixed(parts) + pca.log_jacobian


def score_of_holed(pca: ProbabilisticPCA, features: Value, there: Value) -> Value:
    """Of standardised rows by the cells that are there, shape (n, 1)."""
    n_there = there.to(features.dtype).sum(1, keep=True)
    parts = []
    for vae, _ in pca.of_cells().densities():
        inference = cast(FactorInference, vae.inference)
        loadings, noise = array_of(inference.factor_loadings), array_of(inference.factor_noise)
        total = (features * features / noise).sum(1, keep=True)
        if pca.latent_dim:  # rows that are all alike have none
            found = told(inference, features, there)
            assert found.triangle is not None
            of_units = (features @ (loadings / noise[:, None]) * found.mean).sum(1, keep=True)
            diagonal = (found.triangle * np.eye(pca.latent_dim)).sum(2)
            total = total - of_units + diagonal.apply("Log").sum(1, keep=True) * 2.0
        log_noise = _LOG_2PI + math.log(float(noise[0]))
        parts.append((total + n_there * log_noise) * -0.5)
    return _mixed(parts) - n_there * math.log(pca.scale)


def _mixed(parts: list[Value]) -> Value:
    """Log of the mean of densities by their logs."""

    def both(one: Value, other: Value) -> Value:
        top = one.clipped(other, None)
        return ((one - top).apply("Exp") + (other - top).apply("Exp")).apply("Log") + top

    return reduce(both, parts) - math.log(len(parts))
