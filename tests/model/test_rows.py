"""Rows are taken, weighed, hidden and made as needed; a stream of them trains to the same bits."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse

from skvae.fitting.fit import fit_model
from skvae.likelihoods import Bernoulli
from skvae.limits import Limits
from skvae.model.rows import CellRows, CellStream, ScoreRows, ScoreStream
from skvae.start.ppca import fit_linear
from tests.samples import curve, options
from tests.tables import MIXED, N, cells, rows_of, table, training_rows


def test_rows_take_and_mean():
    rows = ScoreRows(
        torch.arange(8.0).reshape(4, 2), torch.arange(4.0), torch.tensor([1.0, 0, 0, 3])
    )
    some = rows.take(torch.tensor([3, 0]))
    assert some.scores.tolist() == [[6, 7], [0, 1]]
    assert some.residual.tolist() == [3, 0]
    assert some.weight.tolist() == [3, 1]
    assert rows.mean(rows.residual) == 9 / 4
    assert ScoreRows(rows.scores, rows.residual).mean(rows.residual) == 1.5


def test_rows_know_their_size_and_hide_nothing():
    rows = ScoreRows(torch.zeros(4, 2), torch.zeros(4), torch.ones(4))
    assert (rows.n_rows, rows.n_inputs) == (4, 2)
    assert not rows.is_masked
    assert rows.unmasked(2) is rows
    (some,) = rows.batches(torch.tensor([3, 0]), 2, torch.Generator())
    assert (some.n_rows, some.is_masked) == (2, False)


def test_noise_is_the_generators():
    rows = ScoreRows(torch.zeros(1000, 2).double(), torch.zeros(1000), None)
    noise = rows.draw_noise(3, torch.Generator().manual_seed(0))
    assert noise.dtype == torch.float64
    assert_allclose(noise.mean(), 0, atol=0.1)
    assert_allclose(noise.std(), 1, atol=0.1)
    assert torch.equal(noise, rows.draw_noise(3, torch.Generator().manual_seed(0)))


def test_a_batch_only_hides_observed_cells_and_keeps_what_they_were():
    X = rows_of(MIXED, share=0.2)
    rows = dataclasses.replace(cells(X, MIXED), masked_share=0.5)
    generator = torch.Generator().manual_seed(0)
    index = torch.arange(0, N, 2)
    masked, shares = 0, []
    for _ in range(200):
        (batch,) = rows.batches(index, len(index), generator)
        if not batch.is_masked:
            torch.testing.assert_close(batch.values, rows.values[index], equal_nan=True)
            continue
        masked += 1
        torch.testing.assert_close(batch.targets, rows.values[index], equal_nan=True)
        hidden = batch.values.isnan()
        assert hidden[batch.targets.isnan()].all()
        assert torch.equal(batch.values[~hidden], batch.targets[~hidden])
        shares.append((hidden & ~batch.targets.isnan()).double().mean().item())
        whole = batch.unmasked(10)
        torch.testing.assert_close(whole.values[:10], batch.targets[:10], equal_nan=True)
        torch.testing.assert_close(whole.values[10:], batch.values[10:], equal_nan=True)
    assert 70 < masked < 130
    assert max(shares) < 0.6
    assert min(shares) < 0.1


def test_sparse_rows_are_taken_dense():
    X = rows_of("poisson")
    dense, stream = (training_rows(each, "poisson") for each in (X, sparse.csr_array(X)))
    assert isinstance(dense, CellRows)
    assert isinstance(stream, CellStream)
    index = torch.tensor([5, 3, 3, 0])
    torch.testing.assert_close(stream.take(index).values, dense.take(index).values)
    assert (stream.n_rows, stream.n_inputs) == (dense.n_rows, dense.n_inputs) == X.shape


def test_probabilities_are_drawn_as_often_as_they_say():
    n = 20_000
    values = torch.tensor([[0.2, 0.9, 0.7]], dtype=torch.float64).repeat(n, 1)
    values[0, 1] = torch.nan
    are_probabilities = torch.tensor([True, True, False])
    drawn = CellRows(values, None, probabilities=are_probabilities).drawn(
        torch.Generator().manual_seed(0)
    )
    share = drawn.values[1:].mean(0)
    assert_allclose(share[:2], [0.2, 0.9], atol=0.015)  # five standard deviations
    assert set(drawn.values[1:, :2].unique().tolist()) == {0.0, 1.0}
    assert (drawn.values[:, 2] == 0.7).all()
    assert drawn.values[0, 1].isnan()
    assert drawn.probabilities is None


def test_some_of_the_rows_keep_their_weights():
    cells = CellRows(torch.arange(12.0).view(6, 2), torch.arange(6.0))
    taken = cells.take(torch.tensor([4, 1]))
    assert taken.weight.tolist() == [4.0, 1.0]
    assert taken.values.tolist() == [[8.0, 9.0], [2.0, 3.0]]


# Rows that are made when they are asked for


def bits_of(batches):
    """Cells and targets of batches, of which some are hidden."""
    return [(batch.values, batch.targets, batch.weight) for batch in batches]


def assert_same_bits(ours, theirs):
    for pair in zip(ours, theirs, strict=True):
        for a, b in zip(*pair, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_table_that_is_streamed_trains_on_the_same_bits(likelihood, share, dtype, weighted):
    X = rows_of(likelihood, share=share)
    weight = np.linspace(0.5, 1.5, N) if weighted else None
    held = training_rows(X, likelihood, weight, dtype)
    stream = training_rows(X, likelihood, weight, dtype, n_bytes=0)
    assert isinstance(held, CellRows)
    assert isinstance(stream, CellStream)
    assert (stream.n_rows, stream.n_inputs) == (held.n_rows, held.n_inputs)
    assert stream.masked_share == held.masked_share > 0
    assert_same_bits(*(bits_of([rows.take(torch.tensor([7, 3, 3, 0]))]) for rows in (held, stream)))
    index = torch.randperm(N, generator=torch.Generator().manual_seed(1))
    once, again = (
        bits_of(rows.batches(index, 3, torch.Generator().manual_seed(0))) for rows in (held, stream)
    )
    assert any(targets is not None for _, targets, _ in once), "some batches have cells hidden"
    assert_same_bits(once, again)
    noise = [rows.draw_noise(3, torch.Generator().manual_seed(0)) for rows in (held, stream)]
    assert noise[1].shape == (N, 3)
    assert torch.equal(*noise)


def test_a_table_that_is_streamed_has_the_same_fit():
    X = rows_of(MIXED, share=0.1)
    held, streamed = (
        fit_model(
            table(X, MIXED),
            None,
            options(latent_dim=2, max_iter=3, limits=Limits(held_bytes=n_bytes, few_rows=0)),
        )[1].left
        for n_bytes in (2**20, 0)
    )
    assert held.keys() == streamed.keys()
    for name, weights in held.items():
        assert np.array_equal(weights, streamed[name]), name


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("weighted", [False, True])
def test_streamed_scores_are_those_that_would_be_held(container, weighted):
    X = curve(300, 6).astype(np.float32)
    weight = np.linspace(0.5, 1.5, 300) if weighted else None
    made = fit_linear(X, 2).representation.training_rows
    held = made(X, weight, np.float32, torch.device("cpu"), 2**20)
    streamed = made(container(X), weight, np.float32, torch.device("cpu"), 0)
    assert isinstance(held, ScoreRows)
    assert isinstance(streamed, ScoreStream)
    assert (streamed.n_rows, streamed.n_inputs) == (held.n_rows, held.n_inputs)
    assert torch.equal(
        *(rows.draw_noise(2, torch.Generator().manual_seed(0)) for rows in (held, streamed))
    )
    index = torch.tensor([7, 3, 250, 0])
    expected = held.take(index)
    here, order = streamed.load(index)
    (batch,) = streamed.batches(index, 10, None)
    for rows in (streamed.take(index), batch, here.take(order)):
        assert_allclose(rows.scores, expected.scores, atol=1e-5)
        assert_allclose(rows.residual, expected.residual, atol=1e-5)
        assert (rows.weight is None) == (weight is None)
        if weighted:
            assert_allclose(rows.weight, expected.weight)


def test_a_stream_reads_its_rows_in_the_order_of_the_file():
    X = curve(300, 6)
    made = fit_linear(X, 2).representation.training_rows
    stream = made(X, None, np.float64, torch.device("cpu"), 0)
    read = []

    class Noted(np.ndarray):
        def __getitem__(self, index):
            read.append(np.asarray(index))
            return super().__getitem__(index)

    dataclasses.replace(stream, X=X.view(Noted)).load(torch.tensor([7, 3, 250, 0]))
    assert read[0].tolist() == [0, 3, 7, 250]


def test_a_stream_of_probabilities_is_drawn_as_held_rows_are():
    X = np.random.RandomState(0).random_sample((40, 3))
    held, stream = (training_rows(X, Bernoulli(stochastic=True), n_bytes=n) for n in (2**29, 0))
    assert isinstance(stream, CellStream)
    index = torch.arange(0, 40, 3)
    drawn = [rows.take(index).drawn(torch.Generator().manual_seed(0)) for rows in (held, stream)]
    assert torch.equal(drawn[0].values, drawn[1].values)
    assert set(drawn[1].values.unique().tolist()) == {0.0, 1.0}
