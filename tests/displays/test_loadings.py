"""Loadings are those of the estimator in standard deviations; names do not lie on one another."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from skvae import LoadingsDisplay, VAETransformer
from skvae.explorer.loadings import cell_spreads
from tests.displays.pictures import DATA, texts


def test_loadings_are_in_standard_deviations(trained, curve):
    display = LoadingsDisplay.from_estimator(trained, curve)
    codes = trained.transform(curve).std(0)
    spread = np.sqrt(curve.var(0).mean())  # of one scale, as in PCA
    expected = trained.loadings(curve).to_numpy() * codes[:, None] / spread
    np.testing.assert_allclose(display.loadings, expected)
    drawn = display.ax_.collections[0].get_array()
    np.testing.assert_allclose(drawn, np.asarray(display.loadings).T)


def test_levels_have_cells_and_numbers_their_own_spread(of_table, table):
    display = LoadingsDisplay.from_estimator(of_table, table)
    assert display.names == ["a", "b", "c", "kind=down", "kind=up"]
    raw = of_table.loadings(table).to_numpy()
    ratio = np.asarray(display.loadings)[0, 0] / raw[0, 0]
    assert ratio == pytest.approx(of_table.transform(table)[:, 0].std() / table["a"].std(ddof=0))
    share = (table["kind"] == "up").mean()
    ratio = np.asarray(display.loadings)[0, 4] / raw[0, 4]
    deviation = np.sqrt(share * (1 - share))
    assert ratio == pytest.approx(of_table.transform(table)[:, 0].std() / deviation)


UP = np.random.default_rng(0).normal(size=60) > 0
COLUMNS = {  # and how many cells each has: one of booleans, else one for each level
    "booleans": (UP, 1),
    "booleans as levels": (pd.Categorical(UP), 2),
    "integers as levels": (pd.Categorical(UP * 1), 2),
    "floats as levels": (pd.Categorical(UP * 1.0), 2),
    "levels that turn around": (pd.Categorical(UP * 1, categories=[1, 0]), 2),
    "ordered levels": (pd.Categorical(UP * 1, ordered=True), 2),
    "three levels, of which two occur": (pd.Categorical(UP * 1, categories=[0, 1, 2]), 3),
    "text": (np.where(UP, "1", "0"), 2),
}


@pytest.mark.parametrize("likelihood", ["auto", {"b": "categorical"}], ids=["auto", "as levels"])
@pytest.mark.parametrize("name", COLUMNS)
def test_every_cell_has_its_spread_whatever_its_levels_are(name, likelihood):
    column, n_cells = COLUMNS[name]
    X = pd.DataFrame({"a": np.linspace(-1.0, 1.0, len(UP)), "b": column})
    n_cells = max(n_cells, 1 if likelihood == "auto" else 2)
    vae = VAETransformer(2, max_iter=0, likelihood=likelihood).fit(X)
    spreads = cell_spreads(vae, X)
    assert len(spreads) == 1 + n_cells == vae.loadings().shape[1]
    assert spreads[1:3] == pytest.approx([UP.std()] * min(n_cells, 2))
    assert spreads[3:] == pytest.approx(0.0)
    for kind in ("heatmap", "biplot"):
        display = LoadingsDisplay.from_estimator(vae, X, kind=kind)
        assert np.shape(display.loadings) == (2, 1 + n_cells)


def test_the_cells_that_codes_move_most_are_drawn(trained, curve):
    every = LoadingsDisplay.from_estimator(trained, curve)
    some = LoadingsDisplay.from_estimator(trained, curve, n_cells=3)
    strength = np.abs(every.loadings).max(0)
    assert len(some.names) == 3
    assert np.sort(np.abs(some.loadings).max(0)) == pytest.approx(np.sort(strength)[-3:])


@pytest.mark.parametrize("kind", ["heatmap", "biplot"])
def test_without_rows_draws_stand_for_them(trained, kind):
    display = LoadingsDisplay.from_estimator(trained, kind=kind)
    assert np.isfinite(display.loadings).all()


def test_names_of_a_biplot_lie_apart(trained, curve):
    display = LoadingsDisplay.from_estimator(trained, curve, kind="biplot")
    display.figure_.draw_without_rendering()
    boxes = [text.get_window_extent() for text in display.ax_.texts]
    assert len(boxes) > 1
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_names_are_text_whatever_they_hold():
    names = [r"$\frac$", "a\nb" * 30, "</script>"]
    display = LoadingsDisplay(**DATA["loadings"] | {"names": names, "kind": "biplot"}).plot()
    display.figure_.draw_without_rendering()
    assert r"$\frac$" in texts(display.ax_)
    LoadingsDisplay(**DATA["loadings"] | {"names": names}).plot().figure_.draw_without_rendering()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "pie"}, "kind='pie' must be one of 'heatmap', 'biplot'"),
        ({"kind": "biplot", "units": [0]}, "two different codes"),
        ({"units": [7]}, "must be positions from 0 to 1"),
        ({"n_cells": 0}, "n_cells=0 must be"),
    ],
)
def test_what_cannot_be_drawn_is_named(trained, curve, options, message):
    with pytest.raises(ValueError, match=message):
        LoadingsDisplay.from_estimator(trained, curve, **options)
