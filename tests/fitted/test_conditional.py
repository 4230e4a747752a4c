"""Cells given the others of their row; Gaussian linear models have every answer exactly."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.fitted.conditional import draw_missing, impute, sample_given
from tests import samples
from tests.fitted.models import D, drawn_from, gaps, mixed_rows
from tests.samples import curve


def conditional(mean, covariance, row):
    """Mean and covariance of the missing cells of a row given its observed ones."""
    there = ~np.isnan(row)
    gain = np.linalg.solve(covariance[np.ix_(there, there)], covariance[np.ix_(there, ~there)]).T
    expected = mean[~there] + gain @ (row - mean)[there]
    return expected, covariance[np.ix_(~there, ~there)] - gain @ covariance[np.ix_(there, ~there)]


# Imputation


def test_impute_is_the_conditional_mean(linear):
    X, model, mean, covariance = linear
    filled = model.impute(X)
    for row, full in zip(X, filled, strict=True):
        missing = np.isnan(row)
        assert_array_equal(full[~missing], row[~missing])
        expected = conditional(mean, covariance, row)[0]
        assert_allclose(full[missing], expected, atol=1e-9 * np.abs(mean).max(), rtol=1e-9)


def test_a_row_without_cells_gets_the_mean_of_the_prior(linear):
    X, model, mean, covariance = linear
    assert np.isnan(X[5]).all()
    assert_allclose(model.impute(X)[5], mean)
    drawn = draws(model, X[5])
    error = np.sqrt(np.diag(covariance) / len(drawn))
    assert (np.abs(drawn.mean(0) - mean) < 6 * error).all()


def draws(model, row):
    """Imputations of a row; those of many rows like it, as those of one share their points."""
    copies = np.tile(row, (1000, 1))
    return np.concatenate(model.draw_missing(copies, 3, np.random.RandomState(0)))


@pytest.mark.parametrize("index", [6, 8])
def test_multiple_imputations_have_the_conditional_mean_and_variance(linear, index):
    X, model, mean, covariance = linear
    row, drawn = X[index], draws(model, X[index])
    missing = np.isnan(row)
    assert 0 < missing.sum() < D
    expected, own = conditional(mean, covariance, row)
    assert_array_equal(drawn[:, ~missing], np.tile(row[~missing], (len(drawn), 1)))
    error = np.sqrt(np.diag(own) / len(drawn))
    assert (np.abs(drawn[:, missing].mean(0) - expected) < 5 * error).all()
    found = np.cov(drawn[:, missing].T).reshape(own.shape)
    size = np.sqrt(np.outer(np.diag(own), np.diag(own)))
    assert_allclose(found / size, own / size, atol=0.1)


def test_imputations_follow_the_generator(linear):
    X, model, _, _ = linear
    once, again = (model.draw_missing(X[:20], 2, np.random.RandomState(3)) for _ in range(2))
    assert_array_equal(once, again)
    assert not np.allclose(once[0], once[1], equal_nan=True)


def test_levels_that_are_imputed_are_levels(trained):
    X = gaps(mixed_rows(50, seed=1))
    for filled in (trained.impute(X), *trained.draw_missing(X, 2, np.random.RandomState(0))):
        assert np.isfinite(filled).all()
        assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
        assert set(filled[:, 0]) <= {0.0, 1.0}
        assert set(filled[:, 1]) <= {0.0, 1.0, 2.0, 3.0}
        assert set(filled[:, 2]) <= {0.0, 1.0, 2.0}
        assert (filled[:, 5] >= 0).all()
    counts = trained.draw_missing(X, 1, np.random.RandomState(0))[0][:, 3]
    assert_array_equal(counts, np.round(counts))


def test_imputed_cells_are_nearer_than_means(trained):
    X = mixed_rows(400, seed=2)
    holed = gaps(X, 0.2, seed=3)
    filled, missing = trained.impute(holed), np.isnan(holed)
    for j in (4, 6):
        own = missing[:, j]
        error = np.square(filled[own, j] - X[own, j]).mean()
        assert error < 0.9 * np.square(X[own, j] - np.nanmean(holed[:, j])).mean()
    own = missing[:, 1]
    most = np.bincount(X[:, 1].astype(int)).argmax()
    assert (filled[own, 1] == X[own, 1]).mean() > (X[own, 1] == most).mean()


# Conditional draws


FEW = 800  # points of z, fewer than a person gets, for the sake of time


def given(model, row, n_samples, seed):
    """Draws that share the known cells of a row."""
    rng, names = np.random.RandomState(seed), range(len(row))
    return sample_given(model.of_cells(), row, names, n_samples, rng, n_proposals=FEW)


def test_draws_given_cells_have_the_conditional_mean_and_variance(linear):
    _, model, mean, covariance = linear
    spread = np.sqrt(np.diag(covariance))
    row = np.full(D, np.nan)
    row[[0, 3]] = (mean + spread)[[0, 3]]
    drawn = given(model, row, FEW, 0)
    assert_array_equal(drawn[:, [0, 3]], np.tile(row[[0, 3]], (FEW, 1)))
    missing = np.isnan(row)
    expected, own = conditional(mean, covariance, row)
    error = np.sqrt(2 * np.diag(own) / FEW)  # as many points of z as draws
    assert (np.abs(drawn[:, missing].mean(0) - expected) < 5 * error).all()
    assert_allclose(drawn[:, missing].var(0), np.diag(own), rtol=0.25)


@pytest.mark.parametrize("name", ["trained", "untrained"])
def test_draws_given_a_level_are_those_of_the_joint_that_have_it(name, request):
    model = request.getfixturevalue(name)
    joint = drawn_from(model, 60_000)
    row = np.full(7, np.nan)
    row[1] = 3.0
    n = FEW
    drawn = given(model, row, n, 1)
    assert (drawn[:, 1] == 3).all()
    theirs = joint[joint[:, 1] == 3]
    for j, n_levels in ((0, 2), (2, 3)):
        ours, expected = (
            np.bincount(x[:, j].astype(int), minlength=n_levels) / len(x) for x in (drawn, theirs)
        )
        error = np.sqrt(expected * (1 - expected) * (2 / n + 1 / len(theirs)))
        assert (np.abs(ours - expected) < 5 * error + 5e-3).all()
    assert_allclose(np.median(drawn[:, 4]), np.median(theirs[:, 4]), atol=0.2)


def test_a_condition_far_from_everything_has_no_support(untrained):
    row = np.full(7, np.nan)
    row[3], row[0] = 1e6, 0.0
    with pytest.raises(ValueError, match=r"given 3=1e\+06 has no support: rows of this model"):
        given(untrained, row, FEW // 100, 0)


# Memory


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_draws", [None, 2])
def test_filled_rows_take_little_more_memory_than_they_are(n_draws, dtype):
    model = samples.fitted(curve(300, 40), latent_dim=1, max_iter=0)
    model = dataclasses.replace(model, batch_cells=100_000).of_cells()
    X = gaps(curve(20_000, 40)).astype(dtype)
    tracemalloc.start()
    rows = (
        impute(model, X)
        if n_draws is None
        else draw_missing(model, X, n_draws, torch.Generator().manual_seed(0), n_proposals=2)
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1 if n_draws is None else n_draws) * X.nbytes + X.size + 10 * 100_000
    assert np.asarray(rows).dtype == dtype
