"""Every likelihood is a distribution: quadrature, sums, scipy.stats and draws are the judges."""

from typing import NamedTuple

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
    Gaussian,
    GaussianDiag,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
    noise_variance,
)
from skvae.likelihoods import base as likelihoods

RNG = np.random.RandomState(0)
N = 400
SKEWED = 0.6 ** np.arange(12)
RARE = np.r_[RNG.choice(12, N - 12, p=SKEWED / SKEWED.sum()), np.arange(12)].astype(float)
NORMAL = 30.0 + 5.0 * RNG.standard_normal(N)
POSITIVE = np.exp(1.0 + 0.7 * RNG.standard_normal(N))
GRADES = RNG.choice(5, N, p=[0.1, 0.2, 0.4, 0.2, 0.1]).astype(float)
COUNTS = RNG.poisson(4.0, N).astype(float)
MODERATE = (-3.0, -0.5, 0.0, 0.005, 2.0)


class Case(NamedTuple):
    """A likelihood with values of one column, and where its outputs are looked at."""

    likelihood: object
    values: np.ndarray
    n_levels: int = 0
    etas: tuple = MODERATE
    log_noise: float | None = None


CASES = {
    "gaussian": Case(Gaussian(), NORMAL),
    "gaussian, precise": Case(Gaussian(), NORMAL, log_noise=-30.0),
    "gaussian_diag": Case(GaussianDiag(), NORMAL, log_noise=-1.0),
    "gaussian_diag, far": Case(GaussianDiag(), 1e6 * NORMAL, etas=(-1e4, 1e4), log_noise=3.0),
    "student_t": Case(StudentT(), NORMAL),
    "student_t, df 4.5": Case(StudentT(df=4.5), NORMAL, log_noise=-1.0),
    "student_t, df 40": Case(StudentT(df=40.0), NORMAL, log_noise=-30.0),
    "lognormal": Case(LogNormal(), POSITIVE, log_noise=-0.5),
    "lognormal, small": Case(LogNormal(), 1e-6 * POSITIVE, log_noise=-30.0),
    "bernoulli": Case(Bernoulli(), (GRADES > 2) * 1.0, etas=(-40.0, *MODERATE, 40.0)),
    "continuous_bernoulli": Case(
        ContinuousBernoulli(),
        RNG.uniform(size=N),
        etas=(-60.0, -3.0, -0.0101, -0.0099, -1e-6, 0.0, 1e-6, 0.0099, 0.0101, 3.0, 60.0),
    ),
    "categorical": Case(Categorical(), GRADES, 5),
    "categorical, rare levels": Case(Categorical(max_levels=6), RARE, 15),
    "categorical, two slots": Case(Categorical(max_levels=2), RARE, 12),
    "ordinal": Case(Ordinal(), GRADES, 5, (-300.0, *MODERATE, 300.0)),
    "ordinal, a level that never occurs": Case(Ordinal(), np.where(GRADES == 2, 3, GRADES), 7),
    "poisson": Case(Poisson(), COUNTS, etas=(-20.0, -3.0, 0.0, 2.0, 6.0)),
    "negative_binomial": Case(NegativeBinomial(), COUNTS, etas=(-20.0, -3.0, 0.0, 2.0, 5.0)),
    "negative_binomial, spread out": Case(
        NegativeBinomial(), COUNTS, etas=(-3.0, 0.0, 2.0), log_noise=-0.5
    ),
    "negative_binomial, nearly Poisson": Case(
        NegativeBinomial(), COUNTS, etas=(-3.0, 0.0, 5.0), log_noise=11.0
    ),
}
LEVELS = {"categorical", "ordinal"}


