"""Speed: peers reconstruct, fits are timed once, ratios are what they say, figures are written."""

import json
import logging
import shutil
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import skvae
from benchmarks import __main__ as command_line
from benchmarks import datasets, peers, report, speed, speed_bars, speed_report
from benchmarks.datasets import Source
from benchmarks.peers import PEERS
from benchmarks.speed import OURS, Case, Task
from benchmarks.speed_bars import SPEED, Settings, Shape
from tests.samples import curve

ROOT = Path(skvae.__file__).parent.parent
FROM_SCIKIT_LEARN = ("MLPRegressor", "PCA", "IncrementalPCA", "KernelPCA", "FactorAnalysis")
QUICK = ("tutorial loop", *FROM_SCIKIT_LEARN)
EXTRA = {"pythae VAE": "pythae", "pyod VAE": "pyod", "pyod AutoEncoder": "pyod"}


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def fitted(name, X, latent_dim=2):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence, and what the libraries say on import
        if name in EXTRA:
            pytest.importorskip(EXTRA[name])
        return PEERS[name].build(latent_dim, 0).fit(X)


def line(method, seconds, r2, *, passes=None, case="usps", seed=0):
    """A line of a results file, as if measured."""
    chosen = speed.CASES[case]
    return {
        "case": case, "seed": seed, "max_train_rows": chosen.max_train_rows, "method": method,
        "passes": passes, "latent_dim": chosen.latent_dim, "n_train": 100, "n_features": 8,
        "versions": {"python": "3"}, "threads": 1, "seconds": seconds, "r2": r2, "facts": {},
    }  # fmt: skip


@pytest.fixture
def measured(tmp_path):
    """Fits of one case: a peer that is matched, one that is not, one that is too fast."""
    written = [
        line(OURS, 8.0, 0.8), line(OURS, 1.0, 0.4, passes=1), line(OURS, 2.0, 0.6, passes=2),
        line("tutorial loop", 4.0, 0.5), line("MLPRegressor", 6.0, 0.9), line("PCA", 0.5, 0.4),
        line("PCA", 0.1, 0.4) | {"max_train_rows": 7},
        line("KernelPCA", 1.0, 0.0) | {"error": "ValueError: no"},
        line("no longer there", 1.0, 0.5),
    ]  # fmt: skip
    bars = [
        {"bar": f"speed: two passes, n = {n}", "value": n / 1e4, "limit": None} for n in (1e4, 1e5)
    ]
    for bar in bars:
        bar["bar"] = bar["bar"].removesuffix(".0")
    bars.append({"bar": "speed: two passes: power of n", "value": 1.0, "limit": 1.05})
    rest = {"sign": "<=", "unit": "s", "met": True, "versions": {"python": "3"}, "threads": 1}
    path = tmp_path / "speed.jsonl"
    written += [bar | rest for bar in bars]
    path.write_text("".join(json.dumps(line) + "\n" for line in written))
    return path


# Peers.


@pytest.mark.parametrize("name", [*QUICK, *EXTRA])
def test_peers_reconstruct_in_the_units_of_the_rows(name, capfd):
    X = 50 + 20 * curve(120, 6, noise=0.05)
    X[:, 5] = 7.0  # a column that does not vary
    model = fitted(name, X)
    found = model.reconstruct(X[:40])
    assert found.shape == (40, 6)
    np.testing.assert_allclose(found.mean(0), X[:40].mean(0), atol=10)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", EXTRA)
