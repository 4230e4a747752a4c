"""Rows are drawn beside what the model and PCA make of them, as lines and as images."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from skvae import (
    ReconstructionDisplay,
    VAETransformer,
)
from skvae.displays import DISPLAYS
from tests.displays.pictures import line, texts


def test_whole_numbers_are_not_rounded_before_they_are_compared():
    """Rounding would count as the model's error, and not as PCA's."""
    table = pd.DataFrame(np.random.default_rng(0).integers(0, 5, (80, 4)), columns=list("abcd"))
    vae = VAETransformer(2, max_iter=0).set_output(transform="pandas").fit(table)
    errors = ReconstructionDisplay.from_estimator(vae, table).errors
    assert errors["VAE"] == pytest.approx(errors["PCA"])
    codes = vae.transform(table).to_numpy()
    rounded = np.square(vae.inverse_transform(codes) - table).to_numpy().mean()
    assert errors["VAE"] != pytest.approx(rounded)
    assert isinstance(vae.inverse_transform(codes), pd.DataFrame)


def test_whole_numbers_beside_booleans_are_rounded_for_both():
    numbers = np.random.default_rng(0).integers(0, 5, (80, 3))
    table = pd.DataFrame(numbers, columns=list("abc")).assign(flag=numbers[:, 0] > 2)
    vae = VAETransformer(2, max_iter=0).fit(table)
    display = ReconstructionDisplay.from_estimator(vae, table, random_state=0)
    for rows in display.reconstructions.values():
        np.testing.assert_array_equal(rows[:, :3], np.rint(rows[:, :3]))
    assert (display.reconstructions["PCA"][:, 3] % 1).any()


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