class InUsersUnits:
    """A block of columns, shape (n, c) or (n,), asked in the user's units."""

    def __init__(self, likelihood, values, n_levels=None, scale=None):
        values = values.reshape(len(values), -1)
        levels = None if n_levels is None else np.full(values.shape[1], n_levels)
        self.likelihood = likelihood
        self.constants = likelihood.fit(values, None, levels, scale)
        columns = np.arange(values.shape[1])
        self.cells = Block(likelihood, columns, self.constants).requires_grad_(False)

    def __getattr__(self, name):
        """What has no unit, or is told in that of the cells."""
        return getattr(self.cells, name)

    def to(self, dtype):
        self.cells.to(dtype)
        return self

    def requires_grad_(self, wanted):
        self.cells.requires_grad_(wanted)
        return self

    def of(self, name):
        """A number that is known of the only column."""
        return self.constants[name].item()

    def standardised(self, x):
        cells = self.likelihood.standardised(self.constants, x.double().numpy())
        return torch.from_numpy(np.array(cells)).to(x)

    def restored(self, cells):
        cells = cells.detach().double().numpy()
        return torch.from_numpy(self.likelihood.restored(self.constants, cells))

    def log_prob(self, x, eta):
        gain = self.likelihood.log_jacobian(self.constants, x.double().numpy())
        return self.cells.log_prob(self.standardised(x), eta) + torch.tensor(gain).to(x)

    def features(self, x):
        return self.cells.features(self.standardised(x))

    def expectation(self, eta):
        found = self.cells.expectation(eta)
        return found if self.likelihood.is_coded else self.restored(found)

    def sample(self, eta, generator):
        return self.restored(self.cells.sample(eta, generator))

    def decided(self, eta):
        return self.restored(self.cells.decide(self.cells.expectation(eta)))


def block_of(likelihood, values, n_levels=None):
    return InUsersUnits(likelihood, values, n_levels)


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def block(case):
    made = block_of(case.likelihood, case.values, case.n_levels)
    if case.log_noise is not None:
        made.dispersion[:1] = case.log_noise
    return made


def outputs(block, eta):
    """One row of decoder outputs: those of categories differ between slots."""
    return eta * torch.linspace(1.0, -1.0, block.width, dtype=torch.float64)[None]


def log_prob(block, x, eta):
    x = torch.as_tensor(x, dtype=torch.float64)[:, None]
    return block.log_prob(x, eta.expand(len(x), -1))[:, 0].numpy()


def support(case, block, eta):
    """Values of a column and the mass or the length that each stands for."""
    likelihood = case.likelihood
    if likelihood.is_coded:
        x = np.r_[-1.0, np.unique(case.values)]  # all that fit has not seen are one event
        return x, np.ones(len(x))
    if isinstance(likelihood, Poisson):
        x = np.arange(60_000.0)
        return x, np.ones(len(x))
    if type(likelihood) is Bernoulli:
        return np.array([0.0, 1.0]), np.ones(2)
    if isinstance(likelihood, ContinuousBernoulli):
        nodes, weights = np.polynomial.legendre.leggauss(200)
        return (nodes + 1) / 2, weights / 2
    u = np.linspace(-30.0, 30.0, 60_001)
    noise = np.exp(block.dispersion[0].item())
    noise = max(noise, block.floor.item()) * block.of("scale")
    middle = block.of("center") + block.of("scale") * eta.item()
    x, length = middle + noise * np.sinh(u), noise * np.cosh(u) * (u[1] - u[0])
    if isinstance(likelihood, LogNormal):
        x = middle + noise * np.linspace(-20.0, 20.0, 60_001)
        length = np.exp(x) * (x[1] - x[0])
        x = np.exp(x) - block.of("shift")
    return x, length


def test_every_likelihood_has_a_case():
    assert set(LIKELIHOODS) == {name.split(",")[0] for name in CASES}
    assert {type(case.likelihood) for case in CASES.values()} == set(LIKELIHOODS.values())


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
        assert len(expected) == block.n_expectations
        if case.likelihood.is_coded:
            p = p[1:] / p[1:].sum()
            slot = block.slot_of.numpy() if "slot_of" in block._buffers else np.arange(len(p))
            assert_allclose(expected, np.bincount(slot, p, minlength=len(expected)), atol=1e-9)
        else:
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
    if type(likelihood) is Bernoulli:
        return stats.logistic.logcdf(np.where(x == 1, eta, -eta))
    return normal_log_prob(likelihood, block, x, eta)


