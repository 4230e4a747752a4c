"""Speed: ours is fitted up to the goal that peers set, ratios are what they say."""

import numpy as np
import pytest

import skvae
from benchmarks import datasets, peers
from benchmarks.datasets import Source
from benchmarks.peers import PEERS
from benchmarks.suites import speed, speed_pictures, speed_table
from benchmarks.suites.speed import Fit, Goal
from benchmarks.suites.speed_figures import SPEED
from benchmarks.suites.speed_table import CASES, OURS, Case
from tests.benchmarks.rows import line


def fit(method, seconds, r2, *, passes=None, case="usps", seed=0):
    """A line of a results file, as if measured."""
    chosen = CASES[case]
    task = {"case": case, "seed": seed, "max_train_rows": chosen.max_train_rows}
    size = {"latent_dim": chosen.latent_dim, "n_train": 100, "n_features": 8}
    figures = size | {"seconds": seconds, "r2": r2}
    return line("speed", task | {"method": method, "passes": passes}, figures)


@pytest.fixture
def fits():
    """Fits of one case: a peer that is matched, one that is not, one that is too fast."""
    failed = fit("KernelPCA", 1.0, 0.0) | {"error": "ValueError: no"}
    capped = fit("PCA", 0.1, 0.4)
    capped["task"]["max_train_rows"] = 7
    del failed["figures"]
    lines = [
        fit(OURS, 8.0, 0.8), fit(OURS, 1.0, 0.4, passes=1), fit(OURS, 2.0, 0.6, passes=2),
        fit("tutorial loop", 4.0, 0.5), fit("MLPRegressor", 6.0, 0.9), fit("PCA", 0.5, 0.4),
        capped, failed, fit("no longer there", 1.0, 0.5),
    ]  # fmt: skip
    return speed_table.collect(lines)


# Side by side.


@pytest.fixture
def small(monkeypatch):
    """A case of few rows, and a default of six passes."""

    def brief(latent_dim, max_iter, random_state):
        max_iter = 6 if max_iter == "auto" else max_iter
        return skvae.VAETransformer(latent_dim, max_iter=max_iter, random_state=random_state)

    monkeypatch.setattr(speed, "VAETransformer", brief)
    monkeypatch.setitem(CASES, "small", Case("iris", 2))
    yield ["--max-train-rows", "60", "--only", "small"]
    speed.warm_up.cache_clear()


def test_fits_are_written_once(command, small):
    found = command("speed", *small, "PCA")
    pca, own, *shorter = (line["task"] for line in found)
    assert (pca["method"], own["method"], own["passes"]) == ("PCA", OURS, None)
    assert [task["passes"] for task in shorter] == [0, 1, 2, 3, 4]
    assert found[1]["facts"]["n_iter_"] == 6
    figures = [line["figures"] for line in found]
    assert all(each["seconds"] > 0 and 0.5 < each["r2"] <= 1 for each in figures)
    assert figures[1]["r2"] >= figures[0]["r2"] - 1e-3
    again = command("speed", *small, "PCA", "FactorAnalysis")
    assert again[:-1] == found
    assert again[-1]["task"]["method"] == "FactorAnalysis"


def test_failures_end_nothing(command, small, monkeypatch):
    class Failing:
        def fit(self, X):
            raise ValueError("no\nmore")

    monkeypatch.setitem(PEERS, "PCA", peers.Peer(lambda latent_dim, seed: Failing()))
    speed.warm_up.cache_clear()
    failed, own, *_ = command("speed", *small, "PCA")
    assert failed["error"] == "ValueError: no"
    assert "figures" in own


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        ((3.0, 2.0), [None, 0, 1, 2, 3]),
        ((0.1, 2.0), [None, 0, 1]),
        ((1e9, 2.0), [None, 0, 1, 2, 3, 4, 6, 8]),
        ((1e9, 0.35), [None, 0, 1, 2, 3, 4]),
    ],
)
def test_ours_goes_on_to_the_goal_that_peers_set(goal, expected):
    plan, found, answer = speed.fits_of_ours(Fit("usps", 0), Goal(*goal)), [], None
    while True:
        try:
            passes = plan.send(answer).passes
        except StopIteration:
            break
        found.append(passes)
        n_passes = 20 if passes is None else passes
        figures = {"seconds": float(n_passes), "r2": n_passes / 10}
        answer = {"figures": figures, "facts": {"n_iter_": 10}}
    assert found == expected


