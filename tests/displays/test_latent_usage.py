"""Divergence and shares are those of the estimator; inactive codes are marked."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from skvae import (
    LatentUsageDisplay,
    VAETransformer,
)
from tests.displays.pictures import DATA, line


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
