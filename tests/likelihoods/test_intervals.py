"""Probabilities of intervals: scipy and autograd are the judges."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import stats
from torch.testing import assert_close

from skvae.likelihoods.intervals import interval_slopes, log_interval

MIDDLES = np.array([-300.0, -30.0, -5.0, -1.0, -0.01, 0.0, 0.3, 2.0, 8.0, 40.0, 1000.0])
LENGTHS = np.array([1e-9, 1e-4, 0.0199, 0.0201, 0.3, 2.0, 20.0, 5000.0])


def ends():
    middle, length = (part.ravel() for part in np.meshgrid(MIDDLES, LENGTHS))
    return torch.from_numpy(middle - 0.5 * length), torch.from_numpy(middle + 0.5 * length)


def test_they_are_those_of_scipy():
    lower, upper = ends()
    ours = log_interval(lower, upper).numpy()
    a, b = (np.where(lower + upper > 0, -right, left) for left, right in (
        (lower, upper), (upper, lower)))  # fmt: skip
    high, low = stats.norm.logcdf(b), stats.norm.logcdf(a)
    expected = high + np.log1p(-np.exp(low - high))
    told = high - low > 1e-4  # else the difference has no digits
    assert_allclose(ours[told], expected[told], rtol=1e-9, atol=1e-10)
    middle, length = 0.5 * (a + b), b - a
    small = (length < 1e-3) & (np.abs(middle) * length < 1e-3)
    expected = stats.norm.logpdf(middle) + np.log(upper.numpy() - lower.numpy())
    assert_allclose(ours[small], expected[small], rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_are_finite(dtype):
    lower, upper = (end.to(dtype) for end in ends())
    wide = upper > lower  # in single precision some have no length
    found = interval_slopes(lower[wide], upper[wide])
    assert all(torch.isfinite(part).all() for part in found)
    assert found.log_prob.dtype == dtype
    far = torch.tensor([-1e6, -1e6, 1.0], dtype=dtype), torch.tensor([-1.0, 1e6, 1e6], dtype=dtype)
    assert all(torch.isfinite(part).all() for part in interval_slopes(*far))


def test_slopes_are_autograds():
    lower, upper = ends()
    near = (lower.abs() < 1e3) & (upper.abs() < 1e3)
    lower, upper = lower[near], upper[near]
    shift = torch.zeros_like(lower, requires_grad=True)
    stretch = torch.zeros_like(lower, requires_grad=True)
    t = stretch.exp()
    log_prob = log_interval(t * lower + shift, t * upper + shift)
    expected = torch.autograd.grad(log_prob.sum(), [shift, stretch])
    found = interval_slopes(lower, upper)
    assert_close(found.log_prob, log_prob.detach())
    # A length is a difference: autograd, too, has lost digits of short ones.
    long = (upper - lower > 1e-3) & (upper - lower < 100)
    assert_close(found.of_shift[long], expected[0][long], rtol=1e-7, atol=1e-7)
    assert_close(found.of_stretch[long], expected[1][long], rtol=1e-7, atol=1e-7)


def test_second_derivatives_are_finite():
    """The search for heads begins in units of the curvature."""
    lower, upper = ends()
    shift = torch.zeros_like(lower, requires_grad=True)
    (slope,) = torch.autograd.grad(
        log_interval(lower + shift, upper + shift).sum(), shift, create_graph=True
    )
    (curvature,) = torch.autograd.grad(slope.sum(), shift)
    assert torch.isfinite(curvature).all()
