"""The suite of tables: its measures on small made-up tables, and the table of them."""

import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.frames import FRAMES
from benchmarks.marginals import Marginals
from benchmarks.suites import tables
from benchmarks.suites.measures import MEASURES, SKVAE, imputation_errors
from tests.benchmarks.rows import line, task

PEERS = ["marginals", "mean_mode", "knn", "iterative_bayesian_ridge", "missforest", "pca"]


def test_errors_of_filled_cells():
    complete = pd.DataFrame({"a": [0.0, 2.0, 0.0, 2.0], "b": list("xyxy"), "constant": 1.0})
    filled = pd.DataFrame({"a": [1.0, 2.0, 0.0, 5.0], "b": list("yyxy"), "constant": 5.0})
    hidden = np.array([[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 1]], dtype=bool)
    errors = imputation_errors(complete, filled, hidden)
    assert errors["nrmse"] == errors["mse"] ** 0.5 == pytest.approx(0.5**0.5)
    assert errors["error_rate"] == 0.5
    assert errors["error"] == pytest.approx((0.5**0.5 + 0.5) / 2)
    assert imputation_errors(complete[["a"]], filled[["a"]], hidden)["error_rate"] is None
    assert imputation_errors(complete[["b"]], filled[["b"]], hidden[:, [1]])["mse"] is None


def test_a_number_at_the_end_of_a_method_is_its_latent_dim(folder):
    assert tables.split_method("skvae_linear_16") == ("skvae_linear", 16)
    assert tables.split_method("iterative_bayesian_ridge") == ("iterative_bayesian_ridge", None)
    assert task("imputation", "skvae", folder).latent_dim == 10
    assert task("synthesis", "skvae_32", folder).latent_dim == 32


@pytest.mark.parametrize("name", MEASURES)
def test_measures_name_what_there_is(name):
    measure = MEASURES[name]
    assert set(measure.datasets) <= set(FRAMES)
    assert measure.missing is None or set(measure.missing) == set(measure.datasets)
    bases = {tables.split_method(method)[0] for method in measure.methods}
    assert bases <= {*SKVAE, *PEERS}
    assert all(figure.worst in {"min", "max"} for figure in measure.figures.values())


def test_a_plan_holds_what_makes_sense(folder):
    planned = list(tables.plan(["imputation"], [0, 1], folder, methods=["knn", "skvae_16"]))
    wine = [task for task in planned if task.dataset == "hivae_wine"]
    # There is one mask of each percentage.
    assert [(t.missing, t.method, t.seed) for t in wine] == [
        (percent, method, 0) for percent in (10, 30, 50) for method in ("knn", "skvae_16")
    ]
    assert len([task for task in planned if task.dataset == "adult"]) == 4
    assert {task.dataset for task in tables.plan(list(MEASURES), [0], None)} == {"breast_cancer"}
    asked = list(tables.plan(["speed"], [0], None, datasets=["adult"], max_rows=5))
    assert [task.max_rows for task in asked] == [5, 5]


@pytest.fixture
def memory_here(monkeypatch):
    """The fit whose memory is measured, in this process: a fresh one takes seconds to start."""

    def peak_growth_mb(prepare, task):
        prepare(task)()
        return 1.0

    monkeypatch.setattr("benchmarks.suites.measures.peak_growth_mb", peak_growth_mb)


RUNS = [
    ("likelihood", "marginals"), ("imputation", "mean_mode"), ("synthesis", "marginals"),
    ("codes", "pca_2"), ("counts", "pca_3"),
]  # fmt: skip


@pytest.mark.usefixtures("memory_here")
@pytest.mark.parametrize(("table", "method"), RUNS)
def test_peers_are_measured_on_every_data_set(table, method, folder):
    for dataset in MEASURES[table].datasets:
        outcome = task(table, method, folder, dataset).measure()
        assert set(MEASURES[table].figures) <= set(outcome.figures)
        json.dumps(outcome.figures)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("memory_here", "short_training")
@pytest.mark.parametrize(
    "table",
    [pytest.param(each, marks=[pytest.mark.slow] * (each == "counts")) for each in MEASURES],
)
def test_skvae_is_measured_on_every_data_set(table, folder):
    methods = [tables.split_method(method)[0] for method in MEASURES[table].methods]
    method = "skvae_linear" if "skvae_linear" in methods else methods[0]
    for dataset in MEASURES[table].datasets:
        outcome = task(table, f"{method}_2", folder, dataset, max_rows=100).measure()
        figures = {name: outcome.figures[name] for name in MEASURES[table].figures}
        assert all(value is None or np.isfinite(value) for value in figures.values())
        json.dumps(outcome.figures)


@pytest.mark.slow
def test_skvae_beats_what_ignores_the_other_columns(folder):
    """With columns that follow one hidden number, means and marginals are no match."""
    pairs = [("likelihood", "marginals", "log_likelihood"), ("imputation", "mean_mode", "error")]
    for table, peer, figure in pairs:
        ours, theirs = (
            task(table, method, folder, "adult").measure().figures[figure]
            for method in ("skvae_1", peer)
        )
        assert ours > theirs if figure == "log_likelihood" else ours < theirs


def test_columns_of_a_single_value_have_no_density(folder, monkeypatch):
    fitted = []
    monkeypatch.setattr(Marginals, "fit", lambda self, X: fitted.append(X) or self)
    monkeypatch.setattr(Marginals, "score_samples", lambda self, X: np.zeros(len(X)))
    task("likelihood", "marginals", folder, "loans").measure()
    assert "interest_rate" not in fitted[0]
    assert "grade" in fitted[0]


def test_the_command_measures_what_is_asked_for(command, folder):
    arguments = ["--data", folder, "--only", "likelihood", "--methods", "marginals", "--seeds", "0"]
    lines = command("tables", *arguments, "--datasets", "adult", "loans")
    assert [line["task"]["dataset"] for line in lines] == ["adult", "loans"]
    assert "directory" not in lines[0]["task"]
    assert len(command("tables", *arguments, "--datasets", "adult", "--max-rows", "60")) == 3


def test_the_command_names_what_there_is(command, capsys, folder):
    with pytest.raises(SystemExit, match=r"no such methods: \['magic'\]; there are \['marginals'"):
        command("tables", "--data", folder, "--only", "likelihood", "--methods", "magic")
    command("tables", "--datasets", "adult", "--only", "speed")
    assert "left out: table 'adult' needs adult.csv.gz" in capsys.readouterr().out


def run(method, seed, value, **other):
    found = {"table": "imputation", "dataset": "adult", "method": method, "seed": seed}
    found |= {"missing": 30, "max_rows": None} | other
    return line("tables", found, {"error": value, "seconds": 1.0})


def test_the_report_gives_means_and_the_worst_seed():
    lines = [
        run("knn", 0, 0.5), run("skvae", 0, 0.2), run("skvae", 1, 0.4), run("skvae_16", 0, 0.1),
        run("mean_mode", 0, 0.9, max_rows=10), run("missforest", 0, None) | {"error": "no"},
    ]  # fmt: skip
    rows = tables.collect(lines)
    table = tables.summaries(rows)["imputation"]
    assert list(table.columns) == ["data", "figure", "seeds", "skvae", "knn", "skvae_16"]
    errors, seconds = (list(row) for row in table.itertuples(index=False))
    data = "adult, 30 % missing"
    assert errors == [data, "error", "1-2", "0.3000 (0.4000)", "0.5000", "0.1000"]
    assert seconds == [data, "seconds", "1-2", "1.0 (1.0)", "1.0", "1.0"]
    assert "| imputation | adult | 30 | missforest | 0 | no |" in tables.text(rows)
