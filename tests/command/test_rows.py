"""Answers about files are those about the tables in them, to the bit, whatever is read at once."""

import csv
import io
import os
import re
import shlex
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skvae import VAETransformer
from skvae.command.formats import FORMATS
from skvae.command.main import main
from skvae.data.batches import rows_at_once
from tests.command.conftest import people, with_gaps
from tests.generated import WITHOUT_A_FIT, estimators, fitted, tables

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
METHODS = {"transform": "transform", "score": "score_samples"}


def read(path):
    """A file as pandas has it; of text files, the text."""
    if str(path).endswith(".parquet"):
        return pd.read_parquet(path)
    sep = "\t" if ".tsv" in str(path) else ","
    return pd.read_csv(path, sep=sep, dtype=str, keep_default_na=False)


def numbers(frame, like):
    """Its numbers to the last bit, in the shape and dtype of an answer."""
    cells = [float(cell) for cell in frame.to_numpy(dtype=object).ravel()]
    return np.array(cells, like.dtype).reshape(like.shape)


def write(frame, path):
    if str(path).endswith(".parquet"):
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False, sep="\t" if ".tsv" in str(path) else ",")


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("command", METHODS)
def test_a_file_is_answered_as_its_table(command, ending, vae, model, tmp_path, run):
    pytest.importorskip("pyarrow")
    frame = with_gaps(people(200, seed=3))
    source, target = tmp_path / f"rows{ending}", tmp_path / f"answers{ending}"
    order = ["member", "id", "size", "income", "city", "age"]
    write(frame.assign(id=[f"{n:03}" for n in range(200)])[order], source)
    status, out, err = run(command, model, source, "-o", target, "--keep", "id", "--quiet")
    assert (status, out, err) == (0, "", "")
    found = read(target)
    assert found.pop("id").tolist() == [f"{n:03}" for n in range(200)]
    expected = getattr(vae, METHODS[command])(frame)
    assert np.array_equal(numbers(found, expected), expected)


@given(tables(n_rows=(12, 30)), estimators(may_train=False), st.sampled_from(list(METHODS)))
@WITHOUT_A_FIT
def test_any_table_is_answered_as_it_is(tmp_path_factory, frame, vae, command):
    """All cells that a CSV file can tell apart: one where "" is a level cannot."""
    frame = frame.loc[:, [not (own == "").any() for _, own in frame.items()]]
    if frame.shape[1] == 0:
        return
    folder = tmp_path_factory.mktemp("any")
    vae = fitted(vae, frame)
    vae.save(folder / "model.skvae")
    rows, answers = folder / "rows.csv", folder / "answers.csv"
    frame.iloc[:, ::-1].to_csv(rows, index=False)
    assert main([command, str(folder / "model.skvae"), str(rows), "-o", str(answers)]) == 0
    expected = getattr(vae, METHODS[command])(frame)
    assert np.array_equal(numbers(read(answers), expected), expected)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("command", METHODS)