def normal_log_prob(likelihood, block, x, eta):
    noise = max(np.exp(block.dispersion[0].item()), block.floor.item()) * block.of("scale")
    middle = block.of("center") + block.of("scale") * eta
    if isinstance(likelihood, LogNormal):
        return stats.lognorm(noise, scale=np.exp(middle)).logpdf(x)
    if isinstance(likelihood, StudentT):
        df = 2 + np.logaddexp(0, 2.0) if likelihood.df == "auto" else likelihood.df
        return stats.t(df, middle, noise).logpdf(x)
    return stats.norm(middle, noise).logpdf(x)


def test_the_density_is_that_of_scipy(case, block):
    x = case.values[:60]
    for eta in case.etas:
        if case.likelihood.is_coded or isinstance(case.likelihood, ContinuousBernoulli):
            continue
        eta = outputs(block, eta)
        expected = scipy_log_prob(case, block, x, eta)
        assert_allclose(log_prob(block, x, eta), expected, rtol=2e-6, atol=1e-7)


def test_categories_are_a_softmax_and_grades_differences_of_logistic_curves():
    block = block_of(Categorical(), GRADES, 5)
    eta = torch.tensor([[0.3, -2.0, 1.0, 0.0, 4.0]], dtype=torch.float64)
    seen = 1 - np.exp(block.log_unseen.item())
    expected = np.log(seen * torch.softmax(eta[0], 0).numpy())
    assert_allclose(log_prob(block, np.arange(5), eta), expected)
    block = block_of(Ordinal(), GRADES, 5)
    upper = np.log(np.cumsum(np.bincount(GRADES.astype(int)) + 0.5) / (N + 2.5))[:4]
    upper = np.r_[upper - np.log1p(-np.exp(upper)), np.inf]
    lower = np.r_[-np.inf, upper[:-1]]
    seen = 1 - np.exp(block.log_unseen.item())
    p = stats.logistic.cdf(upper - 0.7) - stats.logistic.cdf(lower - 0.7)
    found = log_prob(block, np.arange(5), torch.tensor([[0.7]], dtype=torch.float64))
    assert_allclose(found, np.log(seen * p), rtol=1e-9)


def test_the_normaliser_of_the_continuous_bernoulli_has_no_seam():
    block = block_of(ContinuousBernoulli(), RNG.uniform(size=N))
    eta = torch.linspace(-0.02, 0.02, 401, dtype=torch.float64)[:, None]
    x = torch.full_like(eta, 0.3)
    for curve in (block.log_prob(x, eta), block.expectation(eta)):
        second = torch.diff(curve[:, 0], n=2) / 1e-8
        assert_allclose(second, second.mean(), atol=0.2)


# Numbers without end


def is_finite(gradient):
    """Also where there is none, for want of parameters."""
    return gradient is None or bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_outputs_and_values_have_finite_densities_and_gradients(case, dtype):
    values = case.values.copy()
    block = block_of(case.likelihood, values, case.n_levels).to(dtype).requires_grad_(True)
    far = np.array([values.min(), values.max(), np.median(values)])
    if type(case.likelihood) in (Gaussian, GaussianDiag, StudentT):
        far = np.r_[far, values.mean() + values.std() * np.array([-1e6, 1e6])]
    if isinstance(case.likelihood, LogNormal):
        far = np.r_[far, 1e-30, 1e30]
    if isinstance(case.likelihood, Poisson):
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
    block = block_of(case.likelihood, case.values, case.n_levels).to(dtype).requires_grad_(True)
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
    ours = case.likelihood.fit(with_gaps[:, None], None, np.array([case.n_levels]))
    theirs = case.likelihood.fit(case.values[:, None], None, np.array([case.n_levels]))
    for name, value in theirs.items():
        assert_allclose(ours[name], value, err_msg=name)


