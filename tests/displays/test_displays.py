"""Displays draw the numbers that public methods return, and keep to scikit-learn's contract."""

import builtins
import copy
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skvae
from skvae import (
    LatentDisplay,
    LatentUsageDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    TraversalDisplay,
    VAETransformer,
    Vamp,
)
from skvae.displays.displays import BESIDE, DISPLAYS, PALETTE
from tests.samples import fit_quietly

DATA = {
    "loss_curve": {
        "n_pass": [0, 1, 2, 3],
        "bound": [-9.0, -7.0, -6.0, -6.5],
        "reconstruction": [-7.0, -4.0, -2.0, -2.5],
        "kl": [2.0, 3.0, 4.0, 4.0],
        "learning_rate": [1e-3, 1e-3, 1e-3, 1e-4],
    },
    "latent": {
        "codes": [[0.0, 1.0], [2.0, -1.0], [1.0, 3.0]],
        "y": ["a", "b", "a"],
        "prior_mean": [0.0, 1.0],
        "prior_scale": [2.0, 1.0],
    },
    "reconstruction": {
        "rows": np.arange(12.0).reshape(3, 4),
        "reconstructions": {"VAE": np.ones((3, 4)), "PCA": np.zeros((3, 4))},
    },
    "traversal": {
        "rows": np.arange(24.0).reshape(2, 3, 4),
        "steps": [-2.0, 0.0, 2.0],
        "units": [0, 3],
    },
    "latent_usage": {
        "kl": [2.0, 1.0, 0.0],
        "explained_variance_ratio": [0.6, 0.2, 0.0],
        "pca_explained_variance_ratio": [0.5, 0.2, 0.1],
        "is_active": [True, True, False],
    },
}
TAKE_ROWS = ("latent", "reconstruction", "traversal", "latent_usage")


@pytest.fixture(autouse=True)
def figures():
    """Figures are drawn to memory and closed."""
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


@pytest.fixture(params=DISPLAYS)
def display(request):
    return DISPLAYS[request.param](**DATA[request.param])


@pytest.fixture(scope="module")
def table(curve):
    X = pd.DataFrame(curve[:, :3], columns=list("abc"))
    return X.assign(kind=np.where(curve[:, 0] > 0, "up", "down"))


@pytest.fixture(scope="module")
def of_table(table):
    return VAETransformer(2, max_iter=0).fit(table)


def line(panel, label):
    (found,) = [line for line in panel.lines if line.get_label() == label]
    return found


def texts(panel):
    return [text.get_text() for text in panel.texts]


# The contract


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
    with pytest.raises(TypeError, match="this is a PCA"):
        DISPLAYS[name].from_estimator(PCA().fit(curve), curve)
    assert not plt.get_fignums()


@pytest.mark.parametrize("name", DISPLAYS)
def test_from_estimator_draws_in_the_axes_given(name, trained, curve, ax):
    assert DISPLAYS[name].from_estimator(trained, curve, ax=ax).ax_ is ax


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


def test_skvae_is_imported_without_matplotlib():
    code = "import sys, skvae; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


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


# Loss curve


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


# Codes


def test_codes_are_drawn_over_the_prior(trained, curve):
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


@pytest.mark.parametrize("units", [(0,), (0, 0), (0, 2), (-1, 0), (0, 1, 1), ()])
def test_units_that_are_not_two_codes_are_refused(trained, curve, units):
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


def test_codes_of_a_table_are_drawn(of_table, table):
    display = LatentDisplay.from_estimator(of_table, table, table["kind"])
    np.testing.assert_array_equal(display.codes, of_table.transform(table))


# Reconstructions


def test_whole_numbers_are_not_rounded_before_they_are_compared():
    """Rounding would count as the model's error, and not as PCA's."""
    table = pd.DataFrame(np.random.default_rng(0).integers(0, 5, (80, 4)), columns=list("abcd"))
    vae = VAETransformer(2, max_iter=0).set_output(transform="pandas").fit(table)
    errors = ReconstructionDisplay.from_estimator(vae, table).errors
    assert errors["VAE"] == pytest.approx(errors["PCA"])


