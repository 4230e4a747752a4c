"""Codes are drawn as transform returns them, over the prior, in the colours of their classes."""

import copy

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from skvae import (
    LatentDisplay,
    VAETransformer,
    Vamp,
)
from skvae.colors import BESIDE, PALETTE
from tests.displays.pictures import texts


def test_codes_are_drawn_over_the_prior(trained, curve):
    trained = copy.copy(trained).set_params(refinement=0)
    display = LatentDisplay.from_estimator(trained, curve)
    np.testing.assert_array_equal(
        display.ax_.collections[0].get_offsets(), trained.transform(curve)
    )
    # A row lies on the ring of the radius that its posterior mean has.
    mean = trained.encode(curve)[0]
    ring = display.ax_.patches[1]
    from_centre = (trained.transform(curve) - ring.center) / (ring.width / 2, ring.height / 2)
    np.testing.assert_allclose(2 * from_centre, mean, atol=1e-6)
    assert texts(display.ax_) == ["prior, 1 sd", "2 sd", "3 sd"]


def test_a_learned_prior_has_no_rings(trained, curve):
    vae = copy.copy(trained)
    vae.prior_ = Vamp()
    assert not LatentDisplay.from_estimator(vae, curve).ax_.patches


def test_other_units_are_drawn(curve):
    vae = VAETransformer(4, max_iter=0).fit(curve)
    display = LatentDisplay.from_estimator(vae, curve, units=(3, 1))
    np.testing.assert_array_equal(display.codes, vae.transform(curve)[:, [3, 1]])
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("code 3", "code 1")


@pytest.mark.parametrize("n_codes", [1, 3])
def test_a_code_alone_is_drawn_against_the_score(curve, n_codes):
    vae = VAETransformer(n_codes, max_iter=0).fit(curve)
    unit = n_codes - 1
    units = None if n_codes == 1 else (unit,)
    display = LatentDisplay.from_estimator(vae, curve, curve[:, 0], units=units)
    code, score = vae.transform(curve)[:, unit], vae.score_samples(curve)
    drawn = display.ax_.collections[0].get_offsets()
    np.testing.assert_array_equal(drawn, np.column_stack([code, score]))
    assert display.ax_.get_xlabel() == f"code {unit}"
    assert display.ax_.get_ylabel() == "score, nats"
    assert texts(display.ax_) == ["prior, 1 sd", "2 sd", "3 sd"]
    # A row lies on the line of the radius that its posterior mean has.
    mean = vae.encode(curve)[0][:, unit]
    places = np.array([line.get_xdata()[0] for line in display.ax_.lines])
    expected = np.polyval(np.polyfit(mean, code, 1), [-1, 1, -2, 2, -3, 3])
    np.testing.assert_allclose(np.sort(places), np.sort(expected), atol=1e-6)


def test_a_code_alone_under_a_learned_prior_has_no_lines(curve):
    vae = VAETransformer(1, max_iter=0).fit(curve)
    vae.prior_ = Vamp()
    assert not LatentDisplay.from_estimator(vae, curve).ax_.lines


def test_a_code_alone_needs_scores(ax):
    with pytest.raises(ValueError, match="give scores"):
        LatentDisplay(codes=np.zeros((3, 1))).plot(ax)
    LatentDisplay(codes=np.zeros((3, 1)), scores=[1.0, 2.0, 3.0], y=list("aba")).plot(ax)
    assert ax.collections[0].get_offsets()[:, 1].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("units", [(2,), (0, 0), (0, 2), (-1, 0), (0, 1, 1), ()])
def test_units_that_are_not_codes_are_refused(trained, curve, units):
    with pytest.raises(ValueError, match="units="):
        LatentDisplay.from_estimator(trained, curve, units=units)


@pytest.mark.parametrize(
    "y",
    [["b", "a", "b"], [True, False, True], [2, 1, 2], [2.0, 1.0, 2.0], pd.Categorical([2, 1, 2])],
)
def test_classes_have_colours_and_names_at_their_rows(ax, y):
    codes = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.2]])
    LatentDisplay(codes=codes, y=y).plot(ax)
    colors = [to_hex(color) for color in ax.collections[0].get_facecolors()]
    assert colors == [PALETTE[1], PALETTE[0], PALETTE[1]]
    places = {text.get_text(): text.xy for text in ax.texts}
    names = sorted({str(name) if not isinstance(name, float) else f"{name:g}" for name in y})
    assert sorted(places) == names
    np.testing.assert_allclose(places[names[1]], [1.0, 0.1])


def test_names_that_would_overlap_go_to_a_legend(ax):
    LatentDisplay(codes=np.zeros((4, 2)), y=list("abab")).plot(ax)
    assert not ax.texts
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_many_classes_are_the_largest_and_the_others(ax):
    y = np.repeat(np.array(list("abcdefghijkl"), object), range(12, 0, -1))
    y[0] = None
    LatentDisplay(codes=np.zeros((len(y), 2)), y=y).plot(ax)
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [*"abcdefgh", "missing", "other"]
    colors = [to_hex(color) for color in ax.collections[0].get_facecolors()]
    assert colors[0] == BESIDE["missing"]
    assert colors[-1] == BESIDE["other"]


def test_numbers_have_a_bar(ax):
    y = pd.Series([0.5, np.nan, 2.5], name="age")
    display = LatentDisplay(codes=np.zeros((3, 2)), y=y).plot(ax)
    np.testing.assert_array_equal(ax.collections[-1].get_array(), [0.5, 2.5])
    assert to_hex(ax.collections[0].get_facecolors()[0]) == BESIDE["other"]
    assert display.figure_.axes[-1].get_ylabel() == "age"


@pytest.mark.parametrize(
    "dates",
    [
        pd.Series(["2024-03-05", None, "2027-01-01"], dtype="datetime64[ns]"),
        pd.Series(["2024-03-05", None, "2027-01-01"], dtype="datetime64[ns, Europe/Berlin]"),
        np.array(["2024-03-05", "NaT", "2027-01-01"], "datetime64[D]"),
    ],
)
def test_dates_have_a_bar_of_dates(ax, dates):
    display = LatentDisplay(codes=np.zeros((3, 2)), y=dates).plot(ax)
    bar = display.figure_.axes[-1]
    display.figure_.canvas.draw()
    labels = [label.get_text() for label in bar.get_yticklabels()]
    assert any(label.startswith("2025") for label in labels)
    assert ax.collections[-1].get_array().tolist() == [19787, 20819]
    assert to_hex(ax.collections[0].get_facecolors()[0]) == BESIDE["other"]


def test_codes_of_a_table_are_drawn(of_table, table):
    display = LatentDisplay.from_estimator(of_table, table, table["kind"])
    np.testing.assert_array_equal(display.codes, of_table.transform(table))
