"""The examples of the gallery parse, use public names, say what they need, and run."""

import ast
import re
import runpy
import sys
import warnings
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent.parent
SCRIPTS = sorted((ROOT / "docs" / "gallery").glob("*.py"))
PAGE = (ROOT / "docs" / "gallery.md").read_text()
PACKAGES = {"argparse", "matplotlib", "numpy", "pathlib", "skvae", "sklearn", "time", "warnings"}
WITHOUT_DATA = ["annealing_toy", "digits_map"]
OF_FILES = [script for script in SCRIPTS if script.stem not in WITHOUT_DATA]


def each(scripts):
    return pytest.mark.parametrize("script", scripts, ids=[script.stem for script in scripts])


@pytest.fixture
def run(monkeypatch):
    """Run a script with options, as from the command line, without a window."""
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.switch_backend("agg")

    def run(script, *options):
        monkeypatch.setattr(sys, "argv", [script.name, *map(str, options)])
        with warnings.catch_warnings(action="ignore"):
            runpy.run_path(str(script), run_name="__main__")

    yield run
    plt.close("all")


def test_there_are_scripts():
    assert len(SCRIPTS) >= 5
    assert set(WITHOUT_DATA) < {script.stem for script in SCRIPTS}


@each(SCRIPTS)
def test_a_script_says_what_it_shows_and_starts_nothing_on_import(script):
    tree = ast.parse(script.read_text())
    assert len(ast.get_docstring(tree)) > 100
    allowed = ast.Expr | ast.Import | ast.ImportFrom | ast.Assign | ast.FunctionDef
    assert all(isinstance(node, allowed) for node in tree.body[:-1])
    assert ast.unparse(tree.body[-1].test) == "__name__ == '__main__'"


@each(SCRIPTS)
def test_a_script_imports_public_names(script):
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module.split(".")[0] in PACKAGES
            if node.module.startswith("skvae"):
                assert node.module == "skvae"
                assert {name.name for name in node.names} <= set(skvae.__all__)
        elif isinstance(node, ast.Import):
            assert {name.name.split(".")[0] for name in node.names} <= PACKAGES - {"skvae"}


@each(SCRIPTS)
def test_the_page_shows_the_script_its_picture_and_its_command(script):
    assert f"```{{literalinclude}} gallery/{script.name}" in PAGE
    assert f"images/gallery_{script.stem}.png" in PAGE
    assert re.search(rf"^python docs/gallery/{script.name}", PAGE, re.MULTILINE)
    assert (ROOT / "docs" / "images" / f"gallery_{script.stem}.png").is_file()


@each(SCRIPTS)
def test_a_script_has_help(script, run, capsys):
    with pytest.raises(SystemExit, match="0"):
        run(script, "--help")
    assert "--output" in capsys.readouterr().out


@each(OF_FILES)
def test_a_script_says_in_one_line_which_file_is_missing(script, run, capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        run(script, "--data", tmp_path, "--output", tmp_path / "picture.png")
    assert re.fullmatch(r".*\.npz.*--data.*\n", capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_short_run_draws_its_picture(run, capsys, tmp_path):
    check_picture("digits_map", run, capsys, tmp_path, "--max-iter", 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_a_script_draws_its_picture(name, run, capsys, tmp_path):
    check_picture(name, run, capsys, tmp_path)


def check_picture(name, run, capsys, folder, *options):
    picture = folder / "picture.png"
    run(ROOT / "docs" / "gallery" / f"{name}.py", "--output", picture, *options)
    assert "nats per row" in capsys.readouterr().out
    assert picture.stat().st_size > 20_000