# What is learnt of columns


def test_features_are_standardised(case):
    block = block_of(case.likelihood, case.values, case.n_levels)
    features = block.features(torch.as_tensor(case.values)[:, None]).numpy()
    assert features.shape == (len(case.values), block.n_features)
    if isinstance(case.likelihood, StudentT):
        quartiles = np.quantile(features, [0.25, 0.5, 0.75])
        assert_allclose(quartiles[1], 0, atol=1e-9)
        assert_allclose(quartiles[2] - quartiles[0], 1.349)
    elif not isinstance(case.likelihood, Categorical):
        assert_allclose(features.mean(0), 0, atol=5e-3)
        assert_allclose(features.std(0), 1, rtol=5e-3)


@pytest.mark.parametrize("max_levels", [2, 3, 6, 64])
def test_features_of_levels_have_mean_zero_and_are_uncorrelated(max_levels):
    """Given the shares of levels, half a row added to each."""
    likelihood = Categorical(max_levels=max_levels)
    block = block_of(likelihood, RARE, 12)
    levels = block.features(torch.arange(12.0).double()[:, None]).numpy()
    share = np.bincount(RARE.astype(int)) + 0.5
    share /= share.sum()
    assert levels.shape[1] == min(max_levels, 12) - 1
    assert_allclose(share @ levels, 0, atol=1e-9)
    assert_allclose((levels.T * share) @ levels, np.eye(levels.shape[1]), atol=1e-9)
    bias = torch.as_tensor(likelihood.fit(RARE[:, None], None, np.array([12]))["bias"])[None]
    assert_allclose(block.expected_features(bias), 0, atol=1e-9)


def test_the_bias_is_what_a_model_without_codes_says(case):
    """Shares of levels, mean counts and rates are those of the column."""
    block = block_of(case.likelihood, case.values, case.n_levels)
    bias = torch.as_tensor(
        case.likelihood.fit(case.values[:, None], None, np.array([case.n_levels]))["bias"]
    )[None]
    mean = block.expectation(bias).numpy()[0]
    if case.likelihood.is_coded:
        share = np.unique(case.values, return_counts=True)[1] / N
        slot = block.slot_of.numpy() if "slot_of" in block._buffers else np.arange(len(mean))
        assert_allclose(mean, np.bincount(slot, share, minlength=len(mean)), atol=0.02)
    elif type(case.likelihood) in (Gaussian, GaussianDiag, Bernoulli, ContinuousBernoulli, Poisson):
        assert_allclose(mean, case.values.mean(), rtol=5e-3)


def test_columns_of_a_block_know_nothing_of_each_other(case):
    rows = np.random.RandomState(1)
    values = np.column_stack([case.values, rows.permutation(case.values)[::-1]])
    if not case.likelihood.is_coded and case.values.min() >= 0 and case.values.max() > 1:
        values[:, 1] = np.floor(2 * values[:, 1]) + 1
    both = block_of(case.likelihood, values, case.n_levels)
    ones = [block_of(case.likelihood, column, case.n_levels) for column in values.T]
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


@pytest.mark.parametrize("kind", [Gaussian, GaussianDiag, StudentT, LogNormal])
def test_no_column_buys_likelihood_by_precision(kind):
    likelihood = kind()
    fine, rough = POSITIVE, np.ceil(4 * POSITIVE) / 4
    for values, is_rough in ((fine, False), (rough, True)):
        block = block_of(likelihood, values)
        seen = np.log(values) if kind is LogNormal else values
        spread = seen.std(ddof=1)
        if kind is StudentT:  # whose spread follows from quartiles
            spread = np.subtract(*np.percentile(seen, [75, 25])) / 1.349
        least = 1e-3 * spread
        if is_rough:
            least = max(least, np.diff(np.unique(seen)).min() / np.sqrt(12))
        for dispersion in (-5e1, -1e3):
            block.dispersion[:1] = dispersion
            x = torch.from_numpy(values)[:, None]
            at_best = block.log_prob(x, block.features(x))
            if kind is LogNormal:
                at_best = at_best + x.log()
            top = stats.t(2 + np.logaddexp(0, 2.0)) if kind is StudentT else stats.norm
            assert_allclose(at_best, top.logpdf(0) - np.log(least), rtol=1e-6)


