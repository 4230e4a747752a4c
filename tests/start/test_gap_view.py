"""A model of complete numbers answers rows with missing cells; the linear one exactly."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from skvae.model.priors import Mixture
from skvae.model.rows import CellRows
from skvae.training.objective import OBJECTIVES
from tests.samples import curve, fitted, gaussian, keep_everything

Q = 2
SHARE = 0.3


def gaps(X, seed=0):
    missing = np.random.RandomState(seed).uniform(size=X.shape) < SHARE
    missing[:5], missing[5] = False, True
    return np.where(missing, np.nan, X)


def clipped(n_rows, seed=0):
    """Rows along a curve in 5 columns, in units of their own."""
    return 100 * curve(n_rows, 5, seed=seed) + 7


@pytest.fixture(scope="module", params=["one column in use", "few", "all but one"])
def linear(request):
    """A linear model with the mean and the covariance of its density."""
    q = {"one column in use": 1, "few": 2, "all but one": 4}[request.param]
    X = 1e3 * gaussian(200, 5)
    model = fitted(X, latent_dim=q, max_iter=0)
    start = model.start
    loadings = start.components[:q].T * start.weights * start.scale
    noise = np.full(5, start.noise_variance * start.scale**2)
    return X, model, start.mean, loadings, noise


@pytest.fixture(scope="module")
def trained():
    model = fitted(clipped(400), latent_dim=1, max_iter=40)
    assert model.kept > 0
    return model


@pytest.fixture(scope="module")
def untrained():
    return fitted(clipped(400), latent_dim=1, max_iter=0)


@pytest.fixture(params=["trained", "untrained"])
def model(request):
    return request.getfixturevalue(request.param)


def test_with_nothing_missing_it_is_the_model(model):
    X, filled = clipped(60, seed=1), model.of_cells()
    codes = model.codes(X, False)
    assert_allclose(filled.codes(X, False), codes, rtol=1e-9, atol=1e-9 * np.abs(codes).max())
    assert_allclose(filled.codes(X, True), model.codes(X, True), rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(filled.posterior(X), model.posterior(X), strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    # Of the same density, by proposals that differ.
    assert_allclose(filled.log_prob(X, 4000), model.log_prob(X, 4000), atol=0.5)
    assert_array_equal(filled.impute(X), X)


def test_rows_that_are_far_have_the_same_density(model):
    X = 5 * clipped(40, seed=2)
    assert_allclose(model.of_cells().log_prob(X), model.log_prob(X), rtol=1e-8)


def test_complete_rows_do_not_know_of_gaps_beside_them(model):
    X = clipped(30, seed=1)
    holed = gaps(X)
    complete = ~np.isnan(holed).any(1)
    filled = model.of_cells()
    size = np.abs(X).max()
    for answer in (lambda X: filled.codes(X, False), filled.log_prob):
        assert_allclose(answer(holed)[complete], answer(X)[complete], atol=1e-7 * size)
        one_by_one = np.concatenate([answer(holed[[i]]) for i in range(10)])
        assert_allclose(one_by_one, answer(holed)[:10], atol=1e-7 * size)


def test_the_density_is_the_marginal_of_the_observed_cells(linear):
    X, model, mean, loadings, noise = linear
    X = gaps(X)
    covariance = loadings @ loadings.T + np.diag(noise)
    found = model.of_cells().log_prob(X)
    for row, log_prob in zip(X[:60], found, strict=False):
        there = ~np.isnan(row)
        own = covariance[np.ix_(there, there)]
        error = (row - mean)[there]
        log_det = np.linalg.slogdet(2 * np.pi * own)[1]
        exact = -0.5 * (error @ np.linalg.solve(own, error) + log_det)
        assert_allclose(log_prob, exact, rtol=0, atol=1e-8)


def test_few_rows_of_many_columns_have_the_density_of_both_noises():
    """Without a column it is that of the others, whose noise fewer directions show as well."""
    X = gaussian(30, 60)
    model = fitted(X[:20], latent_dim=3, max_iter=0)
    start, rows = model.start, X[20:].copy()
    rows[:, 7] = np.nan
    there = np.arange(60) != 7
    assert len(start.noises) == 2
    parts = []
    for noise in start.noises:
        inside = (start.components[:3].T * (start.variances[:3] - noise)) @ start.components[:3]
        covariance = (inside + noise * np.eye(60)) * start.scale**2
        normal = multivariate_normal(start.mean[there], covariance[np.ix_(there, there)])
        parts.append(normal.logpdf(rows[:, there]))
    exact = np.logaddexp(*parts) - np.log(2)
    assert_allclose(model.of_cells().log_prob(rows), exact, rtol=0, atol=1e-6)


def test_codes_are_those_of_the_row_filled_with_its_conditional_mean(linear):
    X, model, _, _, _ = linear
    X = gaps(X)
    filled = model.of_cells()
    codes = filled.codes(X, False)
    expected = model.codes(filled.impute(X), False)
    assert_allclose(codes, expected, rtol=1e-8, atol=1e-6)


def test_a_trained_model_fills_better_than_the_linear_one(trained, untrained):
    X = clipped(300, seed=3)
    holed = gaps(X, seed=4)
    errors = [np.square(model.impute(holed) - X)[6:].mean() for model in (trained, untrained)]
    assert errors[0] < errors[1]


def test_a_trained_model_is_surer_of_the_observed_cells(trained, untrained):
    X = gaps(clipped(300, seed=3), seed=4)
    ours, theirs = (model.of_cells().log_prob(X).mean() for model in (trained, untrained))
    assert ours > theirs


def test_constant_columns_alone():
    X = np.full((20, 3), 2.0)
    model = fitted(X, latent_dim=Q, max_iter=0)
    X[3, 1] = np.nan
    assert_allclose(model.impute(X), 2.0)
    assert not model.of_cells().codes(X, False).any()


@pytest.mark.parametrize("objective", ["elbo", "iwae", "autoencoder"])
def test_densities_of_some_cells_integrate_to_one(objective):
    rng = np.random.default_rng(0)
    t = rng.choice([-1.5, 0.0, 1.5], size=500) + 0.25 * rng.normal(size=500)
    X = np.column_stack([t, 0.6 * t**2]) + 0.2 * rng.normal(size=(500, 2))
    model = fitted(X, max_iter=60, objective=OBJECTIVES[objective]())
    assert model.kept > 0
    grid = np.linspace(-9, 9, 400)
    holed = np.column_stack([grid, np.full(400, np.nan)])
    for n_draws, error in ((32, 0.12), (512, 0.05)):
        total = np.exp(model.of_cells().log_prob(holed, n_draws)).sum() * 18 / 400
        assert total == pytest.approx(1.0, abs=error)


def test_nothing_observed_tells_nothing(trained):
    nothing = np.full((1, 5), np.nan)
    assert trained.of_cells().log_prob(nothing) == pytest.approx(0.0, abs=0.02)
    deviation = trained.of_cells().posterior(nothing)[1]
    assert_allclose(deviation, 1.0, rtol=1e-6)


def test_the_prior_is_that_of_the_model(monkeypatch):
    keep_everything(monkeypatch)
    model = fitted(clipped(100), latent_dim=1, max_iter=1, prior=Mixture(n_components=2))
    ours, theirs = model.of_cells().module(torch.float64), model.module(torch.float64)
    z = torch.linspace(-3, 3, 20, dtype=torch.float64)[:, None]
    assert torch.equal(ours.log_prior(z), theirs.log_prior(z))
    assert not torch.allclose(ours.log_prior(z), -0.5 * (z.square().sum(1) + np.log(2 * np.pi)))
    drawn, expected = (
        vae.sample_prior(9, torch.Generator().manual_seed(0)) for vae in (ours, theirs)
    )
    assert torch.equal(drawn, expected)


def test_a_density_in_closed_form_needs_no_draws(untrained):
    X, filled = gaps(clipped(30)), untrained.of_cells()
    assert_allclose(filled.log_prob(X, 1), filled.log_prob(X, 500), rtol=1e-13)


def test_the_sum_of_squares_says_what_the_cells_say(trained):
    vae = trained.of_cells().module(torch.float64)
    rows = CellRows(torch.from_numpy(gaps(clipped(30))))
    eta = vae.decode(vae.encode(rows).mean)
    assert_allclose(vae.log_likelihood(rows, eta), vae.observation.cells.log_likelihood(rows, eta))


def test_given_cells_are_kept_and_the_others_follow(untrained):
    row = np.full(5, np.nan)
    row[0] = clipped(400).mean(0)[0]
    drawn = untrained.sample_given(row, range(5), 50, np.random.RandomState(0))
    assert (drawn[:, 0] == row[0]).all()
    assert np.isfinite(drawn).all()


def test_rows_are_filled_alike_in_one_batch_and_in_many(model):
    X = gaps(clipped(40))
    at_once, in_batches = (
        [each.impute(X), *each.draw_missing(X, 3, np.random.RandomState(0))]
        for each in (model, dataclasses.replace(model, batch_cells=20_000))
    )
    assert_allclose(in_batches[0], at_once[0])
    for rows in (*at_once, *in_batches):
        assert np.isfinite(rows).all()
        assert_array_equal(rows[~np.isnan(X)], X[~np.isnan(X)])


def test_imputed_cells_are_the_conditional_means(linear):
    X, model, mean, loadings, noise = linear
    X = gaps(X)
    covariance = loadings @ loadings.T + np.diag(noise)
    filled = model.impute(X)
    for row, full in zip(X[:60], filled, strict=False):
        there = ~np.isnan(row)
        assert_array_equal(full[there], row[there])
        gain = np.linalg.solve(
            covariance[np.ix_(there, there)], covariance[np.ix_(there, ~there)]
        ).T
        expected = mean[~there] + gain @ (row - mean)[there]
        assert_allclose(full[~there], expected, rtol=1e-9, atol=1e-6)


def test_multiple_imputations_have_the_conditional_mean_and_variance(linear):
    X, model, mean, loadings, noise = linear
    covariance = loadings @ loadings.T + np.diag(noise)
    row = X[7].copy()
    row[[1, 3]] = np.nan
    drawn = model.draw_missing(np.tile(row, (1000, 1)), 2, np.random.RandomState(0))
    drawn = np.concatenate(drawn)[:, [1, 3]]
    there = ~np.isnan(row)
    gain = np.linalg.solve(covariance[np.ix_(there, there)], covariance[np.ix_(there, ~there)]).T
    own = covariance[np.ix_(~there, ~there)] - gain @ covariance[np.ix_(there, ~there)]
    expected = mean[~there] + gain @ (row - mean)[there]
    assert (np.abs(drawn.mean(0) - expected) < 5 * np.sqrt(np.diag(own) / len(drawn))).all()
    assert_allclose(drawn.var(0), np.diag(own), rtol=0.15)


def test_the_view_is_made_once_and_left_out_of_pickles(model):
    view = model.of_cells()
    assert model.of_cells() is view
    assert view.of_cells() is view
    assert view.representation is view.representation
    vae = view.module(torch.float64)
    assert view.module(torch.float64) is vae
    assert "_of_cells" not in vars(pickle.loads(pickle.dumps(model)))