def test_neural_peers_set_the_goal():
    lines = [
        fit("tutorial loop", 3.0, 0.1), fit("MLPRegressor", 2.0, 0.2), fit("PCA", 9.0, 0.9),
        line("speed", {"method": "pyod VAE"}, error="ValueError: no"),
    ]  # fmt: skip
    assert Goal.of(lines) == (3.0, 0.2)
    assert Goal.of([]) == (np.inf, np.inf)


def test_r2_of_the_training_mean_is_zero():
    class Mean:
        def reconstruct(self, X):
            return np.broadcast_to(split.X_train.mean(0), X.shape)

    split = datasets.split("iris", Source(), 0)
    assert speed.r2(Mean(), split) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["peers"], ([*PEERS], [], [])),
        (["figures"], ([], [], [*SPEED])),
        (["PCA", "step"], (["PCA"], [], ["step"])),
        (["mnist_10000"], ([*PEERS], ["mnist_10000"], [])),
        (["mnist_10000", "PCA"], (["PCA"], ["mnist_10000"], [])),
    ],
)
def test_what_is_asked_for(only, expected):
    assert speed.asked(only, []) == expected


# What the lines come to.


@pytest.mark.parametrize(
    ("seconds", "r2", "expected"),
    [
        (4.0, 0.5, (0.5, 0.6)),
        (4.0, 0.9, (np.inf, 0.6)),
        (0.5, 0.4, (2.0, np.nan)),
        (1.0, 0.4 + 1e-9, (1.0, 0.4)),
    ],
)
def test_ratios(seconds, r2, expected, fits):
    ours = fits[fits["method"] == OURS]
    found = speed_table.compared(seconds, r2, ours)
    np.testing.assert_array_equal([found["to_match"], found["at_time"]], expected)


def test_the_tables_of_speed(fits):
    summary = speed_table.summary(fits).set_index("peer")
    assert list(summary.index) == ["tutorial loop", "MLPRegressor", "PCA"]
    assert list(summary["matched"]) == [1, 0, 1]
    assert list(summary["worst"]) == ["0.5", "inf", "2"]
    assert list(summary["at most 0.1"]) == [0, 0, 0]
    told = "matched in 0 of 2 cases in at most 0.1 of its time; the worst is inf"
    assert told in speed_table.verdict(fits)
    assert list(summary["one pass takes no longer"]) == [1, 1, 0]
    assert list(summary["lowest"]) == ["+0.100", "-0.300", ""]
    cases = speed_table.cases_table(fits).set_index("method")
    assert list(cases.index) == [OURS, "tutorial loop", "MLPRegressor", "PCA"]
    assert list(cases["our R2 at its time"]) == ["", "0.600", "0.600", "one pass takes longer"]


def test_peers_that_are_matched_soon_are_counted():
    lines = [fit(OURS, 0.3, 0.5), fit("tutorial loop", 4.0, 0.5)]
    found = speed_table.collect(lines)
    assert list(speed_table.summary(found)["at most 0.1"]) == [1]
    assert "in 1 of 1 cases" in speed_table.verdict(found)


def test_seeds_are_averaged():
    lines = [fit(OURS, 1.0, 0.5, seed=seed) for seed in (0, 1)]
    lines += [fit("PCA", seconds, 0.4, seed=n) for n, seconds in enumerate([0.5, 8.0])]
    found = speed_table.cells(speed_table.pairs(speed_table.collect(lines)))
    (cell,) = found.to_dict("records")
    assert cell["seeds"] == 2
    assert cell["seconds"] == pytest.approx(2.0)
    assert cell["to_match"] == pytest.approx(0.5)
    assert np.isnan(cell["at_time"])


def test_labels_cover_nothing(fits):
    drawn = speed_pictures.fits(speed_table.measured(fits), {"usps": "usps"}, OURS)
    axes = drawn.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 5
    for n, box in enumerate(boxes):
        assert axes.bbox.count_contains(box.corners()) == 4
        assert not any(box.overlaps(other) for other in boxes[:n])
