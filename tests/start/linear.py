"""What a linear start says of rows, beside what scikit-learn's PCA says of them."""

import numpy as np
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA


def codes(start, X):
    return start.project(X)[0][:, : start.latent_dim] * start.scale


def reconstruction(start, X):
    scores = start.project(X)[0]
    scores[:, start.latent_dim :] = 0
    return start.restore(scores)


def log_prob(start, X):
    return start.log_density(*start.project(X)) + start.log_jacobian


def maximum_likelihood_log_prob(start, X):
    """The density with the noise of maximum likelihood alone, in closed form."""
    return normal_of(start, start.noise_variance).logpdf(X)


def normal_of(start, noise_variance):
    """The normal of a noise variance: its spread along the units is the same with any noise."""
    directions = start.components[: start.latent_dim]
    along = (start.variances[: start.latent_dim] - noise_variance)[:, None]
    covariance = directions.T @ (along * directions) + noise_variance * np.eye(start.n_features)
    return multivariate_normal(start.mean, covariance * start.scale**2)


def assert_close(actual, expected, tolerance=1e-9):
    """Relative to the largest value of what is expected."""
    assert_allclose(actual, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def assert_is_pca(start, X, tolerance=1e-9):
    pca = PCA(start.latent_dim, svd_solver="full").fit(X)
    assert_close(codes(start, X), pca.transform(X), tolerance)
    assert_close(reconstruction(start, X), pca.inverse_transform(pca.transform(X)), tolerance)
    if X.shape[0] > X.shape[1]:
        assert_close(log_prob(start, X), pca.score_samples(X), tolerance)
    else:  # one half of the density is scikit-learn's, the other is that of least noise
        assert log_prob(start, X).mean() >= pca.score(X)
        parts = [pca.score_samples(X), maximum_likelihood_log_prob(start, X)]
        assert_close(log_prob(start, X), np.logaddexp(*parts) - np.log(2), tolerance)
