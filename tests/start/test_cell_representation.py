"""Cells of a table for training and for questions."""

from tests.tables import MIXED, rows_of, training_rows


def test_the_more_is_missing_the_more_batches_hide_cells():
    shares = []
    for share in (0.0, 0.04, 0.9):
        X = rows_of(MIXED, share=share)
        rows = training_rows(X, MIXED)
        shares.append(rows.masked_share)
    assert 0 < shares[0] < shares[1] < shares[2] <= 0.5
