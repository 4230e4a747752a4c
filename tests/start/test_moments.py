"""Moments of batches merged, judged by those of all their rows together."""

import dataclasses
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from skvae.start.moments import Moments, no_moments
from skvae.start.ppca import FINE_TAIL, fit_linear, linear_start, most_directions
from skvae.start.spectrum import ROUTES, Routes
from tests.samples import gaussian


def merged(batches, weights=None, latent_dim=2, **kept):
    """Moments of batches, one after the other."""
    found = no_moments(batches[0])
    for i, batch in enumerate(batches):
        found = found.merged(batch, None if weights is None else weights[i], 2 * latent_dim, **kept)
    return found


def start_of(found, latent_dim=2, routes=ROUTES):
    spectrum = found.spectrum(most_directions(latent_dim), routes)
    return linear_start(spectrum, found.n_rows, latent_dim, FINE_TAIL)


def assert_same_start(start, expected, tolerance=1e-9):
    assert start.n_rows == expected.n_rows
    assert start.latent_dim == expected.latent_dim
    assert start.rank == expected.rank
    spread = expected.scale * np.sqrt(expected.total_variance)
    assert (
        np.abs(start.mean - expected.mean).max()
        <= tolerance * spread + 4e-16 * np.abs(expected.mean).max()
    )
    for name in ("scale", "noise_variance", "total_variance", "variances"):
        assert_allclose(getattr(start, name), getattr(expected, name), rtol=tolerance)
    assert_allclose(start.components, expected.components, atol=100 * tolerance)


SPLITS = {
    "one": [],
    "halves": [150],
    "rows": list(range(1, 300)),
    "uneven": [1, 3, 10, 11, 200, 299],
}


@pytest.mark.parametrize("offset", [0.0, 1e8, -3e5])
@pytest.mark.parametrize("is_sorted", [False, True])
@pytest.mark.parametrize("split", SPLITS)
def test_the_start_is_that_of_all_rows(split, is_sorted, offset):
    X = gaussian(300, 8)
    X = (X[X[:, 0].argsort()] if is_sorted else X) + offset
    found = merged(np.split(X, SPLITS[split]))
    assert_same_start(start_of(found), fit_linear(X, 2))


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_at_every_scale(scale):
    X = gaussian(200, 6)
    found = start_of(merged(np.array_split(scale * X, 7)))
    assert_same_start(found, fit_linear(scale * X, 2))
    assert_allclose(found.scale, scale * fit_linear(X, 2).scale, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e150])
def test_weights_count_within_and_between_batches(scale):
    X, rng = gaussian(200, 6), np.random.default_rng(0)
    weight = scale * rng.lognormal(size=200)
    cuts = [5, 6, 90]
    found = merged(np.split(X, cuts), np.split(weight, cuts))
    assert_same_start(start_of(found), fit_linear(X, 2, weight))


def test_the_covariance_in_closed_form():
    X, weight = gaussian(100, 4), np.random.default_rng(0).uniform(0.1, 3, 100)
    found = merged(np.array_split(X, 9), np.array_split(weight, 9))
    covariance = found.root.T @ found.root * 4.0**found.exponent
    assert_allclose(found.mean, np.average(X, axis=0, weights=weight), rtol=1e-12)
    expected = np.cov(X.T, aweights=weight, ddof=0)
    assert_allclose(covariance, expected, atol=1e-12 * expected.max())
    assert found.root.shape == (4, 4)


def test_the_order_of_batches_does_not_matter():
    batches = np.split(gaussian(300, 5), [7, 8, 100])
    first = start_of(merged(batches))
    for order in ([3, 2, 1, 0], [1, 3, 0, 2]):
        assert_same_start(start_of(merged([batches[i] for i in order])), first)


def test_sparse_rows():
    X = np.where(np.abs(gaussian(200, 6)) > 1, gaussian(200, 6), 0.0)
    batches = [sparse.csr_array(part) for part in np.array_split(X, 4)]
    assert_same_start(start_of(merged(batches)), fit_linear(X, 2))


@pytest.mark.parametrize("n_rows", [2, 20])
def test_more_columns_than_rows(n_rows):
    X = gaussian(n_rows, 40)
    assert_same_start(start_of(merged(np.array_split(X, 2)), 1), fit_linear(X, 1))


def test_one_row_and_rows_that_are_alike():
    row = np.full((1, 3), 0.1)
    for found in (merged([row]), merged([row] * 5), merged([np.repeat(row, 50, 0)] * 3)):
        start = start_of(found)
        assert start.latent_dim == start.rank == 0
        assert_allclose(start.mean, row[0], rtol=0)
    varied = np.concatenate([np.repeat(row, 5, 0), gaussian(30, 3)])
    assert_same_start(start_of(merged(np.split(varied, 35))), fit_linear(varied, 2))


def test_of_many_columns_the_leading_directions_are_kept():
    """What is left out counts as variance all the same."""
    kept = 40 * 12
    rng = np.random.default_rng(0)
    X = 5 * rng.standard_normal((400, 3)) @ rng.standard_normal((3, 40))
    X += 0.1 * rng.standard_normal(X.shape)
    found = merged(np.array_split(X, 8), kept_cells=kept)
    assert found.root.shape == (12, 40)
    start, expected = start_of(found, 3), fit_linear(X, 3)
    assert_allclose(start.scale, expected.scale, rtol=1e-9)
    assert_allclose(start.noise_variance, expected.noise_variance, rtol=1e-3)
    assert_allclose(start.variances[:3], expected.variances[:3], rtol=1e-6)
    assert_allclose(start.components[:3], expected.components[:3], atol=1e-3)
    few = merged(np.array_split(X, 8), latent_dim=10, kept_cells=kept)
    assert len(few.root) == 20, "as many directions as twice the codes"


def test_every_route_to_the_directions():
    X = gaussian(60, 12)
    expected = start_of(merged(np.array_split(X, 3)))
    found = start_of(merged(np.array_split(X, 3)), routes=Routes(direct_cost=0))
    assert_same_start(found, expected, 1e-8)


def test_they_go_on_from_a_start():
    """As if all the rows had been there, where the start has all the directions."""
    X = gaussian(300, 5) + 100
    start = fit_linear(X[:200], 3)
    assert start.n_directions == 5
    before = Moments.of_start(start)
    assert_same_start(start_of(before, 3), start)
    assert_same_start(start_of(before.merged(X[200:], None, 6), 3), fit_linear(X, 3))


def test_a_start_of_few_directions_tells_what_its_others_hold():
    X = 7 * gaussian(300, 9)
    start = dataclasses.replace(
        few := fit_linear(X, 2), components=few.components[:3], variances=few.variances[:3]
    )
    found = Moments.of_start(start)
    within = np.square(found.root).sum()
    assert found.lost > 1e-3 * within
    assert_allclose((within + found.lost) * 4.0**found.exponent, X.var(0).sum(), rtol=1e-9)
    assert_allclose(found.spectrum(3).scale, start.scale, rtol=1e-9)


def test_they_are_arrays_of_a_bounded_size():
    found = merged(np.array_split(gaussian(900, 10), 30))
    assert len(found.root) <= 10
    assert len(pickle.dumps(found)) < 8 * (10 * 10 + 2 * 10) + 1000
