"""Strategies and published figures: time is shared out equally, outcomes follow their rule."""

import json
import shutil
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import skvae
from benchmarks import __main__ as command_line
from benchmarks import published, report, strategies, strategy_report
from benchmarks.bars import Measured
from benchmarks.datasets import Source
from benchmarks.strategies import CASES, DEFAULT, STRATEGIES, Pace
from tests.samples import curve

ROOT = Path(skvae.__file__).parent.parent


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def line(strategy, dataset, seed, gain, ratio, *, seconds=2.0, accuracy=0.9):
    """A line of a results file, as if measured."""
    metrics = {
        "log_likelihood_gain": gain, "mse_ratio": ratio, "knn5": accuracy, "fit_seconds": seconds,
    }  # fmt: skip
    task = [dataset, CASES[dataset].latent_dim, seed, CASES[dataset].max_train_rows]
    return {"strategy": strategy, "task": task, "n_features": 10, "metrics": metrics}


@pytest.fixture
def results(tmp_path):
    """Fits of two strategies on two data sets: one helps, one hurts, one fit failed."""
    written = []
    for dataset in ("wine", "digits"):
        for seed in range(3):
            written += [
                line(DEFAULT, dataset, seed, 5.0 + seed, 0.5, accuracy=None),
                line("relu", dataset, seed, 6.0 + seed, 0.4, seconds=1.0, accuracy=None),
                line("beta 2", dataset, seed, 4.0 + seed, 0.5),
            ]
    capped = line("relu", "wine", 0, -1000.0, 9.0)
    capped["task"][-1] = 10
    failed = line("tc", "wine", 0, 0.0, 1.0) | {"metrics": {}, "error": "ValueError: no"}
    path = tmp_path / "strategies.jsonl"
    written += [capped, failed, line("no longer there", "wine", 0, 0.0, 1.0)]
    path.write_text("".join(json.dumps(line) + "\n" for line in written))
    return path


# Planning.


def test_names_are_unique_and_go_by_group():
    names = strategies.names()
    assert len(set(names)) == len(names)
    assert DEFAULT not in names
    assert not set(names) & set(STRATEGIES)
    assert strategies.names(["prior", "relu"]) == ["relu", *STRATEGIES["prior"]]