def test_rows_and_reconstructions_are_drawn_as_lines(trained, curve):
    display = ReconstructionDisplay.from_estimator(trained, curve, n_rows=5, random_state=0)
    pca = PCA(2).fit(curve)
    expected = {
        "original": curve,
        "VAE": trained.inverse_transform(trained.transform(curve)),
        "PCA": pca.inverse_transform(pca.transform(curve)),
    }
    assert len(display.axes_) == 5
    for panel, row in zip(display.axes_, display.rows, strict=True):
        (chosen,) = np.flatnonzero((curve == row).all(1))
        for name, table in expected.items():
            np.testing.assert_allclose(line(panel, name).get_ydata(), table[chosen])
        error = np.square(expected["VAE"][chosen] - row).mean()
        assert texts(panel)[0] == f"VAE {error:.2g}"
    errors = {name: np.square(table - curve).mean() for name, table in expected.items()}
    assert display.errors["VAE"] == pytest.approx(errors["VAE"])
    assert display.errors["PCA"] == pytest.approx(errors["PCA"])
    assert len({panel.get_ylim() for panel in display.axes_}) == 1


def test_rows_are_drawn_as_images(trained, curve):
    display = ReconstructionDisplay.from_estimator(
        trained, curve, n_rows=4, image_shape=(2, 3), random_state=0
    )
    mosaic = display.ax_.images[0].get_array()
    assert mosaic.shape == (3 * 2 + 2, 4 * 3 + 3)
    np.testing.assert_array_equal(mosaic[:2, 4:7], display.rows[1].reshape(2, 3))
    ours = display.reconstructions["VAE"][3].reshape(2, 3)
    np.testing.assert_array_equal(mosaic[3:5, 12:], ours)
    assert mosaic[2].mask.all()
    labels = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert labels[0] == "original"
    assert labels[1] == f"VAE\nMSE {display.errors['VAE']:.3g}"


@pytest.mark.parametrize("shape", [(2, 2, 3), (3, 2, 2)])
def test_colours_may_come_first_or_last(shape):
    rows = np.random.default_rng(0).uniform(size=(2, 12))
    display = ReconstructionDisplay(
        rows=rows, reconstructions={"VAE": rows}, image_shape=shape
    ).plot()
    image = rows[0].reshape(shape)
    image = image if shape[-1] == 3 else image.transpose(1, 2, 0)
    shown = display.ax_.images[0].get_array()[:2, :2]
    np.testing.assert_allclose(shown, (image - rows.min()) / np.ptp(rows))


@pytest.mark.parametrize("shape", [(2, 2), (6,), (2, 1, 1, 3), (2, 3, 2)])
def test_shapes_that_are_not_of_a_row_are_refused(trained, curve, shape):
    for name in ("reconstruction", "traversal"):
        with pytest.raises(ValueError, match="image_shape="):
            DISPLAYS[name].from_estimator(trained, curve, image_shape=shape)


def test_another_pca_may_be_given(trained, curve):
    pca = PCA(1).fit(curve)
    display = ReconstructionDisplay.from_estimator(trained, curve, pca=pca, random_state=0)
    np.testing.assert_allclose(
        display.reconstructions["PCA"], pca.inverse_transform(pca.transform(display.rows))
    )


def test_few_rows_and_unalike_columns(curve):
    X = curve * [1, 1, 1, 1, 1, 1000]
    vae = VAETransformer(2, max_iter=0).fit(X)
    display = ReconstructionDisplay.from_estimator(vae, X[:2])
    assert display.rows.shape == (2, 6)
    display = ReconstructionDisplay.from_estimator(vae, X, n_rows=200)
    np.testing.assert_allclose(display.rows, (X - X.mean(0)) / X.std(0))
    assert display.axes_[0].get_ylabel() == "standardized value"