def test_the_floor_of_shared_noise_is_each_columns_own():
    values = np.column_stack([NORMAL, np.round(NORMAL)])
    constants = Gaussian().fit(values, None, None, 5.0)
    block = Block(Gaussian(), np.arange(2), constants).requires_grad_(False)
    block.dispersion[:] = -50.0
    least = np.array([1e-3 * NORMAL.std(ddof=1), 1 / np.sqrt(12)])
    fine = np.diff(np.unique(NORMAL)).min() / np.sqrt(12)
    assert fine < least[0]
    assert_allclose(noise_variance(block).sqrt() * 5.0, least)


@pytest.mark.parametrize("kind", [Gaussian, GaussianDiag, StudentT])
@pytest.mark.parametrize("a", [1e-6, 3.0, 1e9])
def test_a_change_of_units_changes_a_log_density_by_its_logarithm(kind, a):
    for sign in (1, -1):
        ours, theirs = block_of(kind(), NORMAL), block_of(kind(), sign * a * NORMAL + 7 * a)
        eta = torch.linspace(-2, 2, N).double()[:, None]
        x = torch.from_numpy(NORMAL)[:, None]
        expected = ours.log_prob(x, eta) - np.log(a)
        found = theirs.log_prob(sign * a * x + 7 * a, sign * eta)
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("a", [1e-6, 1e6])
def test_a_change_of_units_of_positive_numbers(a):
    eta = torch.linspace(-2, 2, N).double()[:, None]
    x = torch.tensor(POSITIVE)[:, None]
    x[3] = 0.0
    values = x[:, 0].numpy()
    found = block_of(LogNormal(), a * values).log_prob(a * x, eta)
    expected = block_of(LogNormal(), values).log_prob(x, eta) - np.log(a)
    torch.testing.assert_close(found, expected)


def test_where_there_are_zeros_half_the_smallest_positive_value_is_added():
    values = np.r_[0.0, 0.2, POSITIVE + 0.2]
    block = block_of(LogNormal(), values)
    assert block.of("shift") == 0.1
    eta = torch.zeros(1, 1).double()
    y = np.linspace(-8, 8, 4001) * block.of("scale") + block.of("center")
    x = np.exp(y) - 0.1
    mass = np.exp(log_prob(block, x, eta)) * np.exp(y) * (y[1] - y[0])
    assert_allclose(mass.sum(), 1.0)
    drawn = block.sample(torch.zeros(1000, 1).double() - 3, torch.Generator().manual_seed(0))
    assert (drawn >= 0).all()
    assert (drawn == 0).any()


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_constant_columns(name):
    """They are what they were; densities and features are finite."""
    likelihood = LIKELIHOODS[name]()
    for value in (0.0, 1.0):
        values = np.full(50, value)
        block = block_of(likelihood, values, 2 if likelihood.is_coded else None)
        x = torch.from_numpy(values)[:, None]
        bias = torch.as_tensor(likelihood.fit(values[:, None], None, np.array([2]))["bias"])
        eta = bias.expand(50, -1)
        assert torch.isfinite(block.log_prob(x, eta)).all()
        assert torch.isfinite(block.features(x)).all()
        if name in ("gaussian", "gaussian_diag", "student_t", "bernoulli", "categorical"):
            assert_allclose(block.decided(eta), value, atol=1e-9)


