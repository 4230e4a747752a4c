"""The loss curve shows the history of a fit, whatever its values."""

import numpy as np
import pytest

from skvae import (
    LossCurveDisplay,
)
from tests.displays.pictures import DATA, line, texts


def test_the_bound_and_its_parts_are_drawn():
    data = DATA["loss_curve"]
    display = LossCurveDisplay(**data).plot(learning_rate=True)
    names = ["bound", "reconstruction", "kl", "learning_rate"]
    for panel, name in zip(display.axes_, names, strict=True):
        np.testing.assert_array_equal(panel.lines[0].get_xdata(), data["n_pass"])
        np.testing.assert_array_equal(panel.lines[0].get_ydata(), data[name])
    for panel, name in zip(display.axes_[:3], names, strict=False):
        assert set(line(panel, "PCA").get_ydata()) == {data[name][0]}
    assert line(display.axes_[0], "best").get_xydata().tolist() == [[2, -6]]
    assert texts(display.axes_[0]) == ["PCA \N{MINUS SIGN}9", "best \N{MINUS SIGN}6"]


def test_the_learning_rate_is_drawn_if_asked_for():
    assert len(LossCurveDisplay(**DATA["loss_curve"]).plot().axes_) == 3
    assert len(LossCurveDisplay(n_pass=[0, 1], bound=[1, 2]).plot().axes_) == 1


def test_a_start_far_below_does_not_flatten_the_curve():
    bound = np.r_[-1e9, -np.inf, np.nan, np.linspace(-160, -150, 30)]
    panel = LossCurveDisplay(n_pass=np.arange(33), bound=bound).plot().axes_[0]
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), bound[np.isfinite(bound)])
    low, high = panel.get_ylim()
    assert -165 < low < -160
    assert -150 < high < -145
    assert "PCA \N{MINUS SIGN}1e+09, outside of the picture" in texts(panel)


@pytest.mark.parametrize("bound", [[], [np.nan], [-3.0], [-3.0, -3.0, -3.0], [-3.0, -5.0, -1e6]])
def test_odd_curves_are_drawn(bound):
    panel = LossCurveDisplay(n_pass=range(len(bound)), bound=bound).plot().axes_[0]
    low, high = panel.get_ylim()
    assert low < high
    assert len(bound) == 0 or not np.isfinite(bound[0]) or low < bound[0] < high


def test_a_level_that_is_not_known_is_not_drawn():
    display = LossCurveDisplay(n_pass=[0, 1, 2], bound=[-3, -2, -1], kl=[np.nan, 2, 3]).plot()
    assert [line.get_label() for line in display.axes_[0].lines][1:] == ["PCA", "best"]
    assert len(display.axes_[1].lines) == 1


def test_the_history_of_a_fit_is_drawn(trained):
    display = LossCurveDisplay.from_estimator(trained)
    history = trained.history_
    kept = np.isfinite(history["bound"])
    np.testing.assert_array_equal(display.axes_[0].lines[0].get_ydata(), history["bound"][kept])
    np.testing.assert_array_equal(display.axes_[0].lines[0].get_xdata(), history["n_pass"][kept])
