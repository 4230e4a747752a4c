"""One code moves, the others stay."""

import numpy as np
import pytest

from skvae import (
    TraversalDisplay,
    VAETransformer,
)


@pytest.mark.parametrize("given", [True, False])
def test_one_code_moves_and_the_others_stay(trained, curve, given):
    X = curve if given else trained.sample(500, random_state=0)
    display = TraversalDisplay.from_estimator(
        trained, curve if given else None, units=[1], n_steps=5
    )
    codes = trained.transform(X)
    away = ((codes - codes.mean(0)) / codes.std(0)) ** 2
    moved = np.tile(codes[away.sum(1).argmin()], (5, 1))
    moved[:, 1] += np.array([-2, -1, 0, 1, 2]) * codes[:, 1].std()
    np.testing.assert_allclose(display.rows[0], trained.inverse_transform(moved))
    drawn = [line.get_ydata() for line in display.axes_[0].lines]
    np.testing.assert_array_equal(drawn, display.rows[0])


def test_the_row_to_start_from_can_be_chosen(trained, curve):
    display = TraversalDisplay.from_estimator(trained, curve, row=7, n_steps=3)
    own = trained.inverse_transform(trained.transform(curve[7:8]))[0]
    np.testing.assert_allclose(display.rows[:, 1], [own] * len(display.rows))
    for row in (-1, len(curve), 1.5, "7"):
        with pytest.raises(ValueError, match=f"row={row!r}; expected a position from 0 to"):
            TraversalDisplay.from_estimator(trained, curve, row=row)


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
