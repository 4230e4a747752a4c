"""The report as a subcommand."""

import sys

import pytest

from skvae.command.main import main
from tests.report.conftest import HOSTILE, hostile_lines


def test_it_writes_one_page(tmp_path, run):
    path, page = tmp_path / "t.csv", tmp_path / "t.html"
    path.write_text(hostile_lines(), encoding="utf-8")
    status, out, err = run("report", path, "-o", page, "--codes", "2", "--rows", "36")
    assert (status, out) == (0, "")
    assert "60 rows, 7 columns" in err
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def one_column(path, fails, text, separator):
    own = path.with_name("one.csv")
    own.write_text(text)
    return fails("report", own, "--separator", separator)


def test_what_cannot_be_done_is_told_in_one_line(tmp_path, fails):
    path = tmp_path / "t.csv"
    path.write_text(hostile_lines(), encoding="utf-8")
    assert "no column 'y'; the columns are" in fails("report", path, "--target", "y")
    assert HOSTILE[5] in fails("report", path, "--color", "y")
    assert "there is no file" in fails("report", tmp_path / "none.csv")
    assert "is an input file" in fails("report", path, "-o", path)
    assert "two codes" in fails("report", path, "--codes", "1")
    assert "is a folder" in fails("report", path, "-o", tmp_path)
    assert "no folder" in fails("report", path, "-o", tmp_path / "none" / "t.html")
    assert "--rows 5 is less" in fails("report", path, "--rows", "5")
    assert "is a folder: choose a file" in fails("report", tmp_path)
    assert "ends in .html, not t.pdf" in fails("report", path, "-o", "t.pdf")
    assert "semicolons, but a report needs 2" in one_column(path, fails, "a\n1\n2\n", ";")
    assert "commas, but a report needs 2" in one_column(path, fails, "a b\n1 2\n", ",")
    path.write_text("a,b\n1,2\n")
    assert "has 1 row, and a report needs 30." in fails("report", path, "-o", tmp_path / "t.html")
    assert not (tmp_path / "t.html").exists()


def test_what_is_missing_to_draw_is_named(tmp_path, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "skvae[report]" in fails("report", tmp_path / "t.csv")


@pytest.mark.parametrize("option", ["--separator=", "--separator=,,", "--seed=-1", "--rows=x"])
def test_options_that_it_does_not_know(option, capsys):
    with pytest.raises(SystemExit):
        main(["report", "t.csv", option])
    assert f"argument {option.split('=')[0]}: '" in capsys.readouterr().err


def test_a_target_that_is_not_predicted_is_told(tmp_path, run):
    path = tmp_path / "t.csv"
    path.write_text(hostile_lines(), encoding="utf-8")
    name, page = HOSTILE[6], tmp_path / "t.html"
    options = ["--codes", "2", "--target", name]
    status, _, err = run("report", path, "-o", page, *options)
    assert status == 0
    assert f"the target {name!r} is not predicted: all of its 60 classes" in err
    assert "codes never see it, and it is not predicted" in page.read_text(encoding="utf-8")
