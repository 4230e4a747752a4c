"""Data whose answer is known: PCA where PCA is right, far better where it is not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn import datasets
from sklearn.decomposition import PCA

from skvae import MLP, VAETransformer
from tests.samples import curve, factors, fit_quietly, gaussian

BUNDLED = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
# name -> training rows, held-out rows, latent_dim (less than a linear map needs)
CURVED = {
    "curve in a plane": (curve(800, 2), curve(400, 2, seed=1), 1),
    "curve in ten columns": (curve(800, 10), curve(400, 10, seed=1), 1),
    "s-curve": (
        datasets.make_s_curve(1000, noise=0.02, random_state=0)[0],
        datasets.make_s_curve(500, noise=0.02, random_state=1)[0],
        2,
    ),
    "swiss roll": (
        datasets.make_swiss_roll(1500, random_state=0)[0],
        datasets.make_swiss_roll(500, random_state=1)[0],
        2,
    ),
}
NORMAL = {
    "correlated": (gaussian(500, 10), gaussian(500, 10), 3),
    "factors": (factors(500, 12, 3), factors(500, 12, 3), 3),
    "few rows": (factors(60, 12, 3), factors(60, 12, 3), 3),
    "fewer codes than factors": (factors(500, 12, 6), factors(500, 12, 6), 2),
}


def squared_error(model, X):
    return np.square(X - model.inverse_transform(model.transform(X))).mean()


def fit(latent_dim, X, **parameters):
    body = MLP(hidden_layer_sizes=(64, 64))
    model = VAETransformer(latent_dim, architecture=body, random_state=0, **parameters)
    return fit_quietly(model, X)


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
@pytest.mark.parametrize("name", BUNDLED)
def test_no_passes_is_scikit_learns_pca(name, latent_dim):
    X = BUNDLED[name]().data
    model, pca = VAETransformer(latent_dim, max_iter=0).fit(X), PCA(latent_dim, svd_solver="full")
    codes = pca.fit_transform(X)
    assert_allclose(model.transform(X), codes, rtol=0, atol=1e-6 * np.abs(codes).max())
    rows = pca.inverse_transform(codes)
    found = model.inverse_transform(codes)
    assert_allclose(found, rows, rtol=0, atol=1e-6 * np.abs(rows).max())
    assert_allclose(model.score(X), pca.score(X), rtol=1e-6)
    assert_allclose(model.score_samples(X), pca.score_samples(X), rtol=1e-6)
    assert_allclose(model.pca_score_, pca.score(X), rtol=1e-6)
    assert_allclose(model.noise_variance_, pca.noise_variance_, rtol=1e-6)
    assert_allclose(model.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-6)


LONG = dict.fromkeys(("s-curve", "swiss roll"), pytest.mark.slow)


@pytest.mark.parametrize("name", NORMAL)
def test_normal_rows_stay_with_pca(name):
    X, _, latent_dim = NORMAL[name]
    half = len(X) // 2
    model, pca = fit(latent_dim, X[:half]), PCA(latent_dim).fit(X[:half])
    assert squared_error(model, X[half:]) <= 1.005 * squared_error(pca, X[half:])
    assert model.score(X[half:]) >= pca.score(X[half:]) - 0.1


@pytest.mark.parametrize("name", [pytest.param(name, marks=LONG.get(name, ())) for name in CURVED])
def test_bent_rows_are_learnt(name):
    X, held_out, latent_dim = CURVED[name]
    model, pca = fit(latent_dim, X), PCA(latent_dim).fit(X)
    assert model.kept_ > 0
    assert squared_error(model, held_out) < 0.5 * squared_error(pca, held_out)
    assert model.score(held_out) > pca.score(held_out) + 0.1


@pytest.mark.slow
def test_a_random_start_learns_too():
    X, held_out, latent_dim = CURVED["curve in ten columns"]
    model = fit(latent_dim, X, init="random")
    assert squared_error(model, held_out) < 0.5 * squared_error(PCA(1).fit(X), held_out)


def test_noise_is_found():
    """Rows along a line of one code and noise of a known size around it."""
    X, _, latent_dim = CURVED["curve in ten columns"]
    assert_allclose(fit(latent_dim, X).noise_variance_, 0.1**2, rtol=0.25)


def test_scores_are_near_the_entropy():
    """No density beats the one that made the rows; this one comes near it."""
    X, held_out, latent_dim = CURVED["curve in ten columns"]
    rng = np.random.RandomState(0)
    means = curve(20_000, 10, noise=0.0, seed=2)
    squares = np.square(held_out[:100, None] - means[rng.permutation(20_000)[:5000]]).sum(-1)
    log_density = -0.5 * squares / 0.1**2 - 10 * np.log(0.1 * np.sqrt(2 * np.pi))
    best = np.logaddexp.reduce(log_density, axis=1).mean() - np.log(5000)
    found = fit(latent_dim, X).score(held_out[:100])
    assert best - 2 < found < best + 0.3


def test_the_linear_architecture_stays_with_pca():
    X, held_out, latent_dim = CURVED["curve in ten columns"]
    model = fit_quietly(
        VAETransformer(latent_dim, architecture="linear", max_iter=20, random_state=0), X
    )
    ratio = squared_error(model, held_out) / squared_error(PCA(latent_dim).fit(X), held_out)
    assert_allclose(ratio, 1.0, atol=0.005)


def test_a_fit_is_repeatable():
    X, held_out, latent_dim = CURVED["curve in ten columns"]
    first, second = (fit(latent_dim, X, max_iter=5) for _ in range(2))
    assert np.array_equal(first.transform(held_out), second.transform(held_out))
    assert first.score(held_out) == second.score(held_out)
    assert first.validation_scores_ == second.validation_scores_
