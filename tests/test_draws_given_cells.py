"""Rows of which some cells are known: their density is a marginal, and draws are of that model."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from skvae import VAETransformer
from tests.samples import fit_quietly, gaussian

N_DRAWS = 19  # of which least and greatest hold nine tenths


def bent(n, seed=0):
    """Three columns that are functions of one, with little noise."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(-2.5, 2.5, n)
    return np.c_[t, t * t - 2, 2 * np.sin(2 * t)] + 0.2 * rng.normal(size=(n, 3))


@pytest.fixture(scope="module", params=["gaussian", "gaussian_diag"])
def trained(request):
    vae = VAETransformer(1, likelihood=request.param, max_iter=100, random_state=0)
    vae = fit_quietly(vae, bent(700))
    assert vae.kept_ > 0
    return vae


def test_nothing_known_has_the_probability_one(trained):
    assert abs(trained.score_samples(np.full((1, 3), np.nan))[0]) < 0.05


@pytest.mark.parametrize("column", [0, 1, 2])
def test_the_density_of_one_column_adds_up_to_one(trained, column):
    grid = np.linspace(-9, 9, 300)
    rows = np.full((len(grid), 3), np.nan)
    rows[:, column] = grid
    density = np.exp(trained.score_samples(rows, n_draws=256))
    assert_allclose(np.trapezoid(density, grid), 1.0, atol=0.05)


def test_draws_vary_as_rows_of_the_model_do(trained):
    rows = np.asarray(trained.sample(1000, random_state=1))
    hidden = np.random.default_rng(0).random(rows.shape) < 2 / 3
    drawn = trained.impute(np.where(hidden, np.nan, rows), n_draws=N_DRAWS, random_state=0)
    inside = (rows >= np.min(drawn, 0)) & (rows <= np.max(drawn, 0))
    n = hidden.sum()
    # Cells of a row go together: the error is that of half as many.
    assert abs(inside[hidden].mean() - 0.9) < 0.02 + 3 * np.sqrt(0.9 * 0.1 / (n / 2))


def normal_of(vae):
    """Mean and covariance of a linear model of a matrix, by its definition."""
    loadings = vae.inverse_transform(np.eye(2)) - vae.inverse_transform(np.zeros((1, 2)))
    variances = vae.explained_variance_ratio_ * np.square(vae.scale_) * loadings.shape[1]
    spread = np.maximum(variances - vae.noise_variance_, 0.0)
    size = np.square(loadings).sum(1)
    covariance = (loadings.T * (spread / size)) @ loadings
    return vae.mean_, covariance + vae.noise_variance_ * np.eye(loadings.shape[1])


@pytest.mark.parametrize("known", [(0,), (1, 3), (0, 2, 4)])
def test_draws_of_a_linear_model_are_those_of_the_normal_distribution(known):
    """Exact posteriors need no other proposals, and are not mixed with any."""
    vae = VAETransformer(2, max_iter=0, random_state=0).fit(gaussian(400, 5))
    mean, covariance = normal_of(vae)
    known, rest = np.array(known), np.setdiff1d(np.arange(5), known)
    row = np.full(5, np.nan)
    row[known] = mean[known] + 0.5
    gain = covariance[np.ix_(rest, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    center = mean[rest] + gain @ (row[known] - mean[known])
    left = covariance[np.ix_(rest, rest)] - gain @ covariance[np.ix_(known, rest)]
    n = 4000
    given = {int(j): float(row[j]) for j in known}
    drawn = {
        "sample": np.asarray(vae.sample(n, given=given, random_state=0)),
        "impute": np.array([a[0] for a in vae.impute(row[None], n_draws=n, random_state=0)]),
    }
    deviation = np.sqrt(np.diag(left))
    for name, found in drawn.items():
        own = found[:, rest]
        assert_allclose(own.mean(0), center, atol=5 * deviation.max() / np.sqrt(n), err_msg=name)
        assert_allclose(own.std(0), deviation, rtol=0.06, err_msg=name)
        for j in range(len(rest)):
            normal = stats.norm(center[j], deviation[j])
            assert stats.kstest(own[:, j], normal.cdf).pvalue > 1e-4, name
