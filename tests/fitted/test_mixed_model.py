"""What can be asked of a model of a table; Gaussian linear models have every answer exactly."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.fitting import fit_model
from skvae.likelihoods import StudentT
from tests.samples import gaussian, options

N, D, Q = 200, 5, 2
UNITS = np.array([1.0, 100.0, 1e-2, 7.0, 20.0])
KINDS = {
    "gaussian": "gaussian",
    "gaussian_diag": "gaussian_diag",
    "both": {0: "gaussian", 3: "gaussian"},
}
MIXED = {
    0: "bernoulli",
    1: "categorical",
    2: "ordinal",
    3: "poisson",
    4: "student_t",
    5: "lognormal",
}


def gaps(X, share=0.3, seed=0):
    """CellRows missing at random; of the first rows none, of the sixth all."""
    missing = np.random.RandomState(seed).uniform(size=X.shape) < share
    missing[:5], missing[5] = False, True
    return np.where(missing, np.nan, X)


def table(X, likelihood):
    columns = Columns.of(Input.of(X), likelihood)
    return columns.table(columns.encode(Input.of(X), "", 1) if columns.has_codes else X)


def fitted(X, likelihood, **changes):
    chosen = options(**{"latent_dim": Q, "max_iter": 0} | changes)
    return fit_model(table(X, likelihood), None, chosen)[0]


def mixed_rows(n=N, seed=0):
    """Columns of six kinds that follow two numbers, one of them not linearly."""
    rng = np.random.RandomState(seed)
    z = rng.standard_normal((n, 2))
    return np.column_stack(
        [
            (z[:, 0] + 0.5 * rng.logistic(size=n) > 0) * 1.0,
            np.digitize(z[:, 1] + 0.2 * rng.standard_normal(n), [-1, 0, 1]),
            np.digitize(z[:, 0] - z[:, 1], [-1, 1]),
            rng.poisson(np.exp(z[:, 1])),
            z[:, 0] + 0.2 * rng.standard_t(4, n),
            np.exp(z[:, 0] * z[:, 1] + 0.1 * rng.standard_normal(n)),
            2 * z[:, 0] ** 2 + 0.1 * rng.standard_normal(n),
        ]
    )


@pytest.fixture(scope="module", params=KINDS)
def linear(request):
    """A Gaussian linear model, its rows, and the normal density that it is."""
    X = gaps(gaussian(N, D) * (1.0 if request.param == "gaussian" else UNITS))
    model = fitted(X, KINDS[request.param])
    mean, loadings, noise = normal_of(model.start)
    return X, model, mean, loadings @ loadings.T + np.diag(noise)


@pytest.fixture(scope="module")
def trained():
    """A model of six kinds whose training was kept."""
    model = fitted(gaps(mixed_rows(600), 0.1), MIXED, max_iter=40, latent_dim=Q)
    assert model.kept > 0
    return model


@pytest.fixture(scope="module")
def untrained():
    return fitted(gaps(mixed_rows(600), 0.1), MIXED)


def normal_of(start):
    """Mean, loadings and noise variances in the user's units."""
    d, q = start.n_features, start.latent_dim
    mean, loadings, noise = np.zeros(d), np.zeros((d, q)), np.zeros(d)
    first = 0
    for part in start.parts:
        own = slice(first, first + len(part.columns))
        first = own.stop
        center, scale = part.constants["center"], part.constants["scale"]
        mean[part.columns] = center + scale * start.factors.center[own]
        loadings[part.columns] = scale[:, None] * start.factors.loadings[own]
        noise[part.columns] = scale**2 * start.factors.noise[own]
    return mean, loadings, noise


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


@pytest.fixture
def few_draws(monkeypatch):
    """Fewer points of z than a person gets, for the sake of time."""
    monkeypatch.setattr("skvae.fitted.mixed_model.N_CONDITIONAL_DRAWS", 800)
    return 800


