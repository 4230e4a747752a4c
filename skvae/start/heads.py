"""The head of one block: a generalised linear model of its columns, fitted to points z."""

from collections.abc import Iterator

import numpy as np
import torch
from scipy import optimize
from torch import Tensor

from skvae.likelihoods import Block, Head, Values

_ITERATIONS = 200
_CELLS = 6e7  # cells times iterations, at most
_PRIOR_VARIANCE = 10.0  # of loadings, as of logistic regression with C = 10; of log dispersions
_BATCH_CELLS = 524_288
_SEARCH_CELLS = 131_072  # outputs at a time, in the search: what caches hold


def fit_head(
    block: Block,
    values: Values,
    z: Tensor,
    weight: np.ndarray | None,
    guess: Head,
    rng: np.random.RandomState,
) -> Head:
    """The head of greatest likelihood, with a normal prior on loadings and dispersions (L-BFGS).

    The prior says little; without it, counts that are Poisson's draw the dispersion of a negative
    binomial head, and columns without noise the scale of a Student's t head, towards infinity.

    It is searched in units in which loadings and bias are about equally curved: a column of large
    counts is a thousand times as steep as one of small ones, the search would take many times as
    long, and where it stopped would hang on how numbers are rounded.
    """
    n, q = z.shape
    w = torch.from_numpy(np.ones(n) if weight is None else weight / weight.mean())
    expected = torch.from_numpy(guess.dispersion)
    unit = _curvature(block, values, z, w, guess, rng) ** -0.5
    unit = np.concatenate([unit[:, :q].ravel(), unit[:, q], np.ones(expected.numel())])

    def head(scaled: np.ndarray) -> Head:
        parts = np.split(scaled * unit, np.cumsum([array.size for array in guess])[:-1])
        return Head(*(part.reshape(array.shape) for part, array in zip(parts, guess, strict=True)))

    def loss(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        loadings, bias, dispersion = map(torch.from_numpy, head(scaled))
        away = dispersion - expected
        value = 0.5 * (loadings.square().sum() + away.square().sum()) / _PRIOR_VARIANCE
        slopes = [loadings / _PRIOR_VARIANCE, torch.zeros_like(bias), away / _PRIOR_VARIANCE]
        for rows in batches_of_cells(values, max(1, _SEARCH_CELLS // max(block.width, 1))):
            x = dense(values, rows)
            weight = w[rows, None] * ~x.isnan()
            outputs = torch.addmm(bias, z[rows], loadings.T)
            found = block.slopes(x, outputs, weight, dispersion)
            value -= weight.flatten() @ found.log_prob.masked_fill(x.isnan(), 0.0).flatten()
            slopes[0] -= found.of_outputs.T @ z[rows]
            slopes[1] -= found.of_outputs.sum(0)
            slopes[2] -= found.of_dispersion
        flat = np.concatenate([slope.numpy().ravel() for slope in slopes])
        return value.item() / n, flat * unit / n

    flat = np.concatenate([array.ravel() for array in guess])
    n_iterations = int(np.clip(_CELLS / (n * block.width), 10, _ITERATIONS))
    found = optimize.minimize(
        loss, flat / unit, jac=True, method="L-BFGS-B", options={"maxiter": n_iterations}
    )
    return head(found.x)


def _log_prob(
    block: Block, x: Tensor, outputs: Tensor, dispersion: Tensor, weight: Tensor
) -> Tensor:
    """Log-likelihood of the observed cells of all rows."""
    return weight @ block.log_prob(x, outputs, dispersion).masked_fill(x.isnan(), 0.0).sum(1)


def _curvature(
    block: Block,
    values: Values,
    z: Tensor,
    weight: Tensor,
    guess: Head,
    rng: np.random.RandomState,
) -> np.ndarray:
    """Mean second derivatives of the loss by loadings and bias at the guess, (width, q + 1).

    The diagonal by the outputs of a row is estimated with one vector of random signs (Hutchinson,
    1990); the mean over rows takes out its noise.
    """
    loadings, bias, dispersion = map(torch.from_numpy, guess)
    total = z.new_zeros(block.width, z.shape[1] + 1)
    for rows in batches_of_cells(values):
        x = dense(values, rows)
        outputs = (z[rows] @ loadings.T + bias).requires_grad_(True)
        loss = -_log_prob(block, x, outputs, dispersion, weight[rows])
        (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
        signs = torch.from_numpy(rng.choice([-1.0, 1.0], size=tuple(outputs.shape)))
        (curvature,) = torch.autograd.grad((slope * signs).sum(), outputs)
        by = torch.cat([z[rows].square(), z.new_ones(len(x), 1)], 1)
        total += (signs * curvature).T @ by
    n = len(z)
    return np.fmax(total.numpy() / n, 1 / (_PRIOR_VARIANCE * n))


def dense(values: Values, rows: slice = slice(None)) -> Tensor:
    """Some rows of cells as a tensor of double precision."""
    x = values[rows]
    return torch.tensor(np.asarray(x if isinstance(x, np.ndarray) else x.toarray(), np.float64))


def batches_of_cells(values: Values, most: int | None = None) -> Iterator[slice]:
    """Rows in batches of about as many cells, or of so many rows."""
    step = max(1, most or _BATCH_CELLS // max(values.shape[1], 1))
    for first in range(0, values.shape[0], step):
        yield slice(first, first + step)
