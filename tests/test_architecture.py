"""The floors: a module imports only from lower ones, by absolute names."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import skvae
from skvae import VAETransformer

FLOORS = (
    (
        "linear",
        "tails",
        "likelihoods",
        "networks",
        "priors",
        "schedules",
        "excerpts",
        "devices",
        "graphs",
        "components",
        "history",
        "pickles",
        "ambient",
        "_sklearn",
    ),
    (
        "vae",
        "optimizers",
        "containers",
        "first_weights",
        "moments",
        "units",
        "reservoir",
        "calibration",
        "factors",
    ),
    ("mixed", "objective", "importance", "refusals", "coordinates", "dtypes"),
    ("cells", "heads", "held_out", "diagnostics"),
    ("writers", "doubts", "model", "training", "latent_dim"),
    ("gaps", "mixed_model", "annealing", "progress"),
    ("table", "filled", "fitting"),
    ("columns", "online"),
    ("estimator",),
    ("displays",),
    ("__init__",),
)
FLOOR_OF = {module: n for n, modules in enumerate(FLOORS) for module in modules}

# Third-party packages that a module may know; the others belong elsewhere.
PACKAGES = {
    "linear": {"joblib", "numpy", "scipy"},
    "factors": {"numpy", "torch"},
    "tails": {"torch"},
    "moments": {"numpy", "scipy"},
    "reservoir": {"numpy", "scipy"},
    "coordinates": {"numpy", "torch"},
    "likelihoods": {"numpy", "scipy", "sklearn", "torch"},
    "priors": {"numpy", "sklearn", "torch"},
    "schedules": {"sklearn"},
    "components": {"numpy", "sklearn"},
    "history": {"numpy"},
    "pickles": {"sklearn"},
    "optimizers": {"sklearn", "torch"},
    "columns": {"numpy", "scipy", "sklearn"},
    "mixed": {"numpy", "scipy", "torch"},
    "units": {"numpy", "scipy"},
    "calibration": {"torch"},
    "heads": {"numpy", "scipy", "torch"},
    "mixed_model": {"numpy", "scipy", "torch"},
    "filled": {"numpy", "torch"},
    "containers": {"narwhals"},
    "refusals": {"narwhals", "numpy", "scipy"},
    "cells": {"narwhals", "numpy"},
    "writers": {"numpy"},
    "doubts": {"narwhals"},
    "gaps": {"narwhals", "numpy"},
    "table": {"narwhals", "numpy"},
    "devices": {"torch"},
    "graphs": {"torch"},
    "ambient": {"numpy", "torch"},
    "first_weights": {"torch"},
    "vae": {"numpy", "torch"},
    "objective": {"sklearn", "torch"},
    "importance": {"torch"},
    "held_out": {"torch"},
    "training": {"torch"},
    "annealing": {"sklearn", "torch"},
    "model": {"numpy", "torch"},
    "fitting": {"numpy", "torch"},
    "online": {"numpy", "torch"},
    "displays": {"matplotlib", "narwhals", "numpy", "pandas", "scipy", "sklearn"},
    "progress": {"tqdm"},
}
THIRD_PARTY = {
    "joblib", "matplotlib", "narwhals", "numpy", "pandas", "scipy", "sklearn", "torch", "tqdm"
}  # fmt: skip

PACKAGE = Path(skvae.__file__).parent
DOCS = PACKAGE.parent / "docs"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def imports(module):
    """Pairs of a module that is imported and the names taken from it."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def test_every_module_has_a_floor():
    assert sorted(FLOOR_OF) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_lower_floors(module):
    for name, _ in imports(module):
        if name.split(".")[0] == "skvae":
            lower = name.removeprefix("skvae.")
            assert FLOOR_OF[lower] < FLOOR_OF[module], f"{module} imports {name}"


@pytest.mark.parametrize("module", MODULES)
def test_no_module_stands_higher_than_it_has_to(module):
    skvaes = [name.removeprefix("skvae.") for name, _ in imports(module) if "skvae" in name]
    below = [FLOOR_OF[name] for name in skvaes]
    assert FLOOR_OF[module] == max(below, default=-1) + 1


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute_and_from_modules(module):
    for name, _ in imports(module):
        assert not name.startswith("."), f"{module} imports {name}"
        assert name != "skvae", f"{module} imports from the package instead of a module"


@pytest.mark.parametrize("module", PACKAGES)
def test_modules_know_only_their_packages(module):
    found = {name.split(".")[0] for name, _ in imports(module)} & THIRD_PARTY
    assert found <= PACKAGES[module]


@pytest.mark.parametrize("module", MODULES)
def test_private_names_of_scikit_learn_come_through_one_module(module):
    """Functions of sklearn.utils.validation begin with an underscore, and are for developers."""
    if module == "_sklearn":
        return
    for name, _ in imports(module):
        parts = name.split(".")
        assert parts[0] != "sklearn" or not any(part.startswith("_") for part in parts), name


def test_the_page_shows_the_same_floors():
    text = (DOCS / "architecture.md").read_text()
    shown = re.search(r"## Floors.*?```\n(.*?)```", text, re.DOTALL).group(1)
    floors = {int(line.split()[0]): set(line.split()[1:]) for line in shown.splitlines()}
    assert floors == {n: set(modules) for n, modules in enumerate(FLOORS[:-1])}


def test_the_page_names_every_module():
    text = (DOCS / "architecture.md").read_text()
    named = set(re.findall(r"^\| `(\w+)\.py`", text, re.MULTILINE))
    assert named == set(MODULES) - {"__init__"}


@pytest.mark.parametrize("page", ["architecture.md", "theory.md"])
def test_pages_name_what_is_there(page):
    """`file.py`, `name` on one page; `name` of module `file` on the other."""
    text = (DOCS / page).read_text()
    pairs = re.findall(r"`(\w+)\.py`, `([\w.]+)`", text)
    pairs += [found[::-1] for found in re.findall(r"`([\w.]+)` (?:of|in) module `(\w+)`", text)]
    assert pairs
    for module, name in pairs:
        found = importlib.import_module(f"skvae.{module}")
        for part in name.split("."):
            found = getattr(found, part, None) or getattr(VAETransformer, part)
        assert found is not None, f"{module}.{name}"


def test_benchmarks_use_public_names_only():
    for path in (PACKAGE.parent / "benchmarks").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skvae"):
                assert node.module == "skvae", path.name
                assert {alias.name for alias in node.names} <= set(skvae.__all__), path.name
