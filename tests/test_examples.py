"""The examples of the documentation, which `make docs` runs, are pages of one kind and public."""

import ast
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent.parent
SCRIPTS = sorted((ROOT / "docs" / "examples").glob("*.py"))
THEMES = {"pipeline", "number", "mixed", "imputation", "anomaly", "conditional", "counts", "images"}
THEMES |= {"out_of_core", "saving", "processes", "callbacks"}
each = pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])


def test_there_is_an_example_of_every_theme():
    assert len(SCRIPTS) >= 12
    for theme in THEMES:
        assert any(theme in script.stem for script in SCRIPTS), theme


@each
def test_an_example_has_a_title_and_cells(script):
    text = script.read_text()
    title, rule = ast.get_docstring(ast.parse(text)).splitlines()[:2]
    assert set(rule) == {"="}
    assert len(rule) == len(title)
    assert text.count("\n# %%\n") >= 2


@each
def test_an_example_imports_public_names_and_reads_nothing_from_outside(script):
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("skvae"):
            assert node.module == "skvae"
            assert {name.name for name in node.names} <= set(skvae.__all__)
        if isinstance(node, ast.ImportFrom) and node.module == "sklearn.datasets":
            assert not any(name.name.startswith("fetch") for name in node.names)
