"""Expected values of cells as numbers: of known cells they are the cells, of others the model's."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skvae.fitted.expectations import Expectations
from tests.tables import TABLES, rows_of, started


@pytest.fixture(params=TABLES)
def asked(request):
    """A linear model of a table, rows with gaps as values and as cells, and its expectations."""
    X = rows_of(TABLES[request.param], share=0.2)
    start = started(X, TABLES[request.param])
    units, vae = start.representation.units, start.module()
    rows = start.representation.whole_rows(X, "cpu")
    return X, rows, vae, Expectations(units, vae.observation)


@torch.no_grad()
def test_what_is_known_is_decided_to_be_what_it_is(asked):
    X, rows, _, expectations = asked
    known = expectations.known(X, rows.values)
    columns = expectations.units.columns[expectations.owners]
    assert_array_equal(np.isnan(known), np.isnan(X)[:, columns])
    found, there = expectations.decided(np.nan_to_num(known)), ~np.isnan(X)
    assert_allclose(found[there], X[there], rtol=1e-12)


@torch.no_grad()
def test_expected_values_are_decided_as_the_decoder_does(asked):
    _, rows, vae, expectations = asked
    decoded = vae.decode(vae.encode(rows).mean)
    theirs = expectations.units.values(vae.observation.expected(decoded, rows.values).numpy())
    ours = expectations.decided(expectations.of(decoded, rows.values))
    assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_of_levels_they_are_probabilities(asked):
    _, rows, vae, expectations = asked
    expected = expectations.of(vae.decode(vae.encode(rows).mean), rows.values)
    for likelihood, own, _ in expectations.units.parts:
        for cell in own if likelihood.is_coded else ():
            shares = expected[:, expectations.owners == cell]
            assert shares.shape[1] > 1
            assert (shares >= 0).all()
            assert_allclose(shares.sum(1), 1.0)


def test_a_level_that_fit_has_not_seen_is_not_known():
    X = rows_of("categorical")
    start = started(X, "categorical")
    expectations = Expectations(start.representation.units, start.module().observation)
    X[0, 0] = 99.0
    rows = start.representation.whole_rows(X, "cpu")
    known = np.isnan(expectations.known(X, rows.values))
    assert known[0, expectations.owners == 0].all()
    assert known.sum() == (expectations.owners == 0).sum()
