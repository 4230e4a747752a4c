"""Frames: tables of mixed types as their files hold them, and holes made in them."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from benchmarks import frames
from benchmarks.frames import FRAMES


@pytest.mark.parametrize("name", FRAMES)
def test_every_table_is_read(name, folder):
    rows = frames.read(name, folder)
    assert rows.X.shape[0] >= 150
    capped = frames.read(name, folder, max_rows=50, seed=1)
    assert capped.X.shape == (50, rows.X.shape[1])
    assert (rows.y is None) == (name not in {"news20_w100", "sc_celseq2", "basehock"})


def test_a_table_that_is_not_there_says_what_it_needs(tmp_path):
    assert frames.available(str(tmp_path)) == frames.available(None) == ["breast_cancer"]
    with pytest.raises(FileNotFoundError, match=r"'adult' needs adult.csv.gz .*--data"):
        frames.read("adult", str(tmp_path))


def test_columns_have_the_types_that_are_stated(folder):
    X = frames.read("hivae_wine", folder).X
    assert [frames.is_number(X[name]) for name in X] == [True, True, False]
    assert X["x1"].dtype == "int64"
    assert set(X["x2"].cat.categories) == {"1", "2"}
    ordered = frames.HIVAE_TYPES["ordinal"](pd.Series([10.0, 9.0, 10.0]))
    assert list(ordered.cat.categories) == ["9", "10"]
    assert ordered.cat.ordered


def test_labels_may_not_hold_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return print, ("run",)

    sparse.save_npz(tmp_path / "basehock.sparse.npz", sparse.csr_array(np.eye(1)))
    harmful = np.array([Harmful()], dtype=object)
    np.save(tmp_path / "basehock.labels.npy", harmful, allow_pickle=True)
    with pytest.raises(pickle.UnpicklingError, match=r"labels may not hold builtins\.print"):
        frames.read("basehock", str(tmp_path))


def test_holes_are_those_of_the_mask(folder):
    X = frames.read("hivae_wine", folder).X
    hidden = frames.hidden_cells("hivae_wine", X, 10, 0, folder)
    assert set(zip(*np.nonzero(hidden), strict=True)) == {(0, 0), (2, 1), (149, 2), (4, 2)}
    capped = X.iloc[[4, 7]]
    assert frames.hidden_cells("hivae_wine", capped, 10, 0, folder).tolist() == [
        [False, False, True],
        [False, False, False],
    ]
    assert frames.has_holes("hivae_wine", 10, 0, folder)
    assert not frames.has_holes("hivae_wine", 10, 1, folder)


def test_holes_that_are_drawn_hide_observed_cells(folder):
    X = frames.read("adult", folder).X
    hidden = frames.hidden_cells("adult", X, 30, 0, folder)
    assert not (hidden & X.isna()).any(axis=None)
    assert 0.2 < hidden[X.notna()].mean() < 0.4
    other = frames.hidden_cells("adult", X, 30, 1, folder)
    assert not np.array_equal(hidden, other)


def test_holes_in_breast_cancer_are_those_of_miwae():
    X = frames.read("breast_cancer", None).X
    np.testing.assert_allclose(X.std(ddof=0), 1)
    hidden = frames.hidden_cells("breast_cancer", X, 50, 0, None)
    np.random.seed(1234)  # noqa: NPY002
    expected = np.zeros(X.size, dtype=bool)
    chosen = np.random.choice(X.size, int(np.floor(X.size * 0.5)), replace=False)  # noqa: NPY002
    expected[chosen] = True
    np.testing.assert_array_equal(hidden.ravel(), expected)
