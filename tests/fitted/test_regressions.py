"""Regressions of residuals, neighbours and trees: what all of the table have to hold, and each."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae.fitted.correction import REFINEMENTS
from skvae.fitted.neighbours import Neighbours
from skvae.fitted.regression import Lesson
from skvae.fitted.trees import Forest, Trees

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


def learnt(regression, X, residuals, weight=None, expected=None, seed=0):
    """A regression that has learnt residuals of rows; what the model expects is 0 or given."""
    expected = np.zeros_like(residuals) if expected is None else expected
    weight = np.ones(len(X)) if weight is None else weight
    is_own = np.zeros(X.shape[1], bool)
    return regression.fit(Lesson(X, is_own, expected, expected + residuals, weight), seed)


def said(fitted, X, expected=None):
    """What it says of other rows."""
    return fitted.predict(X, np.zeros((len(X), 2)) if expected is None else expected)


def test_what_features_tell_is_found(regression):
    X, others = rows(), rows(500, seed=1)
    found = said(learnt(regression, X, waves(X) + 0.1 * noise()), others)
    left = np.square(found - waves(others)).sum(0) / np.square(waves(others)).sum(0)
    assert (left < (0.6, 0.75)).all()


def test_of_noise_little_is_believed(regression):
    found = [
        said(learnt(regression, rows(seed=seed), noise(seed)), rows(300, seed=100 + seed))
        for seed in range(4)
    ]
    assert np.square(found).mean() < 0.02 * np.square(noise()).mean()


def test_nothing_is_said_where_nothing_is_left(regression):
    found = said(learnt(regression, rows(), np.zeros((M, 2))), rows(10))
    assert_array_equal(found, np.zeros((10, 2)))


def test_each_row_is_on_its_own(regression):
    X, others = rows(), rows(200, seed=1)
    fitted = learnt(regression, X, waves(X))
    together = said(fitted, others)
    order = np.random.RandomState(0).permutation(len(others))
    assert_allclose(said(fitted, others[order]), together[order], rtol=0, atol=1e-9)
    alone = np.concatenate([said(fitted, others[[i]]) for i in range(20)])
    assert_allclose(alone, together[:20], rtol=0, atol=1e-9)


def test_units_of_features_do_not_matter(regression):
    X, others = rows(), rows(200, seed=1)
    scale, offset = np.array([1e-3, 1.0, 50.0, 1e4]), np.array([0.0, -3.0, 7.0, 1e4])
    ours = said(learnt(regression, X, waves(X)), others)
    moved = learnt(regression, offset + scale * X, waves(X))
    theirs = said(moved, offset + scale * others)
    assert np.isclose(ours, theirs, rtol=0, atol=1e-6).mean() > 0.98


def test_rows_count_by_their_weights(regression):
    X = rows()
    wrong = np.random.RandomState(0).uniform(size=M) < 0.5
    targets = np.where(wrong[:, None], -waves(X), waves(X))
    weight = np.where(wrong, 1e-6, 1.0)
    found = said(learnt(regression, X, targets, weight), X)
    assert np.square(found - waves(X))[:, 0].mean() < 0.6 * np.square(waves(X))[:, 0].mean()


def test_a_far_feature_is_a_number_and_changes_no_other_row(regression):
    X, others = rows(), rows(5, seed=1)
    fitted = learnt(regression, X, waves(X))
    far = others.copy()
    far[0] = 1e200
    found = said(fitted, far)
    assert np.isfinite(found).all()
    assert_allclose(found[1:], said(fitted, others)[1:], rtol=0, atol=1e-9)


# Neighbours


def test_rounding_breaks_no_ties():
    """Of rows that are alike the same are taken, whatever is added to them by rounding."""
    X = np.random.RandomState(0).randint(0, 3, (M, P)).astype(float)
    fitted = learnt(Neighbours, X, waves(X) + noise())
    others = X[:50]
    moved = others * (1 + 1e-14)
    assert_allclose(said(fitted, moved), said(fitted, others), rtol=0, atol=1e-6)


def test_what_neighbours_say_is_continuous():
    X, others = rows(), rows(200, seed=1)
    fitted = learnt(Neighbours, X, waves(X))
    change = said(fitted, others + 1e-6) - said(fitted, others)
    assert np.abs(change).max() < 1e-3


# Trees


def test_cells_that_a_model_knows_too_well_are_told_by_their_rows():
    """Of rows that it has learnt from it expects half of the cells, of others nothing."""
    X, others = rows(), rows(500, seed=1)
    fitted = learnt(Trees, X, waves(X) / 2, expected=waves(X) / 2)
    left = said(fitted, others) - waves(others)
    assert np.square(left).mean() < 0.17 * np.square(waves(others)).mean()  # by residuals 1/4


def test_features_of_the_column_itself_are_known_as_such():
    """Where these alone tell a cell, one forest of two has found it."""
    X, others = rows(), rows(500, seed=1)
    cells = waves(rows(seed=2))
    is_own = np.arange(P + 2) >= P
    lesson = Lesson(np.column_stack([X, cells]), is_own, np.zeros((M, 2)), cells, np.ones(M))
    theirs = waves(rows(500, seed=3))
    found = said(Trees.fit(lesson, 0), np.column_stack([others, theirs]))
    slope = (found * theirs).sum() / np.square(theirs).sum()
    assert 0.35 < slope < 0.65


@pytest.mark.parametrize(("scale", "offset"), [(1e-9, 0.0), (1.0, 1e9), (1e12, -1e12)])
def test_targets_may_have_any_unit_and_offset(scale, offset):
    X, others = rows(), rows(100, seed=1)
    ours, theirs = (
        Forest(X, y, 1, 10, 0, np.ones(M)) for y in (waves(X), offset + scale * waves(X))
    )
    found = (theirs.predict(others) - offset) / scale
    assert_allclose(found, ours.predict(others), rtol=0, atol=1e-5)


def test_one_target_far_from_all_others_hides_nothing():
    X, others = rows(), rows(100, seed=1)
    targets = waves(X)
    targets[7] = 1e6
    forest = Forest(X, targets, 1, 30, 0, np.ones(M))
    far = np.abs(others - X[7]).max(1) < 1.5
    left = (forest.predict(others) - waves(others))[~far]
    assert np.median(np.square(left)) < 0.05 * np.square(waves(others)).mean()