@pytest.mark.parametrize("share", [0.0, 0.1])
def test_it_does_not_matter_how_many_rows_are_read_at_once(command, share, ending, tmp_path, run):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    small = pd.DataFrame(rng.standard_normal((30, 4)), columns=list("abcd"))
    assert rows_at_once(4) < 10_000  # so that the file has several blocks
    frame = pd.DataFrame(rng.standard_normal((20_000, 4)), columns=list("abcd"))
    frame = frame.mask(rng.random(frame.shape) < share)
    vae = VAETransformer(2, max_iter=0).fit(small)
    vae.save(tmp_path / "model.skvae")
    write(frame, tmp_path / f"rows{ending}")
    expected = getattr(vae, METHODS[command])(frame)
    for n in (1, 10**6):
        target = tmp_path / f"{n}.parquet"
        options = ["-o", target, "--rows-at-once", n]
        assert run(command, tmp_path / "model.skvae", tmp_path / f"rows{ending}", *options)[0] == 0
        found = pd.read_parquet(target).to_numpy().reshape(expected.shape)
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_impute_fills_gaps_and_leaves_the_rest(ending, vae, model, tmp_path, run):
    pytest.importorskip("pyarrow")
    frame = with_gaps(people(50, seed=4)).astype({"size": object})
    frame.insert(2, "id", [f"{n:03}" for n in range(50)])
    source, target = tmp_path / f"rows{ending}", tmp_path / "filled.parquet"
    write(frame, source)
    assert run("impute", model, source, "-o", target, "--keep", "id")[0] == 0
    found = pd.read_parquet(target)
    expected = vae.impute(frame.drop(columns="id"))
    assert found.columns.tolist() == frame.columns.tolist()
    assert found["id"].tolist() == frame["id"].tolist()
    for name, own in expected.items():
        assert found[name].tolist() == own.tolist(), name
    assert found["age"].dtype.kind == "i"


def test_impute_keeps_whole_numbers_to_the_last_digit(tmp_path, run):
    rows = pd.DataFrame({"n": [2**60 + n for n in range(20)], "x": np.arange(20.0)})
    VAETransformer(1, max_iter=0).fit(rows).save(tmp_path / "m.skvae")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    status, out, _ = run("impute", tmp_path / "m.skvae", tmp_path / "rows.csv")
    assert status == 0
    assert [int(line.split(",")[0]) for line in out.splitlines()[1:]] == rows["n"].tolist()


def test_codes_come_back_as_rows(vae, model, tmp_path, run):
    people(5).to_csv(tmp_path / "rows.csv", index=False)
    assert run("transform", model, tmp_path / "rows.csv", "-o", tmp_path / "codes.csv")[0] == 0
    status, out, _ = run("inverse", model, tmp_path / "codes.csv")
    assert status == 0
    expected = vae.inverse_transform(vae.transform(people(5)))
    found = pd.read_csv(io.StringIO(out), dtype={"city": str}, keep_default_na=False)
    assert found["city"].tolist() == expected["city"].tolist()
    assert found["age"].tolist() == expected["age"].tolist()


def test_streams(model, run, monkeypatch):
    text = io.TextIOWrapper(io.BytesIO(people(5).to_csv(index=False).encode()))
    monkeypatch.setattr(sys, "stdin", text)
    status, out, _ = run("transform", model, "-")
    assert status == 0
    assert len(out.splitlines()) == 6


@pytest.mark.parametrize("command", [*METHODS, "impute"])
def test_a_file_without_rows_has_an_answer_without_rows(command, model, tmp_path, run):
    people(5)[:0].to_csv(tmp_path / "rows.csv", index=False)
    status, out, _ = run(command, model, tmp_path / "rows.csv")
    assert status == 0
    assert len(out.splitlines()) == 1


def test_the_mean_score_is_told(vae, model, tmp_path, run):
    people(50).to_csv(tmp_path / "rows.csv", index=False)
    _, _, err = run("score", model, tmp_path / "rows.csv", "-o", tmp_path / "s.csv")
    assert f"mean log_likelihood {vae.score(people(50)):.6g} nats per row, of 50 rows" in err