# Levels


def test_rare_levels_share_a_slot_with_their_frequencies():
    block = block_of(Categorical(max_levels=6), RARE, 12)
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
    block = block_of(Categorical(), values, 7)
    eta = torch.randn(4, 7).double().requires_grad_(True)
    found = block.log_prob(torch.full((4, 1), -1.0).double(), eta)
    assert_allclose(found.detach(), np.log(5.5 / 101))
    found.sum().backward()
    assert not eta.grad.any()


def test_the_most_probable_level_of_the_most_probable_slot_is_decided():
    block = block_of(Categorical(max_levels=4), RARE, 12)
    for slot, level in ((0, 0), (2, 2), (3, 3)):
        eta = torch.zeros(1, 4).double()
        eta[0, slot] = 9.0
        assert block.decided(eta).item() == level
    block = block_of(Ordinal(), GRADES, 5)
    found = [block.decided(torch.tensor([[e]]).double()).item() for e in (-9.0, 0.0, 9.0)]
    assert found == [0, 2, 4]


@pytest.mark.parametrize("n", [63, 64, 65, 5000])
def test_thousands_of_levels_keep_to_max_levels(n):
    values = np.random.RandomState(0).randint(0, n, 3 * n).astype(float)
    block = block_of(Categorical(), values, n)
    assert block.width == min(len(np.unique(values)), 64)
    x = torch.from_numpy(np.r_[-1.0, np.unique(values)])[:, None]
    eta = torch.randn(1, block.width).double().expand(len(x), -1)
    assert_allclose(block.log_prob(x, eta).exp().sum(), 1.0)
    drawn = block.sample(eta, torch.Generator().manual_seed(0))
    assert np.isin(drawn, values).all()


def test_weights_count_in_shares_and_moments():
    w = np.random.RandomState(1).randint(1, 4, N).astype(float)
    for name in ("gaussian_diag", "bernoulli", "categorical", "poisson"):
        case = CASES[name]
        ours = case.likelihood.fit(case.values[:, None], w, np.array([case.n_levels]))
        times = np.repeat(case.values, w.astype(int))[:, None]
        theirs = case.likelihood.fit(times, None, np.array([case.n_levels]))
        assert_allclose(ours["bias"], theirs["bias"], rtol=1e-2, atol=1e-3)
        if name in ("gaussian_diag", "bernoulli"):
            assert_allclose(ours["center"], theirs["center"], rtol=5e-3)


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


def test_quantiles_with_weights():
    values = np.random.RandomState(0).standard_normal(30)
    shares = np.linspace(0, 1, 7)
    expected = np.quantile(values, shares)
    assert_allclose(likelihoods._quantiles(values, shares, np.full(30, 0.2)), expected)
    w = np.random.RandomState(1).randint(1, 4, 30)
    found = likelihoods._quantiles(values, shares, w.astype(float))
    up_to = np.array([(values.repeat(w) <= value + 1e-12).mean() for value in found])
    assert_allclose(up_to, shares, atol=3 / w.sum())
    light = np.r_[np.full(30, 1.0), np.full(5, 1e-12)]
    found = likelihoods._quantiles(np.r_[values, np.full(5, 0.3)], shares, light)
    assert_allclose(found, expected, atol=1e-9)
    assert likelihoods._quantiles(np.array([2.0]), 0.5, np.array([3.0])) == 2.0


def test_counts_are_of_rows_that_say_as_much():
    values = np.ones((100, 1))
    assert_allclose(likelihoods._count(values, np.full(100, 7.0)), likelihoods._count(values))
    one = np.r_[1.0, np.full(99, 1e-9)]
    assert_allclose(likelihoods._count(values, one), 1.0, rtol=1e-6)


# Counts and their totals


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
    cells = likelihood.sparse_features(block, sparse.csr_array(values)).toarray()
    there = values.sum(1) > 0
    assert_allclose(
        (cells - cells.mean(0))[there],
        (dense - dense[there].mean(0) + (dense[there].mean(0) - dense.mean(0)))[there],
        atol=1e-9,
    )


