"""The benchmark runs from end to end, and its tables are well-formed."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

import skvae
from benchmarks import __main__ as command_line
from benchmarks import bars, datasets, demo, experiments, report, trials
from benchmarks.bars import BARS, Measured
from benchmarks.datasets import DATASETS, SCALINGS, Source
from benchmarks.methods import METHODS
from benchmarks.metrics import DEFAULT_METRICS, METRICS, pca_log_densities, squared_error
from tests.samples import gaussian

ROOT = Path(skvae.__file__).parent.parent
COMMAND = ["--datasets", "iris", "--latent-dims", "2", "--seeds", "0", "--max-train-rows", "60"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Trials of two methods on one data set, as the command line runs them."""
    path = tmp_path_factory.mktemp("results") / "trials.jsonl"
    command_line.main([*COMMAND, "--methods", "pca", "skvae", "--output", str(path)])
    return path


@pytest.fixture
def pages(tmp_path):
    """Copies of the pages that the report fills."""
    for page in report.PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    return tmp_path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


# The tables of names.


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    method = METHODS[name]
    X = np.abs(gaussian(40, 6))
    model = method.build(X, 2, 0)
    assert all(hasattr(model, part) for part in ("fit", "transform"))
    assert method.accepts(X)
    assert method.accepts(-X) == (not method.nonnegative)
    assert method.accepts(sparse.csr_matrix(X)) == method.sparse
    assert name in report.LABELS


def test_labels_are_those_of_methods():
    assert set(report.LABELS) == set(METHODS)


@pytest.mark.parametrize("name", METRICS)
def test_metrics(name):
    assert callable(METRICS[name])
    assert METRICS[name].__doc__
    assert (name in DEFAULT_METRICS) == (name != "peak_memory_mb")


@pytest.mark.parametrize("name", DATASETS)
def test_data_sets(name):
    dataset = DATASETS[name]
    assert dataset.scaling in SCALINGS
    assert (dataset.load is None) != (dataset.file is None)


def test_bundled_data_sets_are_always_there():
    found = datasets.available(Source())
    assert found == [name for name, dataset in DATASETS.items() if dataset.load]
    split = datasets.split("wine", Source(), seed=0)
    assert len(split.X_train) == len(split.y_train)
    np.testing.assert_allclose(split.X_train.mean(0), 0, atol=1e-12)
    assert not np.array_equal(datasets.split("wine", Source(), seed=1).y_test, split.y_test)


def test_a_data_set_that_is_not_there_says_what_it_needs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"needs the file mnist.npz .*--openml"):
        datasets.read("mnist", Source(str(tmp_path)))


def test_data_sets_from_files(tmp_path):
    X, y = gaussian(20, 4), np.arange(20) % 3
    np.savez(tmp_path / "pol.npz", X=X, y=y)
    np.savez(tmp_path / "mnist.npz", X_train=X, y_train=y, X_test=X[:5], y_test=y[:5])
    sparse.save_npz(tmp_path / "basehock.sparse.npz", sparse.csr_matrix(np.abs(X)))
    source = Source(str(tmp_path))
    assert {"pol", "mnist", "basehock"} <= set(datasets.available(source))
    assert datasets.read("pol", source).X.shape == (20, 4)
    mnist = datasets.split("mnist", source, seed=0)
    assert (len(mnist.X_train), len(mnist.X_test)) == (20, 5)
    assert sparse.issparse(datasets.split("basehock", source, seed=0).X_train)


def test_rank_and_the_dims_below_it():
    X = gaussian(50, 3) @ np.ones((3, 8)) + gaussian(50, 2) @ np.eye(2, 8)
    assert datasets.rank(X) == 3
    assert datasets.fitting_dims(X, [1, 2, 3, 8]) == [1, 2]


def test_log_densities_of_pca_are_scikit_learns():
    X = gaussian(60, 8)
    pca = PCA(3).fit(X)
    np.testing.assert_allclose(pca_log_densities(pca, X), pca.score_samples(X), rtol=1e-9)
    error = np.square(X - pca.inverse_transform(pca.transform(X))).mean()
    assert squared_error(pca, X) == pytest.approx(error)
    assert squared_error(pca, sparse.csr_matrix(X)) == pytest.approx(error)


# Trials.


