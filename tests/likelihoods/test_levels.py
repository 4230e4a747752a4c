"""Likelihoods of levels: rare ones, unseen ones, and the codes that are decided."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats

from skvae.likelihoods import Categorical, Ordinal
from tests.likelihoods.cases import GRADES, RARE, N, block_of, log_prob, outputs


def test_categories_are_a_softmax_and_grades_differences_of_logistic_curves():
    block = block_of(Categorical(), GRADES)
    eta = torch.tensor([[0.3, -2.0, 1.0, 0.0, 4.0]], dtype=torch.float64)
    seen = 1 - np.exp(block.log_unseen.item())
    expected = np.log(seen * torch.softmax(eta[0], 0).numpy())
    assert_allclose(log_prob(block, np.arange(5), eta), expected)
    block = block_of(Ordinal(), GRADES)
    upper = np.log(np.cumsum(np.bincount(GRADES.astype(int)) + 0.5) / (N + 2.5))[:4]
    upper = np.r_[upper - np.log1p(-np.exp(upper)), np.inf]
    lower = np.r_[-np.inf, upper[:-1]]
    seen = 1 - np.exp(block.log_unseen.item())
    p = stats.logistic.cdf(upper - 0.7) - stats.logistic.cdf(lower - 0.7)
    found = log_prob(block, np.arange(5), torch.tensor([[0.7]], dtype=torch.float64))
    assert_allclose(found, np.log(seen * p), rtol=1e-9)


@pytest.mark.parametrize("max_levels", [2, 3, 6, 64])
def test_features_of_levels_have_mean_zero_and_are_uncorrelated(max_levels):
    """Given the shares of levels, half a row added to each."""
    likelihood = Categorical(max_levels=max_levels)
    block = block_of(likelihood, RARE)
    levels = block.features(torch.arange(12.0).double()[:, None]).numpy()
    share = np.bincount(RARE.astype(int)) + 0.5
    share /= share.sum()
    assert levels.shape[1] == min(max_levels, 12) - 1
    assert_allclose(share @ levels, 0, atol=1e-9)
    assert_allclose((levels.T * share) @ levels, np.eye(levels.shape[1]), atol=1e-9)
    bias = torch.as_tensor(likelihood.fit(RARE[:, None])["bias"])[None]
    assert_allclose(block.expected_features(bias), 0, atol=1e-9)


@pytest.mark.parametrize("max_levels", [2, 3, 6, 64])
def test_with_weights_of_columns_features_vary_together_as_indicators_do(max_levels):
    """In the same directions: of two levels the number that a boolean's indicators are in PCA."""
    ours, theirs = (
        block_of(Categorical(max_levels=max_levels, weight=weight), RARE)
        for weight in ("columns", "levels")
    )
    codes = torch.arange(12.0).double()[:, None]
    features, others = (block.features(codes).numpy() for block in (ours, theirs))
    count = np.sort(np.bincount(RARE.astype(int)) + 0.5)[::-1]
    own = np.append(count[: max_levels - 1], count[max_levels - 1 :].sum()) / count.sum()
    share = (np.bincount(RARE.astype(int)) + 0.5) / count.sum()
    total, each = share @ np.square(features), (own * (1 - own)).sum()
    assert_allclose(total.sum(), each)
    assert_allclose(features * others.std(), others * features.std(), atol=1e-9)
    block = Categorical(max_levels=max_levels, weight="columns")
    variances = block.feature_variances(block.fit(RARE[:, None]))
    assert_allclose(variances, total, rtol=1e-9)


def test_rare_levels_share_a_slot_with_their_frequencies():
    block = block_of(Categorical(max_levels=6), RARE)
    assert block.width == 6
    eta = outputs(block, 1.3)
    p = np.exp(log_prob(block, np.arange(12), eta))
    count = np.bincount(RARE.astype(int)) + 0.5
    within = p[5:] / p[5:].sum()
    assert_allclose(within, count[5:] / count[5:].sum())
    shares = p[:5] / p.sum()
    assert_allclose(shares, torch.softmax(eta[0], 0)[:5])


def test_an_unseen_level_has_the_probability_of_new_ones_and_no_gradient():
    values = np.r_[np.zeros(50), np.ones(45), np.arange(2, 7)]  # five levels seen once
    block = block_of(Categorical(), values)
    eta = torch.randn(4, 7).double().requires_grad_(True)
    found = block.log_prob(torch.full((4, 1), -1.0).double(), eta)
    assert_allclose(found.detach(), np.log(5.5 / 101))
    found.sum().backward()
    assert not eta.grad.any()


def test_the_most_probable_level_of_the_most_probable_slot_is_decided():
    block = block_of(Categorical(max_levels=4), RARE)
    for slot, level in ((0, 0), (2, 2), (3, 3)):
        eta = torch.zeros(1, 4).double()
        eta[0, slot] = 9.0
        assert block.decided(eta).item() == level
    block = block_of(Ordinal(), GRADES)
    found = [block.decided(torch.tensor([[e]]).double()).item() for e in (-9.0, 0.0, 9.0)]
    assert found == [0, 2, 4]


@pytest.mark.parametrize("n", [63, 64, 65, 5000])
def test_thousands_of_levels_keep_to_max_levels(n):
    values = np.random.RandomState(0).randint(0, n, 3 * n).astype(float)
    block = block_of(Categorical(), values)
    assert block.width == min(len(np.unique(values)), 64)
    x = torch.from_numpy(np.r_[-1.0, np.unique(values)])[:, None]
    eta = torch.randn(1, block.width).double().expand(len(x), -1)
    assert_allclose(block.log_prob(x, eta).exp().sum(), 1.0)
    drawn = block.sample(eta, torch.Generator().manual_seed(0))
    assert np.isin(drawn, values).all()