def test_peers_leave_nothing_behind(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = (curve(80, 5, noise=0.05).clip(-2, 2) + 2) / 4
    assert fitted(name, X.astype("float32")).reconstruct(X.astype("float32")).shape == X.shape
    assert not [*tmp_path.iterdir()]
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize("name", ["pythae VAE", "pyod VAE"])
def test_a_missing_library_is_named_with_its_extra(name, monkeypatch):
    for module in ("pythae.pipelines", "pyod.models.vae"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"pip install 'skvae\[peers\]'"):
        PEERS[name].build(2, 0).fit(curve(40, 5))


def test_the_tutorial_loop_learns():
    X = curve(1500, 5)
    error = np.square(X - fitted("tutorial loop", X).reconstruct(X)).mean()
    assert error < 0.8 * X.var(axis=0).mean()
    assert fitted("tutorial loop", (X - X.min()) / np.ptp(X)).scale.is_unit


def test_kernel_pca_gets_fewer_rows():
    model = fitted("KernelPCA", curve(2100, 3))
    assert model.model.X_fit_.shape[0] == 2000


def test_scales_are_invertible():
    X = curve(30, 5)
    scale = peers.Scale.of(X)
    np.testing.assert_allclose(scale.there(X).std(0), 1, rtol=1e-5)
    np.testing.assert_allclose(scale.back(scale.there(X)), X, atol=1e-5)


# Side by side.


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Return a function that runs the command on few rows and returns the lines."""

    def brief(latent_dim, max_iter, random_state):
        max_iter = 6 if max_iter == "auto" else max_iter
        return skvae.VAETransformer(latent_dim, max_iter=max_iter, random_state=random_state)

    monkeypatch.setattr(speed, "VAETransformer", brief)
    monkeypatch.setattr(speed, "CASES", {"small": Case("iris", 2), "digits": Case("digits", 2)})
    path = tmp_path / "speed.jsonl"

    def run(*arguments):
        rest = ["--max-train-rows", "60", "--output", str(path)]
        command_line.main(["speed", *rest, *arguments])
        return lines(path)

    return run


def test_fits_are_written_once(command):
    found = command("--only", "PCA", "--datasets", "iris")
    pca, own, *shorter = found
    assert (pca["method"], own["method"], own["passes"]) == ("PCA", OURS, None)
    assert [fit["passes"] for fit in shorter] == [0, 1, 2, 3, 4]
    assert own["facts"]["n_iter_"] == 6
    assert all(fit["seconds"] > 0 and 0.5 < fit["r2"] <= 1 for fit in found)
    assert own["r2"] >= pca["r2"] - 1e-3
    again = command("--only", "PCA", "FactorAnalysis", "--datasets", "iris")
    assert again[:-1] == found
    assert again[-1]["method"] == "FactorAnalysis"


def test_failures_are_tried_again_and_end_nothing(command, monkeypatch):
    class Failing:
        def fit(self, X):
            raise ValueError("no\nmore")

    monkeypatch.setitem(PEERS, "PCA", peers.Peer(lambda latent_dim, seed: Failing()))
    speed.warm_up.cache_clear()
    monkeypatch.setattr(speed, "fit_ours", lambda task, goal, fit: None)
    assert [fit["error"] for fit in command("--only", "PCA", "--datasets", "iris")] == [
        "ValueError: no"
    ]
    assert len(command("--only", "PCA", "--datasets", "iris")) == 2


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
    found = []

    def fit(task):
        found.append(task.passes)
        n_passes = 20 if task.passes is None else task.passes
        return {"seconds": float(n_passes), "r2": n_passes / 10, "facts": {"n_iter_": 10}}

    speed.fit_ours(Task("usps", 0), speed.Goal(*goal), fit)
    assert found == expected


def test_neural_peers_of_the_same_rows_set_the_goal():
    fits = {
        ("usps", 0, None, "tutorial loop", None): {"seconds": 3.0, "r2": 0.1},
        ("usps", 0, None, "MLPRegressor", None): {"seconds": 2.0, "r2": 0.2},
        ("usps", 0, None, "FactorAnalysis", None): {"seconds": 9.0, "r2": 0.9},
        ("usps", 0, None, OURS, None): {"seconds": 9.0, "r2": 0.9},
        ("usps", 1, None, "tutorial loop", None): {"seconds": 9.0, "r2": 0.9},
    }
    assert speed.Goal.of(fits, Task("usps", 0)) == (3.0, 0.2)
    assert speed.Goal.of(fits, Task("usps", 2)) == (np.inf, np.inf)


def test_r2_of_the_training_mean_is_zero():
    class Mean:
        def reconstruct(self, X):
            return np.broadcast_to(split.X_train.mean(0), X.shape)

    split = datasets.split("iris", Source(), 0)
    assert speed.r2(Mean(), split) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("only", "names", "figures"),
    [
        (["peers"], [*PEERS], []),
        (["figures"], [], [*SPEED]),
        (["PCA", "step"], ["PCA"], ["step"]),
        (["mnist_10000"], [*PEERS], []),
        (["mnist_10000", "PCA"], ["PCA"], []),
    ],
)
def test_what_is_asked_for(only, names, figures):
    assert command_line._chosen(only) == (names, figures)


# What the lines come to.


def test_ratios():
    ours = [line(OURS, 1.0, 0.4, passes=1), line(OURS, 2.0, 0.6, passes=2), line(OURS, 8.0, 0.8)]
    compared = speed_report.compared
    assert compared(line("PCA", 4.0, 0.5), ours) == {"to_match": 0.5, "at_time": 0.6}
    assert compared(line("PCA", 4.0, 0.9), ours) == {"to_match": float("inf"), "at_time": 0.6}
    assert compared(line("PCA", 0.5, 0.4), ours) == {"to_match": 2.0, "at_time": None}
    assert compared(line("PCA", 1.0, 0.4 + 1e-9), ours) == {"to_match": 1.0, "at_time": 0.4}


def test_the_tables_of_speed(measured):
    found = speed.read([measured])
    summary = speed_report.summary(found).set_index("peer")
    assert list(summary.index) == ["tutorial loop", "MLPRegressor", "PCA"]
    assert list(summary["matched"]) == [1, 0, 1]
    assert list(summary["worst"]) == ["0.5", "inf", "2"]
    assert list(summary["one pass takes no longer"]) == [1, 1, 0]
    assert list(summary["lowest"]) == ["+0.100", "-0.300", ""]
    cases = speed_report.cases(found).set_index("method")
    assert list(cases.index) == [OURS, "tutorial loop", "MLPRegressor", "PCA"]
    assert list(cases["our R2 at its time"]) == ["", "0.600", "0.600", "one pass takes longer"]


def test_seeds_are_averaged():
    written = [line(OURS, 1.0, 0.5, seed=seed) for seed in (0, 1)]
    written += [line("PCA", seconds, 0.4, seed=n) for n, seconds in enumerate([0.5, 8.0])]
    found = dict(enumerate(written))
    (cell,) = speed_report._cells(speed_report.pairs(found)).to_dict("records")
    assert cell["seeds"] == 2
    assert cell["seconds"] == pytest.approx(2.0)
    assert cell["to_match"] == pytest.approx(0.5)
    assert np.isnan(cell["at_time"])


def test_the_report_holds_speed(measured, tmp_path):
    for page in report.PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    command_line.main(["report", str(measured), "--root", str(tmp_path)])
    text = (tmp_path / "docs" / "speed.md").read_text()
    assert "| usps | MLPRegressor | 1 | 6 | 0.900 | inf | 0.600 |" in text
    assert "| usps | KernelPCA |  | 0 | ValueError: no |" in text
    assert "| two passes: power of n | 1 s | <= 1.05 s | met |" in text
    for name in ("speed.png", "growth.png"):
        assert f"(images/{name})" in text
        assert (tmp_path / "docs" / "images" / name).stat().st_size > 1000
    assert "speed: " not in (tmp_path / "docs" / "benchmarks.md").read_text()


def test_labels_cover_nothing(measured):
    drawn = speed_report.figure(speed.read([measured]))
    axes = drawn.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 5
    for n, box in enumerate(boxes):
        assert axes.bbox.count_contains(box.corners()) == 4
        assert not any(box.overlaps(other) for other in boxes[:n])


# Single figures.


def test_growth_is_a_power():
    assert speed_bars.slope({10: 3.0, 100: 30.0, 1000: 300.0}) == pytest.approx(1)


def test_rows_are_written_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(speed_bars, "ROWS_PER_CHUNK", 4)
    rng = np.random.default_rng(0)
    make = partial(speed_bars.low_rank, n_columns=3, rng=rng)
    speed_bars.write_rows(tmp_path / "rows.npy", 10, 3, make)
    rows = np.load(tmp_path / "rows.npy")
    assert rows.shape == (10, 3)
    assert (np.abs(rows).sum(1) > 0).all()
    assert not np.array_equal(rows[:4], rows[4:8])


@pytest.mark.parametrize(
    ("name", "arguments", "n_lines"),
    [
        ("step", {"shape": Shape(12, 2, 32, 128, 1), "times": 1}, 6),
        (
            "gpu",
            {"device": "cpu:0", "dataset": "wine", "shape": Shape(12, 2, 32, 128, 1), "times": 1},
            8,
        ),
        ("transform", {"columns": (6,), "n_rows": 200, "times": 1}, 6),
        ("restarts", {"widths": (4, 8), "n_restarts": 2, "n_rows": 8, "times": 1}, 2),
        ("growth_columns", {"sizes": (20, 30), "n_rows": 200}, 5),
        # These start processes.
        pytest.param(
            "grid_search", {"latent_dims": (2,), "n_folds": 2, "max_iter": 1}, 3,
            marks=pytest.mark.slow,
        ),
        pytest.param("import", {"times": 1}, 2, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_single_figures(name, arguments, n_lines):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(SPEED[name](Source(), Settings(), **arguments))
    assert len(found) == n_lines
    assert len({measured.bar for measured in found}) == n_lines
    assert all(np.isfinite(measured.value) for measured in found)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_there_is_no_figure_of_it():
    assert list(SPEED["gpu"](Source(), Settings())) == []


def test_rows_may_grow(tmp_path):
    np.savez(tmp_path / "donors.npz", X=curve(600, 10), y=np.zeros(600))
    figure = SPEED["growth_rows"](Source(str(tmp_path)), Settings(), sizes=(200, 400))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [measured.bar for measured in figure]
    assert names == ["two passes, n = 200", "two passes, n = 400", "two passes: power of n"]


@pytest.mark.slow
def test_memory_of_a_mapped_file(tmp_path):
    (measured,) = SPEED["mapped_memory"](Source(), Settings(tmp_path), n_rows=2000, n_columns=50)
    assert 0 <= measured.value < 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_time_of_a_mapped_file(tmp_path):
    np.savez(tmp_path / "donors.npz", X=curve(600, 10), y=np.zeros(600))
    source, settings = Source(str(tmp_path)), Settings(tmp_path)
    figure = SPEED["mapped_time"](source, settings, shapes=[(2000, 1), (1000, 3)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {measured.bar: measured.value for measured in figure}
    assert list(found)[::2] == ["fit of a file, 2000 x 10", "fit of a file, 1000 x 30"]
    assert min(found.values()) >= 0
    assert not [*tmp_path.glob("tmp*")]


def test_figures_are_written_as_bars(tmp_path, monkeypatch):
    def some(source, settings):
        yield speed_bars.Measured(f"of {settings.folder.name}", 0.5, "<=", 1.0)

    monkeypatch.setitem(SPEED, "some", some)
    arguments = ["--folder", str(tmp_path), "--output", str(tmp_path / "speed.jsonl")]
    command_line.main(["speed", "--only", "some", *arguments])
    (found,) = lines(tmp_path / "speed_figures.jsonl")
    assert (found["bar"], found["met"]) == (f"speed: of {tmp_path.name}", True)
    assert not (tmp_path / "speed.jsonl").exists()
