"""Maps side by side: what is measured of them, the table, and the picture."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from benchmarks import maps
from benchmarks.datasets import Source
from benchmarks.maps import Map

NOWHERE = Source()


@pytest.fixture(scope="module")
def split():
    return maps.rows_of("swiss roll", NOWHERE, 120)


def test_rows_are_cut_and_labelled(split):
    assert split.X_train.shape == (120, 3)
    assert split.X_test.shape == (60, 3)
    assert set(split.y_train) == set(range(6))
    assert len(maps.rows_of("wine", NOWHERE, 50).X_train) == 50


def test_a_map_that_is_the_data_keeps_all_neighbours(split):
    flat = split.X_train[:, :2]
    assert maps.kept(flat, flat) == 1
    turned = flat @ [[0.0, 2.0], [-2.0, 0.0]]
    assert maps.kept(flat, turned) == 1
    assert maps.kept(flat, np.random.default_rng(0).normal(size=flat.shape)) < 0.3


def test_pca_is_measured_and_shown_against_itself(split):
    fits = [maps.fit("PCA", split, seed) for seed in (0, 1)]
    found = maps.measure(split, fits)
    assert isinstance(fits[0].model, PCA)
    assert found["two seeds differ by"] == pytest.approx(0, abs=1e-9)
    (line,) = maps.table({("swiss roll", "PCA"): found}).to_dict("records")
    assert line["squared error / PCA's"] == "1.00"
    assert line["nats over PCA"] == "+0.00"
    assert all(isinstance(value, str) for value in line.values())


def test_the_picture_names_methods_and_sets(split):
    codes = split.X_train[:, :2]
    drawn = maps.picture(
        {("swiss roll", name): Map(None, codes, 0.0) for name in maps.METHODS},
        {"swiss roll": split.y_train},
    )
    assert [axes.get_title(loc="left") for axes in drawn.axes] == list(maps.METHODS)
    assert drawn.axes[0].get_ylabel() == "swiss roll"
