"""The factor model of the observed cells, judged by closed forms and by brute force."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import optimize
from sklearn.decomposition import PCA

from skvae.fitting.fit import fit_model
from skvae.model.rows import CellRows
from skvae.start.factors import (
    EMConfig,
    FactorModel,
    NoiseRule,
    Observations,
    em_step,
    fit_factors,
)
from tests.fitted.models import normal_of
from tests.samples import fitted, gaussian, options
from tests.tables import started, table

N, D, Q = 200, 5, 2


def gaps(shape, share=0.3, seed=0):
    """Which cells are observed; of some rows all, of one row none."""
    observed = np.random.RandomState(seed).uniform(size=shape) >= share
    observed[:5], observed[5] = True, False
    return observed


def with_gaps(X, share=0.3, seed=0):
    return np.where(gaps(X.shape, share, seed), X, np.nan)


def starting_from(d, q, seed=0):
    rng = np.random.RandomState(seed)
    return FactorModel(np.zeros(d), rng.standard_normal((d, q)), np.ones(d), np.arange(d))


def log_prob(model, rows):
    """Of the observed cells, NaN elsewhere, by the normal density of each row."""
    covariance = model.loadings @ model.loadings.T + np.diag(model.noise)
    return normal_log_prob(model.center, covariance, rows)


def normal_log_prob(mean, covariance, rows):
    found = np.zeros(len(rows))
    patterns, which = np.unique(~np.isnan(rows), axis=0, return_inverse=True)
    for i, there in enumerate(patterns):
        own = covariance[np.ix_(there, there)]
        error = (rows[which.ravel() == i] - mean)[:, there]
        square = (error @ np.linalg.inv(own) * error).sum(1)
        log_det = np.linalg.slogdet(2 * np.pi * own)[1]
        found[which.ravel() == i] = -0.5 * (square + log_det)
    return found


def observations(rows, weight=None):
    observed = ~np.isnan(rows)
    return Observations(np.nan_to_num(rows), None if observed.all() else observed, weight)


def rule(d, shared, floor=1e-9):
    return NoiseRule(np.full(d, shared), np.full(d, floor))


# Without the weight of a loading of zero EM climbs the likelihood itself, here to its top.
NO_PRIOR = EMConfig(tolerance=1e-7, max_iterations=500, prior_rows=0.0)


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_with_nothing_missing_and_one_noise_it_is_probabilistic_pca(latent_dim):
    X = gaussian(N, D)
    model = fit_factors(observations(X), starting_from(D, latent_dim), rule(D, True), NO_PRIOR)
    pca = PCA(latent_dim).fit(X)
    score = log_prob(model, X).mean()
    # scikit-learn divides by n - 1, the maximum of the likelihood by n.
    assert pca.score(X) <= score + 1e-4
    assert_allclose(score, pca.score(X), atol=1e-3)
    ours = model.loadings @ model.loadings.T + np.diag(model.noise)
    assert_allclose(ours, pca.get_covariance() * (N - 1) / N, atol=0.02)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_the_likelihood_of_the_observed_cells_never_falls(shared, share):
    X = with_gaps(gaussian(80, D), share)
    before = -np.inf
    for n in range(1, 25):
        config = replace(NO_PRIOR, max_iterations=n)
        model = fit_factors(observations(X), starting_from(D, Q), rule(D, shared), config)
        after = log_prob(model, X).sum()
        assert after >= before - 1e-8
        before = after


def test_a_step_tells_the_likelihood_that_it_begins_with():
    X, weight = with_gaps(gaussian(N, D)), np.random.RandomState(1).uniform(0.5, 2, N)
    model = replace(starting_from(D, Q), center=X[0], noise=np.linspace(0.1, 2, D))
    found = em_step(observations(X, weight), model, rule(D, False))[1]
    cells = weight @ (~np.isnan(X)).sum(1)
    assert_allclose(found, weight @ log_prob(model, X) / cells, rtol=1e-10)


@pytest.mark.parametrize("shared", [False, True])
def test_it_ends_no_lower_than_a_general_optimizer(shared):
    n, d = 60, 4
    X = with_gaps(gaussian(n, d, seed=3), 0.25)

    def model_of(flat):
        noise = np.exp(np.broadcast_to(flat[2 * d :], d))
        return FactorModel(flat[:d], flat[d : 2 * d, None], noise, np.arange(d))

    def loss(flat):
        return -log_prob(model_of(flat), X).sum()

    start = np.r_[np.nanmean(X, 0), np.ones(d), np.zeros(1 if shared else d)]
    best = optimize.minimize(loss, start, options={"maxiter": 60}).fun
    found = fit_factors(observations(X), starting_from(d, 1), rule(d, shared, 1e-3), NO_PRIOR)
    assert -log_prob(found, X).sum() <= best + 5e-3 * n


def test_rotation_leaves_the_density_and_makes_units_independent():
    model = fit_factors(
        observations(with_gaps(gaussian(N, D))), starting_from(D, 3), rule(D, False)
    )
    turned = model.turned(model.axes)
    assert_allclose(turned.loadings @ turned.loadings.T, model.loadings @ model.loadings.T)
    precision = turned.precision_parts.sum(0)
    assert_allclose(precision, np.diag(np.diag(precision)), atol=1e-9 * precision.max())
    assert (np.diff(np.diag(precision)) <= 1e-9).all()
    assert_allclose(turned.turned(turned.axes).loadings, turned.loadings)


def test_weights_are_repetitions_of_rows():
    X = with_gaps(gaussian(N, D))
    times = np.random.RandomState(1).randint(1, 4, N)
    weighted = fit_factors(observations(X, times * 1.0), starting_from(D, Q), rule(D, False))
    repeated = fit_factors(observations(X.repeat(times, 0)), starting_from(D, Q), rule(D, False))
    for name in ("center", "loadings", "noise"):
        ours, theirs = getattr(weighted, name), getattr(repeated, name)
        assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_what_many_rows_say_is_found_by_some_and_then_by_all():
    X = with_gaps(gaussian(N, D))
    whole = fit_factors(observations(X), starting_from(D, Q), rule(D, False))
    few = EMConfig(first_rows=100)
    found = fit_factors(observations(X), starting_from(D, Q), rule(D, False), few)
    assert log_prob(found, X).mean() > log_prob(whole, X).mean() - 0.05


def test_noise_is_not_below_its_floor():
    X = with_gaps(gaussian(N, 2)[:, [0, 0, 1]], 0.1)
    model = fit_factors(observations(X), starting_from(3, 2), rule(3, False, 0.01), NO_PRIOR)
    assert (model.noise >= 0.01).all()
    assert model.noise.min() == 0.01


def test_a_column_seldom_observed_stays_finite():
    X = gaussian(N, D)
    X[3:, 0] = np.nan
    model = fit_factors(observations(X), starting_from(D, 2), rule(D, False))
    assert all(np.isfinite(each).all() for each in (model.center, model.loadings, model.noise))
    assert np.abs(model.loadings[0]).max() < 10


# As the start of a table


def cells_of(start, X):
    return CellRows(torch.from_numpy(start.units.cells(X)))


UNITS = np.array([1.0, 100.0, 1e-3, 7.0, 20.0])
GAUSSIAN = {
    "gaussian": "gaussian",
    "gaussian_diag": "gaussian_diag",
    "both": {0: "gaussian", 3: "gaussian"},
    "both, other order": {4: "gaussian", 1: "gaussian_diag", 0: "gaussian"},
}


def rows_of(name):
    X = with_gaps(gaussian(N, D))
    return X if name == "gaussian" else X * UNITS


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
def test_the_start_of_complete_numbers_is_pca(latent_dim):
    X = gaussian(N, D) * 1e3
    start = started(X, "gaussian", latent_dim)
    mean, loadings, noise = normal_of(start)
    found = normal_log_prob(mean, loadings @ loadings.T + np.diag(noise), X)
    assert_allclose(found, PCA(latent_dim).fit(X).score_samples(X), rtol=1e-9)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_posterior_is_the_conditional_of_the_dense_normal(name):
    X = rows_of(name)
    start = started(X, GAUSSIAN[name])
    mean, loadings, noise = normal_of(start)
    covariance = loadings @ loadings.T + np.diag(noise)
    q = start.module().requires_grad_(False).encode(cells_of(start, X))
    for i in range(30):
        there = ~np.isnan(X[i])
        gain = np.linalg.solve(covariance[np.ix_(there, there)], loadings[there]).T
        assert_allclose(q.mean[i], gain @ (X[i] - mean)[there], atol=1e-9)
        expected = np.eye(Q) - gain @ loadings[there]
        root = q.root[i] * torch.exp(0.5 * q.log_variance[i])
        assert_allclose(root @ root.T, expected, atol=1e-9)
        assert_allclose(q.variance[i], np.diag(expected), atol=1e-9)


@pytest.mark.parametrize("name", GAUSSIAN)
def test_the_bound_is_the_density_of_the_observed_cells(name):
    """Row by row; of a row without cells that is one."""
    X = rows_of(name)
    model = fitted_table(X, GAUSSIAN[name])
    mean, loadings, noise = normal_of(model.start)
    exact = normal_log_prob(mean, loadings @ loadings.T + np.diag(noise), X)
    assert_allclose(model.log_prob(X), exact, rtol=0, atol=1e-8)
    assert exact[5] == 0
    assert_allclose(model.start.score(X), exact.mean())


def fitted_table(X, likelihood, weight=None, latent_dim=Q):
    chosen = options(latent_dim=latent_dim, max_iter=0)
    return fit_model(table(X, likelihood), weight, chosen)[0]


def test_shared_noise_is_shared_where_one_column_is_rough():
    """The floor of a rough column is no floor of the others."""
    X = gaussian(N, D)
    X[:, 0] = 2 * np.round(X[:, 0] / 2)
    X = with_gaps(X, 0.1)
    model = fitted_table(X, "gaussian", latent_dim=4)
    mean, loadings, noise = normal_of(model.start)
    exact = normal_log_prob(mean, loadings @ loadings.T + np.diag(noise), X)
    assert_allclose(model.log_prob(X), exact, rtol=0, atol=1e-8)


@pytest.mark.parametrize("likelihood", ["gaussian", "gaussian_diag"])
def test_the_observed_cells_say_more_than_filled_ones(likelihood):
    """On new rows, fitted with gaps rather than with means in their place."""
    X, new = gaussian(600, D)[:300], gaussian(600, D)[300:]
    holed = with_gaps(X, 0.4)
    filled = np.where(np.isnan(holed), np.nanmean(holed, 0), holed)
    with_holes = fitted_table(holed, likelihood).log_prob(new).mean()
    with_means = fitted_table(filled, likelihood).log_prob(new).mean()
    assert with_holes > with_means + 0.1


def test_weights_count_in_the_start_of_tables():
    """Rows of a heavy group decide; the start fits these better than without weights."""
    X = np.concatenate([gaussian(150, D, seed=1), gaussian(150, D, seed=2)])
    X = with_gaps(X, 0.2)
    weight = np.repeat([10.0, 0.1], 150)
    heavy = fitted_table(X, "gaussian_diag", weight)
    equal = fitted_table(X, "gaussian_diag")
    assert heavy.log_prob(X[:150]).mean() > equal.log_prob(X[:150]).mean() + 0.05
    assert heavy.log_prob(X[150:]).mean() < equal.log_prob(X[150:]).mean()


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_the_unit_of_weights_changes_nothing(scale):
    X = with_gaps(gaussian(N, D), 0.2)
    weight = np.random.RandomState(0).uniform(0.5, 2.0, N)
    ours, theirs = (fitted_table(X, "gaussian", w) for w in (weight, scale * weight))
    assert_allclose(ours.log_prob(X), theirs.log_prob(X), atol=1e-6)


@pytest.mark.parametrize("latent_dim", [2, 3, 4])
def test_one_hidden_cell_changes_little(latent_dim):
    X, new = gaussian(1200, D)[:200].copy(), gaussian(1200, D)[200:]
    complete = fitted_table(X, "gaussian", latent_dim=latent_dim).log_prob(new).mean()
    X[0, 0] = np.nan
    found = fitted_table(X, "gaussian", latent_dim=latent_dim).log_prob(new).mean()
    assert_allclose(found, complete, atol=5e-3)


def test_complete_tables_are_fitted_without_em():
    """The closed form: nothing is left to iterations."""
    X = gaussian(N, D)
    assert_allclose(
        fitted(X, latent_dim=Q, max_iter=0).log_prob(X),
        fitted_table(X, "gaussian").log_prob(X),
        rtol=1e-9,
    )
