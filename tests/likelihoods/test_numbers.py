"""Likelihoods of numbers: floors of their noise, units, heavy tails."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats

from skvae.likelihoods import (
    Block,
    ContinuousBernoulli,
    Gaussian,
    GaussianDiag,
    LogNormal,
    StudentT,
    noise_variance,
)
from tests.likelihoods.cases import NORMAL, POSITIVE, RNG, N, block_of, log_prob


def test_the_normaliser_of_the_continuous_bernoulli_has_no_seam():
    block = block_of(ContinuousBernoulli(), RNG.uniform(size=N))
    eta = torch.linspace(-0.02, 0.02, 401, dtype=torch.float64)[:, None]
    x = torch.full_like(eta, 0.3)
    for curve in (block.log_prob(x, eta), block.expectation(eta)):
        second = torch.diff(curve[:, 0], n=2) / 1e-8
        assert_allclose(second, second.mean(), atol=0.2)


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
    constants = Gaussian().fit(values, scale=5.0)
    block = Block(Gaussian(), np.arange(2), constants).requires_grad_(False)
    block.dispersion[:] = -50.0
    least = np.array([1e-3 * NORMAL.std(ddof=1), 1 / np.sqrt(12)])
    fine = np.diff(np.unique(NORMAL)).min() / np.sqrt(12)
    assert fine < least[0]
    assert_allclose(noise_variance(block.params()).sqrt() * 5.0, least)


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
    expected[3] += np.log(a)  # that of a zero is a probability
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
