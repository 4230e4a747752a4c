"""Data sets: where rows come from, how they are scaled and split."""

import numpy as np
import pytest
from scipy import sparse

from benchmarks import datasets
from benchmarks.datasets import DATASETS, SCALINGS, Source
from tests.samples import gaussian


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets(name):
    dataset = DATASETS[name]
    assert dataset.scaling in SCALINGS
    assert (dataset.load is None) != (dataset.file is None)


def test_bundled_data_sets_are_always_there():
    found = datasets.available(Source())
    assert found == [name for name, dataset in DATASETS.items() if dataset.load]
    split = datasets.split("wine", Source(), seed=0)
    assert len(split.X_train) == len(split.y_train)
    np.testing.assert_allclose(split.X_train.mean(0), 0, atol=1e-12)
    assert not np.array_equal(datasets.split("wine", Source(), seed=1).y_test, split.y_test)


def test_a_data_set_that_is_not_there_says_what_it_needs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"needs the file mnist.npz .*--openml"):
        datasets.read("mnist", Source(str(tmp_path)))


def test_data_sets_from_files(tmp_path):
    X, y = gaussian(20, 4), np.arange(20) % 3
    np.savez(tmp_path / "pol.npz", X=X, y=y)
    np.savez(tmp_path / "mnist.npz", X_train=X, y_train=y, X_test=X[:5], y_test=y[:5])
    sparse.save_npz(tmp_path / "basehock.sparse.npz", sparse.csr_matrix(np.abs(X)))
    source = Source(str(tmp_path))
    assert {"pol", "mnist", "basehock"} <= set(datasets.available(source))
    assert datasets.read("pol", source).X.shape == (20, 4)
    mnist = datasets.split("mnist", source, seed=0)
    assert (len(mnist.X_train), len(mnist.X_test)) == (20, 5)
    assert sparse.issparse(datasets.split("basehock", source, seed=0).X_train)


def test_rank_and_the_dims_below_it():
    X = gaussian(50, 3) @ np.ones((3, 8)) + gaussian(50, 2) @ np.eye(2, 8)
    assert datasets.rank(X) == 3
    assert datasets.fitting_dims(X, [1, 2, 3, 8]) == [1, 2]
