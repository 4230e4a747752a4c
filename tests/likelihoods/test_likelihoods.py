"""Every likelihood is a distribution: quadrature, sums, scipy.stats and draws are the judges."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse, stats

from skvae.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Block,
    Categorical,
    ContinuousBernoulli,
    Empirical,
    Gaussian,
    GaussianDiag,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
)
from tests.likelihoods.cases import (
    CASES,
    COUNTED,
    N,
    block_of,
    known_parts,
    log_prob,
    outputs,
    support,
)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def block(case):
    made = block_of(case.likelihood, case.values)
    if case.log_noise is not None:
        made.dispersion[:1] = case.log_noise
    return made


def test_every_likelihood_has_a_case():
    assert set(LIKELIHOODS) == {name.split(",")[0] for name in CASES}
    assert {type(case.likelihood) for case in CASES.values()} == set(LIKELIHOODS.values())


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_those_that_take_sparse_rows_have_their_features(name):
    likelihood, rows = LIKELIHOODS[name](), sparse.csr_array(np.eye(3))
    block = Block(likelihood, np.arange(3), likelihood.fit(np.eye(3)))
    if likelihood.takes_sparse:
        assert block.sparse_features(rows).nnz == 3
    else:
        with pytest.raises(NotImplementedError, match=type(likelihood).__name__):
            block.sparse_features(rows)


# The distribution


def test_the_probability_of_everything_is_one(case, block):
    for eta in case.etas:
        eta = outputs(block, eta)
        x, length = support(case, block, eta)
        assert_allclose(np.exp(log_prob(block, x, eta)) @ length, 1.0, rtol=1e-7)


def test_the_expectation_is_the_mean(case, block):
    for eta in case.etas:
        eta = outputs(block, eta)
        x, length = support(case, block, eta)
        p = np.exp(log_prob(block, x, eta)) * length
        expected = block.expectation(eta)[0].numpy()
        if case.likelihood.is_coded:
            p = p[1:] / p[1:].sum()
            slot = block.slot_of.numpy() if "slot_of" in block.names else np.arange(len(p))
            assert_allclose(expected, np.bincount(slot, p, minlength=len(expected)), atol=1e-9)
        else:
            x, p = known_parts(block, x, p)
            assert_allclose(expected, p @ x, rtol=1e-6, atol=1e-9)


def test_draws_have_the_probabilities_and_the_mean(case, block):
    n = 40_000
    for eta in case.etas[::2]:
        eta = outputs(block, eta)
        drawn = block.sample(eta.expand(n, -1), torch.Generator().manual_seed(0))
        assert drawn.shape == (n, 1)
        drawn = drawn[:, 0].numpy()
        assert np.isfinite(log_prob(block, drawn, eta)).all()
        if case.likelihood.is_coded:
            x = np.unique(case.values)
            p = np.exp(log_prob(block, x, eta))
            p /= p.sum()
            found = (drawn[:, None] == x).mean(0)
            assert set(drawn) <= set(x)
            assert (np.abs(found - p) <= 5 * np.sqrt(p * (1 - p) / n) + 1e-4).all()
        else:
            mean = block.expectation(eta).item()
            rare = 1e-4 if (drawn == drawn.round()).all() else 1e-9 * abs(mean)
            assert abs(drawn.mean() - mean) <= 5 * drawn.std() / np.sqrt(n) + rare


def test_draws_follow_the_generator(case, block):
    eta = outputs(block, 1.0).expand(50, -1)
    once, again, other = (
        block.sample(eta, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_draws_have_the_density_of_continuous_columns():
    """Not only the mean: the probability integral transform of draws is uniform."""
    for name in ("gaussian", "gaussian_diag", "student_t", "lognormal", "continuous_bernoulli"):
        case = CASES[name]
        block, n = block_of(case.likelihood, case.values), 4000
        eta = torch.full((n, 1), 0.7, dtype=torch.float64)
        drawn = np.sort(block.sample(eta, torch.Generator().manual_seed(1))[:, 0].numpy())
        x, length = support(case, block, eta[:1])
        up_to = np.cumsum(np.exp(log_prob(block, x, eta[:1])) * length)
        assert stats.kstest(np.interp(drawn, x, up_to), "uniform").pvalue > 1e-3, name


def scipy_log_prob(case, block, x, eta):
    """The same with scipy's distributions."""
    likelihood, eta = case.likelihood, eta.item()
    if isinstance(likelihood, NegativeBinomial):
        mean, theta = np.exp(max(eta, -15.0)), np.exp(block.dispersion.item())
        return stats.nbinom(theta, theta / (theta + mean)).logpmf(x)
    if isinstance(likelihood, Poisson):
        return stats.poisson(np.exp(max(eta, -15.0))).logpmf(x)
    if isinstance(likelihood, Bernoulli):
        return stats.logistic.logcdf(np.where(x == 1, eta, -eta))
    return normal_log_prob(likelihood, block, x, eta)