def test_columns_of_an_array_go_by_position(array_model, tmp_path, run, fails):
    rows = pd.DataFrame({"id": list("xyz"), "p": [1.0, 2, 3], "q": [0.0, 1, 0], "r": [2.0, 2, 1]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    said = fails("transform", array_model, tmp_path / "rows.csv")
    assert "3 columns by position" in said
    status, out, err = run("transform", array_model, tmp_path / "rows.csv", "--keep", "id")
    assert status == 0
    assert "from 'p' to 'r'" in err
    rows.drop(columns="id").to_csv(tmp_path / "bare.csv", index=False, header=False)
    assert "--no-header" in fails("transform", array_model, tmp_path / "bare.csv")
    status, bare, _ = run("transform", array_model, tmp_path / "bare.csv", "--no-header")
    codes = [line.split(",")[1] for line in out.splitlines()[1:]]
    assert bare.splitlines()[1:] == codes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.drop(columns="age"), "column 'age' is missing"),
        (lambda rows: rows.assign(id=1), "column 'id' is not known to the model"),
        (lambda rows: rows.assign(age=[1, 2, "old", 4, 5]), "row 3, column 'age': 'old' is no"),
        (lambda rows: rows.assign(age=[1, 2, 3, "1_0", 5]), "row 4, column 'age': '1_0' is no"),
        (lambda rows: rows.assign(income=[1, 2, 3, 4, "inf"]), "row 5, column 'income': 'inf' is"),
        (lambda rows: rows.assign(income=[1, 2, 3, 1e200, 5]), "row 4: X holds a value of size"),
        (lambda rows: rows.assign(member=["True", "maybe", 1, 0, 1]), "row 2, column 'member'"),
        (lambda rows: rows.rename(columns={"age": "city"}), "several columns named ['city']"),
    ],
    ids=["missing", "extra", "text", "underscore", "infinite", "large", "boolean", "twice"],
)
def test_what_cannot_be_read_is_told_with_its_place(change, said, model, tmp_path, fails):
    target = tmp_path / "codes.csv"
    target.write_text("old")
    change(people(5)).to_csv(tmp_path / "rows.csv", index=False)
    told = fails("transform", model, tmp_path / "rows.csv", "-o", target)
    assert said in told
    assert "rows.csv" in told
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["codes.csv", "rows.csv"]


def test_fractions_are_refused_where_whole_numbers_are_filled(model, tmp_path, run, fails):
    people(5).assign(age=[1, 2, 3.5, 4, 5]).to_csv(tmp_path / "rows.csv", index=False)
    assert "row 3, column 'age': '3.5'" in fails("impute", model, tmp_path / "rows.csv")
    assert run("transform", model, tmp_path / "rows.csv")[0] == 0


def test_the_row_of_an_estimators_error_is_that_of_the_file(tmp_path, fails):
    rows = pd.DataFrame({"n": np.arange(40), "k": np.arange(40) % 5})
    VAETransformer(1, max_iter=0, likelihood="poisson").fit(rows).save(tmp_path / "m.skvae")
    rows.loc[22, "k"] = -3
    rows.to_csv(tmp_path / "rows.csv", index=False)
    told = fails("transform", tmp_path / "m.skvae", tmp_path / "rows.csv")
    assert "row 23: column 'k' holds -3 in row 23" in told


def test_levels_that_fit_has_not_seen_are_noted_once(model, tmp_path, run):
    people(9).assign(city="Bern").to_csv(tmp_path / "rows.csv", index=False)
    status, _, err = run("transform", model, tmp_path / "rows.csv")
    assert status == 0
    assert err.count("levels that fit has not seen: 9 in column 'city'") == 1


def test_whole_levels_that_fit_has_not_seen_stay_whole(tmp_path, run):
    rows = pd.DataFrame({"k": pd.Categorical([1, 2] * 20), "x": np.arange(40.0)})
    VAETransformer(1, max_iter=0).fit(rows).save(tmp_path / "m.skvae")
    cells = ["1", "9", str(2**60 + 1), "2.5"]
    pd.DataFrame({"k": cells, "x": 1.0}).to_csv(tmp_path / "rows.csv", index=False)
    status, out, _ = run("impute", tmp_path / "m.skvae", tmp_path / "rows.csv")
    assert status == 0
    assert [line.split(",")[0] for line in out.splitlines()[1:]] == cells


