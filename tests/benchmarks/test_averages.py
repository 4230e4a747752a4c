"""Averages of paired figures."""

import numpy as np
import pytest

from benchmarks.averages import geometric_mean, half_interval, median_ratio, standard_error


def test_ratios_are_averaged_geometrically():
    assert geometric_mean([0.25, 1.0, np.nan]) == pytest.approx(0.5)
    assert geometric_mean([1.0, np.inf]) == np.inf
    assert np.isnan(geometric_mean([]))


def test_a_single_value_has_no_error():
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)
    assert np.isnan(standard_error([1.0]))
    assert half_interval([1.0, 3.0]) == pytest.approx(12.706, abs=1e-3)


def test_pairs_are_compared_before_their_median_is_taken():
    assert median_ratio([(1.0, 1.0), (10.0, 5.0), (3.0, 1.0)]) == 2.0
