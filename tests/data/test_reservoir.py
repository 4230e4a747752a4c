"""An even sample of a stream, and lots that a row's cells alone decide."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from skvae.data.reservoir import Reservoir, SampleSize, lots

# 100 rows at most, 20 where rows are wide.
SMALL = SampleSize(most_rows=100, most_cells=1000, fewest_rows=20)


def stream(n_batches, n_columns=2, weight=None, seed=0):
    """The sample of batches of 50 rows, each with its number in every cell."""
    rng, sample = np.random.RandomState(seed), Reservoir.empty(n_columns)
    for k in range(n_batches):
        rows = np.repeat(np.arange(50.0 * k, 50.0 * k + 50)[:, None], n_columns, axis=1)
        sample = sample.with_rows(rows, None if weight is None else weight(rows[:, 0]), rng, SMALL)
    return sample


def test_few_rows_are_all_kept_in_their_order():
    sample = stream(2)
    assert sample.n_rows == 100
    assert_array_equal(sample.values[:, 0], np.arange(100.0))
    assert sample.weight_of(slice(None)) is None


def test_every_row_is_as_likely_to_be_kept():
    sample = stream(20)
    assert sample.n_rows == 1000
    assert sample.values.shape == (100, 2)
    kept = np.concatenate([stream(20, seed=seed).values[:, 0] for seed in range(100)])
    shares = np.histogram(kept, bins=5, range=(0, 1000))[0] / len(kept)
    assert_allclose(shares, 0.2, atol=0.02)  # five standard deviations of 10000 draws


def test_keys_are_the_least_and_weights_those_of_the_rows():
    sample = stream(20, weight=lambda number: number + 1.0)
    assert_array_equal(sample.weight, sample.values[:, 0] + 1.0)
    assert_array_equal(sample.weight_of(sample.weight > 500), sample.weight[sample.weight > 500])
    drawn = np.random.RandomState(0).random_sample(1000)
    assert_array_equal(np.sort(sample.keys), np.sort(drawn)[:100])
    assert_array_equal(sample.keys, drawn[sample.values[:, 0].astype(int)])


def test_wide_rows_are_fewer_but_not_too_few():
    assert len(stream(3, n_columns=25).values) == 40
    assert len(stream(3, n_columns=500).values) == 20


def test_lots_are_even_and_their_cells_alone_decide():
    X = np.random.RandomState(0).standard_normal((4000, 3))
    drawn = lots(X, 1)
    assert_allclose(np.histogram(drawn, bins=10, range=(0, 1))[0], 400, atol=100)
    assert_array_equal(lots(X[::-1], 1), drawn[::-1])
    assert_array_equal(lots(sparse.csr_array(X), 1), drawn)


def test_lots_follow_seed_and_columns():
    X = np.random.RandomState(0).standard_normal((1000, 3))
    assert abs(np.corrcoef(lots(X, 1), lots(X, 2))[0, 1]) < 0.2
    assert (lots(X, 1) != lots(X[:, ::-1], 1)).all()


def test_one_zero_and_one_gap():
    X = np.array([[0.0, 1.0], [np.nan, 1.0]])
    other = np.array([[-0.0, 1.0], [-np.nan, 1.0]])
    assert_array_equal(lots(X, 1), lots(other, 1))