def test_booleans_are_read_in_any_of_their_words(vae, model, tmp_path, run):
    words = ["Yes", "no", "T", "f", "y", "N", "TRUE", "false", "1", "0.0"]
    rows = people(10)
    rows.assign(member=words).to_csv(tmp_path / "rows.csv", index=False)
    run("transform", model, tmp_path / "rows.csv", "-o", tmp_path / "codes.csv")
    expected = vae.transform(rows.assign(member=pd.array([True, False] * 5, dtype="boolean")))
    assert np.array_equal(numbers(read(tmp_path / "codes.csv"), expected), expected)


@pytest.mark.parametrize("text", ["", "a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n"1,2\n', "a,b\n\xff,1\n"])
def test_files_that_are_no_tables(text, model, tmp_path, fails):
    (tmp_path / "rows.csv").write_bytes(text.encode("latin-1"))
    assert "rows.csv" in fails("transform", model, tmp_path / "rows.csv", "--drop-others")


SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL], ids=["bare", "quoted"])
@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz"])
def test_the_separator_is_told_and_can_be_given(ending, separator, quoting, model, tmp_path, run):
    path, own = tmp_path / f"rows{ending}", "\t" if ending == ".tsv" else ","
    people(5).to_csv(path, index=False, sep=separator, quoting=quoting)
    status, _, err = run("transform", model, path, "--drop-others", "-o", tmp_path / "a.csv")
    if separator == own:
        assert status == 0
        return
    assert status == 1
    assert f"by {SEPARATORS[separator]}, and were taken to be by {SEPARATORS[own]}" in err
    [option] = re.findall("give --separator (.*?)[.] ", err)
    options = ["--separator", *shlex.split(option), "-o", tmp_path / "a.csv"]
    assert run("transform", model, path, *options)[0] == 0
    people(5).to_csv(tmp_path / "right.csv", index=False)
    assert run("transform", model, tmp_path / "right.csv", "-o", tmp_path / "b.csv")[0] == 0
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


@pytest.mark.parametrize("separator", SEPARATORS)
def test_spreadsheets_may_say_what_separates(separator, model, tmp_path, run):
    text = people(5).to_csv(index=False, sep=separator)
    (tmp_path / "rows.csv").write_text(f"sep={separator}\r\n{text}")
    status, out, _ = run("transform", model, tmp_path / "rows.csv")
    assert status == 0
    assert len(out.splitlines()) == 6


@pytest.mark.parametrize("header", [True, False], ids=["names", "cells"])
def test_the_separator_is_told_where_columns_have_no_names(header, array_model, tmp_path, fails):
    rows = pd.DataFrame(np.eye(3), columns=list("pqr"))
    rows.to_csv(tmp_path / "rows.csv", index=False, sep=";", header=header)
    options = [] if header else ["--no-header"]
    told = fails("transform", array_model, tmp_path / "rows.csv", *options)
    assert "--separator ';'" in told


def test_a_file_without_names_is_no_file_of_named_columns(model, tmp_path, fails):
    people(3).to_csv(tmp_path / "rows.csv", index=False)
    told = fails("transform", model, tmp_path / "rows.csv", "--no-header")
    assert told.endswith("Columns go by names: leave --no-header out.")


def test_a_column_of_an_array_too_many_is_told_with_the_option(array_model, tmp_path, fails):
    rows = pd.DataFrame({"i{d}": list("xyz"), "p": 1.0, "q": 0.0, "r": 2.0})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    assert "by --keep NAME." in fails("transform", array_model, tmp_path / "rows.csv")
    rows[["p", "q"]].to_csv(tmp_path / "rows.csv", index=False)
    assert "--keep" not in fails("transform", array_model, tmp_path / "rows.csv")


@pytest.mark.parametrize("blank", ["\n", "  \n", "\t\n", "\r\n"], ids=repr)
def test_blank_lines_are_no_rows(blank, model, tmp_path, run):
    head, *rows = people(3).to_csv(index=False).splitlines(keepends=True)
    text = "".join([blank, head, blank, *rows, blank, blank])
    (tmp_path / "rows.csv").write_bytes(text.encode())
    status, out, err = run("transform", model, tmp_path / "rows.csv")
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == 4


