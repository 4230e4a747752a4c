"""Strategies: time is shared out equally, outcomes follow their rule."""

import warnings
from collections import Counter

import numpy as np
import pytest

from benchmarks.averages import standard_error
from benchmarks.datasets import Source
from benchmarks.suites import choices, strategies, strategies_table
from benchmarks.suites.choices import CASES, DEFAULT, STRATEGIES
from benchmarks.suites.strategies import Pace
from tests.benchmarks.rows import line
from tests.samples import OneSplit, curve


def test_names_are_unique_and_go_by_group():
    names = choices.names()
    assert len(set(names)) == len(names)
    assert DEFAULT not in names
    assert not set(names) & set(STRATEGIES)
    assert choices.names(["prior", "relu"]) == ["relu", *STRATEGIES["prior"]]


@pytest.mark.parametrize("name", choices.names())
def test_arguments_are_the_estimators(name):
    estimator = OneSplit(1, max_iter=1, random_state=0)
    estimator.set_params(**choices.arguments_of(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(curve(60, 3))
    assert np.isfinite(estimator.score(curve(20, 3)))


def test_the_default_comes_first_and_sets_the_time():
    plan = strategies.plan(["relu", DEFAULT], ["wine", "digits"], [0, 1], Source())
    tasks, answer = [], None
    for seconds in range(8):
        tasks.append(plan.send(answer))
        answer = {"figures": {"fit_seconds": seconds}}
    assert [task.strategy for task in tasks] == [DEFAULT, "relu"] * 4
    assert [task.limit for task in tasks] == [None, 0, None, 2, None, 4, None, 6]
    assert tasks[2].key() == {
        "strategy": DEFAULT, "dataset": "digits", "latent_dim": 8, "seed": 0, "max_train_rows": 700,
    }  # fmt: skip
    assert next(strategies.plan([], ["wine"], [0], Source(), 60)).max_train_rows == 60


def test_pace_is_what_two_fits_show():
    pace = Pace.of({22: 3.2, 2: 1.2})
    assert pace == pytest.approx((1.0, 0.1))
    assert pace.n_passes(6.0) == 50
    assert pace.n_passes(0.5) == 1


def test_noise_of_the_clock_does_not_make_passes_free():
    pace = Pace.of({2: 1.0, 22: 0.9})
    assert pace.per_pass > 0.005
    assert pace.fixed >= 0


@pytest.fixture
def brief(monkeypatch):
    """A default of three passes, and a strategy that fails."""
    arguments_of = strategies.arguments_of
    short = lambda name: {"max_iter": 3} | arguments_of(name)  # noqa: E731
    monkeypatch.setattr(strategies, "arguments_of", short)
    monkeypatch.setitem(STRATEGIES["control"], "wrong", {"batch_size": -1})
    strategies.pace_of.cache_clear()
    yield ["--datasets", "wine", "--max-train-rows", "60", "--seeds", "0", "--only"]
    strategies.pace_of.cache_clear()


def test_a_strategy_gets_the_time_of_the_default(command, brief):
    default, same, wrong = command("strategies", *brief, "nothing changed", "wrong")
    assert default["task"]["strategy"] == DEFAULT
    assert same["figures"]["max_iter"] >= 1
    assert set(strategies.FIGURES) <= set(same["figures"])
    assert same["facts"]["n_iter_"] <= same["figures"]["max_iter"]
    assert "must be" in wrong["error"]
    assert len(command("strategies", *brief, "nothing changed", "wrong")) == 4  # tried again


def test_without_a_default_there_is_no_time_to_equal():
    fit = strategies.Fit("nothing changed", "wine", 2, 0, 60)
    with pytest.raises(ValueError, match="the default failed"):
        fit.measure()


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([0.1, 0.1, 0.1], "win"),
        ([-0.1, -0.1, -0.1], "loss"),
        ([0.0, 0.0, 0.0], "tie"),
        ([0.005, 0.005, 0.005], "tie"),  # below the level
        ([1.0, -0.8, 0.0], "tie"),  # below its standard error
        ([0.05], "win"),  # a single seed, beyond four times the level
        ([-0.05], "loss"),
        ([0.03], "tie"),
    ],
)
def test_outcomes(differences, expected):
    error = standard_error(differences)
    assert strategies_table.outcome(np.mean(differences), error, 0.01) == expected


@pytest.mark.parametrize(
    ("likelihood", "error", "expected"),
    [
        ({"win": 5, "tie": 3}, {"tie": 8}, "helps"),
        ({"win": 2, "tie": 6}, {"tie": 8}, "no difference"),
        ({"win": 5, "loss": 3}, {"tie": 8}, "no difference"),
        ({"loss": 5, "tie": 3}, {"tie": 8}, "hurts"),
        ({"loss": 5, "tie": 3}, {"win": 8}, "trades"),
    ],
)
def test_verdicts(likelihood, error, expected):
    assert strategies_table.verdict([Counter(likelihood), Counter(error)]) == expected


def fit(strategy, dataset, seed, gain, ratio, *, seconds=2.0, accuracy=0.9):
    """A line of a results file, as if measured."""
    case = CASES[dataset]
    task = {"strategy": strategy, "dataset": dataset, "latent_dim": case.latent_dim, "seed": seed}
    figures = {"log_likelihood_gain": gain, "mse_ratio": ratio, "knn5": accuracy}
    figures |= {"fit_seconds": seconds, "n_features": 10}
    return line("strategies", task | {"max_train_rows": case.max_train_rows}, figures)


def test_the_table_of_strategies():
    lines = []
    for dataset in ("wine", "digits"):
        for seed in range(3):
            lines += [
                fit(DEFAULT, dataset, seed, 5.0 + seed, 0.5, accuracy=None),
                fit("relu", dataset, seed, 6.0 + seed, 0.4, seconds=1.0, accuracy=None),
                fit("beta 2", dataset, seed, 4.0 + seed, 0.5),
            ]
    capped = fit("relu", "wine", 0, -1000.0, 9.0)
    capped["task"]["max_train_rows"] = 10
    failed = fit("tc", "wine", 0, 0.0, 1.0) | {"error": "ValueError: no"}
    del failed["figures"]
    lines += [capped, failed, fit("no longer there", "wine", 0, 0.0, 1.0)]
    rows = strategies_table.collect(lines)
    table = strategies_table.summary(rows).set_index("strategy")
    assert list(table.index) == ["relu", "tc", "beta 2"]
    relu = table.loc["relu"]
    assert relu["likelihood: wins / ties / losses"] == "2 / 0 / 0"
    assert relu["nats per column"] == "+0.1000"
    assert relu["MSE / default's"] == "0.800"
    assert relu["5-NN accuracy"] == ""
    assert relu["seconds / default's"] == "0.50"
    assert relu["verdict"] == "helps"
    assert table.loc["beta 2", "MSE: wins / ties / losses"] == "0 / 2 / 0"
    assert table.loc["beta 2", "verdict"] == "hurts"
    assert table.loc["tc", "failed"] == 1
    assert table.loc["tc", "verdict"] == ""
    assert "| tc | wine | 1 | ValueError: no |" in strategies_table.text(rows)
