"""Levels: tables are cut alike, ways differ in what they say, and every table weighs alike."""

import numpy as np
import pytest

from benchmarks.datasets import Source
from benchmarks.frames import is_number
from benchmarks.suites import levels
from benchmarks.suites.levels import CASES, DEFAULT, HALVES, PCA, WAYS, LevelsTask
from tests.benchmarks.rows import line


def test_halves_are_as_large_and_share_no_table():
    assert sum(map(len, HALVES.values())) == len(CASES)
    assert len({len(half) for half in HALVES.values()}) == 1


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "digits"])
def test_every_third_column_of_a_matrix_is_levels(name):
    rows = CASES[name].read(name, Source())
    cut = [each for each in rows.X if not is_number(rows.X[each])]
    assert cut == list(rows.X)[::3]
    assert rows.X[cut].nunique().max() == levels.N_LEVELS
    assert 0.05 < rows.y.mean() < 0.95


def test_equal_numbers_are_of_one_part(folder):
    frame = CASES["hivae_wine"].read("hivae_wine", Source(folder)).X
    assert not is_number(frame["x0"])
    numbers = levels.frames.read("hivae_wine", folder).X["x0"]
    assert frame["x0"].groupby(numbers).nunique().eq(1).all()
    assert frame["x0"].nunique() == levels.N_LEVELS


def test_the_target_is_no_column():
    rows = CASES["diabetes"].read("diabetes", Source())  # without classes
    assert rows.X.shape[1] == 9
    assert set(np.unique(rows.y)) == {False, True}


def test_ways_differ_in_the_likelihoods_of_their_columns(folder):
    train, _ = LevelsTask(DEFAULT, "adult", 0, Source(folder)).rows()
    said = {
        way: {
            is_number(train.X[name]): repr(likelihood)
            for name, likelihood in WAYS[way].estimator(train.X, 2, 0).likelihood.items()
        }
        for way in WAYS
    }
    assert "columns" in said["columns"][False]
    assert "columns" in said["columns, linear start"][False]
    assert "shared" in said["levels, shared noise"][True]
    assert not any("columns" in own[False] for way, own in said.items() if "columns" not in way)
    assert [way for way in WAYS if WAYS[way].estimator(train.X, 2, 0).max_iter == 0] == [
        "levels, linear start", "columns, linear start",
    ]  # fmt: skip


def test_all_ways_are_judged_by_the_same_rows(command, folder):
    arguments = ["--datasets", "adult", "--seeds", "0", "--data", folder]
    lines = {one["task"]["way"]: one for one in command("levels", *arguments)}
    assert set(lines) == {*WAYS, PCA}
    assert not any("error" in one for one in lines.values())
    figures = lines["columns, linear start"]["figures"]
    assert 0.5 < figures["auc"] <= 1.0
    assert figures["error"] > 0
    assert np.isfinite(figures["log_likelihood"])
    assert set(lines[PCA]["figures"]) == {"accuracy", "auc", "seconds"}


def trial(way, dataset, seed, auc, nats=None):
    of_model = {} if nats is None else {"log_likelihood": nats, "error": np.exp(0.1 * nats)}
    figures = {"accuracy": auc, "auc": auc, "seconds": 1.0} | of_model
    return line("levels", {"way": way, "dataset": dataset, "seed": seed}, figures)


def test_a_table_counts_by_the_mean_of_its_seeds():
    lines = [
        trial(DEFAULT, "adult", 0, 0.5, 0.0), trial("columns", "adult", 0, 0.6, 1.0),
        trial(DEFAULT, "adult", 1, 0.5, 0.0), trial("columns", "adult", 1, 0.8, 3.0),
        trial(DEFAULT, "wine", 0, 0.9, 0.0), trial("columns", "wine", 0, 0.8, -1.0),
        trial("columns", "wine", 1, 0.0, -9.0), trial(PCA, "wine", 0, 0.95),
        trial(DEFAULT, "loans", 0, 0.5, 0.0),
    ]  # fmt: skip
    rows = levels.collect(lines).set_index(["half", "way"])
    columns = rows.loc["chosen by", "columns"]
    assert columns.trials == 3
    assert (columns.auc, columns.higher) == pytest.approx((0.75, 1))
    assert (columns.gained, columns.least_gained) == pytest.approx((0.5, -1.0))
    assert (columns.error, columns.worst_error) == pytest.approx((np.exp(0.05), np.exp(0.2)))
    text = levels.text(rows.reset_index())
    assert "| chosen by | columns | 3 | 0.750 | 0.750 | 1 | +0.50, -1.00 | 1.051, 1.221 |" in text
    assert "| chosen by | pca | 1 | 0.950 | 0.950 | 1 |  |  | 1.00 |" in text
    assert "| confirmed by | levels | 1 | 0.500 |" in text
    assert levels.collect([]).empty
