"""Counts: their totals, weights, sparse rows and draws."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse, stats

from skvae.likelihoods import LIKELIHOODS, Bernoulli, Block, NegativeBinomial, Poisson
from tests.likelihoods.cases import block_of


@pytest.mark.parametrize("n_missing", [0, 40])
@pytest.mark.parametrize("size_factor", [False, True])
def test_weights_count_in_everything_that_counts_learn(size_factor, n_missing):
    rng = np.random.RandomState(1)
    values = rng.poisson(np.exp(rng.standard_normal((200, 4)))).astype(float)
    values.ravel()[rng.permutation(values.size)[:n_missing]] = np.nan
    w = rng.randint(1, 6, 200).astype(float)
    likelihood = Poisson(size_factor=size_factor)
    ours = likelihood.fit(values, w)
    theirs = likelihood.fit(values.repeat(w.astype(int), 0))
    for name in ("center", "scale", "share", "bias"):
        assert_allclose(ours[name], theirs[name])
    scaled = likelihood.fit(values, 1e-3 * w)
    for name, value in ours.items():
        assert_allclose(scaled[name], value, rtol=1e-12)
    if not n_missing:
        of_sparse = likelihood.fit(sparse.csr_array(values), w)
        for name, value in ours.items():
            assert_allclose(of_sparse[name], value, rtol=1e-12, atol=1e-12)


SIZED = [Poisson(size_factor=True), NegativeBinomial(size_factor=True)]


@pytest.fixture(scope="module")
def sized():
    rng = np.random.RandomState(3)
    return rng.poisson(np.exp(rng.standard_normal((80, 1))) * np.array([8.0, 4.0, 2.0, 6.0])) * 1.0


@pytest.mark.parametrize("likelihood", SIZED)
def test_rates_are_shares_of_the_total(likelihood, sized):
    block = block_of(likelihood, sized)
    x = torch.from_numpy(sized[sized.sum(1) > 0])
    eta = torch.log(torch.tensor([0.4, 0.3, 0.1, 0.2])).double().expand(len(x), -1)
    mean = (x.sum(1, keepdim=True) * eta.exp()).numpy()
    if isinstance(likelihood, NegativeBinomial):
        theta = np.exp(1.0)
        expected = stats.nbinom(theta, theta / (theta + mean)).logpmf(x)
    else:
        expected = stats.poisson(mean).logpmf(x)
    assert_allclose(block.log_prob(x, eta), expected, rtol=1e-8)


@pytest.mark.parametrize("likelihood", SIZED)
def test_the_probabilities_of_counts_with_a_total_are_that_of_the_total(likelihood, sized):
    """Of all rows with one total; never more than one."""
    block = block_of(likelihood, sized)
    total = 7
    cells = np.indices((total + 1,) * 3).reshape(3, -1).T
    cells = cells[cells.sum(1) <= total]
    x = torch.from_numpy(np.column_stack([cells, total - cells.sum(1)]).astype(float))
    for shares in ([0.4, 0.3, 0.1, 0.2], [0.9, 0.9, 0.9, 0.9], [0.01, 0.2, 0.1, 0.1]):
        eta = torch.log(torch.tensor(shares, dtype=torch.float64)).expand(len(x), -1)
        mass = block.log_prob(x, eta).sum(1).exp().sum().item()
        assert mass <= 1.0
        if not isinstance(likelihood, NegativeBinomial):
            assert_allclose(mass, stats.poisson(total * sum(shares)).pmf(total))


@pytest.mark.parametrize("likelihood", SIZED)
def test_missing_cells_of_a_typical_row_leave_its_total(likelihood, sized):
    block = block_of(likelihood, sized)
    typical = 1000.0 * block.share.numpy()[None]
    eta = block.share.log()[None]
    whole = torch.from_numpy(typical)
    for hidden in ([0], [1, 3], [0, 1, 2]):
        x = whole.clone()
        x[0, hidden] = torch.nan
        kept = [j for j in range(4) if j not in hidden]
        for answer in (lambda x: block.log_prob(x, eta), block.features):
            torch.testing.assert_close(answer(x)[:, kept], answer(whole)[:, kept])


def test_a_row_without_counts_and_one_without_cells_are_finite(sized):
    for likelihood in SIZED:
        block = block_of(likelihood, sized).requires_grad_(True)
        eta = torch.zeros(2, 4).double().requires_grad_(True)
        x = torch.tensor([[0.0] * 4, [torch.nan] * 4]).double()
        found = block.log_prob(x, eta).masked_fill(x.isnan(), 0.0)
        found.sum().backward()
        assert torch.isfinite(found).all()
        assert torch.isfinite(eta.grad).all()
        assert torch.isfinite(block.features(x)[0]).all()


def test_draws_with_a_size_factor_have_the_totals_of_the_rows(sized):
    block = block_of(SIZED[0], sized)
    eta = block.share.log()[None].expand(20_000, -1)
    drawn = block.sample(eta, torch.Generator().manual_seed(0)).sum(1).numpy()
    totals = np.maximum(sized.sum(1), 1)
    for share in (0.25, 0.5, 0.75):
        assert_allclose(np.quantile(drawn, share), np.quantile(totals, share), rtol=0.15, atol=1)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Poisson(), NegativeBinomial(), *SIZED])
def test_sparse_rows_are_fitted_as_dense_ones(likelihood, sized):
    values = np.minimum(sized, 1.0) if isinstance(likelihood, Bernoulli) else sized
    w = np.random.RandomState(0).uniform(1, 2, len(values))
    for weight in (None, w):
        ours, theirs = (likelihood.fit(x, weight) for x in (sparse.csr_array(values), values))
        for name, value in theirs.items():
            assert_allclose(ours[name], value, err_msg=name)
    block = block_of(likelihood, values)
    dense = block.features(torch.from_numpy(values)).numpy()
    cells = block.sparse_features(sparse.csr_array(values)).toarray()
    there = values.sum(1) > 0
    assert_allclose(
        (cells - cells.mean(0))[there],
        (dense - dense[there].mean(0) + (dense[there].mean(0) - dense.mean(0)))[there],
        atol=1e-9,
    )


def test_samples_of_negative_binomial_counts_vary_as_they_should():
    likelihood = LIKELIHOODS["negative_binomial"](size_factor=False)
    values = np.random.RandomState(0).poisson(5.0, size=(50, 1)) * 1.0
    block = Block(likelihood, np.arange(1), likelihood.fit(values))
    theta, mean = block.dispersion.exp().item(), 5.0
    eta = torch.full((40_000, 1), np.log(mean), dtype=torch.float64)
    drawn = block.sample(eta, torch.Generator().manual_seed(0)).numpy()
    assert drawn.mean() == pytest.approx(mean, rel=0.03)
    assert drawn.var() == pytest.approx(mean + mean**2 / theta, rel=0.06)
