"""Codes that are projections: nearer the rows than the encoder's, and PCA's where PCA is kept."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skvae.model.refinement import refined_codes
from skvae.model.rows import CellRows
from tests import tables
from tests.samples import curve, fitted, projected


def error(vae, rows, z):
    return vae.observation.squared_error(rows, vae.reconstruct(z))


@pytest.fixture(scope="module")
def model():
    model = fitted(curve(600, 5), max_iter=60)
    assert model.architecture is not None
    return model


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_row_is_farther_and_most_are_nearer(model, dtype):
    vae = model.module(dtype)
    rows = projected(model.start, curve(300, 5, seed=1)).to(dtype)
    before = error(vae, rows, vae.codes(rows))
    after = [error(vae, rows, refined_codes(vae, rows, n)) for n in (0, 1, 4, 12)]
    torch.testing.assert_close(after[0], before)
    for later, earlier in zip(after[1:], after, strict=False):
        assert (later <= earlier * (1 + 1e-5)).all()
    assert after[-1].mean() < 0.95 * before.mean()


@torch.no_grad()
def test_enough_steps_find_a_point_that_none_nearby_is_nearer_than(model):
    vae, rows = model.module(torch.float64), projected(model.start, curve(100, 5, seed=1))
    codes = refined_codes(vae, rows, 100)
    near = error(vae, rows, codes)
    for step in 0.3 * torch.eye(codes.shape[1], dtype=codes.dtype):
        for sign in (-1.0, 1.0):
            assert (error(vae, rows, codes + sign * step) > 0.97 * near).all()


@torch.no_grad()
def test_codes_of_a_linear_model_are_projections_already(model):
    vae, rows = model.start.module(), projected(model.start, curve(100, 5, seed=1))
    assert torch.equal(refined_codes(vae, rows, 12), vae.codes(rows))


def test_columns_with_noises_of_their_own_keep_the_encoders_codes():
    X = tables.rows_of(tables.MIXED)
    vae = tables.with_branches(tables.started(X, tables.MIXED))
    rows = tables.cells(X, tables.MIXED)
    with torch.no_grad():
        torch.testing.assert_close(refined_codes(vae, rows, 12), vae.codes(rows))


@torch.no_grad()
def test_missing_cells_are_nobodys_error(model):
    """Of rows with gaps the known cells come nearer, and unknown codes stay near the encoder's."""
    cells = model.of_cells()
    X = curve(200, 5, seed=1)
    X[:, 1] = np.nan
    vae = cells.module(torch.float64)
    rows = CellRows(torch.from_numpy(cells.representation.units.cells(X)))
    codes, refined = vae.codes(rows), refined_codes(vae, rows, 12)
    assert (error(vae, rows, refined) <= error(vae, rows, codes) * (1 + 1e-9)).all()
    assert error(vae, rows, refined).mean() < error(vae, rows, codes).mean()
    nothing = dataclasses.replace(rows, values=torch.full_like(rows.values, torch.nan))
    torch.testing.assert_close(refined_codes(vae, nothing, 12), vae.codes(nothing))


def test_what_users_get_is_refined(model):
    X = curve(300, 5, seed=1)
    errors = [
        np.square(X - model.reconstruct(model.codes(X, False, n), False)).mean() for n in (0, 12)
    ]
    assert errors[1] < 0.95 * errors[0]
    with torch.inference_mode():
        assert_allclose(model.codes(X, False, 12), model.codes(X, False, 12))
    parts = [model.codes(X[own], False, 12) for own in (slice(0, 1), slice(1, 300))]
    assert_allclose(np.concatenate(parts), model.codes(X, False, 12), rtol=1e-9, atol=1e-9)
