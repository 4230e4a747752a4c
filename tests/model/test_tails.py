"""Weights of cells under Student's t: scipy's maximum and limits judge."""

import pytest
import torch
from numpy.testing import assert_allclose
from scipy import optimize, stats

from skvae.model.tails import precision, tail_weights
from tests.samples import noise_of

D, Q = 6, 2
LOADINGS = noise_of(D, Q)
NOISE = torch.full((D,), 0.05, dtype=torch.float64)
DF = torch.tensor([4.0, 4.0, 4.0, 4.0, 0.0, 0.0], dtype=torch.float64)
TAILED = torch.arange(4)


def rows(n=20):
    z, noise = noise_of(n, Q, seed=1), noise_of(n, D, seed=2)
    return z @ LOADINGS.T + NOISE.sqrt() * noise


def everything(x):
    return torch.ones_like(x)


def means(weights, x):
    told = (weights * x) @ (LOADINGS / NOISE[:, None])
    return torch.linalg.solve(precision(weights, LOADINGS, NOISE), told)


def test_normal_noise_weighs_1_and_what_is_missing_0():
    x = rows()
    there = everything(x)
    there[:, 1] = there[:, 4] = 0.0
    weights = tail_weights(x, there, LOADINGS, NOISE, DF, TAILED)
    assert (weights[:, 5] == 1).all()
    assert (weights[:, [1, 4]] == 0).all()
    assert (weights[:, 0] > 0).all()


def test_the_first_weights_are_those_of_rows_of_which_nothing_is_known():
    x = rows()
    weights = tail_weights(x, everything(x), LOADINGS, NOISE, DF, TAILED, n_rounds=1)
    variance = NOISE + LOADINGS.square().sum(1)
    expected = (DF + 1.0) / (DF + x.square() / variance)
    torch.testing.assert_close(weights[:, :4], expected[:, :4])


def test_means_are_at_the_top_of_the_posterior():
    """Of rows without far cells, whose posterior has one top."""
    x = rows()
    z = means(tail_weights(x, everything(x), LOADINGS, NOISE, DF, TAILED), x).numpy()
    loadings, scale = LOADINGS.numpy(), NOISE.sqrt().numpy()

    def loss(z, row):
        error = (row - loadings @ z) / scale
        tails = stats.t.logpdf(error[:4], 4).sum() + stats.norm.logpdf(error[4:]).sum()
        return 0.5 * z @ z - tails

    for ours, row in zip(z, x.numpy(), strict=True):
        assert_allclose(ours, optimize.minimize(loss, ours, (row,)).x, atol=0.05)


def test_the_pull_of_a_far_cell_goes_to_zero():
    x = rows(1).expand(40, D).clone()
    far = torch.logspace(0, 12, 40, dtype=torch.float64)
    x[:, 0] += far
    weights = tail_weights(x, everything(x), LOADINGS, NOISE, DF, TAILED)
    moved = (means(weights, x) - means(weights, x)[-1]).norm(dim=1)
    assert moved.max() < 3
    assert moved[far > 100].max() < 0.05
    assert (weights[-1, 0] * x[-1, 0]).abs() < 1e-9


def test_a_row_has_its_weights_whatever_is_beside_it():
    x = rows()
    whole = tail_weights(x, everything(x), LOADINGS, NOISE, DF, TAILED)
    x[1:] = 1e6
    alone = tail_weights(x, everything(x), LOADINGS, NOISE, DF, TAILED)
    assert_allclose(alone[0], whole[0], rtol=1e-9)


@pytest.mark.parametrize("n_cells", [1, 2 * Q**2, 10**6])
def test_a_precision_is_the_prior_and_what_each_feature_adds(n_cells):
    weights = noise_of(3, D).square()
    expected = torch.eye(Q, dtype=torch.float64) + torch.einsum(
        "nd,di,dj->nij", weights / NOISE, LOADINGS, LOADINGS
    )
    found = precision(weights, LOADINGS, NOISE, part_cells=n_cells)
    torch.testing.assert_close(found, expected)


def test_single_precision_survives_the_farthest_cells():
    x = rows(2).float()
    x[0, 0] = 1e30
    parts = (LOADINGS.float(), NOISE.float(), DF.float())
    weights = tail_weights(x, torch.ones_like(x), *parts, TAILED)
    assert torch.isfinite(weights).all()
    assert weights[0, 0] == 0