@pytest.mark.parametrize("name", strategies.names())
def test_arguments_are_the_estimators(name):
    estimator = skvae.VAETransformer(1, max_iter=1, random_state=0)
    estimator.set_params(**strategies.arguments_of(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(curve(60, 3))
    assert np.isfinite(estimator.score(curve(20, 3)))


def test_the_default_comes_first():
    tasks = list(strategies.plan(["relu"], ["wine", "digits"], [0, 1], Source()))
    assert [task.strategy for task in tasks] == [DEFAULT, "relu"] * 4
    assert [task.rows for task in tasks[2:5]] == [
        ("digits", 8, 0, 700), ("digits", 8, 0, 700), ("wine", 2, 1, 1000),
    ]  # fmt: skip
    assert next(strategies.plan([], ["wine"], [0], Source(), 60)).max_train_rows == 60


def test_parts_share_out_the_data_sets():
    names = list("abcde")
    parts = [strategies.part_of(names, f"{i}/2") for i in (1, 2)]
    assert parts == [["a", "c", "e"], ["b", "d"]]
    assert strategies.part_of(names, "1/1") == names
    for wrong in ("0/2", "3/2", "1", "a/b"):
        with pytest.raises(ValueError, match="must be i/n"):
            strategies.part_of(names, wrong)


def test_data_sets_without_files_are_passed_over():
    assert strategies.available(Source()) == ["digits", "breast_cancer", "diabetes", "wine"]


# Equal time.


def test_pace_is_what_two_fits_show():
    pace = Pace.of({22: 3.2, 2: 1.2})
    assert pace == pytest.approx((1.0, 0.1))
    assert pace.n_passes(6.0) == 50
    assert pace.n_passes(0.5) == 1


def test_noise_of_the_clock_does_not_make_passes_free():
    pace = Pace.of({2: 1.0, 22: 0.9})
    assert pace.per_pass > 0.005
    assert pace.fixed >= 0


# Running.


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Run the command on a few rows, with a default of three passes."""
    arguments_of = strategies.arguments_of
    short = lambda name: {"max_iter": 3} | arguments_of(name)  # noqa: E731
    monkeypatch.setattr(strategies, "arguments_of", short)
    monkeypatch.setattr(strategies, "CALIBRATION", (1, 2))
    monkeypatch.setitem(STRATEGIES["control"], "wrong", lambda: {"batch_size": -1})
    strategies.pace_of.cache_clear()
    path = tmp_path / "strategies.jsonl"

    def run(*names):
        arguments = ["--datasets", "wine", "--max-train-rows", "60", "--seeds", "0"]
        command_line.main(["strategies", *arguments, "--output", str(path), "--only", *names])
        return lines(path)

    yield run
    strategies.pace_of.cache_clear()


def test_a_strategy_gets_the_time_of_the_default(command):
    default, same = command("nothing changed")
    assert (default["strategy"], same["strategy"]) == (DEFAULT, "nothing changed")
    assert default["task"] == same["task"] == ["wine", 2, 0, 60]
    assert default["max_iter"] is default["limit"] is None
    assert same["limit"] == default["metrics"]["fit_seconds"]
    assert same["max_iter"] >= 1
    assert set(same["metrics"]) == set(strategies.FIGURES)
    assert same["facts"]["n_iter_"] <= same["max_iter"]


def test_a_run_goes_on_where_it_ended_and_tries_failures_again(command):
    assert "must be" in command("wrong")[-1]["error"]
    assert [line["strategy"] for line in command("wrong", "nothing changed")] == [
        DEFAULT, "wrong", "nothing changed", "wrong",
    ]  # fmt: skip
    assert len(command("nothing changed")) == 4


def test_without_a_default_there_is_no_time_to_equal(tmp_path, command):
    task = strategies.Task("nothing changed", "wine", 0, 60)
    assert "the default failed" in strategies.measure(task, None)["error"]


def test_a_wrong_part_is_refused():
    with pytest.raises(SystemExit, match="part '2/1' must be i/n"):
        command_line.main(["strategies", "--part", "2/1"])


# What the lines come to.


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
        ([], "tie"),
    ],
)
def test_outcomes(differences, expected):
    assert strategy_report.outcome(differences, level=0.01) == expected


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
    assert strategy_report.verdict([Counter(likelihood), Counter(error)]) == expected


def test_the_table_of_strategies(results):
    table = strategy_report.summary(strategies.read([results])).set_index("strategy")
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


def test_the_report_holds_strategies(results, tmp_path):
    for page in report.PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    command_line.main(["report", str(results), "--root", str(tmp_path)])
    text = (tmp_path / "docs" / "strategies.md").read_text()
    assert "| activation | relu | 2 | 2 / 0 / 0 |" in text
    assert "(images/strategies.png)" in text
    assert "| tc | wine | 0 | ValueError: no |" in text
    assert (tmp_path / "docs" / "images" / "strategies.png").stat().st_size > 1000


# Published figures.


def test_published_figures_are_written_as_bars(tmp_path, monkeypatch):
    def some(source, settings):
        yield Measured("passes", float(settings.max_iter), "<=", 7.0)

    monkeypatch.setitem(published.PUBLISHED, "some", some)
    path = tmp_path / "published.jsonl"
    command_line.main(["published", "--only", "some", "--passes", "7", "--output", str(path)])
    assert [(line["bar"], line["value"], line["met"]) for line in lines(path)] == [
        ("passes", 7.0, True)
    ]
    assert published.Settings().max_iter == "auto"


def test_rows_are_scored_in_chunks(monkeypatch):
    class Model:
        def score_samples(self, X, n_draws):
            assert len(X) <= 4
            return X[:, 0] + n_draws

    monkeypatch.setattr(published, "ROWS_PER_CHUNK", 4)
    assert published.log_likelihood(Model(), np.arange(10.0)[:, None], n_draws=5) == 9.5


def test_binary_rows_are_always_the_same():
    X = np.full((200, 50), 0.3, dtype="float32")
    drawn = published.binarised(X)
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.mean() == pytest.approx(0.3, abs=0.02)
    assert drawn.dtype == X.dtype
    np.testing.assert_array_equal(drawn, published.binarised(X))


def test_a_linear_vae_from_a_random_start_is_held_to_pca():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(published.linear(Source(), published.Settings(passes=1)))
    assert len(found) == 16
    assert all(measured.value >= 0 for measured in found)


def test_bodies_are_compared_on_images(tmp_path):
    X = (40 * curve(60, 5) @ np.ones((5, 3072)) + 128).clip(0, 255)
    np.savez(tmp_path / "cifar10.npz", X=X.astype("uint8"), y=np.arange(60) % 2)
    settings = published.Settings(passes=1, seeds=(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(published.compared("cifar10", 2, Source(str(tmp_path)), settings))
    assert [measured.bar.split(", ")[2] for measured in found[::2]] == [
        "PCA: MSE", "MLP: MSE", "Conv: MSE",
    ]  # fmt: skip
    assert found[2].limit == found[0].value
    assert found[5].limit == found[3].value
