"""Displays draw the numbers that public methods return, and keep to scikit-learn's contract."""

import builtins
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skvae
from skvae import (
    LatentDisplay,
    LatentUsageDisplay,
    ReconstructionDisplay,
    TraversalDisplay,
    VAETransformer,
)
from skvae.displays import DISPLAYS
from tests.displays.pictures import DATA
from tests.samples import fit_quietly

TAKE_ROWS = ("latent", "reconstruction", "traversal", "latent_usage", "loadings")


@pytest.fixture(params=DISPLAYS)
def display(request):
    return DISPLAYS[request.param](**DATA[request.param])


def test_the_table_has_data_for_every_display():
    assert list(DATA) == list(DISPLAYS)


def test_plot_returns_the_display_and_makes_a_figure(display):
    assert display.plot() is display
    assert plt.fignum_exists(display.figure_.number)
    assert display.ax_.figure is display.figure_
    assert all(panel in display.figure_.axes for panel in display.axes_)
    display.figure_.draw_without_rendering()


def test_plot_draws_within_the_axes_given(display):
    ax = plt.subplots(1, 2)[1][0]
    display.plot(ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert len(plt.get_fignums()) == 1
    frame = ax.get_position()
    for panel in display.axes_:
        place = panel.get_position()
        assert frame.x0 - 1e-9 <= place.x0 <= place.x1 <= frame.x1 + 1e-9
        assert frame.y0 - 1e-9 <= place.y0 <= place.y1 <= frame.y1 + 1e-9


@pytest.mark.parametrize("ending", ["svg", "pdf"])
def test_pictures_are_written_as_vectors(display, ending, tmp_path):
    """But for images of pixels, and the ramps of colour bars, nothing is a picture of pixels."""
    path = tmp_path / f"picture.{ending}"
    display.plot().figure_.savefig(path)
    content = path.read_bytes()
    ramps = [panel for panel in display.figure_.axes if panel.get_label() == "<colorbar>"]
    pixels = content.count(b"<image " if ending == "svg" else b"/Subtype /Image")
    assert pixels <= len(ramps)


def test_parameters_are_kept_as_they_are_given(display):
    (name,) = [name for name, kind in DISPLAYS.items() if type(display) is kind]
    assert all(getattr(display, key) is value for key, value in DATA[name].items())


@pytest.mark.parametrize("name", ["loss_curve", "latent_usage"])
def test_axes_without_a_place_in_a_grid_cannot_be_divided(name):
    ax = plt.figure().add_axes((0.1, 0.1, 0.8, 0.8))
    with pytest.raises(ValueError, match=r"plt\.subplots"):
        DISPLAYS[name](**DATA[name]).plot(ax)


@pytest.mark.parametrize("name", DISPLAYS)
def test_an_estimator_that_is_not_fitted_is_refused(name, curve):
    with pytest.raises(NotFittedError):
        DISPLAYS[name].from_estimator(VAETransformer(), curve)
    with pytest.raises(TypeError, match="not a PCA"):
        DISPLAYS[name].from_estimator(PCA().fit(curve), curve)
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", DISPLAYS)
def test_from_estimator_draws_in_the_axes_given(name, trained, curve, ax):
    assert DISPLAYS[name].from_estimator(trained, curve, ax=ax).ax_ is ax


@pytest.mark.parametrize("latent_dim", [1, 3])
@pytest.mark.parametrize("name", DISPLAYS)
def test_any_number_of_codes_is_drawn_without_an_argument(name, latent_dim, curve):
    vae = VAETransformer(latent_dim, max_iter=0).fit(curve)
    assert DISPLAYS[name].from_estimator(vae, curve).axes_


@pytest.mark.parametrize("name", TAKE_ROWS)
def test_rows_go_through_the_steps_of_a_pipeline(name, curve):
    pipeline = fit_quietly(make_pipeline(StandardScaler(), VAETransformer(2, max_iter=0)), curve)
    scaled = pipeline[0].transform(curve)
    seed = {"random_state": 0} if name == "reconstruction" else {}
    ours = DISPLAYS[name].from_estimator(pipeline, curve, **seed)
    expected = DISPLAYS[name].from_estimator(pipeline[-1], scaled, **seed)
    alone = DISPLAYS[name].from_estimator(make_pipeline(pipeline[-1]), scaled, **seed)
    for key, value in vars(expected).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(ours, key), value)
            np.testing.assert_array_equal(getattr(alone, key), value)


@pytest.mark.parametrize("name", DISPLAYS)
def test_the_error_without_matplotlib_says_what_to_install(name, monkeypatch, trained, curve):
    real = builtins.__import__

    def without(module, *args, **kwargs):
        if module.startswith("matplotlib"):
            raise ImportError(module)
        return real(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        DISPLAYS[name](**DATA[name]).plot()
    with pytest.raises(ImportError, match="pip install matplotlib"):
        DISPLAYS[name].from_estimator(trained, curve)


def test_what_cannot_be_drawn_of_a_table_is_said(of_table, table):
    for display in (ReconstructionDisplay, TraversalDisplay):
        with pytest.raises(ValueError, match="column 'kind' holds"):
            display.from_estimator(of_table, table)
    with pytest.raises(ValueError, match="leave X out"):
        LatentUsageDisplay.from_estimator(of_table, table)
    assert len(LatentUsageDisplay.from_estimator(of_table).kl) == 2


def test_missing_cells_cannot_be_compared_with_pca(trained, curve):
    X = curve.copy()
    X[3, 2] = np.nan
    for display in (ReconstructionDisplay, LatentUsageDisplay):
        with pytest.raises(ValueError, match="fill them first"):
            display.from_estimator(trained, X)
    assert np.isfinite(LatentDisplay.from_estimator(trained, X).codes).all()
    assert np.isfinite(TraversalDisplay.from_estimator(trained, X).rows).all()


def test_displays_and_matplotlib_are_imported_when_they_are_asked_for():
    code = (
        "import sys, skvae; assert not {'skvae.displays', 'matplotlib'} & sys.modules.keys(); "
        "skvae.LatentDisplay; assert 'skvae.displays' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_not_there_is_said():
    with pytest.raises(AttributeError, match="module 'skvae' has no attribute 'nothing'"):
        _ = skvae.nothing


@pytest.mark.parametrize(
    ("display", "options", "message"),
    [
        (ReconstructionDisplay, {"n_rows": 0}, "n_rows=0 must be"),
        (TraversalDisplay, {"n_steps": 0}, "n_steps=0 must be"),
        (TraversalDisplay, {"units": 1}, "units=1 must be a list"),
        (TraversalDisplay, {"image_shape": 6}, "image_shape=6 must be"),
        (LatentDisplay, {"y": [1, 2]}, "y has 2 values, but X has"),
    ],
)
def test_options_that_draw_nothing_are_named(trained, curve, display, options, message):
    with pytest.raises(ValueError, match=message):
        display.from_estimator(trained, curve, **options)
