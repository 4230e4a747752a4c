"""Factors over a budget: where they begin and end, and what they refuse."""

import math
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone

from skvae.training.schedules import (
    KL_SCHEDULES,
    RATE_SCHEDULES,
    Constant,
    Cosine,
    Cyclical,
    LinearWarmUp,
    OneCycle,
    Plateau,
    Settle,
    Sigmoid,
)

TABLES = [*KL_SCHEDULES.items(), *RATE_SCHEDULES.items()]
SHARES = np.linspace(0.0, 1.0, 1001)


def course(schedule, shares=SHARES):
    return [schedule.factor(share) for share in shares]


def rises(values):
    return all(b >= a for a, b in pairwise(values))


@pytest.mark.parametrize(("name", "kind"), TABLES)
def test_every_schedule_is_a_factor(name, kind):
    schedule = kind()
    schedule.check()
    assert all(0.0 <= factor <= 1.0 for factor in course(schedule))
    assert 0.0 <= schedule.end <= 1.0
    assert course(clone(schedule)) == course(schedule)
    assert repr(schedule) == f"{kind.__name__}()"


@pytest.mark.parametrize(("name", "kind"), TABLES)
def test_after_its_end_a_schedule_stays_as_it_is(name, kind):
    schedule = kind()
    later = np.linspace(schedule.end + 1e-9, 1.0, 101) if schedule.end < 1 else [1.0]
    assert course(schedule, later) == pytest.approx([schedule.factor(1.0)] * len(later))


@pytest.mark.parametrize(
    "schedule",
    [*(kind() for kind in KL_SCHEDULES.values()), LinearWarmUp(warm_up=0.7), Sigmoid(warm_up=0.9)],
    ids=repr,
)
def test_the_kl_has_its_whole_weight_in_the_end(schedule):
    assert schedule.factor(1.0) == 1.0
    assert schedule.factor(schedule.end) == pytest.approx(1.0)


@pytest.mark.parametrize("schedule", [LinearWarmUp(), Sigmoid()], ids=repr)
def test_warm_ups_rise_from_zero_to_one(schedule):
    factors = course(schedule)
    assert rises(factors)
    assert factors[0] == pytest.approx(0.0, abs=1e-12)
    assert schedule.factor(0.1) == pytest.approx(0.5)  # half way
    assert schedule.factor(0.1999) == pytest.approx(1.0, abs=1e-2)
    assert schedule.factor(0.2) == schedule.end / 0.2 == 1.0


def test_a_line_is_straight():
    assert course(LinearWarmUp(warm_up=0.4), [0.1, 0.2, 0.3]) == pytest.approx([0.25, 0.5, 0.75])


def test_the_slope_of_a_sigmoid_in_the_middle():
    flat, steep = Sigmoid(steepness=1e-3), Sigmoid(steepness=20.0)
    line = LinearWarmUp()
    shares = np.linspace(0.0, 0.2, 11)
    assert course(flat, shares) == pytest.approx(course(line, shares), abs=1e-3)
    assert steep.factor(0.05) < line.factor(0.05)
    slope = (steep.factor(0.1 + 1e-6) - steep.factor(0.1 - 1e-6)) / 2e-6 * 0.2
    assert slope == pytest.approx(20.0 / 4, rel=1e-3)


@pytest.mark.parametrize(("n_cycles", "ramp"), [(1, 0.5), (4, 0.5), (3, 0.9)])
def test_cycles_begin_at_zero_again(n_cycles, ramp):
    schedule = Cyclical(n_cycles=n_cycles, ramp=ramp)
    for k in range(n_cycles):
        begin = k / n_cycles
        assert schedule.factor(begin + 1e-9) == pytest.approx(0.0, abs=1e-6)
        assert schedule.factor(begin + 0.5 * ramp / n_cycles) == pytest.approx(0.5)
        assert rises(course(schedule, np.linspace(begin + 1e-9, begin + 0.999 / n_cycles, 100)))
        assert schedule.factor(begin + (ramp + 1e-6) / n_cycles) == pytest.approx(1.0)
    drops = [b < a for a, b in pairwise(course(schedule))]
    assert sum(drops) == n_cycles - 1


def test_one_cycle_goes_up_and_comes_down():
    schedule = OneCycle(warm_up=0.2)
    up, down = SHARES[SHARES <= 0.2], SHARES[SHARES >= 0.2]
    assert rises(course(schedule, up))
    assert rises(course(schedule, down)[::-1])
    assert course(schedule, [0.0, 0.1, 0.2, 0.6, 1.0]) == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_a_cosine_comes_down():
    factors = course(Cosine())
    assert rises(factors[::-1])
    assert course(Cosine(), [0.0, 0.25, 0.5, 1.0]) == pytest.approx(
        [1.0, 0.5 + math.sqrt(0.125), 0.5, 0.0]
    )
    assert Cosine().factor(1.5) == 0.0


def test_some_wait_for_the_bound_and_the_others_do_not():
    assert {name for name, kind in TABLES if kind.waits} == {"settle", "plateau"}
    for kind in (Constant, Settle, Plateau):
        assert set(course(kind())) == {1.0}
        assert kind().end == 0.0


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (LinearWarmUp(warm_up=0.0), "warm_up"),
        (LinearWarmUp(warm_up=1.0), "warm_up"),
        (Sigmoid(warm_up=-0.1), "warm_up"),
        (Sigmoid(steepness=0.0), "steepness"),
        (Cyclical(n_cycles=0), "n_cycles"),
        (Cyclical(n_cycles=1.5), "n_cycles"),
        (Cyclical(ramp=1.0), "ramp"),
        (OneCycle(warm_up=1.2), "warm_up"),
        (Plateau(drop=1.0), "drop"),
        (Plateau(n_drops=0), "n_drops"),
        (Plateau(drop=math.nan), "drop"),
    ],
    ids=repr,
)
def test_options_out_of_range_are_refused_by_name(schedule, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        schedule.check()