def normal_log_prob(likelihood, block, x, eta):
    noise = max(np.exp(block.dispersion[0].item()), block.floor.item()) * block.of("scale")
    middle = block.of("center") + block.of("scale") * eta
    if isinstance(likelihood, LogNormal):
        shift, raised = block.of("shift"), stats.lognorm(noise, scale=np.exp(middle))
        is_zero = (x == 0) & (shift > 0)
        return np.where(is_zero, raised.logcdf(shift), raised.logpdf(x + shift))
    if isinstance(likelihood, StudentT):
        df = 2 + np.logaddexp(0, 2.0) if likelihood.df == "auto" else likelihood.df
        return stats.t(df, middle, noise).logpdf(x)
    return stats.norm(middle, noise).logpdf(x)


def test_the_density_is_that_of_scipy(case, block):
    x = case.values[:60]
    for eta in case.etas:
        if case.likelihood.is_coded:
            continue
        if isinstance(case.likelihood, (ContinuousBernoulli, Empirical)):
            continue
        eta = outputs(block, eta)
        expected = scipy_log_prob(case, block, x, eta)
        assert_allclose(log_prob(block, x, eta), expected, rtol=2e-6, atol=1e-7)


# Numbers without end


def is_finite(gradient):
    """Also where there is none, for want of parameters."""
    return gradient is None or bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_outputs_and_values_have_finite_densities_and_gradients(case, dtype):
    values = case.values.copy()
    block = block_of(case.likelihood, values).to(dtype).requires_grad_(True)
    far = np.array([values.min(), values.max(), np.median(values)])
    if type(case.likelihood) in (Gaussian, GaussianDiag, StudentT):
        far = np.r_[far, values.mean() + values.std() * np.array([-1e6, 1e6])]
    if isinstance(case.likelihood, LogNormal):
        far = np.r_[far, 1e-30, 1e30]
    if isinstance(case.likelihood, COUNTED):
        far = np.r_[far, 0.0, 1e6]
    for eta in (-1e3, -50.0, -1e-3, 0.0, 1e-8, 50.0, 1e3):
        x = torch.tensor(far, dtype=dtype)[:, None]
        eta = torch.full((len(x), block.width), eta, dtype=dtype)
        eta[:, : block.width // 2] *= -1
        eta.requires_grad_(True)
        found = block.log_prob(x, eta)
        assert found.dtype == dtype
        assert torch.isfinite(found).all()
        found.sum().backward()
        assert torch.isfinite(eta.grad).all()
        assert is_finite(block.dispersion.grad)
        for answer in (block.expectation(eta), block.expected_features(eta), block.features(x)):
            if not isinstance(case.likelihood, LogNormal):
                assert torch.isfinite(answer).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_missing_cells_leave_every_gradient_a_number(case, dtype):
    block = block_of(case.likelihood, case.values).to(dtype).requires_grad_(True)
    x = torch.tensor(case.values[:6], dtype=dtype)[:, None]
    x[::2] = torch.nan
    eta = torch.zeros(6, block.width, dtype=dtype, requires_grad=True)
    block.log_prob(x, eta).masked_fill(x.isnan(), 0.0).sum().backward()
    assert torch.isfinite(eta.grad).all()
    assert not eta.grad[::2].any()
    assert is_finite(block.dispersion.grad)


def test_values_of_missing_cells_fit_without_them(case):
    """What is learnt of a column is what its observed cells say."""
    with_gaps = np.r_[case.values, np.full(30, np.nan)]
    ours = case.likelihood.fit(with_gaps[:, None])
    theirs = case.likelihood.fit(case.values[:, None])
    for name, value in theirs.items():
        assert_allclose(ours[name], value, err_msg=name)


# What is learnt of columns


def test_features_are_standardised(case):
    block = block_of(case.likelihood, case.values)
    features = block.features(torch.as_tensor(case.values)[:, None]).numpy()
    assert features.shape == (len(case.values), block.n_features)
    if isinstance(case.likelihood, StudentT):
        quartiles = np.quantile(features, [0.25, 0.5, 0.75])
        assert_allclose(quartiles[1], 0, atol=1e-9)
        assert_allclose(quartiles[2] - quartiles[0], 1.349)
    elif not isinstance(case.likelihood, Categorical):
        assert_allclose(features.mean(0), 0, atol=5e-3)
        assert_allclose(features.std(0), 1, rtol=5e-3)


def test_the_bias_is_what_a_model_without_codes_says(case):
    """Shares of levels, mean counts and rates are those of the column."""
    block = block_of(case.likelihood, case.values)
    bias = torch.as_tensor(case.likelihood.fit(case.values[:, None])["bias"])[None]
    mean = block.expectation(bias).numpy()[0]
    if case.likelihood.is_coded:
        share = np.unique(case.values, return_counts=True)[1] / N
        slot = block.slot_of.numpy() if "slot_of" in block.names else np.arange(len(mean))
        assert_allclose(mean, np.bincount(slot, share, minlength=len(mean)), atol=0.02)
    elif type(case.likelihood) in (Gaussian, GaussianDiag, Bernoulli, ContinuousBernoulli, Poisson):
        assert_allclose(mean, case.values.mean(), rtol=5e-3)


def test_columns_of_a_block_know_nothing_of_each_other(case):
    rows = np.random.RandomState(1)
    values = np.column_stack([case.values, rows.permutation(case.values)[::-1]])
    if not case.likelihood.is_coded and case.values.min() >= 0 and case.values.max() > 1:
        values[:, 1] = np.floor(2 * values[:, 1]) + 1
    both = block_of(case.likelihood, values)
    ones = [block_of(case.likelihood, column) for column in values.T]
    eta = torch.from_numpy(rows.standard_normal((N, both.width)))
    x = torch.from_numpy(values)
    found = both.log_prob(x, eta)
    for j, (one, part) in enumerate(zip(ones, eta.split(ones[0].width, -1), strict=True)):
        torch.testing.assert_close(found[:, [j]], one.log_prob(x[:, [j]], part))
        where = both.owners == j
        torch.testing.assert_close(
            both.features(x)[:, where], one.features(x[:, [j]]), rtol=1e-9, atol=1e-9
        )
    assert both.decided(eta).shape == (N, 2)
    assert both.sample(eta, torch.Generator().manual_seed(0)).shape == (N, 2)


# Noise floors


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_constant_columns(name):
    """They are what they were; densities and features are finite."""
    likelihood = LIKELIHOODS[name]()
    for value in (0.0, 1.0):
        values = np.full(50, value)
        block = block_of(likelihood, values)
        x = torch.from_numpy(values)[:, None]
        bias = torch.as_tensor(likelihood.fit(values[:, None])["bias"])
        eta = bias.expand(50, -1)
        assert torch.isfinite(block.log_prob(x, eta)).all()
        assert torch.isfinite(block.features(x)).all()
        if name in ("gaussian", "gaussian_diag", "student_t", "bernoulli", "categorical"):
            assert_allclose(block.decided(eta), value, atol=1e-9)


# Levels


def test_weights_count_in_shares_and_moments():
    w = np.random.RandomState(1).randint(1, 4, N).astype(float)
    for name in ("gaussian_diag", "bernoulli", "categorical", "poisson"):
        case = CASES[name]
        ours = case.likelihood.fit(case.values[:, None], w)
        times = np.repeat(case.values, w.astype(int))[:, None]
        theirs = case.likelihood.fit(times)
        assert_allclose(ours["bias"], theirs["bias"], rtol=1e-2, atol=1e-3)
        if name in ("gaussian_diag", "bernoulli"):
            assert_allclose(ours["center"], theirs["center"], rtol=5e-3)
