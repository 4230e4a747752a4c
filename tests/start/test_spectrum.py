"""Directions of dense and sparse rows by every route, and spectra that are remembered."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skvae.data.batches import LARGEST
from skvae.start import ppca, spectrum
from skvae.start.ppca import fit_linear, linear_start
from skvae.start.spectrum import Routes, Spectra, farthest_cell, find_spectrum
from tests.samples import factors, gaussian, uncorrelated
from tests.start.linear import assert_close, assert_is_pca, codes, log_prob

# route of the decomposition -> (rows, columns) and what leads there
ROUTES = {
    "direct": ((60, 8), Routes()),
    "direct, wide": ((8, 60), Routes()),
    "covariance": ((60, 8), Routes(direct_cost=0)),
    "gram": ((20, 60), Routes(direct_cost=0)),
    "subspace": ((60, 40), Routes(direct_cost=0, exact_size=0)),
    "subspace, wide": ((30, 60), Routes(direct_cost=0, exact_size=0)),
}


def start_by(routes, X, latent_dim, limit=512):
    """The start of rows by a route of the decomposition."""
    found = find_spectrum(X, None, min(limit, *X.shape), np.random.RandomState(0), routes)
    return linear_start(found, X.shape[0], latent_dim)


@pytest.mark.parametrize("latent_dim", [1, 3, 6])
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_gives_pca(route, latent_dim):
    shape, routes = ROUTES[route]
    X = gaussian(*shape)
    assert_is_pca(start_by(routes, X, latent_dim), X)


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_takes_sparse_rows(route):
    shape, routes = ROUTES[route]
    X = gaussian(*shape)
    X = np.where(np.abs(X) > 1, X, 0.0)
    dense = start_by(routes, X, 3)
    for matrix in (sparse.csr_matrix(X), sparse.csc_matrix(X)):
        start = start_by(routes, matrix, 3)
        assert_close(codes(start, matrix), codes(dense, X))
        assert_close(log_prob(start, matrix), log_prob(dense, X))


def test_truncated_subspace_iteration_finds_the_leading_directions():
    routes = Routes(direct_cost=0, exact_size=0)
    X = factors(300, 120, rank=4)
    assert_is_pca(start_by(routes, X, 3, limit=6), X, tolerance=1e-5)


def test_wide_sparse_rows_are_never_dense():
    # A budget that makes the test quick; the memory is that of a batch and of the directions.
    quick = Routes(exact_size=100, n_iterations=1, batch_cells=1_000_000)
    X = sparse.random(800, 30_000, density=1e-3, format="csr", random_state=0)
    dense = X.shape[0] * X.shape[1] * 8
    tracemalloc.start()
    start = start_by(quick, X, 4, limit=8)
    start.project(X, batch_cells=quick.batch_cells)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < dense / 4


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
def test_values_whose_squares_are_no_numbers_are_refused(container):
    X = gaussian(60, 5)
    X /= np.abs(X).max()
    fit_linear(container(LARGEST * X), 2)
    message = r"value of size 2e\+153; .*beyond 1e\+153.*StandardScaler"
    with pytest.raises(ValueError, match=message):
        fit_linear(container(2 * LARGEST * X), 2)


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

    monkeypatch.setattr(spectrum, "find_spectrum", draw_and_find)  # of what is remembered
    monkeypatch.setattr(ppca, "find_spectrum", draw_and_find)  # and of what is not
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


# For the rows themselves, and for their covariance.
EXACT = [ROUTES[route][1] for route in ("direct", "covariance")]


@pytest.mark.parametrize("ratio", [1e3, 1e6, 1e8, 1e12])
@pytest.mark.parametrize("routes", EXACT)
def test_variances_far_below_the_largest_are_told(routes, ratio):
    """A covariance is rounded at the size of its largest variance: smaller ones are found anew."""
    deviations = np.array([1.5, ratio, np.sqrt(ratio), 2.0, 3.0, 1.0])
    found = find_spectrum(uncorrelated(400, deviations), None, 6, np.random.RandomState(0), routes)
    assert (found.variances > found.rounding).all()
    expected = np.square(np.sort(deviations)[::-1])
    assert_allclose(found.variances * found.scale**2, expected, rtol=1e-6)
    order = np.argsort(-deviations)
    assert_allclose(np.abs(found.components), np.eye(6)[order], atol=1e-6)


@pytest.mark.parametrize("routes", EXACT)
@pytest.mark.parametrize("size", [1.0, 1e5, 1e-200])
def test_what_is_no_direction_is_rounding(routes, size):
    Z = gaussian(400, 3)
    X = np.c_[Z, Z[:, 0] + Z[:, 1], Z[:, 2]] * size
    found = find_spectrum(X, None, 5, np.random.RandomState(0), routes)
    assert (found.variances > found.rounding).sum() == 3
