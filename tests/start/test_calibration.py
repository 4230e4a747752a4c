"""Shares of levels under the prior: integrals on a grid judge."""

import numpy as np
import pytest
import torch

from skvae.likelihoods import LIKELIHOODS, Block, Head
from skvae.start.calibration import (
    Free,
    calibrated,
    has_levels,
    is_held,
    with_standard_scores,
)

N = 400
KINDS = ["bernoulli", "categorical", "ordinal"]


def block_of(kind, codes):
    likelihood = LIKELIHOODS[kind]()
    return Block(likelihood, np.arange(1), likelihood.fit(codes))


def shares(block, loadings, free, n_levels):
    """Probability of each level under the prior of one unit, on a grid."""
    z = torch.linspace(-10, 10, 8001, dtype=torch.float64)[:, None]
    density = torch.softmax(-0.5 * z[:, 0].square(), 0)
    block.dispersion.copy_(free.dispersion)
    cells = torch.arange(n_levels, dtype=torch.float64)
    eta = z @ loadings.T + free.bias
    return torch.stack([density @ block.log_prob(x.expand(len(z), 1), eta)[:, 0].exp()
                        for x in cells])  # fmt: skip


@pytest.mark.parametrize("slope", [0.0, 1.0, -4.0, 20.0])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_levels_are_as_likely_as_they_are_frequent(kind, slope):
    n_levels = 2 if kind == "bernoulli" else 4
    count = np.array([396, 4]) if n_levels == 2 else np.array([100, 4, 276, 20])
    codes = np.repeat(np.arange(n_levels), count)[:, None] * 1.0
    block = block_of(kind, codes)
    tilt = torch.arange(block.width, dtype=torch.float64)[:, None] + 1.0
    free = Free(block.bias.clone() + 1.0, block.dispersion.detach().clone())
    x = torch.from_numpy(codes)
    loadings = slope * tilt / block.width
    found = calibrated(block, loadings, free, x, torch.ones(N, dtype=torch.float64))
    expected = torch.from_numpy(count / N)
    ours = shares(block, loadings, found, n_levels)
    torch.testing.assert_close(ours / ours.sum(), expected, rtol=0.02, atol=0)


@torch.no_grad()
def calibrated_shares(kind, codes, weight=None):
    """Shares of two levels under heads that were calibrated by codes, shape (n,)."""
    codes = codes[:, None]
    block = block_of(kind, codes)
    free = Free(block.bias.clone(), block.dispersion.detach().clone())
    loadings = torch.ones(block.width, 1, dtype=torch.float64).cumsum(0)
    w = torch.from_numpy(np.ones(len(codes)) if weight is None else weight)
    found = calibrated(block, loadings, free, torch.from_numpy(codes), w)
    ours = shares(block, loadings, found, 2)
    return ours / ours.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_missing_cells_do_not_count(kind):
    codes = np.repeat([0.0, 1.0, np.nan], [300, 20, 80])
    assert calibrated_shares(kind, codes)[1] == pytest.approx(20 / 320, rel=0.02)


@pytest.mark.parametrize("kind", ["categorical", "ordinal"])
def test_unseen_levels_do_not_count(kind):
    codes = np.repeat([0.0, 1.0, -1.0, np.nan], [300, 20, 40, 40])
    assert calibrated_shares(kind, codes)[1] == pytest.approx(20 / 320, rel=0.02)


@torch.no_grad()
def test_every_column_of_levels_has_its_own_shares():
    counts = [300, 80, 20], [40, 260, 100]
    codes = np.stack([np.repeat([0.0, 1.0, 2.0], each) for each in counts], 1)
    likelihood = LIKELIHOODS["categorical"]()
    block = Block(likelihood, np.arange(2), likelihood.fit(codes))
    free = Free(torch.zeros_like(block.bias), block.dispersion.detach().clone())
    loadings = torch.zeros(block.width, 1, dtype=torch.float64)
    w = torch.ones(N, dtype=torch.float64)
    bias = calibrated(block, loadings, free, torch.from_numpy(codes), w).bias
    for own, count in zip(bias.split(3), counts, strict=True):
        torch.testing.assert_close(
            own.softmax(0), torch.tensor(count, dtype=torch.float64) / N, rtol=1e-6, atol=0
        )


@pytest.mark.parametrize("kind", KINDS)
def test_shares_are_those_by_weight(kind):
    codes = np.repeat([0.0, 1.0], [300, 100])
    weight = np.where(codes == 1, 3.0, 1.0)
    assert calibrated_shares(kind, codes, weight)[1] == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_a_level_that_was_never_seen_may_be(kind):
    codes = np.repeat([0.0, 1.0], [399, 1])
    weight = np.where(codes == 1, 0.0, 1.0)
    assert 1e-4 < calibrated_shares(kind, codes, weight)[1] < 0.01


def test_the_shares_of_booleans_and_levels_can_be_held():
    held = {name for name, each in LIKELIHOODS.items() if has_levels(each())}
    assert held == {"bernoulli", "categorical", "ordinal"}


def test_shares_of_numbers_cannot_be_held():
    block = block_of("gaussian", np.zeros((3, 1)))
    free, one = Free(block.bias, block.dispersion), torch.ones(1, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match="Gaussian has no levels"):
        calibrated(block, one, free, one, one[0])


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.4, 1.0, 30.0])
def test_outputs_and_noise_of_scores_are_standard_normal(size):
    block = block_of("empirical", np.random.RandomState(0).standard_normal((N, 1)))
    head = with_standard_scores(block, Head(np.full((1, 2), size), np.ones(1), np.log([0.5])))
    signal = np.square(head.loadings).sum()
    assert signal + np.exp(2 * head.dispersion[0]) == pytest.approx(1.0)
    assert head.bias == 0
    ratio = signal * np.exp(-2 * head.dispersion[0])
    assert ratio == pytest.approx(2 * size**2 / 0.25, rel=1e-9, abs=1e-12)


def test_scores_are_held_but_have_no_levels():
    held = {name for name, each in LIKELIHOODS.items() if is_held(each())}
    assert held == {"bernoulli", "categorical", "ordinal", "empirical"}
    assert not has_levels(LIKELIHOODS["empirical"]())