# What cannot be


REFUSED = {
    "lognormal": (LogNormal(), -0.5, "not negative"),
    "bernoulli": (Bernoulli(), 2.0, "0 or 1"),
    "bernoulli, between": (Bernoulli(), 0.5, "0 or 1"),
    "continuous_bernoulli, above": (ContinuousBernoulli(), 1.5, r"\[0, 1\]"),
    "continuous_bernoulli, below": (ContinuousBernoulli(), -0.5, r"\[0, 1\]"),
    "poisson, negative": (Poisson(), -1.0, "whole numbers"),
    "poisson, broken": (Poisson(), 1.5, "whole numbers"),
    "negative_binomial": (NegativeBinomial(), 2.5, "whole numbers"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_that_cannot_be_is_named_with_its_column(name):
    likelihood, value, what = REFUSED[name]
    values = np.array([[1.0, 0.0], [np.nan, 1.0], [1.0, value]])
    with pytest.raises(ValueError, match=rf"column 'b' holds {value:g} in row 2, .*{what}"):
        likelihood.check(values, ["a", "b"])
    likelihood.check(values[:2], ["a", "b"])


@pytest.mark.parametrize(
    "likelihood",
    [Poisson(), Bernoulli()],
)
def test_a_bad_value_of_sparse_rows_is_named(likelihood):
    values = sparse.csr_array(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.5]]))
    with pytest.raises(ValueError, match=r"column 'c' holds 2\.5 in row 1"):
        likelihood.check(values, list("abc"))


@pytest.mark.parametrize(
    "likelihood",
    [
        StudentT(df=2.0),
        StudentT(df=-1.0),
        StudentT(df="four"),
        Categorical(max_levels=0),
        Poisson(size_factor="yes"),
    ],
)
def test_an_option_that_cannot_be_is_named(likelihood):
    option = next(iter(likelihood.get_params()))
    with pytest.raises(ValueError, match=option):
        likelihood.validate()


def test_the_scale_of_student_t_takes_weights_and_no_far_cells():
    rng = np.random.RandomState(0)
    values, times = rng.standard_normal((200, 2)), rng.randint(1, 4, 200)
    ours = StudentT().fit(values, times * 1.0)
    repeated = StudentT().fit(np.repeat(values, times, axis=0))
    for name in ("center", "scale"):
        assert_allclose(ours[name], repeated[name], atol=0.03)
    values[:3] = [[1e12, -1e12], [1e9, 1e9], [1e300, 1e5]]
    again = StudentT().fit(values, times * 1.0)
    assert_allclose(again["center"], ours["center"], atol=0.1)
    assert_allclose(again["scale"], ours["scale"], rtol=0.1)
    assert (again["floor"] < 0.01).all()


def test_student_t_has_a_scale_where_most_cells_are_alike():
    values = np.zeros((100, 1))
    values[:20, 0] = np.random.RandomState(0).standard_normal(20)
    values[0] = 1e9
    assert 0.1 < StudentT().fit(values)["scale"][0] < 10


def test_samples_of_negative_binomial_counts_vary_as_they_should():
    likelihood = LIKELIHOODS["negative_binomial"](size_factor=False)
    values = np.random.RandomState(0).poisson(5.0, size=(50, 1)) * 1.0
    block = Block(likelihood, np.arange(1), likelihood.fit(values))
    theta, mean = block.dispersion.exp().item(), 5.0
    eta = torch.full((40_000, 1), np.log(mean), dtype=torch.float64)
    drawn = likelihood.sample(block, eta, torch.Generator().manual_seed(0)).numpy()
    assert drawn.mean() == pytest.approx(mean, rel=0.03)
    assert drawn.var() == pytest.approx(mean + mean**2 / theta, rel=0.06)
