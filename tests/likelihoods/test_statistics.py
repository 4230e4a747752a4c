"""Statistics of cells with weights: repeated rows judge."""

import numpy as np
from numpy.testing import assert_allclose

from skvae.likelihoods.statistics import counts, quantiles


def test_quantiles_with_weights():
    values = np.random.RandomState(0).standard_normal(30)
    shares = np.linspace(0, 1, 7)
    expected = np.quantile(values, shares)
    assert_allclose(quantiles(values, shares, np.full(30, 0.2)), expected)
    w = np.random.RandomState(1).randint(1, 4, 30)
    found = quantiles(values, shares, w.astype(float))
    up_to = np.array([(values.repeat(w) <= value + 1e-12).mean() for value in found])
    assert_allclose(up_to, shares, atol=3 / w.sum())
    light = np.r_[np.full(30, 1.0), np.full(5, 1e-12)]
    found = quantiles(np.r_[values, np.full(5, 0.3)], shares, light)
    assert_allclose(found, expected, atol=1e-9)
    assert quantiles(np.array([2.0]), 0.5, np.array([3.0])) == 2.0


def test_counts_are_of_rows_that_say_as_much():
    values = np.ones((100, 1))
    assert_allclose(counts(values, np.full(100, 7.0)), counts(values))
    one = np.r_[1.0, np.full(99, 1e-9)]
    assert_allclose(counts(values, one), 1.0, rtol=1e-6)
