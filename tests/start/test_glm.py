"""The linear start of a table: features, factors, and shares of levels under the prior."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.decomposition import PCA

from skvae import VAETransformer
from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.likelihoods import Block, Categorical
from skvae.model.rows import CellRows
from skvae.start.glm import DEFAULT_LIMITS, StartLimits, features_of, fit_factor_start
from tests.start.cases import KINDS, N, table_of


@pytest.fixture(scope="module")
def latent():
    """Two numbers of every row, which all columns follow."""
    return np.random.RandomState(0).standard_normal((N, 2))


def table(X, likelihood):
    """Values and the likelihoods of their columns."""
    columns = Columns.of(Input.of(X), likelihood)
    return columns.encode(Input.of(X), "", 1) if columns.has_codes else X, columns.likelihoods


def started(X, likelihood, latent_dim=2, weight=None, limits=DEFAULT_LIMITS):
    rng = np.random.RandomState(0)
    return fit_factor_start(*table(X, likelihood), latent_dim, weight, rng, limits)


def part_of(start, column):
    """Loadings, bias and the block of one column."""
    first = 0
    for part in start.parts:
        block = Block(*part)
        own = slice(first, first + block.width)
        first = own.stop
        if part.columns.tolist() == [column]:
            return start.loadings[own], start.bias[own], block
    raise AssertionError(f"no block of column {column} alone")


def counts_of(seed, dispersion):
    """Counts of 40 columns, whose means are a thousandth to a hundred."""
    rng = np.random.default_rng(seed)
    rate = 20 * rng.gamma(1.0, size=(N, 2)) @ rng.gamma(0.3, size=(2, 40))
    if dispersion is not None:
        rate = rate * rng.gamma(dispersion, 1 / dispersion, size=rate.shape)
    return rng.poisson(rate) * 1.0


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_unlike_columns_are_fitted_to_the_end(seed):
    counts = counts_of(seed, None)
    codes = [
        VAETransformer(2, likelihood="poisson", max_iter=0, random_state=0).fit_transform(rows)
        for rows in (counts, sparse.csr_array(counts))
    ]
    assert_allclose(*codes, rtol=0, atol=1e-6)


@pytest.mark.parametrize("freedom", [1.5, 3, 8])
@pytest.mark.parametrize("seed", range(3))
def test_robust_heads_do_not_know_the_offset(freedom, seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(400, 2))
    X = z @ rng.normal(size=(2, 6)) + 0.1 * rng.standard_t(freedom, size=(400, 6))
    codes = [
        VAETransformer(2, likelihood="student_t", max_iter=0, random_state=0).fit_transform(rows)
        for rows in (X, X + 1e7)
    ]
    assert_allclose(*codes, rtol=0, atol=1e-6)


def test_a_dispersion_of_counts_without_any_stays_finite():
    counts = counts_of(0, None)
    start = started(counts, "negative_binomial")
    assert start.parts[0].constants["dispersion"].max() < 11


@pytest.mark.parametrize("kind", KINDS)
def test_heads_know_what_their_columns_follow(latent, kind):
    """Given the other columns, the column is likelier than without them."""
    X = table_of(kind, latent)
    start = started(X, {0: kind})
    weights, bias, block = part_of(start, 0)
    values = table(X, {0: kind})[0]
    cells = start.units.cells(values)
    hidden = cells.copy()
    hidden[:, 0] = np.nan
    with torch.no_grad():
        z = start.module().encode(CellRows(torch.from_numpy(hidden))).mean
        x = torch.from_numpy(cells[:, :1])
        told = block.log_prob(x, z @ torch.from_numpy(weights).T + torch.from_numpy(bias))
        constants = block.likelihood.fit(values[:, :1])
        alone = Block(block.likelihood, np.arange(1), constants)
        untold = alone.log_prob(x, torch.from_numpy(constants["bias"]).expand(N, -1))
    assert told.mean() > untold.mean() + 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_units_of_the_other_columns_change_nothing(latent, kind):
    X = table_of(kind, latent)
    ours = part_of(started(X, {0: kind}), 0)
    theirs = part_of(started(X * [1, 1e6, 1e-6, 40, 3] + [0, 5, 0, 1, 100], {0: kind}), 0)
    assert_allclose(ours[0], theirs[0], atol=2e-3)
    assert_allclose(ours[1], theirs[1], atol=2e-3)


@pytest.mark.parametrize("kind", ["lognormal", "student_t"])
def test_the_unit_of_a_column_changes_nothing(latent, kind):
    X = table_of(kind, latent)
    ours = part_of(started(X, {0: kind}), 0)
    theirs = part_of(started(X * [1e6, 1, 1, 1, 1], {0: kind}), 0)
    assert_allclose(ours[0], theirs[0], atol=2e-3)
    assert_allclose(ours[1], theirs[1], atol=2e-3)


def test_features_have_mean_zero_and_variance_one(latent):
    features = features_of(*table(table_of("bernoulli", latent), {0: "bernoulli"}))
    assert_allclose(features.mean(0), 0, atol=1e-2)
    assert_allclose(features.std(0), 1, rtol=1e-2)


def test_features_of_missing_cells_are_zero(latent):
    X = table_of("bernoulli", latent)
    X[:, 1] += 100
    X[3, 1] = np.nan
    assert features_of(*table(X, {0: "bernoulli"}))[3, 1] == 0


def test_wide_tables_are_seen_by_their_principal_directions(latent):
    X = table_of("student_t", latent)
    narrow, wide = (started(X, "gaussian_diag", limits=StartLimits(widest=n)) for n in (5, 4))
    assert narrow.basis is None
    assert_allclose(wide.basis @ wide.basis.T, np.eye(len(wide.basis)), atol=1e-9)


def test_factors_of_complete_counts_are_pca_of_their_features(latent):
    rates = np.exp(0.3 * latent[:30] @ [[1, 0, 1, 1], [0, 1, 1, -1]])
    X = np.random.RandomState(1).poisson(rates) * 1.0
    features, factors = features_of(*table(X, "poisson")), started(X, "poisson").factors
    found = factors.loadings @ factors.loadings.T + np.diag(factors.noise)
    assert_allclose(found, PCA(2).fit(features).get_covariance(), rtol=1e-6, atol=1e-9)


def test_missing_cells_take_nothing_from_what_columns_share(latent):
    """Also where all columns share their noise."""
    rng = np.random.RandomState(1)
    complete = latent @ rng.standard_normal((2, 6)) + 0.3 * rng.standard_normal((N, 6))
    X = np.where(rng.uniform(size=complete.shape) < 0.3, np.nan, complete)
    start = started(X, "gaussian")
    loadings = start.units.scale * start.factors.loadings
    found, expected = loadings @ loadings.T, np.cov(complete.T)
    apart = ~np.eye(6, dtype=bool)
    assert_allclose(found[apart], expected[apart], atol=0.15 * expected.max())


def test_columns_are_flagged_where_cells_are_missing(latent):
    X = table_of("bernoulli", latent)
    X[3, 1] = X[:9, 4] = np.nan
    assert started(X, {0: "bernoulli"}).masked.tolist() == [False, True, False, False, True]


def test_levels_that_were_never_seen_are_missing(latent):
    values, likelihoods = table(table_of("categorical", latent), {0: "categorical"})
    starts = []
    for nothing in (-1.0, np.nan):
        with_nothing = values.copy()
        with_nothing[:20, 0] = nothing
        rng = np.random.RandomState(0)
        starts.append(fit_factor_start(with_nothing, likelihoods, 2, None, rng))
    assert starts[0].masked.tolist() == starts[1].masked.tolist() == [True] + 4 * [False]
    assert_allclose(starts[0].factors.loadings, starts[1].factors.loadings)
    assert_allclose(starts[0].loadings, starts[1].loadings, atol=1e-6)


def test_a_level_that_tells_all_does_not_take_all_units():
    """A category repeated in another column fits perfectly; the noise has a floor."""
    rng = np.random.RandomState(0)
    level = rng.randint(0, 3, N) * 1.0
    X = np.column_stack([level, level, rng.standard_normal((N, 2))])
    start = started(X, {0: "categorical", 1: "categorical"})
    assert (start.factors.noise >= 0.05).all()
    assert np.isfinite(start.loadings).all()
    assert np.abs(start.loadings).max() < 50


@pytest.mark.parametrize("weight", ["levels", "columns"])
def test_levels_are_found_whatever_their_features_vary_by(weight):
    """The floor of the noise is a share of that: features of many levels may vary by little."""
    level = np.random.RandomState(0).randint(0, 12, N) * 1.0
    likelihood = Categorical(weight=weight)
    X = np.column_stack([level, level, level])
    factors = started(X, {0: likelihood, 1: likelihood, 2: likelihood}, latent_dim=11).factors
    told = np.square(factors.loadings).sum(1)
    assert (told > 0.3 * (told + factors.noise)).all()  # about 0.45 by either weight


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_is_finite_where_nothing_can_be_learnt(kind):
    """Two rows, and columns that say nothing."""
    X = table_of(kind, np.zeros((N, 2)))
    assert np.isfinite(started(X, {0: kind}).loadings).all()
    few = table_of(kind, np.random.RandomState(0).standard_normal((N, 2)))[:4]
    start = started(few, {0: kind}, 1)
    assert np.isfinite(start.loadings).all()
    assert np.isfinite(start.bias).all()


# Levels under the prior


def rare_rows(share, n=1000):
    """Numbers that follow one unit; levels that are rare, and follow nothing or everything."""
    rng = np.random.RandomState(0)
    z = rng.standard_normal(n)
    order = np.argsort(z + 0.3 * rng.standard_normal(n))
    n_rare = max(round(share * n), 1)
    alone, follows = np.zeros(n), np.zeros(n)
    alone[rng.permutation(n)[:n_rare]] = 1
    follows[order[-n_rare:]] = 1
    three = np.where(alone == 1, 2.0, (z > 0.2) * 1.0)
    return np.column_stack([z + rng.standard_normal(n), 2 * z + rng.standard_normal(n), alone,
                            follows, three])  # fmt: skip


def frequency(start, column, level, n=30_000):
    """Share of a level among draws from the prior."""
    first, generator = 0, torch.Generator().manual_seed(0)
    z = torch.randn(n, start.latent_dim, generator=generator, dtype=torch.float64)
    for part in start.parts:
        own = slice(first, first + len(part.constants["bias"]))
        first = own.stop
        if column in part.columns:
            weights, bias = torch.from_numpy(start.loadings[own]), start.bias[own]
            cells = torch.full((n, len(part.columns)), float(level), dtype=torch.float64)
            eta = z @ weights.T + torch.from_numpy(bias)
            log_prob = Block(*part).log_prob(cells, eta).detach()
            p = log_prob[:, part.columns.tolist().index(column)].exp()
            return float(p.mean()), float(p.std()) / n**0.5
    raise AssertionError(f"no column {column}")


@pytest.mark.parametrize("share", [0.5, 0.03, 0.01, 0.003])
@pytest.mark.parametrize("latent_dim", [1, 5])
@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical", "ordinal"])
def test_a_level_is_as_likely_under_the_prior_as_it_is_frequent(likelihood, latent_dim, share):
    X = rare_rows(share)
    chosen = dict.fromkeys((2, 3), likelihood) | {
        4: "categorical" if likelihood == "bernoulli" else likelihood
    }
    start = started(X, chosen, latent_dim)
    for column in (2, 3, 4):
        for level, expected in zip(*np.unique(X[:, column], return_counts=True), strict=True):
            found, error = frequency(start, column, level)
            expected = expected / len(X)
            assert abs(found - expected) < 5 * error + 0.06 * expected, (column, level)


def test_shares_are_those_of_the_weighted_rows():
    X = rare_rows(0.05)
    w = np.where(X[:, 2] == 1, 0.2, 1.0)
    start = started(X, {2: "bernoulli"}, weight=w)
    found, error = frequency(start, 2, 1)
    assert_allclose(found, np.average(X[:, 2], weights=w), atol=5 * error + 1e-4)


def test_of_many_rows_a_sample_says_what_heads_are():
    """In whatever order they come."""
    X = rare_rows(0.5)
    X = X[np.argsort(X[:, 2])]
    start = started(X, {2: "bernoulli"}, limits=StartLimits(head_rows=200))
    found, _ = frequency(start, 2, 1)
    assert_allclose(found, 0.5, atol=0.15)


def test_posteriors_of_rare_levels_are_where_the_prior_reaches():
    """An indicator of one row in a hundred is ten standard deviations away; its code is not."""
    X = rare_rows(0.01)
    start = started(X, {2: "bernoulli"}, 3)
    with torch.no_grad():
        codes = start.module().encode(CellRows(torch.from_numpy(X))).mean
    assert codes[X[:, 2] == 1].abs().max() < 7
