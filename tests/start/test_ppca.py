"""Probabilistic PCA in closed form, judged by scikit-learn's PCA and by its own definition."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA

from skvae.data import batches as batches_module
from skvae.data.batches import batches
from skvae.start import ppca as linear
from skvae.start import spectrum
from skvae.start.latent_dim import choose_latent_dim
from skvae.start.ppca import fit_linear
from skvae.start.spectrum import Spectra, farthest_cell
from tests.samples import factors, gaussian

# route of the decomposition -> (rows, columns) and the constants that lead there
ROUTES = {
    "direct": ((60, 8), {}),
    "direct, wide": ((8, 60), {}),
    "covariance": ((60, 8), {"_DIRECT_COST": 0}),
    "gram": ((20, 60), {"_DIRECT_COST": 0}),
    "subspace": ((60, 40), {"_DIRECT_COST": 0, "_EXACT_SIZE": 0}),
    "subspace, wide": ((30, 60), {"_DIRECT_COST": 0, "_EXACT_SIZE": 0}),
}


@pytest.fixture(params=ROUTES)
def rows_of_route(request, monkeypatch):
    shape, constants = ROUTES[request.param]
    for name, value in constants.items():
        monkeypatch.setattr(linear, name, value)
    return gaussian(*shape)


def codes(start, X):
    return start.project(X)[0][:, : start.latent_dim] * start.scale


def reconstruction(start, X):
    scores = start.project(X)[0]
    scores[:, start.latent_dim :] = 0
    return start.restore(scores)


def log_prob(start, X):
    return start.log_prob(*start.project(X)) + start.log_jacobian


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


@pytest.mark.parametrize("latent_dim", [1, 3, 6])
def test_every_route_gives_pca(rows_of_route, latent_dim):
    assert_is_pca(fit_linear(rows_of_route, latent_dim), rows_of_route)


def test_every_route_takes_sparse_rows(rows_of_route):
    X = np.where(np.abs(rows_of_route) > 1, rows_of_route, 0.0)
    dense = fit_linear(X, 3)
    for matrix in (sparse.csr_matrix(X), sparse.csc_matrix(X)):
        start = fit_linear(matrix, 3)
        assert_close(codes(start, matrix), codes(dense, X))
        assert_close(log_prob(start, matrix), log_prob(dense, X))


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
    shown, theirs = start.noise_variances
    assert shown == start.noise_variance
    assert_allclose(theirs * start.scale**2, pca.noise_variance_, rtol=1e-9)
    rows = np.concatenate([X, gaussian(50, shape[1], seed=1), 10 * gaussian(50, shape[1], seed=2)])
    parts = [normal_of(start, noise).logpdf(rows) for noise in start.noise_variances]
    found = log_prob(start, rows)
    assert_allclose(found, np.logaddexp(*parts) - np.log(2), rtol=1e-9)
    for part in parts:
        assert (found >= part - np.log(2) - 1e-9 * np.abs(part)).all()
    pca_log_prob = pca.score_samples(rows)
    assert (found >= pca_log_prob - np.log(2) - 1e-9 * np.abs(pca_log_prob)).all()


def test_one_noise_where_scikit_learns_is_the_same():
    for X, latent_dim in ((gaussian(60, 8), 3), (gaussian(8, 60), 7), (gaussian(9, 8), 3)):
        start = fit_linear(X, latent_dim)
        assert start.noise_variances == (start.noise_variance,)


def test_the_mean_variance_of_a_scaled_column_is_one():
    X = 1e4 * gaussian(50, 5)
    start = fit_linear(X, 2)
    assert start.total_variance == 5
    assert_allclose(X.var(axis=0, ddof=1).mean(), start.scale**2)


def test_truncated_subspace_iteration_finds_the_leading_directions(monkeypatch):
    monkeypatch.setattr(spectrum, "_DIRECT_COST", 0)
    monkeypatch.setattr(spectrum, "_EXACT_SIZE", 0)
    monkeypatch.setattr(linear, "_MAX_DIRECTIONS", 6)
    X = factors(300, 120, rank=4)
    assert_is_pca(fit_linear(X, 3), X, tolerance=1e-5)


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


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_values_whose_squares_are_no_numbers_are_refused(container):
    X = gaussian(60, 5)
    X /= np.abs(X).max()
    fit_linear(container(batches_module.LARGEST * X), 2)
    message = r"value of size 2e\+153; .*beyond 1e\+153.*StandardScaler"
    with pytest.raises(ValueError, match=message):
        fit_linear(container(2 * batches_module.LARGEST * X), 2)


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
        assert_allclose(fewer.noise_variances, fresh.noise_variances)
        assert_allclose(fewer.mean_log_prob(X), fresh.mean_log_prob(X), rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(60, 8), (8, 60)])
def test_mean_log_prob_is_the_mean_over_the_rows(shape, weighted):
    X = gaussian(*shape)
    weight = np.random.RandomState(0).uniform(0.5, 2, len(X)) if weighted else None
    start = fit_linear(X, 3, weight)
    mean = np.average(start.log_prob(*start.project(X)), weights=weight)
    assert_allclose(start.mean_log_prob(X, weight), mean, rtol=1e-9)


@pytest.mark.parametrize("tail", [0.02, 0.2])
def test_what_is_left_out_is_a_small_share_of_what_the_units_leave(tail, monkeypatch):
    monkeypatch.setattr(linear, "_FIRST_DIRECTIONS", 20)
    X = gaussian(300, 100) + np.random.default_rng(0).normal(size=(300, 100))
    start = fit_linear(X, 2, tail=tail)
    left = start.total_variance - np.cumsum(PCA().fit(X / start.scale).explained_variance_)
    assert start.n_directions > 20
    k = start.n_directions
    assert left[k - 1] <= tail * left[1] < left[k - 2]


def test_the_first_directions_are_seen_whatever_they_hold(monkeypatch):
    rows = factors(300, 60, rank=10, noise=0.3)
    n_directions = fit_linear(rows, 2, tail=0.5).n_directions
    monkeypatch.setattr(linear, "_FIRST_DIRECTIONS", 1)
    assert fit_linear(rows, 2, tail=0.5).n_directions < n_directions


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_choose_latent_dim_finds_the_true_rank(rank):
    X = factors(400, 15, rank, seed=rank)
    assert choose_latent_dim(X, None, np.random.RandomState(0)) == rank


def test_choose_latent_dim_of_few_rows_and_columns():
    for shape in ((5, 3), (4, 1), (3, 50)):
        chosen = choose_latent_dim(gaussian(*shape), None, np.random.RandomState(0))
        assert 1 <= chosen <= min(shape)


def test_project_is_float64_whatever_it_returns():
    X = gaussian(60, 30) + 1e5
    start = fit_linear(X.astype(np.float32), 2)
    scores, residual = start.project(X.astype(np.float32), np.float32)
    exact = start.project(X.astype(np.float32).astype(np.float64))
    assert scores.dtype == residual.dtype == np.float32
    assert_allclose(scores, exact[0], rtol=1e-5, atol=1e-6)
    assert_allclose(residual, exact[1], rtol=1e-5, atol=1e-6)


def test_scores_and_residual_hold_the_squared_length(monkeypatch):
    monkeypatch.setattr(linear, "_MAX_DIRECTIONS", 4)
    X = factors(80, 30, rank=2, noise=1.0)
    start = fit_linear(X, 2)
    scores, residual = start.project(X)
    assert scores.shape[1] < 30
    squared_length = np.square((X - start.mean) / start.scale).sum(1)
    assert_allclose(np.square(scores).sum(1) + residual, squared_length)


def test_batches_cover_the_rows_and_stay_small():
    for n_rows, n_columns in ((0, 3), (1, 1), (10_000, 5), (9, 3_000_000), (5, 9_000_000)):
        slices = list(batches(n_rows, n_columns))
        assert [i for s in slices for i in range(n_rows)[s]] == list(range(n_rows))
        assert all((s.stop - s.start) * n_columns <= max(4_194_304, n_columns) for s in slices)


def test_wide_sparse_rows_are_never_dense(monkeypatch):
    # Constants that make the test quick; the memory is that of a batch and of the directions.
    monkeypatch.setattr(linear, "_MAX_DIRECTIONS", 8)
    monkeypatch.setattr(spectrum, "_EXACT_SIZE", 100)
    monkeypatch.setattr(spectrum, "_N_ITERATIONS", 1)
    monkeypatch.setattr(batches_module, "_BATCH_CELLS", 1_000_000)
    X = sparse.random(800, 30_000, density=1e-3, format="csr", random_state=0)
    dense = X.shape[0] * X.shape[1] * 8
    tracemalloc.start()
    start = fit_linear(X, 4)
    start.project(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < dense / 4


def test_farthest_cell_names_column_and_distance():
    X = gaussian(100, 4)
    X[17, 2] = 1e6
    deviations = (X[17, 2] - X[:, 2].mean()) / X[:, 2].std(ddof=1)
    assert "column 2" in farthest_cell(X)
    assert "column 'price'" in farthest_cell(X, ["a", "b", "price", "c"])
    assert f"{deviations:.3g} standard deviations" in farthest_cell(X)


def test_a_spectrum_is_found_once_and_the_generator_goes_on_alike(monkeypatch):
    found = []
    find = spectrum.find_spectrum

    def draw_and_find(X, sample_weight, limit, rng):
        found.append(rng.random_sample())
        return find(X, sample_weight, limit, rng)

    monkeypatch.setattr(spectrum, "find_spectrum", draw_and_find)
    X, spectra = gaussian(100, 6), Spectra()
    ends = []
    for known in (None, spectra, spectra):
        rng = np.random.RandomState(3)
        start = fit_linear(X, 2, None, rng, known)
        assert_array_equal(start.components, fit_linear(X, 2).components)
        ends.append(rng.random_sample())
    assert len(set(ends)) == 1
    fit_linear(X, 4, None, np.random.RandomState(3), spectra)
    found.clear()
    fit_linear(X, 5, None, np.random.RandomState(3), spectra)
    assert not found
    fit_linear(X + 1.0, 5, None, np.random.RandomState(3), spectra)
    fit_linear(X, 5, np.linspace(1, 2, 100), np.random.RandomState(3), spectra)
    fit_linear(sparse.csr_matrix(X), 5, None, np.random.RandomState(3), spectra)
    assert len(found) == 3


def test_spectra_forget_what_takes_too_much_memory():
    spectra = Spectra(most_bytes=2500)
    for seed in range(4):
        fit_linear(gaussian(50, 10, seed=seed), 2, None, np.random.RandomState(0), spectra)
    assert sum(known.n_bytes for known in spectra._known.values()) <= 2500
    assert len(spectra._known) == 2


def test_choosing_units_counts_rows_by_what_they_say():
    """Equal weights choose as none do; where few rows weigh, fewer units are told apart."""
    X = factors(400, 8, 4, noise=1.5)

    def chosen(weight):
        return choose_latent_dim(X, weight, np.random.RandomState(0))

    assert chosen(np.full(400, 3.0)) == chosen(None)
    w = np.random.RandomState(0).lognormal(0, 1, 400)
    assert chosen(1e-3 * w) == chosen(w)
    heavy = np.where(np.arange(400) % 20 == 0, 1.0, 1e-6)
    assert chosen(heavy) < chosen(None)


def test_all_directions_alike_leave_something_to_every_unit():
    """Where the rest varies as much as a unit does, the noise is still a little less."""
    X = np.concatenate([np.eye(6), -np.eye(6)])
    start = fit_linear(X, 2)
    assert (start.weights**2 > 0.9e-6 * start.variances[:2]).all()