def test_draws_given_cells_have_the_conditional_mean_and_variance(linear, few_draws):
    _, model, mean, covariance = linear
    spread = np.sqrt(np.diag(covariance))
    row = np.full(D, np.nan)
    row[[0, 3]] = (mean + spread)[[0, 3]]
    drawn = model.sample_given(row, range(len(row)), few_draws, np.random.RandomState(0))
    assert_array_equal(drawn[:, [0, 3]], np.tile(row[[0, 3]], (few_draws, 1)))
    missing = np.isnan(row)
    expected, own = conditional(mean, covariance, row)
    error = np.sqrt(2 * np.diag(own) / few_draws)  # as many points of z as draws
    assert (np.abs(drawn[:, missing].mean(0) - expected) < 5 * error).all()
    assert_allclose(drawn[:, missing].var(0), np.diag(own), rtol=0.25)


def test_draws_without_conditions_have_the_mean_and_covariance(linear):
    _, model, mean, covariance = linear
    spread = np.sqrt(np.diag(covariance))
    drawn = (model.sample(20_000, np.random.RandomState(0)) - mean) / spread
    assert_allclose(drawn.mean(0), 0, atol=0.04)
    assert_allclose(np.cov(drawn.T), covariance / np.outer(spread, spread), atol=0.05)


@pytest.mark.parametrize("name", ["trained", "untrained"])
def test_draws_given_a_level_are_those_of_the_joint_that_have_it(name, request, few_draws):
    model = request.getfixturevalue(name)
    joint = model.sample(60_000, np.random.RandomState(0))
    row = np.full(7, np.nan)
    row[1] = 3.0
    n = few_draws
    drawn = model.sample_given(row, range(7), n, np.random.RandomState(1))
    assert (drawn[:, 1] == 3).all()
    theirs = joint[joint[:, 1] == 3]
    for j, n_levels in ((0, 2), (2, 3)):
        ours, expected = (
            np.bincount(x[:, j].astype(int), minlength=n_levels) / len(x) for x in (drawn, theirs)
        )
        error = np.sqrt(expected * (1 - expected) * (2 / n + 1 / len(theirs)))
        assert (np.abs(ours - expected) < 5 * error + 5e-3).all()
    assert_allclose(np.median(drawn[:, 4]), np.median(theirs[:, 4]), atol=0.2)


def test_a_condition_far_from_everything_has_no_support(untrained, few_draws):
    row = np.full(7, np.nan)
    row[3], row[0] = 1e6, 0.0
    with pytest.raises(ValueError, match=r"given 3=1e\+06 has no support: this model's rows have"):
        untrained.sample_given(row, range(7), few_draws // 100, np.random.RandomState(0))


def test_draws_come_from_the_start_as_often_as_its_weight_says(trained):
    """The start alone has numbers below zero in a column of squares."""
    below = {}
    for weight in (0.0, 0.5, 1.0):
        model = dataclasses.replace(trained, start_weight=weight)
        drawn = model.sample(20_000, np.random.RandomState(0))
        below[weight] = (drawn[:, 6] < -2.0).mean()
    assert below[1.0] > below[0.0] + 0.03
    assert below[0.5] == pytest.approx((below[0.0] + below[1.0]) / 2, abs=0.008)


# The same answer for a row, whatever is beside it


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


def test_a_row_has_one_answer_in_any_chunk(trained, monkeypatch):
    X = gaps(mixed_rows(60, seed=4), 0.25)
    whole = trained.codes(X, False), trained.log_prob(X), trained.impute(X)
    monkeypatch.setattr("skvae.data.batches._BATCH_CELLS", 7 * 1040)
    parts = trained.codes(X, False), trained.log_prob(X), trained.impute(X)
    for ours, theirs in zip(whole, parts, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    for drawn in trained.draw_missing(X, 2, np.random.RandomState(0)):
        assert not np.isnan(drawn).any()
        assert_array_equal(drawn[~np.isnan(X)], X[~np.isnan(X)])


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
        lambda m: m.sample(20, np.random.RandomState(0)),
        lambda m: np.array(m.draw_missing(X, 2, np.random.RandomState(0))),
    ):
        assert_array_equal(answer(again), answer(model))


# The rest


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
    block = next(b for b in model.vae(torch.float64).blocks if 0 in b.columns)
    df = float(block.likelihood._parts(block)[1][0])
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
    drawn = model.sample(4000, np.random.RandomState(0))[:, 2]
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
    drawn = model.sample(20_000, np.random.RandomState(0))[:, 2]
    assert_allclose(drawn.mean(), share, atol=4 * np.sqrt(share / 20_000))
