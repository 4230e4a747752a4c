"""Normal noise with heavy tails: Student's t as a mixture of normals of different scales.

Given its place in the mixture a cell is normal, with a weight on its precision:
(df + 1) / (df + r^2 / noise), for a residual r. A cell far out has hardly any, so that it tells
hardly anything of z. Shapes: n rows, D features, q latent units; df is 0 where noise is normal.
"""

import torch
from torch import Tensor

ROUNDS = 8  # of weights and means, one after the other
_PART_CELLS = 262_144  # of what features add to a precision, held at a time


def tail_weights(
    features: Tensor,
    there: Tensor,
    loadings: Tensor,
    noise: Tensor,
    df: Tensor,
    tailed: Tensor,
    *,
    n_rounds: int = ROUNDS,
) -> Tensor:
    """Weights of centred features, shape (n, D): 0 where not there, 1 where noise is normal.

    tailed are the places of the features with heavy tails, of which df, (D,), is not 0.

    The first are those of rows of which nothing is known, so that no far cell is believed to
    begin with; then a fixed number of rounds, each row by itself (Lange, Little & Taylor, 1989).
    """
    weights = there.to(features, copy=True)
    variance = (noise + loadings.square().sum(1))[tailed]
    own, df = features[:, tailed], df[tailed]
    square = own.square() / variance
    for _ in range(n_rounds):
        weights[:, tailed] = there[:, tailed] * (df + 1.0) / (df + square)
        triangle = torch.linalg.cholesky(precision(weights, loadings, noise))
        told = (weights * features) @ (loadings / noise[:, None])
        mean = torch.cholesky_solve(told[..., None], triangle)[..., 0]
        square = (own - mean @ loadings[tailed].T).square() / noise[tailed]
    return weights


def precision(
    weights: Tensor, loadings: Tensor, noise: Tensor, *, part_cells: int = _PART_CELLS
) -> Tensor:
    """Of z given features of these weights, (n, D), shape (n, q, q).

    What each feature adds is made for some at a time: for all of a wide table it takes many times
    the memory of the model.
    """
    q, scaled = loadings.shape[1], loadings / noise[:, None]
    total = torch.eye(q, dtype=scaled.dtype, device=scaled.device).flatten()
    step = max(1, part_cells // max(q, 1) ** 2)
    for first in range(0, len(loadings), step):
        some = slice(first, first + step)
        parts = (scaled[some, :, None] * loadings[some, None]).flatten(1)
        total = total + weights[:, some].to(parts) @ parts
    return total.view(len(weights), q, q)
