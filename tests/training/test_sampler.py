"""The order of rows: every row comes before any comes again, many rows in blocks."""

import pytest
import torch

from skvae.limits import Limits
from skvae.training.sampler import RowSampler, steps_of_pass


def test_a_pass_of_few_rows_takes_them_all_in_random_order():
    rows = torch.arange(100, 150)
    order = RowSampler(torch.Generator().manual_seed(0), Limits())
    first, second = (order.next(rows, 50) for _ in range(2))
    assert torch.equal(first.sort().values, rows)
    assert torch.equal(second.sort().values, rows)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("batch_size", [1, 7, 10, 16, 100, 250])
@pytest.mark.parametrize("n_rows", [101, 128, 257, 300, 399, 1000])
def test_every_row_comes_before_any_comes_again(n_rows, batch_size):
    """Whatever the numbers of rows, blocks and batches: counts differ by one at most."""
    limits = Limits(pass_rows=100, block_rows=16)
    rows = torch.randperm(2 * n_rows, generator=torch.Generator().manual_seed(1))[:n_rows]
    order = RowSampler(torch.Generator().manual_seed(0), limits)
    n = steps_of_pass(n_rows, batch_size, limits.pass_rows) * batch_size
    counts = torch.zeros(2 * n_rows, dtype=torch.int64)
    for _ in range(30):
        chosen = order.next(rows, n)
        assert len(chosen) == n
        counts += torch.bincount(chosen, minlength=2 * n_rows)
        assert counts[rows].max() - counts[rows].min() <= 1
    assert counts.sum() == 30 * n
    assert counts[rows].min() > 0


def test_passes_over_many_rows_take_blocks_of_neighbours_all_before_any_again():
    limits = Limits(pass_rows=1024, block_rows=16)
    rows = torch.randperm(4096, generator=torch.Generator().manual_seed(1))
    order = RowSampler(torch.Generator().manual_seed(0), limits)
    passes = [order.next(rows, 1024) for _ in range(4)]
    assert torch.equal(torch.cat(passes).sort().values, torch.arange(4096))
    assert all(len((part // 16).unique()) == 64 for part in passes)
    assert not any(torch.equal(part, part.sort().values) for part in passes)
    assert len(order.next(rows, 1024).unique()) == 1024
