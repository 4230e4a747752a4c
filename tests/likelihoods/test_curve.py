"""Curves of columns: from scores to values and back, and the distribution of what they draw."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.testing import assert_allclose
from scipy import stats

from skvae.likelihoods.curve import curve_of, points_of_mass

RNG = np.random.RandomState(0)
N = 2000
AMOUNTS = np.where(RNG.uniform(size=N) < 0.7, 0.0, np.exp(RNG.normal(8, 1, N)))
COLUMNS = {
    "normal": RNG.standard_normal(N),
    "heavy tails": RNG.standard_t(2, N),
    "uniform": RNG.uniform(size=N),
    "two clusters": RNG.normal(size=N) + np.where(RNG.uniform(size=N) < 0.3, 8.0, 0.0),
    "mostly zero": AMOUNTS,
    "shares with many at the ends": np.clip(RNG.normal(0.5, 0.6, N), 0.0, 1.0),
    "rounded": np.round(RNG.normal(40, 9, N)),
    "spiky": np.where(RNG.uniform(size=N) < 0.5, 40.0, np.round(RNG.normal(40, 9, N))),
    "two values": (RNG.uniform(size=N) < 0.02) * 1.0,
    "far off": 1e8 + RNG.gamma(2.0, size=N),
}
numbers = npst.arrays(
    float,
    st.integers(2, 60),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0, 2.5]),
)


def drawn(curve, n=20_000, seed=1):
    """Values of standard normal scores, but for those of what was never seen."""
    u = np.random.RandomState(seed).standard_normal(n)
    return curve.values(u[curve.is_known[curve.lines_of_scores(u)]])


@pytest.mark.parametrize("name", COLUMNS)
def test_standard_normal_scores_have_the_distribution_of_the_column(name):
    column = COLUMNS[name]
    found = drawn(curve_of(column))
    assert stats.ks_2samp(found, column).statistic < 0.02
    values, count = np.unique(column, return_counts=True)
    for value, n in zip(values, count, strict=True):
        if n > 100:
            assert abs((found == value).mean() - n / N) < 0.02


@pytest.mark.parametrize("name", COLUMNS)
def test_bounds_are_kept_where_values_are_at_them(name):
    column = COLUMNS[name]
    curve = curve_of(column)
    found = drawn(curve)
    if not curve.is_known[0]:
        assert found.min() == column.min()
    if not curve.is_known[-1]:
        assert found.max() == column.max()


@given(numbers)
@settings(deadline=None)
def test_values_come_back_from_their_scores(column):
    curve = curve_of(column)
    back = curve.values(curve.scores(column))
    is_mass = curve.is_mass[curve.lines(column)]
    assert (back[is_mass] == column[is_mass]).all()
    assert_allclose(back, column, rtol=1e-9, atol=1e-9 * np.ptp(column))
    assert (np.diff(curve.u) > 0).all()
    assert (np.diff(curve.x) >= 0).all()


@given(numbers, st.sampled_from([1e-30, 3.0, 1e40]))
@settings(deadline=None)
def test_scores_do_not_know_units(column, unit):
    column = np.round(column, 3)  # further apart than rounding
    ours, theirs = curve_of(column), curve_of(unit * column)
    assert_allclose(ours.scores(column), theirs.scores(unit * column), rtol=1e-9, atol=1e-9)
    is_mass = ours.is_mass[ours.lines(column)]
    change = theirs.log_slopes(unit * column) - ours.log_slopes(column)
    assert_allclose(change, np.where(is_mass, 0.0, -np.log(unit)), atol=1e-7)


@given(numbers)
@settings(deadline=None)
def test_what_is_new_and_what_is_known_are_everything(column):
    curve = curve_of(column)
    shares = np.exp(curve.log_shares)
    known = shares[curve.is_known]
    assert known.max() + shares[~curve.is_known].sum() == pytest.approx(1.0)
    assert known.min() == known.max()


def test_intervals_cover_all_scores_once():
    for column in COLUMNS.values():
        curve = curve_of(column)
        low, high = (ends[curve.is_known] for ends in curve.intervals)
        assert_allclose(high[:-1], low[1:])


def test_weights_of_rows_are_as_good_as_rows():
    column = COLUMNS["mostly zero"][:400]
    weight = RNG.randint(1, 4, 400).astype(float)
    ours = curve_of(column, weight)
    theirs = curve_of(np.repeat(column, weight.astype(int)))
    own = np.sort(column)[::40]
    assert_allclose(ours.scores(own), theirs.scores(own), atol=0.1)


def test_points_of_mass_are_what_many_cells_share():
    assert not points_of_mass(np.ones(500, int)).any()  # all different
    assert points_of_mass(np.array([300, 5, 1])).all()  # hardly anything new to expect
    assert points_of_mass(np.r_[500, np.ones(500, int)]).tolist() == [True] + 500 * [False]
    assert not points_of_mass(np.full(5000, 2)).any()  # too many for each to be one