def test_a_trial_measures_what_was_asked(results):
    found = {line["method"]: line for line in lines(results)}
    assert set(found) == {"pca", "skvae"}
    for line in found.values():
        assert "error" not in line
        assert set(line["metrics"]) == set(DEFAULT_METRICS)
        assert (line["n_train"], line["n_features"]) == (60, 4)
        assert line["versions"]["skvae"] == skvae.__version__
    assert found["pca"]["metrics"]["mse_ratio"] == pytest.approx(1)
    assert found["pca"]["metrics"]["log_likelihood_gain"] == pytest.approx(0, abs=1e-9)
    assert found["skvae"]["metrics"]["row_guarantee"] is True
    assert set(found["skvae"]["facts"]) == set(trials.FACTS)


def test_a_run_goes_on_where_it_ended(results):
    before = results.read_text()
    command_line.main([*COMMAND, "--methods", "pca", "skvae", "--output", str(results)])
    assert results.read_text() == before


def test_a_failing_trial_is_recorded(tmp_path, monkeypatch):
    def fail(X, latent_dim, seed):
        raise RuntimeError("no fit\ntoday")

    monkeypatch.setitem(METHODS, "pca", METHODS["pca"].__class__(fail))
    path = tmp_path / "trials.jsonl"
    command_line.main([*COMMAND, "--methods", "pca", "--output", str(path)])
    assert lines(path)[0]["error"] == "RuntimeError: no fit"
    # It is tried again.
    command_line.main([*COMMAND, "--methods", "pca", "--output", str(path)])
    assert len(lines(path)) == 2


def test_bars_say_whether_they_are_met(tmp_path, monkeypatch):
    figures = [
        Measured("a", 1.0, "<=", 2.0, "s"),
        Measured("b", 1.0, ">=", 2.0),
        Measured("c", 1.0, "<=", None),
    ]
    monkeypatch.setitem(BARS, "some", lambda source: iter(figures))
    found = bars.run(["some"], Source(), tmp_path / "bars.jsonl")
    assert [measured.met for measured in found] == [True, False, True]
    assert [line["met"] for line in lines(tmp_path / "bars.jsonl")] == [True, False, True]
    assert "MISSED" in str(found[1])


def test_the_start_is_pca_to_the_bar():
    for measured in BARS["start_is_pca"](Source()):
        assert measured.met, measured


def test_an_experiment_changes_constants_and_puts_them_back():
    from skvae.training import loop as training

    before = training.NOISE_RATE
    with experiments.changed({"training.NOISE_RATE": 1.0}):
        assert training.NOISE_RATE == 1.0
    assert before == training.NOISE_RATE != 1.0


@pytest.mark.parametrize("name", experiments.EXPERIMENTS)
def test_experiments_change_what_is_there(name):
    parameters = skvae.VAETransformer().get_params(deep=False)
    for changes in experiments.EXPERIMENTS[name].values():
        constants = {key: value for key, value in changes.items() if "." in key}
        assert set(changes) - set(constants) <= set(parameters)
        with experiments.changed(constants):  # raises for a constant that is not there
            pass


# The report.

EXPERIMENTS = [
    {"experiment": "start", "variant": variant, "task": ["digits", 8, seed], "ratio": ratio,
     "gain": 3.0, "seconds": 2.0}
    for variant, seed, ratio in [("default", 0, 0.9), ("random", 0, 0.6), ("random", 1, 0.1),
                                 ("default", 0, 0.5), ("default", 2, 0.5), ("random", 2, 0.9)]
]  # fmt: skip
BAR = {"bar": "a time", "value": 1.0, "sign": "<=", "limit": 2.0, "unit": "s", "met": True}


