"""First views hold the bulk, and leave out but few rows that would squeeze it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skvae.extents import extent_of, outside
from tests.generated import WITHOUT_A_FIT

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


def normal(n=300, seed=0):
    return np.random.default_rng(seed).standard_normal(n)


@pytest.mark.parametrize("far", [[1000.0], [-50.0], [40.0, -1e9]])
@pytest.mark.parametrize("n", [30, 3000])
def test_far_rows_are_outside_at_first(far, n):
    bulk = normal(n)
    extent = extent_of(np.append(bulk, far))
    low, high = extent.first
    assert low < bulk.min() < bulk.max() < high
    assert high - low < 1.2 * np.ptp(bulk)
    assert outside(np.append(bulk, far)[:, None], [extent.first]) == len(far)
    assert outside(np.append(bulk, far)[:, None], [extent.whole]) == 0


@pytest.mark.parametrize(
    "values",
    [
        normal(),
        np.append(normal(), 8.0),  # which squeezes nothing
        np.exp(normal(2000)),
        np.append(normal(270), 100 + normal(30)),  # a class of its own
        np.append(normal(5), 1000.0),  # too few to tell
        np.append(np.zeros(50), 1.0),
        np.zeros(20),
    ],
    ids=["normal", "near", "skewed", "classes", "few", "constant but one", "constant"],
)
def test_other_rows_are_all_seen_at_first(values):
    extent = extent_of(values)
    assert extent.first == extent.whole
    low, high = extent.whole
    assert low < values.min() <= values.max() < high


@given(NUMBERS)
@WITHOUT_A_FIT
def test_views_are_ranges_and_leave_out_few(values):
    values = np.array(values)
    extent = extent_of(values)
    assert extent.whole[0] <= extent.first[0] < extent.first[1] <= extent.whole[1]
    most = 2 * max(2, int(np.ceil(0.01 * len(values))))
    assert outside(values[:, None], [extent.first]) <= most


def test_a_row_is_outside_by_any_axis():
    places = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    assert outside(places, [(-1.0, 1.0), (-1.0, 1.0)]) == 3


def test_what_has_no_place_has_no_say():
    assert extent_of(np.array([np.nan, -np.inf, 1.0, 2.0])) == extent_of(np.array([1.0, 2.0]))
    assert extent_of(np.array([np.nan])).first == (0.0, 1.0)
