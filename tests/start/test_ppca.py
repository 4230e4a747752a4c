"""Probabilistic PCA in closed form, judged by scikit-learn's PCA and by its own definition."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal, norm
from sklearn.decomposition import PCA

from skvae.start.ppca import Directions, fit_linear, linear_start
from skvae.start.spectrum import find_spectrum
from tests.samples import factors, gaussian, uncorrelated
from tests.start.linear import (
    assert_close,
    assert_is_pca,
    codes,
    log_prob,
    normal_of,
    reconstruction,
)


def start_of(X, latent_dim, limit=512, **directions):
    """The start by the leading directions, limit at most."""
    spectrum = find_spectrum(X, None, min(limit, *X.shape), np.random.RandomState(0))
    return linear_start(spectrum, X.shape[0], latent_dim, Directions(**directions))


def test_log_prob_is_the_normal_density():
    X = gaussian(50, 5)
    start = fit_linear(X, 2)
    loadings = start.components[:2].T * start.weights
    covariance = loadings @ loadings.T + start.noise_variance * np.eye(5)
    normal = multivariate_normal(start.mean, covariance * start.scale**2)
    assert_allclose(log_prob(start, X), normal.logpdf(X), rtol=1e-10)


@pytest.mark.parametrize("latent_dim", [1, 3, 8])
@pytest.mark.parametrize("shape", [(12, 30), (12, 12), (10, 12)])
def test_with_few_rows_the_density_is_a_mixture_of_two_noises(shape, latent_dim):
    """On rows seen, rows like them and rows far out; the components are normal densities."""
    X = gaussian(*shape)
    start, pca = fit_linear(X, latent_dim), PCA(latent_dim, svd_solver="full").fit(X)
    shown, theirs = start.noises
    assert shown == start.noise_variance
    assert_allclose(theirs * start.scale**2, pca.noise_variance_, rtol=1e-9)
    rows = np.concatenate([X, gaussian(50, shape[1], seed=1), 10 * gaussian(50, shape[1], seed=2)])
    parts = [normal_of(start, noise).logpdf(rows) for noise in start.noises]
    found = log_prob(start, rows)
    assert_allclose(found, np.logaddexp(*parts) - np.log(2), rtol=1e-9)
    for part in parts:
        assert (found >= part - np.log(2) - 1e-9 * np.abs(part)).all()
    pca_log_prob = pca.score_samples(rows)
    assert (found >= pca_log_prob - np.log(2) - 1e-9 * np.abs(pca_log_prob)).all()


def test_one_noise_where_scikit_learns_is_the_same():
    for X, latent_dim in ((gaussian(60, 8), 3), (gaussian(8, 60), 7), (gaussian(9, 8), 3)):
        start = fit_linear(X, latent_dim)
        assert start.noises == (start.noise_variance,)


def test_the_mean_variance_of_a_scaled_column_is_one():
    X = 1e4 * gaussian(50, 5)
    start = fit_linear(X, 2)
    assert start.total_variance == 5
    assert_allclose(X.var(axis=0, ddof=1).mean(), start.scale**2)


@pytest.mark.parametrize("latent_dim", [2, 3, 5])
def test_rank_deficient_rows(latent_dim):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 3)) @ rng.standard_normal((3, 6))
    start = fit_linear(X, latent_dim)
    assert start.latent_dim == min(latent_dim, 3)
    assert np.isfinite(log_prob(start, X)).all()
    if latent_dim < 3:
        assert_is_pca(start, X)
    else:
        assert_close(reconstruction(start, X), X)


def test_constant_columns():
    X = gaussian(60, 6)
    X[:, [1, 4]] = 7.0
    assert_is_pca(fit_linear(X, 2), X)
    assert_allclose(reconstruction(fit_linear(X, 2), X)[:, [1, 4]], 7.0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e12])
def test_nothing_but_constant_columns(value):
    X = np.full((20, 4), value)
    start = fit_linear(X, 2)
    assert start.latent_dim == 0
    assert np.isfinite(log_prob(start, X)).all()
    assert_allclose(start.restore(start.project(X)[0]), X)


def test_far_from_the_origin():
    X = gaussian(60, 6)
    far = X + 1e12
    X = far - 1e12  # what is left of the rows at this distance
    assert_close(codes(fit_linear(far, 2), far), codes(fit_linear(X, 2), X), 1e-3)
    assert_close(log_prob(fit_linear(far, 2), far), log_prob(fit_linear(X, 2), X), 1e-3)


def test_columns_of_extreme_scales():
    X = gaussian(60, 3)
    extreme = X * [1e30, 1.0, 1e-30]
    start = fit_linear(extreme, 2)
    assert_close(codes(start, extreme)[:, 0], PCA(1).fit_transform(extreme)[:, 0])
    assert np.isfinite(log_prob(start, extreme)).all()
    assert_allclose(reconstruction(start, extreme)[:, 0], extreme[:, 0], rtol=1e-9)


@pytest.mark.parametrize("scale", [1e150, 1e-200])
def test_scale_is_only_a_unit(scale):
    X = gaussian(60, 5)
    start, scaled = fit_linear(X, 2), fit_linear(scale * X, 2)
    assert_allclose(scaled.variances, start.variances)
    assert_close(codes(scaled, scale * X) / scale, codes(start, X))
    # A density per unit: five columns, each of them larger by the factor.
    expected = log_prob(start, X) - 5 * np.log(scale)
    assert_allclose(log_prob(scaled, scale * X), expected, rtol=1e-9)


def test_weights_are_repetitions_of_rows():
    X = gaussian(40, 5)
    times = np.random.RandomState(1).randint(1, 4, len(X))
    n = times.sum()
    weighted, repeated = fit_linear(X, 2, times.astype(float)), fit_linear(X.repeat(times, 0), 2)
    assert_allclose(weighted.mean, repeated.mean)
    assert_allclose(weighted.components, repeated.components, atol=1e-9)
    # The divisor counts rows less one; it is the only difference.
    covariances = [
        start.variances * start.scale**2 * (1 - 1 / n_rows)
        for start, n_rows in ((weighted, len(X)), (repeated, n))
    ]
    assert_allclose(*covariances)


def test_equal_weights_change_nothing():
    X = gaussian(40, 5)
    assert_allclose(fit_linear(X, 2, np.full(40, 0.3)).variances, fit_linear(X, 2).variances)


@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_with_latent_dim_is_a_fresh_fit(shape):
    X = gaussian(*shape)
    start = fit_linear(X, 6)
    for latent_dim in (1, 3, 6, 9):
        fewer, fresh = start.with_latent_dim(latent_dim), fit_linear(X, min(latent_dim, 6))
        assert fewer.latent_dim == fresh.latent_dim
        assert_allclose(log_prob(fewer, X), log_prob(fresh, X), rtol=1e-9)
        assert_allclose(fewer.weights, fresh.weights)
        assert_allclose(fewer.noises, fresh.noises)
        assert_allclose(fewer.mean_log_prob(X), fresh.mean_log_prob(X), rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_mean_log_prob_is_the_mean_over_the_rows(shape, weighted):
    X = gaussian(*shape)
    weight = np.random.RandomState(0).uniform(0.5, 2, len(X)) if weighted else None
    start = fit_linear(X, 3, weight)
    mean = np.average(start.log_density(*start.project(X)), weights=weight)
    assert_allclose(start.mean_log_prob(X, weight), mean, rtol=1e-9)


@pytest.mark.parametrize("tail", [0.02, 0.2])
def test_what_is_left_out_is_a_small_share_of_what_the_units_leave(tail):
    X = gaussian(300, 100) + np.random.default_rng(0).normal(size=(300, 100))
    start = start_of(X, 2, tail=tail, first=20)
    left = start.total_variance - np.cumsum(PCA().fit(X / start.scale).explained_variance_)
    assert start.n_directions > 20
    k = start.n_directions
    assert left[k - 1] <= tail * left[1] < left[k - 2]


def test_the_first_directions_are_seen_whatever_they_hold():
    rows = factors(300, 60, rank=10, noise=0.3)
    n_directions = fit_linear(rows, 2, directions=Directions(tail=0.5)).n_directions
    assert start_of(rows, 2, tail=0.5, first=1).n_directions < n_directions


def test_project_is_float64_whatever_it_returns():
    X = gaussian(60, 30) + 1e5
    start = fit_linear(X.astype(np.float32), 2)
    scores, residual = start.project(X.astype(np.float32), np.float32)
    exact = start.project(X.astype(np.float32).astype(np.float64))
    assert scores.dtype == residual.dtype == np.float32
    assert_allclose(scores, exact[0], rtol=1e-5, atol=1e-6)
    assert_allclose(residual, exact[1], rtol=1e-5, atol=1e-6)


def test_scores_and_residual_hold_the_squared_length():
    X = factors(80, 30, rank=2, noise=1.0)
    start = start_of(X, 2, limit=4)
    scores, residual = start.project(X)
    assert scores.shape[1] < 30
    squared_length = np.square((X - start.mean) / start.scale).sum(1)
    assert_allclose(np.square(scores).sum(1) + residual, squared_length)


def test_all_directions_alike_leave_something_to_every_unit():
    """Where the rest varies as much as a unit does, the noise is still a little less."""
    X = np.concatenate([np.eye(6), -np.eye(6)])
    start = fit_linear(X, 2)
    assert (start.weights**2 > 0.9e-6 * start.variances[:2]).all()


@pytest.mark.parametrize("latent_dim", [1, 2])
@pytest.mark.parametrize(
    "deviations",
    [
        [1e7, 1, 2, 3, 4, 5],
        [1e7, 1, 2],
        [1e7, 1e3, 1],
        10.0 ** np.arange(-9, 10, 3),
        [1e12, 3, 2, 1],
    ],
    ids=str,
)
def test_a_column_that_outweighs_all_others_leaves_their_noise(deviations, latent_dim):
    """The density of columns that are not correlated is a product of normal densities."""
    X = uncorrelated(300, deviations)
    start = fit_linear(X, latent_dim)
    variances = np.square(np.sort(deviations)[::-1])
    noise = variances[latent_dim:].mean()
    assert_allclose(start.noise_variance * start.scale**2, noise, rtol=1e-6)
    model = np.square(deviations)
    model[model < variances[latent_dim - 1]] = noise
    rows = X + gaussian(*X.shape, seed=1) * deviations
    assert_allclose(log_prob(start, rows), norm(0, np.sqrt(model)).logpdf(rows).sum(1), rtol=1e-6)
    assert start.with_latent_dim(1).noise_variance * start.scale**2 == pytest.approx(
        variances[1:].mean(), rel=1e-6
    )
