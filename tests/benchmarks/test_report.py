"""The report: pages say what the tables hold, lines replace rows of their key."""

import filecmp
import json

import pandas as pd
import pytest

import skvae
from benchmarks import __main__ as command_line
from benchmarks import report
from benchmarks.markdown import failures, number
from benchmarks.suites import SUITES
from benchmarks.suites.trials_table import KEY
from tests.benchmarks.conftest import ROOT
from tests.benchmarks.rows import line

MOST_BYTES = 100_000  # of a table


@pytest.mark.filterwarnings("ignore")
def test_pages_say_what_the_tables_hold(pages):
    command_line.main(["report", str(pages / "none.jsonl"), "--root", str(pages)])
    for page in report.PAGES:
        assert (pages / page).read_text() == (ROOT / page).read_text()
    for name in (name for suite in SUITES.values() for name in suite.pictures):
        assert (pages / "docs" / "images" / name).stat().st_size > 1000
        assert (ROOT / "docs" / "images" / name).is_file()


def test_tables_are_small_and_every_one_belongs_to_a_suite():
    names = {name for suite in SUITES.values() for name in suite.tables}
    files = [*(ROOT / report.TABLES).glob("*.csv")]
    assert {path.stem for path in files} == {*names, report.ENVIRONMENTS}
    assert all(path.stat().st_size < MOST_BYTES for path in files)


def test_every_marker_has_its_text():
    markers = [marker for page in report.PAGES.values() for marker in page]
    assert sorted(markers) == sorted(n for suite in SUITES.values() for n in suite.fragments)


def trial(**more):
    task = {"dataset": "usps", "method": "skvae", "latent_dim": 2, "seed": 0}
    task |= {"max_train_rows": 6000} | more
    figures = {"mse_ratio": 0.123456, "log_likelihood_gain": 1.0, "fit_seconds": 1.0}
    return line("trials", task, figures | {"n_train": 6000, "n_features": 256})


def test_lines_replace_rows_of_their_key_and_add_others():
    tables = report.load(ROOT / report.TABLES)
    lines = [trial(), trial(max_train_rows=None), trial(max_train_rows=None, seed=1)]
    merged = report.merged(tables, lines)
    before, after = tables["trials"], merged["trials"]
    assert len(after) == len(before) + 2
    assert after["mse_ratio"].iloc[0] == 0.123456
    kept = after.iloc[1 : len(before)].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, before.iloc[1:].reset_index(drop=True), check_dtype=False)
    again = report.merged(merged, lines)["trials"]
    pd.testing.assert_frame_equal(again, after, check_dtype=False)
    assert not after.duplicated(list(KEY)).any()
    assert merged["environments"]["text"].iloc[-1] == "python 3; 1 thread of toy"
    assert after["environment"].iloc[0] == len(merged["environments"]) - 1


def test_lines_get_to_their_page(pages, tmp_path):
    path = tmp_path / "bars.jsonl"
    measured = {"bar": "a time", "value": 1.0, "sign": "<=", "limit": 2.0, "unit": "s"}
    path.write_text(json.dumps(line("bars", {"name": "some"}, {"measured": [measured]})) + "\n")
    report.take_in([path], pages)
    report.fill_pages(pages)
    text = (pages / "docs" / "benchmarks.md").read_text()
    assert "| a time | 1 s | <= 2 s | met |" in text
    tables = "trials.csv", "speed.csv"
    same = filecmp.cmpfiles(pages / report.TABLES, ROOT / report.TABLES, tables)[0]
    assert same == list(tables)


def test_rows_that_lack_a_figure_leave_the_others_as_they_were(pages):
    """A method without a likelihood, say: numbers of others are written as before."""
    folder = pages / report.TABLES
    lacking = trial(method="umap", seed=9)
    lacking["figures"]["log_likelihood_gain"] = None
    before = (folder / "trials.csv").read_text().splitlines()
    report.save(report.merged(report.load(folder), [lacking]), folder)
    assert (folder / "trials.csv").read_text().splitlines()[:-1] == before


def test_without_tables_pages_stay_as_they_are(pages):
    for path in (pages / report.TABLES).glob("*.csv"):
        path.unlink()
    report.write([], pages)
    for page in report.PAGES:
        assert (pages / page).read_text() == (ROOT / page).read_text()


def test_failures_are_listed():
    table = pd.DataFrame({"a": [1, 2], "failure": [None, "ValueError: no"]})
    assert failures(table[:1], ["a"], "Fits") == ""
    assert "Fits that failed:" in failures(table, ["a"], "Fits")
    assert "| 2 | ValueError: no |" in failures(table, ["a"], "Fits")
    assert (number(None, ".2f"), number(0.5, ".2f")) == ("", "0.50")


def test_fill_wants_its_markers():
    page = "a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n"
    assert report.fill(page, "x", "new\n") == "a\n<!-- x:start -->\nnew\n<!-- x:end -->\nb\n"
    assert report.fill(page, "x", None) == page
    with pytest.raises(ValueError, match="<!-- y:start -->"):
        report.fill(page, "y", "new")


def test_commands_are_suites(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in [*SUITES, "report"])
    assert skvae.__version__
