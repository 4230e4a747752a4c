"""Columns of a table that are no normal numbers: what is drawn, scored, filled and given."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.stats import ks_2samp

from skvae import Limits, VAETransformer

N = 1500
NUMBERS = ["gain", "hours", "share", "price", "plain"]
SHAPES = dict.fromkeys(NUMBERS[:4], "empirical")


def work(n=N, seed=0):
    """Columns with points of mass, bounds, rounded and skewed numbers, that follow two numbers."""
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, n))

    def noisy(x):
        return x + 0.5 * rng.standard_normal(n)

    hours = np.where(rng.uniform(size=n) < 0.5, 40, np.round(40 + 9 * noisy(other)))
    return pd.DataFrame(
        {
            "gain": np.where(noisy(one) > 1.2, np.exp(8 + one + 0.2 * other), 0.0),
            "hours": hours.clip(1, 99).astype("int64"),
            "share": np.clip(0.5 + 0.5 * noisy(one - other), 0.0, 1.0),
            "price": np.exp(noisy(other)),
            "plain": 5.0 + noisy(one),
            "rich": noisy(one) > 1.0,
            "town": np.where(noisy(other) > 0, "north", "south"),
        }
    )


class Quick(VAETransformer):
    """Few steps are enough to see that nothing breaks."""

    limits = Limits(steps=(200, 200))


@pytest.fixture(scope="module", params=[0, 4])
def fitted(request):
    X = work()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return X, Quick(2, likelihood=SHAPES, max_iter=request.param, random_state=0).fit(X)


@pytest.fixture(scope="module")
def started():
    X = work()
    return X, VAETransformer(2, likelihood=SHAPES, max_iter=0, random_state=0).fit(X)


def test_drawn_columns_have_their_own_distributions(started):
    X, vae = started
    drawn = vae.sample(6000, random_state=0)
    for name in NUMBERS:
        assert ks_2samp(drawn[name], X[name]).statistic < 0.03, name
    assert abs((drawn["gain"] == 0).mean() - (X["gain"] == 0).mean()) < 0.02
    assert abs((drawn["hours"] == 40).mean() - (X["hours"] == 40).mean()) < 0.02


def test_draws_stay_in_bounds_and_keep_their_dtype(fitted):
    X, vae = fitted
    drawn = vae.sample(4000, random_state=0)
    assert (drawn.dtypes == X.dtypes).all()
    assert drawn["share"].between(0, 1).all()
    assert drawn["gain"].min() == 0
    assert drawn["hours"].isin(X["hours"]).all()


def test_a_name_changes_nothing(started):
    X, vae = started
    names = {name: f"c{j}" for j, name in enumerate(X)}
    shapes = {names[name]: likelihood for name, likelihood in SHAPES.items()}
    other = VAETransformer(2, likelihood=shapes, max_iter=0, random_state=0)
    other.fit(X.rename(columns=names))
    assert_allclose(other.score_samples(X.rename(columns=names)), vae.score_samples(X))


def test_scores_have_the_probability_of_points_of_mass(started):
    """Of rows of which one cell is known: the frequency among draws says the same."""
    X, vae = started
    cell = X.iloc[:1].assign(**dict.fromkeys(X)).astype(object)
    cell = X.iloc[[0, 0]].copy()
    cell[["share", "price", "plain"]] = np.nan
    cell["gain"] = [0.0, 0.0]
    cell = cell.astype({"hours": "Int64", "rich": "boolean"})
    cell["hours"], cell["rich"], cell["town"] = [pd.NA, 40], pd.NA, None
    alone, both = np.exp(vae.score_samples(cell))
    drawn = vae.sample(20_000, random_state=1)
    assert alone == pytest.approx((drawn["gain"] == 0).mean(), abs=0.01)
    found = ((drawn["gain"] == 0) & (drawn["hours"] == 40)).mean()
    assert both == pytest.approx(found, abs=0.015)


def test_given_a_point_of_mass_draws_have_it(fitted):
    _, vae = fitted
    drawn = vae.sample(200, random_state=0, given={"gain": 0.0, "hours": 40})
    assert (drawn["gain"] == 0).all()
    assert (drawn["hours"] == 40).all()
    with pytest.raises(ValueError, match="given 'share'"):
        vae.sample(5, given={"share": 7.5})


def test_gaps_are_filled_within_bounds(fitted):
    X, vae = fitted
    rng = np.random.default_rng(0)
    holes = X.astype({"hours": "Int64", "rich": "boolean"})
    hidden = rng.uniform(size=X.shape) < 0.3
    holes = holes.mask(hidden)
    filled = vae.impute(holes)
    for j, name in enumerate(NUMBERS):
        there = ~hidden[:, j]
        assert (filled[name][there] == X[name][there]).all()
        assert filled[name].between(X[name].min(), X[name].max()).mean() > 0.99
    error = (filled["plain"] - X["plain"])[hidden[:, 4]].std()
    assert error < 0.8 * X["plain"].std()
    draws = vae.impute(holes, n_draws=2, random_state=0)
    assert all(draw["share"].between(0, 1).all() for draw in draws)


def test_new_values_cost_little_and_say_nothing(fitted):
    X, vae = fitted
    rows = X.iloc[:40]
    strange = rows.assign(share=1.5, gain=-4.0)
    scores = vae.score_samples(strange)
    assert np.isfinite(scores).all()
    assert (scores > vae.score_samples(rows) - 40).all()


def test_codes_of_a_far_cell_are_finite(started):
    X, vae = started
    far = X.iloc[:5].assign(price=1e6 * X["price"].max(), gain=1e6 * X["gain"].max())
    assert np.isfinite(vae.transform(far)).all()
    assert np.isfinite(vae.score_samples(far)).all()


def test_numbers_alone_stay_as_they_are():
    """Points of mass or not: "auto" takes numbers for normal, alone and beside other kinds."""
    X = work(300)[["gain", "share", "price"]]
    for rows in (X, X.to_numpy(), X.mask(X["share"] > 0.9)):
        vae = VAETransformer(1, max_iter=0, random_state=0).fit(rows)
        assert np.isfinite(vae.noise_variance_).all()


def test_the_aggregate_prior_is_one_density():
    X = work()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vae = Quick(2, likelihood=SHAPES, max_iter=8, prior="aggregate", random_state=0).fit(X)
        plain = Quick(2, likelihood=SHAPES, max_iter=8, random_state=0).fit(X)
    assert_allclose(vae.transform(X), plain.transform(X))
    drawn = vae.sample(3000, random_state=0)
    assert np.isfinite(vae.score(drawn))
    for name in NUMBERS:
        assert ks_2samp(drawn[name], X[name]).statistic < 0.08
