"""Slices that cover all rows and stay small."""

import pytest

from skvae.data.batches import BATCH_CELLS, batches


@pytest.mark.parametrize("cells", [BATCH_CELLS, 1000])
def test_batches_cover_the_rows_and_stay_small(cells):
    for n_rows, n_columns in ((0, 3), (1, 1), (10_000, 5), (9, 3_000_000), (5, 9_000_000)):
        slices = list(batches(n_rows, n_columns, cells))
        assert [i for s in slices for i in range(n_rows)[s]] == list(range(n_rows))
        assert all((s.stop - s.start) * n_columns <= max(cells, n_columns) for s in slices)
