"""The benchmark of tables: its readers, peers and measures on small made-up tables."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import skvae
from benchmarks import __main__ as command_line
from benchmarks import frames, report, table_report, tables
from benchmarks.frames import FRAMES
from benchmarks.imputers import IMPUTERS, N_LEVELS, Coded, MissForest
from benchmarks.marginals import Marginals
from benchmarks.measures import MEASURES, SKVAE, imputation_errors

ROOT = Path(skvae.__file__).parent.parent
PEERS = ["marginals", "mean_mode", "knn", "iterative_bayesian_ridge", "missforest", "pca"]


def mixed(n_rows, seed=0):
    """A table in which every column follows the others: numbers, text, a category, a boolean."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_rows)
    kind = np.digitize(z, [-0.5, 0.5])
    return pd.DataFrame({
        "a": 3 * z + 0.1 * rng.normal(size=n_rows) + 10,
        "b": np.round(100 * z).astype(int),
        "kind": np.array(["low", "middle", "high"])[kind],
        "size": pd.Categorical.from_codes(kind, ["S", "M", "L"], ordered=True),
        "positive": z > 0,
    })  # fmt: skip


def with_holes(frame, seed=0):
    hidden = np.random.default_rng(seed).random(frame.shape) < 0.2
    return frames.with_holes(frame, hidden), hidden


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with a small stand-in for every file."""
    path, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    table = mixed(150)
    income = np.where(table["a"] > 11, ">50K", "<=50K")
    adult = with_holes(table)[0].assign(income=income)
    adult.to_csv(path / "adult.csv.gz", index=False)
    grade = np.array(list("ABC"))[np.digitize(table["a"], [9, 11])]
    loans = table.assign(grade=grade, sub_grade=grade, interest_rate=1.0)
    loans.to_csv(path / "loans.csv.gz", index=False)
    for name in ("hivae_wine", "hivae_spam"):
        (path / name).mkdir()
        values = pd.DataFrame({0: table["a"], 1: table["b"], 2: 1 + table["positive"]})
        values.to_csv(path / name / "data.csv", index=False, header=False)
        types = "type,dim,nclass\npos,1,\ncount,1,\ncat,2,2\n"
        (path / name / "data_types.csv").write_text(types)
        for percent in (10, 30, 50):
            (path / name / f"Missing{percent}_1.csv").write_text("1,1\n3,2\n150,3\n5,3\n")
    np.savez(path / "news20_w100.npz", X=rng.integers(0, 2, (150, 8), np.uint8), y=np.arange(150))
    rates = np.exp(rng.normal(size=(2, 12)))[np.arange(150) % 2]
    for name in ("sc_celseq2", "basehock"):
        sparse.save_npz(path / f"{name}.sparse.npz", sparse.csr_matrix(rng.poisson(rates)))
        labels = np.array(["x", "y"], dtype=object)[np.arange(150) % 2]
        np.save(path / f"{name}.labels.npy", labels, allow_pickle=True)
    return str(path)


def task(table, method, folder, dataset=None, **options):
    measure = MEASURES[table]
    dataset = dataset or measure.datasets[0]
    missing = measure.missing and measure.missing[dataset][0]
    return tables.Task(table, dataset, method, 0, missing, directory=folder, **options)


# Tables and holes.


@pytest.mark.parametrize("name", FRAMES)
def test_every_table_is_read(name, folder):
    rows = frames.read(name, folder)
    assert rows.X.shape[0] >= 150
    capped = frames.read(name, folder, max_rows=50, seed=1)
    assert capped.X.shape == (50, rows.X.shape[1])
    assert (rows.y is None) == (name not in {"news20_w100", "sc_celseq2", "basehock"})


def test_a_table_that_is_not_there_says_what_it_needs(tmp_path):
    assert frames.available(str(tmp_path)) == frames.available(None) == ["breast_cancer"]
    with pytest.raises(FileNotFoundError, match=r"'adult' needs adult.csv.gz .*--data"):
        frames.read("adult", str(tmp_path))


def test_columns_have_the_types_that_are_stated(folder):
    X = frames.read("hivae_wine", folder).X
    assert [frames.is_number(X[name]) for name in X] == [True, True, False]
    assert X["x1"].dtype == "int64"
    assert set(X["x2"].cat.categories) == {"1", "2"}
    ordered = frames.HIVAE_TYPES["ordinal"](pd.Series([10.0, 9.0, 10.0]))
    assert list(ordered.cat.categories) == ["9", "10"]
    assert ordered.cat.ordered


def test_labels_may_not_hold_code(tmp_path):
    class Harmful:
        def __reduce__(self):
            return print, ("run",)

    sparse.save_npz(tmp_path / "basehock.sparse.npz", sparse.csr_array(np.eye(1)))
    harmful = np.array([Harmful()], dtype=object)
    np.save(tmp_path / "basehock.labels.npy", harmful, allow_pickle=True)
    with pytest.raises(pickle.UnpicklingError, match=r"labels may not hold builtins\.print"):
        frames.read("basehock", str(tmp_path))


def test_holes_are_those_of_the_mask(folder):
    X = frames.read("hivae_wine", folder).X
    hidden = frames.hidden_cells("hivae_wine", X, 10, 0, folder)
    assert set(zip(*np.nonzero(hidden), strict=True)) == {(0, 0), (2, 1), (149, 2), (4, 2)}
    capped = X.iloc[[4, 7]]
    assert frames.hidden_cells("hivae_wine", capped, 10, 0, folder).tolist() == [
        [False, False, True],
        [False, False, False],
    ]
    assert frames.has_holes("hivae_wine", 10, 0, folder)
    assert not frames.has_holes("hivae_wine", 10, 1, folder)


def test_holes_that_are_drawn_hide_observed_cells(folder):
    X = frames.read("adult", folder).X
    hidden = frames.hidden_cells("adult", X, 30, 0, folder)
    assert not (hidden & X.isna()).any(axis=None)
    assert 0.2 < hidden[X.notna()].mean() < 0.4
    other = frames.hidden_cells("adult", X, 30, 1, folder)
    assert not np.array_equal(hidden, other)


def test_holes_in_breast_cancer_are_those_of_miwae():
    X = frames.read("breast_cancer", None).X
    np.testing.assert_allclose(X.std(ddof=0), 1)
    hidden = frames.hidden_cells("breast_cancer", X, 50, 0, None)
    np.random.seed(1234)  # noqa: NPY002
    expected = np.zeros(X.size, dtype=bool)
    chosen = np.random.choice(X.size, int(np.floor(X.size * 0.5)), replace=False)  # noqa: NPY002
    expected[chosen] = True
    np.testing.assert_array_equal(hidden.ravel(), expected)


# Imputers.


def test_codes_of_a_frame_lead_back_to_it():
    holes, hidden = with_holes(mixed(60))
    coded = Coded(holes)
    np.testing.assert_array_equal(coded.missing, hidden)
    np.testing.assert_allclose(np.nanmean(coded.matrix[:, :2], axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(np.nanstd(coded.matrix[:, :2], axis=0), 1)
    filled = coded.filled(coded.start())
    assert filled["a"][hidden[:, 0]].to_numpy() == pytest.approx(holes["a"].mean())
    assert set(filled["kind"][hidden[:, 2]]) == {holes["kind"].mode()[0]}


@pytest.mark.parametrize("drop_first", [False, True])
def test_levels_lead_back_from_zeros_and_ones(drop_first):
    complete = mixed(60)[["kind", "size", "positive"]]
    coded = Coded(complete)
    X = coded.one_hot(drop_first)
    assert X.shape == (60, 5 if drop_first else 8)
    # As if every cell had been missing, and a model had filled in what was there.
    coded.missing = np.ones(complete.shape, dtype=bool)
    pd.testing.assert_frame_equal(coded.filled_from_one_hot(X, drop_first), complete)


def test_rare_levels_share_a_code():
    names = [f"level {n}" for n in range(N_LEVELS + 10)]
    column = [name for n, name in enumerate(names) for _ in range(len(names) - n)] + [None]
    coded = Coded(pd.DataFrame({"a": column}))
    assert coded.one_hot().shape[1] == N_LEVELS + 1
    assert coded.matrix[-2, 0] == N_LEVELS  # the rarest of all
    filled = coded.filled(np.full_like(coded.matrix, N_LEVELS))
    assert filled["a"].iloc[-1] == names[N_LEVELS]
    assert list(filled["a"].iloc[:-1]) == column[:-1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", IMPUTERS)
def test_imputers_fill_missing_cells_and_no_others(name):
    complete = mixed(120)
    holes, hidden = with_holes(complete)
    filled = IMPUTERS[name](holes, 0)
    assert filled.notna().all(axis=None)
    assert list(filled.dtypes) == list(holes.dtypes)
    for n, column in enumerate(complete):
        observed = ~hidden[:, n]
        assert (filled[column][observed] == complete[column][observed]).all()
    errors = imputation_errors(complete, filled, hidden)
    if name == "mean_mode":
        assert errors["nrmse"] == pytest.approx(1, abs=0.15)
    else:
        assert errors["nrmse"] < 0.75
        assert errors["error_rate"] < 0.35


def test_missforest_stops_where_the_changes_grow(monkeypatch):
    holes, hidden = with_holes(mixed(30)[["a", "b"]])
    coded, steps = Coded(holes), iter([1.0, 1.1, 3.0, 9.0])

    def jump(self, X, coded):
        return np.where(hidden, next(steps), X)

    monkeypatch.setattr(MissForest, "_round", jump)
    # From 1 to 1.1 is less than from 0 to 1; from 1.1 to 3 is more, and 1.1 is kept.
    filled = MissForest(0).fill(coded)
    assert set(filled[hidden]) == {1.1}
    assert next(steps) == 9.0


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


# Marginals.


def test_marginals_have_the_densities_of_their_columns():
    train = pd.DataFrame({"a": [1.0, 3.0, np.nan, 5.0], "b": ["x", "x", "y", None]})
    test = pd.DataFrame({"a": [2.0, np.nan, 2.0], "b": ["x", "new", None]})
    scores = Marginals().fit(train).score_samples(test)
    density = stats.norm(3, np.std([1, 3, 5])).logpdf(2)
    # Three cells, two levels and the slot for others.
    np.testing.assert_allclose(scores, [density + np.log(3 / 6), np.log(1 / 6), density])


def test_marginals_know_what_numbers_are_rounded_to():
    nearly_constant = pd.DataFrame({"a": [0] * 999 + [1]})
    marginals = Marginals().fit(nearly_constant)
    assert marginals.columns_["a"].deviation == pytest.approx(1 / np.sqrt(12))
    assert np.isfinite(Marginals().fit(nearly_constant[:5]).score_samples(nearly_constant)).all()


def test_marginals_of_words_and_their_samples():
    X = np.random.default_rng(0).integers(0, 2, (200, 3), np.uint8)
    scores = Marginals().fit(X).score_samples(X)
    np.testing.assert_allclose(scores, 3 * np.log(0.5), rtol=0.2)
    table = mixed(50)
    sampled = Marginals().fit(table).sample(400, random_state=0)
    assert list(sampled.dtypes) == list(table.dtypes)
    assert len(sampled) == 400
    assert abs(np.corrcoef(sampled["a"], sampled["b"])[0, 1]) < 0.2


# Runs.


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

    monkeypatch.setattr("benchmarks.measures.peak_growth_mb", peak_growth_mb)


RUNS = [
    ("likelihood", "marginals"), ("imputation", "mean_mode"), ("synthesis", "marginals"),
    ("codes", "pca_2"), ("counts", "pca_3"),
]  # fmt: skip


@pytest.mark.usefixtures("memory_here")
@pytest.mark.parametrize(("table", "method"), RUNS)
def test_peers_are_measured_on_every_data_set(table, method, folder):
    for dataset in MEASURES[table].datasets:
        line = tables.measure(task(table, method, folder, dataset))
        assert "error" not in line, line["error"]
        assert set(MEASURES[table].figures) <= set(line["metrics"])
        assert line["n_rows"] >= 150
        json.dumps(line)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("memory_here")
@pytest.mark.parametrize(
    "table",
    [pytest.param(each, marks=[pytest.mark.slow] * (each == "counts")) for each in MEASURES],
)
def test_skvae_is_measured_on_every_data_set(table, folder):
    methods = [tables.split_method(method)[0] for method in MEASURES[table].methods]
    method = "skvae_linear" if "skvae_linear" in methods else methods[0]
    for dataset in MEASURES[table].datasets:
        line = tables.measure(task(table, f"{method}_2", folder, dataset, max_rows=100))
        assert "error" not in line, line["error"]
        figures = {name: line["metrics"][name] for name in MEASURES[table].figures}
        assert all(value is None or np.isfinite(value) for value in figures.values())
        json.dumps(line)


@pytest.mark.slow
def test_skvae_beats_what_ignores_the_other_columns(folder):
    """With columns that follow one hidden number, means and marginals are no match."""
    pairs = [("likelihood", "marginals", "log_likelihood"), ("imputation", "mean_mode", "error")]
    for table, peer, figure in pairs:
        ours, theirs = (
            tables.measure(task(table, method, folder, "adult"))["metrics"][figure]
            for method in ("skvae_1", peer)
        )
        assert ours > theirs if figure == "log_likelihood" else ours < theirs


def test_columns_of_a_single_value_have_no_density(folder, monkeypatch):
    fitted = []
    monkeypatch.setattr(Marginals, "fit", lambda self, X: fitted.append(X) or self)
    monkeypatch.setattr(Marginals, "score_samples", lambda self, X: np.zeros(len(X)))
    tables.measure(task("likelihood", "marginals", folder, "loans"))
    assert "interest_rate" not in fitted[0]
    assert "grade" in fitted[0]


# The command and its report.


@pytest.fixture
def lines_of(folder, tmp_path):
    """A function that runs the command and returns the lines of its file."""
    output = tmp_path / "tables.jsonl"

    def run(*arguments):
        arguments = ["tables", "--data", folder, "--output", str(output), *arguments]
        command_line.main(arguments)
        return [json.loads(line) for line in output.read_text().splitlines()]

    return run


def test_a_run_goes_on_where_it_ended(lines_of):
    arguments = ["--only", "likelihood", "--methods", "marginals", "--seeds", "0"]
    assert len(lines_of(*arguments, "--datasets", "adult")) == 1
    lines = lines_of(*arguments, "--datasets", "adult", "loans")
    assert [line["dataset"] for line in lines] == ["adult", "loans"]
    assert lines[0]["versions"]["skvae"] == skvae.__version__
    assert "directory" not in lines[0]
    assert len(lines_of(*arguments, "--datasets", "adult", "--max-rows", "60")) == 3


def test_a_failing_run_is_recorded_and_tried_again(lines_of, monkeypatch):
    def fail(holes, seed):
        raise RuntimeError("no fill\ntoday")

    arguments = ["--only", "imputation", "--datasets", "adult", "--methods", "knn", "--seeds", "0"]
    with monkeypatch.context() as patched:
        patched.setitem(IMPUTERS, "knn", fail)
        assert lines_of(*arguments)[0]["error"] == "RuntimeError: no fill"
    lines = lines_of(*arguments)
    assert len(lines) == 2
    assert "error" not in lines[1]


def test_the_command_names_what_there_is(folder, tmp_path):
    arguments = ["tables", "--data", folder, "--output", str(tmp_path / "tables.jsonl")]
    with pytest.raises(SystemExit, match=r"no such methods: \['magic'\]; there are \['marginals'"):
        command_line.main([*arguments, "--only", "likelihood", "--methods", "magic"])
    with pytest.raises(SystemExit, match=r"'adult' needs adult\.csv\.gz"):
        command_line.main([*arguments[:1], "--datasets", "adult", "--only", "speed"])


def record(method, seed, value, **other):
    line = {"table": "imputation", "dataset": "adult", "method": method, "seed": seed}
    line |= {"missing": 30, "max_rows": None, "metrics": {"error": value, "seconds": 1.0}}
    return line | other


def test_the_report_gives_means_and_the_worst_seed(tmp_path):
    records = [
        record("knn", 0, 0.5), record("skvae", 0, 0.2), record("skvae", 1, 0.4),
        record("skvae_16", 0, 0.1), record("mean_mode", 0, 0.9, max_rows=10),
        record("missforest", 0, None, error="ValueError: no"),
    ]  # fmt: skip
    table = table_report.summaries(records)["imputation"]
    assert list(table.columns) == ["data", "figure", "seeds", "skvae", "knn", "skvae_16"]
    errors, seconds = (list(row) for row in table.itertuples(index=False))
    data = "adult, 30 % missing"
    assert errors == [data, "error", "1-2", "0.3000 (0.4000)", "0.5000", "0.1000"]
    assert seconds == [data, "seconds", "1-2", "1.0 (1.0)", "1.0", "1.0"]
    assert list(table_report.failures(records)["error"]) == ["ValueError: no"]


def test_the_report_fills_its_page_and_leaves_trials_alone(tmp_path):
    for page in report.PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    before = (tmp_path / "README.md").read_text()
    results = tmp_path / "tables.jsonl"
    results.write_text(json.dumps(record("skvae", 0, 0.25)) + "\n")
    report.write([results], tmp_path)
    text = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "### Imputation\n" in text
    assert "| adult, 30 % missing | error | 1 | 0.2500 |" in text
    assert (tmp_path / "README.md").read_text() == before
