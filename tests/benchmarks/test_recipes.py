"""Recipes: what was the default is said in full, and every data set weighs alike."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from benchmarks.suites import recipes
from benchmarks.suites.recipes import BEFORE, CASES, HALVES, RECIPES, RecipeTask
from skvae import Limits
from skvae.training.evaluation import Verdict
from tests.benchmarks.rows import line


def test_recipes_are_of_other_limits_than_the_default():
    assert RECIPES["default"].estimator(2, 0).limits == Limits()
    others = [RECIPES[name] for name in RECIPES if name != "default"]
    assert all(recipe.estimator(2, 0).limits != Limits() for recipe in others)


def test_the_recipe_before_has_no_last_passes():
    assert not any(RECIPES[BEFORE].estimator(2, 0).limits.last_shares)
    assert all(RECIPES["default"].estimator(2, 0).limits.last_shares)


def test_halves_share_no_data_set():
    assert sum(map(len, HALVES.values())) == len(CASES)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].make])
def test_rows_that_are_made_differ_by_the_seed_alone(name):
    (X, X_test), (again, _), (other, _) = (
        RecipeTask("default", name, seed).rows() for seed in (0, 0, 1)
    )
    assert len(X) == CASES[name].n_rows
    assert np.array_equal(X, again)
    assert not np.array_equal(X, other)
    assert len(X_test) == recipes.N_TEST
    # Other rows of the same kind.
    pca = PCA(1).fit(X)
    assert pca.score(X_test) == pytest.approx(pca.score(X), abs=0.2 * X.shape[1])


@pytest.mark.usefixtures("one_split")
def test_a_recipe_is_fitted_with_its_limits(command, monkeypatch):
    monkeypatch.setattr(Verdict, "is_no_worse", lambda own, before, tolerance: True)
    arguments = ["--datasets", "curved, 10 columns", "--seeds", "0"]
    before, default = command("recipes", *arguments, "--recipes", BEFORE, "default")
    assert before["facts"]["n_iter_"] < default["facts"]["n_iter_"]
    assert before["figures"]["ratio"] > 0


def trial(recipe, dataset, seed, ratio, steps=100):
    task = {"recipe": recipe, "dataset": dataset, "seed": seed}
    figures = {"ratio": ratio, "gain": 10 * ratio, "steps": steps, "seconds": 0.01 * steps}
    return line("recipes", task, figures)


def test_a_data_set_counts_by_the_mean_of_its_seeds():
    lines = [
        trial(BEFORE, "iris", 0, 0.5), trial("default", "iris", 0, 0.25, 50),
        trial(BEFORE, "iris", 1, 0.5), trial("default", "iris", 1, 1.0, 200),
        trial(BEFORE, "digits", 0, 0.5), trial("default", "digits", 0, 0.125, 25),
        trial("default", "digits", 1, 9.0),
        trial(BEFORE, "wine", 0, 0.5), trial("default", "wine", 0, 0.5),
    ]  # fmt: skip
    rows = recipes.collect(lines).set_index(["half", "recipe"])
    chosen = rows.loc["chosen by", "default"]
    assert chosen.trials == 3
    assert chosen.relative == pytest.approx(0.5)  # of 1 and of 1/4
    assert (chosen.worst, chosen.best) == pytest.approx((1.0, 0.25))
    assert (chosen.steps, chosen.seconds) == pytest.approx((0.5, 0.5))
    assert chosen.mse == pytest.approx(0.25)
    assert rows.loc["confirmed by", "default"].trials == 1
    text = recipes.text(rows.reset_index())
    expected = "| chosen by | default | 3 | 0.250 | 0.500 | 1.00, 0.25 | -1.25 | 0.50 | 0.50 |"
    assert expected in text
    assert recipes.collect([]).empty