def test_a_cell_of_spaces_is_a_row_where_there_is_one_column(tmp_path, run):
    rows = pd.DataFrame({"a": ["x", "y"] * 20, "b": np.arange(40.0)})
    VAETransformer(1, max_iter=0).fit(rows[["b"]]).save(tmp_path / "m.skvae")
    (tmp_path / "rows.csv").write_text('b\n1\n" "\n')
    status, _, err = run("transform", tmp_path / "m.skvae", tmp_path / "rows.csv")
    assert status == 1
    assert "row 2, column 'b': ' ' is no number, such as -12 or 2e-3; correct the cell" in err


def test_a_line_that_cannot_be_read_is_told_by_its_number(model, tmp_path, fails):
    lines = ["", "", *people(3).to_csv(index=False).splitlines()]
    lines[3] = '"1"2' + lines[3]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    told = fails("transform", model, tmp_path / "rows.csv")
    assert "rows.csv, line 4: " in told
    assert "a quote in a cell is written twice" in told


@pytest.mark.parametrize("ending", [".parquet", ".csv.gz"])
def test_files_that_are_not_what_they_end_in(ending, model, tmp_path, fails):
    pytest.importorskip("pyarrow")
    (tmp_path / f"rows{ending}").write_text("a,b\n1,2\n")
    assert f"rows{ending}" in fails("transform", model, tmp_path / f"rows{ending}")


def test_nothing_is_written_over_what_is_read(model, tmp_path, fails):
    rows = tmp_path / "rows.csv"
    people(5).to_csv(rows, index=False)
    before = rows.read_text()
    os.link(rows, tmp_path / "link.csv")
    for output in (rows, tmp_path / "link.csv"):
        assert "is an input file" in fails("transform", model, rows, "-o", output)
    assert rows.read_text() == before
    assert "no folder" in fails("transform", model, rows, "-o", tmp_path / "no" / "codes.csv")
    assert "must end in one of" in fails("transform", model, rows, "-o", tmp_path / "codes.xlsx")
    assert "there is no file" in fails("transform", model, tmp_path / "none.csv")


def test_without_arrow_the_extra_is_named(model, tmp_path, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "rows.parquet").write_bytes(b"PAR1")
    assert "pip install 'skvae[parquet]'" in fails("transform", model, tmp_path / "rows.parquet")


def test_a_folder_is_done_file_by_file_and_once(vae, model, tmp_path, run, fails):
    pytest.importorskip("pyarrow")
    lake, out = tmp_path / "lake", tmp_path / "lake" / "codes"
    parts = {"day=1/a.parquet": 7, "day=2/a.parquet": 3, "b.csv": 4}
    for n, (name, rows) in enumerate(parts.items()):
        (lake / name).parent.mkdir(parents=True, exist_ok=True)
        write(people(rows, seed=n), lake / name)
    (lake / "_SUCCESS.csv").write_text("")
    assert "give a folder for the answers" in fails("transform", model, lake)
    assert run("transform", model, lake, "-o", out)[0] == 0
    for n, (name, rows) in enumerate(parts.items()):
        expected = vae.transform(people(rows, seed=n))
        assert np.array_equal(numbers(read(out / name), expected), expected)
    stamps = {name: (out / name).stat().st_mtime_ns for name in parts}
    (out / "b.csv").unlink()
    status, _, err = run("transform", model, lake, "-o", out)
    assert status == 0
    assert "2 of 3 files" in err
    assert (out / "b.csv").exists()
    assert all((out / n).stat().st_mtime_ns == stamps[n] for n in parts if n != "b.csv")
    assert run("transform", model, lake, "-o", out, "--overwrite")[0] == 0
    assert all((out / name).stat().st_mtime_ns != stamps[name] for name in parts)
