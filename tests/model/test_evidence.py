"""What is known of rows for a whole training is what is found of them a batch at a time."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from skvae.limits import Limits
from skvae.model.evidence import with_known_evidence
from skvae.model.rows import CellRows
from tests.tables import MIXED, cells, rows_of, started, with_branches

EVERYTHING = Limits()
KINDS = ["gaussian_diag", "categorical", "student_t", MIXED]


def known(X, likelihood, limits=EVERYTHING, **changes):
    """A start, its rows, and the same of which the evidence is known."""
    start = started(X, likelihood)
    rows = replace(cells(X, likelihood), **changes)
    return start, rows, with_known_evidence(rows, start.module().requires_grad_(False), limits)


@pytest.mark.parametrize("gaps", [0.0, 0.2])
@pytest.mark.parametrize("likelihood", KINDS, ids=str)
def test_posteriors_and_inputs_are_those_of_batches(likelihood, gaps):
    X = rows_of(likelihood, share=gaps)
    start, rows, same = known(X, likelihood, has_gaps=gaps > 0)
    assert rows.evidence is None
    vae = with_branches(start, seed=1).requires_grad_(False)
    chosen = torch.tensor([5, 3, 3, 100, 0])
    again = torch.tensor([4, 0, 2])
    for index in (chosen, again):
        rows, same = rows.take(index), same.take(index)
        found, expected = same.evidence, vae.evidence(rows)
        assert_close(found.inputs, expected.inputs, rtol=0, atol=1e-12)
        for own, other in zip(vae.encode(same), vae.encode(rows), strict=True):
            assert (own is None) == (other is None)
            if own is not None:
                assert_close(own, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("likelihood", KINDS, ids=str)
def test_cells_that_are_hidden_later_are_hidden_alike(likelihood):
    X = rows_of(likelihood, share=0.1)
    start, rows, same = known(X, likelihood)
    vae, generator = start.module().requires_grad_(False), torch.Generator()
    index = torch.tensor([7, 2, 99])
    hidden, own = (part.take(index).hiding(1.0, generator.manual_seed(1)) for part in (rows, same))
    assert hidden.values.isnan().sum() > rows.take(index).values.isnan().sum()
    assert_close(own.values, hidden.values, equal_nan=True)
    found, expected = vae.evidence(own), vae.evidence(hidden)
    assert_close(found.inputs, expected.inputs, rtol=0, atol=1e-12)
    assert_close(found.posterior.mean, expected.posterior.mean, rtol=0, atol=1e-12)
    assert_close(found.posterior.root, expected.posterior.root, rtol=0, atol=1e-12)


def test_rows_with_the_same_gaps_share_a_matrix():
    X = rows_of("gaussian_diag")
    X[1::2, 0] = torch.nan
    X[2, 3] = torch.nan
    _, _, rows = known(X, "gaussian_diag")
    assert len(rows.known.roots) == 3
    assert rows.known.pattern[:5].tolist() == [0, 1, 2, 1, 0]


def test_rows_with_other_cells_are_known_no_more():
    X = rows_of("gaussian_diag")
    start, _, rows = known(X, "gaussian_diag")
    generator = torch.Generator().manual_seed(0)
    hidden = rows.hiding(0.5, generator)
    corrupted = start.module().observation.corrupt(rows, 0.5, 0.0, generator)
    shown = replace(hidden, known=rows.known).unmasked(3)
    for changed in (hidden, corrupted, shown):
        assert changed.evidence is None


def test_drawn_probabilities_are_not_known():
    X = rows_of("bernoulli")
    _, _, rows = known(X, "bernoulli", probabilities=torch.ones(5, dtype=torch.bool))
    assert rows.evidence is None
    _, _, rows = known(X, "bernoulli", probabilities=None)
    every = torch.ones(5, dtype=torch.bool)
    assert replace(rows, probabilities=every).drawn(torch.Generator()).evidence is None


def test_nothing_is_kept_where_there_is_no_room():
    X = rows_of("gaussian_diag")
    assert known(X, "gaussian_diag", Limits(held_bytes=0))[2].evidence is None
    n, d, q = 120, 5, 2
    least = 4 * 8 * (n * (d + q) + q * q)
    assert known(X, "gaussian_diag", Limits(held_bytes=least), has_gaps=False)[2].evidence
    rows = known(X, "gaussian_diag", Limits(held_bytes=least - 4), has_gaps=False)[2]
    assert isinstance(rows, CellRows)
    assert rows.evidence is None
