"""What can be asked of a model of a table: its density, its codes, one answer per row."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.likelihoods import StudentT
from tests.fitted.models import MIXED, D, N, Q, drawn_from, fitted, gaps, mixed_rows, normal_of
from tests.samples import gaussian


def test_draws_come_from_the_start_as_often_as_its_weight_says(trained):
    """The start alone has numbers below zero in a column of squares."""
    below = {}
    for weight in (0.0, 0.5, 1.0):
        model = dataclasses.replace(trained, start_weight=weight)
        drawn = drawn_from(model, 20_000)
        below[weight] = (drawn[:, 6] < -2.0).mean()
    assert below[1.0] > below[0.0] + 0.03
    assert below[0.5] == pytest.approx((below[0.0] + below[1.0]) / 2, abs=0.008)


def test_draws_without_conditions_have_the_mean_and_covariance(linear):
    _, model, mean, covariance = linear
    spread = np.sqrt(np.diag(covariance))
    drawn = (drawn_from(model, 20_000) - mean) / spread
    assert_allclose(drawn.mean(0), 0, atol=0.04)
    assert_allclose(np.cov(drawn.T), covariance / np.outer(spread, spread), atol=0.05)


def test_the_posterior_of_rows_with_missing_cells_is_exact(linear):
    X, model, _, covariance = linear
    _, loadings, _ = normal_of(model.start)
    std = model.posterior(X)[1]
    for i in range(12):
        there = ~np.isnan(X[i])
        gain = np.linalg.solve(covariance[np.ix_(there, there)], loadings[there]).T
        exact = np.sqrt(np.diag(np.eye(Q) - gain @ loadings[there]))
        assert_allclose(std[i], exact[model.order], rtol=1e-9)


def test_the_posterior_of_a_complete_row_does_not_know_of_gaps_beside_it(untrained):
    X = mixed_rows(20, seed=4)
    alone = untrained.posterior(X[:1])[1]
    X[1:, 0] = np.nan
    assert_allclose(untrained.posterior(X)[1][:1], alone)


@pytest.mark.parametrize("name", ["trained", "untrained"])
def test_a_pickled_model_answers_the_same_bits(name, request):
    model = request.getfixturevalue(name)
    again = pickle.loads(pickle.dumps(model))
    X = gaps(mixed_rows(30, seed=5))
    for answer in (
        lambda m: m.codes(X, False),
        lambda m: m.log_prob(X),
        lambda m: m.impute(X),
        lambda m: drawn_from(m, 20),
        lambda m: np.array(m.draw_missing(X, 2, np.random.RandomState(0))),
    ):
        assert_array_equal(answer(again), answer(model))


@pytest.mark.parametrize("name", ["trained", "untrained"])
def test_a_row_has_one_answer_whatever_rows_are_beside_it(name, request):
    model = request.getfixturevalue(name)
    X = gaps(mixed_rows(60, seed=4), 0.25)
    answers = {
        "codes": lambda X: model.codes(X, False),
        "scores": model.log_prob,
        "imputations": model.impute,
    }
    order = np.random.RandomState(0).permutation(len(X))
    for what, answer in answers.items():
        whole = answer(X)
        size = np.abs(whole).max(0) + 1e-9
        for rows in (order, np.arange(0, 60, 7), np.arange(5), np.array([5])):
            assert_allclose(
                answer(X[rows]) / size, whole[rows] / size, rtol=0, atol=1e-7, err_msg=what
            )
        one_by_one = np.concatenate([answer(X[[i]]) for i in range(12)])
        assert_allclose(one_by_one / size, whole[:12] / size, rtol=0, atol=1e-7, err_msg=what)


def test_a_row_has_one_answer_in_any_chunk(trained):
    X = gaps(mixed_rows(60, seed=4), 0.25)
    whole = trained.codes(X, False), trained.log_prob(X), trained.impute(X)
    few = dataclasses.replace(trained, batch_cells=7 * 1040)
    parts = few.codes(X, False), few.log_prob(X), few.impute(X)
    for ours, theirs in zip(whole, parts, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    for drawn in few.draw_missing(X, 2, np.random.RandomState(0)):
        assert not np.isnan(drawn).any()
        assert_array_equal(drawn[~np.isnan(X)], X[~np.isnan(X)])


def test_decode_of_the_codes_of_complete_rows_is_near_them(linear):
    X, model, mean, covariance = linear
    codes = model.codes(X[:5], False)
    spread = np.sqrt(np.diag(covariance))
    error = (model.reconstruct(codes, False) - X[:5]) / spread
    assert np.square(error).mean() < np.square((X[:5] - mean) / spread).mean()


def test_means_scales_and_noises_are_told_by_column(untrained):
    assert_array_equal(np.isnan(untrained.mean), [False, True, True, *[False] * 4])
    assert untrained.mean.shape == untrained.scale.shape == (7,)
    assert np.isnan(untrained.noise_variances[:6]).all()
    assert untrained.noise_variances[6] > 0


def test_one_number_where_all_columns_share_it():
    model = fitted(gaps(gaussian(N, D)), "gaussian")
    assert np.ndim(model.scale) == np.ndim(model.noise_variances) == 0
    _, _, noise = normal_of(model.start)
    assert_allclose(model.noise_variances, noise)


def test_the_reported_density_is_at_least_the_starts_less_its_weight(trained):
    X = gaps(mixed_rows(200, seed=6))
    start = fitted(gaps(mixed_rows(600), 0.1), MIXED)
    floor = start.log_prob(X) + np.log(trained.start_weight)
    assert (trained.log_prob(X) >= floor - 1e-9).all()


# Heavy tails


def heavy_rows(n=500, seed=0):
    """Columns that follow two numbers, with noise of heavy tails."""
    rng = np.random.RandomState(seed)
    loadings = np.random.RandomState(3).standard_normal((2, 6))
    return rng.standard_normal((n, 2)) @ loadings + 0.1 * rng.standard_t(3, (n, 6))


TAILED = {
    "all": "student_t",
    "one": {0: "student_t"},
    "few degrees": StudentT(df=2.5),
    "many degrees": StudentT(df=20),
}


@pytest.mark.parametrize("latent_dim", [1, 2, 6])
@pytest.mark.parametrize("name", TAILED)
def test_a_far_cell_costs_its_logarithm_and_moves_codes_little(name, latent_dim):
    model = fitted(gaps(heavy_rows(), 0.1), TAILED[name], latent_dim=latent_dim)
    far = np.concatenate([[0.0], np.logspace(0, 12, 25)])
    X = np.tile(heavy_rows(1, seed=9), (len(far), 1))
    X[:, 0] += far
    codes, scores = model.posterior(X)[0], model.log_prob(X)
    assert np.abs(codes - codes[0]).max() < 5
    slope = np.diff(scores[-9:]) / np.diff(np.log(far[-9:]))
    block = next(b for b in model.module(torch.float64).observation.blocks if 0 in b.columns)
    df = float(block.likelihood.degrees_of_freedom(block.params())[0])
    assert_allclose(slope, -(df + 1), rtol=0.05)


@pytest.mark.parametrize("value", [1e5, -1e12])
@pytest.mark.parametrize("n_far", [1, 15])
@pytest.mark.parametrize("likelihood", ["student_t", {2: "student_t"}])
def test_far_cells_in_fit_change_little(likelihood, n_far, value):
    X, new = heavy_rows(), heavy_rows(200, seed=1)
    clean = np.median(fitted(X, likelihood).log_prob(new))
    X[np.random.RandomState(2).permutation(len(X))[:n_far], 2] = value
    model = fitted(X, likelihood)
    assert np.median(model.log_prob(new)) > clean - 0.4
    drawn = drawn_from(model, 4000)[:, 2]
    ratio = np.subtract(*np.percentile(drawn, [75, 25])) / np.subtract(
        *np.percentile(new[:, 2], [75, 25])
    )
    assert 0.7 < ratio < 1.4


def test_a_trained_model_is_as_robust():
    rows = np.column_stack([heavy_rows(), heavy_rows()[:, :2] ** 2])
    rows[7, 1] = 1e7
    model = fitted(rows, "student_t", max_iter=20)
    X = np.tile(rows[:1], (9, 1))
    X[1:, 0] += np.logspace(0, 9, 8)
    codes = model.posterior(X)[0]
    assert np.isfinite(codes).all()
    assert np.abs(codes - codes[0]).max() < 6


@pytest.mark.parametrize("latent_dim", [1, 2, 4])
@pytest.mark.parametrize("share", [0.03, 0.01])
@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical", "ordinal"])
def test_a_rare_level_alone_is_as_likely_as_it_is_among_draws(likelihood, share, latent_dim):
    """Its posterior is far from the bulk of the prior, which the draws have to see."""
    rng = np.random.RandomState(0)
    z = rng.standard_normal(1000)
    level = np.zeros(1000)
    level[rng.permutation(1000)[: round(share * 1000)]] = 1
    noise = rng.standard_normal((2, 1000))
    X = np.column_stack([z + noise[0], z + noise[1], level, z > 0])
    model = fitted(X, {2: likelihood, 3: "bernoulli"}, latent_dim=latent_dim, max_iter=0)
    alone = np.array([[np.nan, np.nan, 1.0, np.nan]])
    assert_allclose(np.exp(model.log_prob(alone)), share, rtol=0.2)
    drawn = drawn_from(model, 20_000)[:, 2]
    assert_allclose(drawn.mean(), share, atol=4 * np.sqrt(share / 20_000))
