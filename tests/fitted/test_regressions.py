"""Regressions of residuals, neighbours and trees: what all of the table have to hold, and each."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae.fitted.correction import REFINEMENTS
from skvae.fitted.neighbours import Neighbours

M, P = 1500, 4


@pytest.fixture(params=sorted({each.__name__: each for each in REFINEMENTS.values()}.items()))
def regression(request):
    return request.param[1]


def rows(n=M, seed=0):
    return np.random.RandomState(seed).standard_normal((n, P))


def waves(X):
    """Two residuals that hang on two of the features."""
    return np.column_stack([np.sin(2 * X[:, 0]), X[:, 0] * X[:, 1] / 4])


def noise(seed=0):
    return np.random.RandomState(seed).uniform(-1, 1, (M, 2))


def test_what_features_tell_is_found(regression):
    X, others = rows(), rows(500, seed=1)
    found = regression.fit(X, waves(X) + 0.1 * noise(), None, 0).predict(others)
    left = np.square(found - waves(others)).sum(0) / np.square(waves(others)).sum(0)
    assert (left < (0.6, 0.75)).all()


def test_of_noise_little_is_believed(regression):
    said = [
        regression.fit(rows(seed=seed), noise(seed), None, 0).predict(rows(300, seed=100 + seed))
        for seed in range(4)
    ]
    assert np.square(said).mean() < 0.02 * np.square(noise()).mean()


def test_nothing_is_said_where_nothing_is_left(regression):
    found = regression.fit(rows(), np.zeros((M, 2)), None, 0).predict(rows(10))
    assert_array_equal(found, np.zeros((10, 2)))


def test_each_row_is_on_its_own(regression):
    X, others = rows(), rows(200, seed=1)
    fitted = regression.fit(X, waves(X), None, 0)
    together = fitted.predict(others)
    order = np.random.RandomState(0).permutation(len(others))
    assert_allclose(fitted.predict(others[order]), together[order], rtol=0, atol=1e-9)
    alone = np.concatenate([fitted.predict(others[[i]]) for i in range(20)])
    assert_allclose(alone, together[:20], rtol=0, atol=1e-9)


def test_units_of_features_do_not_matter(regression):
    X, others = rows(), rows(200, seed=1)
    scale, offset = np.array([1e-3, 1.0, 50.0, 1e4]), np.array([0.0, -3.0, 7.0, 1e4])
    ours = regression.fit(X, waves(X), None, 0).predict(others)
    moved = regression.fit(offset + scale * X, waves(X), None, 0)
    theirs = moved.predict(offset + scale * others)
    assert np.isclose(ours, theirs, rtol=0, atol=1e-6).mean() > 0.98


def test_rows_count_by_their_weights(regression):
    X = rows()
    wrong = np.random.RandomState(0).uniform(size=M) < 0.5
    targets = np.where(wrong[:, None], -waves(X), waves(X))
    weight = np.where(wrong, 1e-6, 1.0)
    found = regression.fit(X, targets, weight, 0).predict(X)
    assert np.square(found - waves(X))[:, 0].mean() < 0.6 * np.square(waves(X))[:, 0].mean()


def test_a_far_feature_is_a_number_and_changes_no_other_row(regression):
    X, others = rows(), rows(5, seed=1)
    fitted = regression.fit(X, waves(X), None, 0)
    far = others.copy()
    far[0] = 1e200
    found = fitted.predict(far)
    assert np.isfinite(found).all()
    assert_allclose(found[1:], fitted.predict(others)[1:], rtol=0, atol=1e-9)


# Neighbours


def test_rounding_breaks_no_ties():
    """Of rows that are alike the same are taken, whatever is added to them by rounding."""
    X = np.random.RandomState(0).randint(0, 3, (M, P)).astype(float)
    fitted = Neighbours.fit(X, waves(X) + noise(), None, 0)
    others = X[:50]
    moved = others * (1 + 1e-14)
    assert_allclose(fitted.predict(moved), fitted.predict(others), rtol=0, atol=1e-6)


def test_what_neighbours_say_is_continuous():
    X, others = rows(), rows(200, seed=1)
    fitted = Neighbours.fit(X, waves(X), None, 0)
    change = fitted.predict(others + 1e-6) - fitted.predict(others)
    assert np.abs(change).max() < 1e-3
