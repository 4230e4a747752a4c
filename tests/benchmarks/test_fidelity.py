"""How like a table drawn rows are: what is known of made tables is found."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.fidelity import closeness, distributions


def table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return pd.DataFrame(
        {"x": x, "y": x + rng.normal(size=n), "k": np.where(rng.uniform(size=n) < 0.3, "a", "b")}
    )


def test_a_table_is_like_itself_and_made_of_copies():
    X = table()
    assert not any(distributions(X, X).values())
    assert closeness(X, X) == {"closest_1": 0.0, "closest_50": 0.0, "copies": 1.0}


def test_distances_are_those_of_the_distributions():
    X = table()
    found = distributions(X, X.assign(x=X["x"] + 100, k="a"))
    assert found["ks_worst"] == 1.0
    assert found["ks"] == pytest.approx(0.5)
    assert found["tv"] == pytest.approx((X["k"] == "b").mean())
    assert found["correlation_difference"] == pytest.approx(0.0, abs=1e-9)
    turned = distributions(X, X.assign(x=-X["x"]))
    assert turned["correlation_difference"] == pytest.approx(2 * X["x"].corr(X["y"]))


def test_missing_cells_are_of_no_distribution():
    X = table()
    holed = X.assign(x=X["x"].where(X["y"] > 0), k=X["k"].where(X["x"] > 0))
    found, there = distributions(holed, X), X["x"] > 0
    share = abs((X["k"][there] == "b").mean() - (X["k"] == "b").mean())
    assert found["tv"] == pytest.approx(share)


def test_a_row_is_as_far_as_its_columns_say():
    train = pd.DataFrame({"x": [0.0, 2.0], "k": ["a", "b"]})
    rows = pd.DataFrame({"x": [0.0, 3.0, np.nan], "k": ["b", "b", None]})
    expected = np.sort([1.0, 1.0, np.sqrt(2.0)])
    found = closeness(rows, train)
    assert found["closest_50"] == pytest.approx(expected[1])
    assert found["copies"] == 0.0


def test_missing_cells_are_alike():
    train = pd.DataFrame({"x": [0.0, np.nan, 4.0], "k": ["a", None, "b"]})
    assert closeness(train, train)["copies"] == 1.0