def test_columns_have_their_names(curve):
    X = pd.DataFrame(curve, columns=[*"abcde", "a name that is longer than others"])
    vae = VAETransformer(2, max_iter=0).fit(X)
    for name in ("reconstruction", "traversal"):
        panel = DISPLAYS[name].from_estimator(vae, X).axes_[-1]
        labels = [label.get_text() for label in panel.get_xticklabels()]
        assert labels == [*"abcde", "a name that is lo…"]


# Traversals


@pytest.mark.parametrize("given", [True, False])
def test_one_code_moves_and_the_others_stay(trained, curve, given):
    X = curve if given else trained.sample(500, random_state=0)
    display = TraversalDisplay.from_estimator(
        trained, curve if given else None, units=[1], n_steps=5
    )
    codes = trained.transform(X)
    moved = np.tile(codes.mean(0), (5, 1))
    moved[:, 1] += np.array([-2, -1, 0, 1, 2]) * codes[:, 1].std()
    np.testing.assert_allclose(display.rows[0], trained.inverse_transform(moved))
    drawn = [line.get_ydata() for line in display.axes_[0].lines]
    np.testing.assert_array_equal(drawn, display.rows[0])


def test_steps_are_drawn_as_images(trained, curve):
    display = TraversalDisplay.from_estimator(trained, curve, n_steps=3, image_shape=(2, 3))
    mosaic = display.ax_.images[0].get_array()
    np.testing.assert_array_equal(mosaic[3:, 4:7], display.rows[1, 1].reshape(2, 3))
    labels = [label.get_text() for label in display.ax_.get_xticklabels()]
    assert labels == ["\N{MINUS SIGN}2", "0", "2"]
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["code 0", "code 1"]


def test_no_more_than_eight_units_unless_asked_for():
    X = np.random.default_rng(0).normal(size=(60, 12))
    vae = VAETransformer(10, max_iter=0).fit(X)
    assert TraversalDisplay.from_estimator(vae, X).units == list(range(8))
    assert len(TraversalDisplay.from_estimator(vae, X, units=range(10)).axes_) == 10
    with pytest.raises(ValueError, match="from 0 to 9"):
        TraversalDisplay.from_estimator(vae, X, units=[10])


# Usage


def test_divergence_and_shares_are_drawn(trained, curve):
    display = LatentUsageDisplay.from_estimator(trained, curve)
    left, right = display.axes_
    assert [bar.get_height() for bar in left.patches] == pytest.approx(list(trained.kl_per_dim_))
    shares = 100 * trained.explained_variance_ratio_
    assert [bar.get_height() for bar in right.patches] == pytest.approx(list(shares))
    pca = PCA(2).fit(curve)
    theirs = line(right, "PCA").get_ydata()
    np.testing.assert_allclose(theirs, 100 * pca.explained_variance_ratio_)
    assert not LatentUsageDisplay.from_estimator(trained).axes_[1].lines[1:]


def test_inactive_codes_are_marked():
    display = LatentUsageDisplay(**DATA["latent_usage"]).plot()
    assert display.axes_[0].get_title(loc="left") == "2 of 3 active"
    (marks,) = display.axes_[0].collections
    assert marks.get_offsets()[:, 0].tolist() == [2]


def test_as_many_codes_are_active_as_the_estimator_counts():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 5))
    with pytest.warns(UserWarning, match="rank"):
        vae = VAETransformer(4, max_iter=0).fit(X)
    assert vae.n_active_ == 2
    display = LatentUsageDisplay.from_estimator(vae, X)
    assert display.is_active.tolist() == [True, True, False, False]


# Tables


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


def test_displays_are_imported_when_they_are_asked_for():
    code = (
        "import sys, skvae; assert 'skvae.displays' not in sys.modules; skvae.LatentDisplay; "
        "assert 'skvae.displays' in sys.modules"
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