def test_the_report_fills_the_pages(results, pages, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text("".join(json.dumps(line) + "\n" for line in [*EXPERIMENTS, BAR]))
    command_line.main(["report", str(results), str(more), "--root", str(pages)])
    text = {page: (pages / page).read_text() for page in report.PAGES}
    assert "| VAETransformer | 1 |" in text["README.md"]
    page = text["docs/benchmarks.md"]
    for part in (
        "1 trials on 1 data sets",
        "| PCA | 1 | 1.000 |",
        "| iris | 60 x 4 |",
        "scikit-learn 1",
        "| a time | 1 s | <= 2 s | met |",
    ):
        assert part in page
    # The last line of a task counts, and only tasks that the default has.
    theory = text["docs/theory.md"]
    assert "### start" in theory
    assert "| default | 0.5000 | 0.500 | 1.0000 | 0 / 0 | 3.00 | 1.00 |" in theory
    assert "| random | 0.7348 | 0.900 | 1.4697 | 0 / 2 | 3.00 | 1.00 |" in theory
    for image in ("overview", "mse_ratio", "log_likelihood_gain"):
        assert f"(images/{image}.png)" in page
        assert (pages / "docs" / "images" / f"{image}.png").stat().st_size > 1000


def test_the_report_can_be_written_again(results, pages):
    report.write([results], pages)
    once = {page: (pages / page).read_text() for page in report.PAGES}
    report.write([results], pages)
    assert once == {page: (pages / page).read_text() for page in report.PAGES}


def test_a_report_of_nothing_changes_nothing(pages):
    before = {page: (pages / page).read_text() for page in report.PAGES}
    report.write([], pages)
    assert before == {page: (pages / page).read_text() for page in report.PAGES}


def test_failed_trials_are_listed(results, pages, tmp_path):
    failed = lines(results)[-1] | {"seed": 7, "metrics": {}, "error": "ValueError: no"}
    path = tmp_path / "failed.jsonl"
    path.write_text(results.read_text() + json.dumps(failed) + "\n")
    report.write([path], pages)
    text = (pages / "docs" / "benchmarks.md").read_text()
    assert "1 failed" in text
    assert "| ValueError: no |" in text


def test_fill_wants_its_markers():
    page = "a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n"
    assert report.fill(page, "x", "new\n") == "a\n<!-- x:start -->\nnew\n<!-- x:end -->\nb\n"
    assert report.fill(page, "x", None) == page
    with pytest.raises(ValueError, match="<!-- y:start -->"):
        report.fill(page, "y", "new")


def test_ratios_are_averaged_geometrically():
    frame = pd.DataFrame({
        "dataset": "a", "method": "skvae", "latent_dim": 2, "seed": [0, 1], "max_train_rows": None,
        "mse_ratio": [0.25, 1.0], "log_likelihood_gain": [1.0, 3.0], "fit_seconds": 1.0,
        "knn1": 0.5, "linear_probe": 0.5, "error": None,
    })  # fmt: skip
    row = report.methods_table(frame).iloc[0]
    assert row["MSE / PCA's"] == "0.500"
    assert row["worst"] == "1.000"
    assert row["nats per row over PCA: median"] == "2.00"


# The demo.


@pytest.fixture
def csv(tmp_path):
    X = gaussian(80, 5)
    frame = pd.DataFrame(X, columns=list("abcde")).assign(
        city=["x", "y"] * 40, kind=np.arange(80) % 3, empty=[1.0] * 10 + [np.nan] * 70
    )
    frame.loc[3, "b"] = np.nan
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_the_reader_leaves_out_what_is_not_numeric(csv, capsys):
    data = demo.read_table(csv, target=None)
    message = capsys.readouterr().out
    assert "columns left out, not numeric: city" in message
    assert "columns left out, mostly missing: empty" in message
    assert "rows left out, missing cells: 1 of 80" in message
    assert data.X_train.shape[1] == 6
    assert len(data.X_train) + len(data.X_test) == 79
    assert data.y_train is None
    np.testing.assert_allclose(data.X_train.std(0), 1)


def test_the_reader_takes_classes(csv):
    data = demo.read_table(csv, target="kind")
    assert set(data.y_train) <= {"0", "1", "2"}
    assert data.X_train.shape[1] == 5


def test_the_reader_names_the_columns_there_are(csv):
    with pytest.raises(SystemExit, match="no column 'price'; there are: a, b, c"):
        demo.read_table(csv, target="price")


def test_the_reader_wants_enough_rows_and_columns(tmp_path):
    pd.DataFrame(gaussian(10, 2), columns=["a", "b"]).to_csv(tmp_path / "small.csv")
    with pytest.raises(SystemExit, match="at least 20 rows of 4 columns"):
        demo.read_table(tmp_path / "small.csv", target=None)


def test_the_demo_runs_on_a_table(csv, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "LATENT_DIMS", (2, 4))
    quick = lambda latent_dim: skvae.VAETransformer(latent_dim, max_iter=0)  # noqa: E731
    monkeypatch.setitem(demo.REDUCERS, "VAETransformer", (quick, "latent_dim"))
    picture = tmp_path / "demo.png"
    arguments = ["demo", "--data", str(csv), "--target", "kind", "--output", str(picture)]
    monkeypatch.setattr(sys, "argv", arguments)
    demo.main()
    shown = capsys.readouterr().out
    for part in ("latent_dim", "Pipeline, latent_dim 4", "GridSearchCV, 3 folds", "picture:"):
        assert part in shown
    assert picture.stat().st_size > 1000
