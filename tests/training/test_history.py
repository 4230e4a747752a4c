"""A history counts on from the fits before, and is in the user's units."""

import numpy as np
from numpy.testing import assert_array_equal

from skvae.training.history import evaluations_of, history_of

BEFORE = [
    {"step": 0, "n_pass": 0, "bound": -5.0, "reconstruction": -3.0, "noise": 4.0, "seconds": 0.5},
    {"step": 9, "n_pass": 3, "bound": -4.0, "reconstruction": -1.0, "noise": 2.0, "seconds": 1.5},
]
LOOK = {
    "step": 7,
    "n_pass": 2,
    "bound": -8.0,
    "reconstruction": -6.0,
    "noise": 0.5,
    "seconds": 0.25,
}


def test_a_look_is_in_the_users_units():
    found = history_of(([], [], []), [LOOK], log_jacobian=3.0, scale=10.0)
    expected = LOOK | {"bound": -5.0, "reconstruction": -3.0, "noise": 50.0}
    assert {name: found[name].tolist() for name in LOOK} == {k: [v] for k, v in expected.items()}
    assert np.isnan(found["temperature"]).all()


def test_looks_count_on_from_those_before():
    found = history_of(([1.0, 2.0, 3.0], [], BEFORE), [LOOK], log_jacobian=0.0, scale=1.0)
    assert_array_equal(found["n_pass"], [0, 3, 5])
    assert_array_equal(found["seconds"], [0.5, 1.5, 1.75])
    assert_array_equal(found["bound"], [-5.0, -4.0, -8.0])  # those before are in units already
    assert_array_equal(found["step"], [0, 9, 7])


def test_a_history_is_made_of_the_looks_that_it_holds():
    once = history_of(([], [], BEFORE), [], log_jacobian=3.0, scale=10.0)
    again = history_of(([], [], evaluations_of(once)), [], log_jacobian=3.0, scale=10.0)
    for name, column in once.items():
        assert_array_equal(again[name], column)
