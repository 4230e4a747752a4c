"""The house: packages stand on floors and import only downwards; sizes and classes are bounded."""

import ast
import importlib
import inspect
import pkgutil
import re
from abc import ABC
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import skvae
from skvae import VAETransformer

# Names that pickles of skvae 0.1 ask for.
MOVED = ("annealing", "columns", "networks", "objective", "optimizers", "priors", "schedules")
# From the ground up. A module may import from floors below its own, and from its own package.
FLOORS = (
    (
        "_sklearn",
        "ambient",
        "amounts",
        "colors",
        "components",
        "devices",
        "extents",
        "interrupts",
        "limits",
        "pickles",
        "registry",
        "team",
    ),
    ("likelihoods", *MOVED),
    ("data",),
    ("model",),
    ("start", "training"),
    ("fitted",),
    ("fitting",),
    ("callbacks", "choices", "diagnosis", "distributed", "persistence"),
    ("export",),
    ("explorer",),
    ("estimator",),
    ("dask", "displays", "serving"),
    ("report",),
    ("command",),
    ("__init__", "__main__"),
)
FLOOR_OF = {name: n for n, names in enumerate(FLOORS) for name in names}

# Third-party packages that a package may know; the others belong elsewhere.
PACKAGES = {
    "likelihoods": {"numpy", "scipy", "sklearn", "torch"},
    "data": {"narwhals", "numpy", "scipy", "sklearn"},
    "model": {"numpy", "scipy", "sklearn", "torch"},
    "start": {"joblib", "numpy", "scipy", "torch"},
    "training": {"numpy", "sklearn", "scipy", "torch", "tqdm"},
    "fitted": {"numpy", "sklearn", "torch"},
    "fitting": {"numpy", "torch"},
    "persistence": {"numpy", "safetensors", "scipy", "sklearn", "torch"},
    "export": {"numpy", "onnx", "scipy", "skl2onnx", "sklearn", "torch"},
    "explorer": {"numpy", "pandas", "plotly", "scipy", "sklearn", "torch"},
    "serving": {"narwhals", "numpy", "sklearn"},
    "report": {"matplotlib", "numpy", "pandas", "scipy", "sklearn"},
    "command": {"matplotlib", "numpy", "pandas", "sklearn", "tqdm"},
    "distributed": {"narwhals", "numpy", "scipy", "sklearn"},
    "dask": {"dask", "distributed", "numpy", "pandas", "sklearn", "torch"},
    "displays": {"matplotlib", "narwhals", "numpy", "pandas", "scipy", "sklearn"},
}
THIRD_PARTY = {
    "dask", "distributed", "joblib", "matplotlib", "narwhals", "numpy", "onnx", "onnxruntime",
    "pandas", "plotly", "safetensors", "scipy", "skl2onnx", "sklearn", "torch", "tqdm",
}  # fmt: skip

MOST_LINES, MOST_OF_ESTIMATOR = 400, 900
LONGEST_FUNCTION = 50  # lines, docstring apart
MOST_METHODS = 20  # that are public, of a class

PACKAGE = Path(skvae.__file__).parent
DOCS = PACKAGE.parent / "docs"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)


def home(module):
    """The package of a module, or the module itself where it stands alone."""
    return module.split(".")[0]


@cache
def tree(module):
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text())


def imports(module):
    """Names of modules that are imported, but for those that only types need."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node not in for_types(module):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@cache
def for_types(module):
    """Imports under `if TYPE_CHECKING`."""
    blocks = [
        node
        for node in ast.walk(tree(module))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {node for block in blocks for node in ast.walk(block)}


def ours(module):
    """Modules of ours that one imports, by their names inside the package."""
    for name in imports(module):
        if name.split(".")[0] == "skvae":
            inner = name.removeprefix("skvae.")
            yield f"{inner}.__init__" if f"{inner}.__init__" in MODULES else inner


def test_every_module_has_a_floor():
    assert {home(module) for module in MODULES} == set(FLOOR_OF)


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_lower_floors(module):
    own = home(module)
    for name in ours(module):
        assert home(name) == own or FLOOR_OF[home(name)] < FLOOR_OF[own], f"{module}: {name}"


def test_no_module_needs_itself():
    try:
        TopologicalSorter({module: set(ours(module)) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", MODULES)
def test_imports_are_absolute(module):
    for name in imports(module):
        assert not name.startswith("."), f"{module} imports {name}"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_know_only_their_libraries(package):
    own = [module for module in MODULES if home(module) == package]
    found = {name.split(".")[0] for module in own for name in imports(module)} & THIRD_PARTY
    assert found <= PACKAGES[package]


@pytest.mark.parametrize("module", MODULES)
def test_private_names_of_scikit_learn_come_through_one_module(module):
    """Functions of sklearn.utils.validation begin with an underscore, and are for developers."""
    if module == "_sklearn":
        return
    for name in imports(module):
        parts = name.split(".")
        assert parts[0] != "sklearn" or not any(part.startswith("_") for part in parts), name


@pytest.mark.parametrize("module", MODULES)
def test_files_are_short(module):
    text = (PACKAGE / f"{module.replace('.', '/')}.py").read_text()
    most = MOST_OF_ESTIMATOR if module == "estimator" else MOST_LINES
    assert text.count("\n") <= most


@pytest.mark.parametrize("module", MODULES)
def test_functions_are_short(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            spared = first.end_lineno - first.lineno + 1 if doc else 0
            if node.name == "__init__":  # whose parameters are said twice
                spared += first.lineno - node.lineno
            assert node.end_lineno - node.lineno + 1 - spared <= LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("module", MODULES)
def test_classes_have_few_public_methods(module):
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ClassDef) and node.name != "VAETransformer":
            methods = [
                each.name
                for each in node.body
                if isinstance(each, ast.FunctionDef)
                and not each.name.startswith("_")
                and not any("property" in ast.unparse(d) for d in each.decorator_list)
            ]
            assert len(methods) <= MOST_METHODS, f"{node.name}: {methods}"


def classes():
    for found in pkgutil.walk_packages([str(PACKAGE)], "skvae."):
        module = importlib.import_module(found.name)
        for _, each in inspect.getmembers(module, inspect.isclass):
            if each.__module__ == found.name:
                yield each


def is_abstract(each):
    """Whether it declares what others answer: it cannot be made, or is a contract by its bases."""
    return inspect.isabstract(each) or ABC in each.__bases__


@pytest.mark.parametrize("each", list(classes()), ids=lambda each: each.__name__)
def test_classes_are_abstract_or_final(each):
    """No class that answers extends another one that answers."""
    parents = [base for base in each.__mro__[1:] if base.__module__.startswith("skvae.")]
    for base in parents:
        assert is_abstract(base), f"{each.__name__} extends {base.__name__}"


def test_the_page_shows_the_same_floors():
    text = (DOCS / "architecture.md").read_text()
    shown = re.search(r"## Floors.*?```\n(.*?)```", text, re.DOTALL).group(1)
    floors = {int(line.split()[0]): set(line.split()[1:]) for line in shown.splitlines()}
    assert floors == {n: set(names) - set(MOVED) for n, names in enumerate(FLOORS[:-1])}


def test_the_page_names_every_module():
    text = (DOCS / "architecture.md").read_text()
    named = set(re.findall(r"^\| `([\w/]+)\.py`", text, re.MULTILINE))
    assert named == {
        module.replace(".", "/")
        for module in MODULES
        if not (module.endswith("__init__") or module in MOVED)
    }


@pytest.mark.parametrize("page", ["architecture.md", "theory.md"])
def test_pages_name_what_is_there(page):
    """`file.py`, `name` on one page; `name` of module `file` on the other."""
    text = (DOCS / page).read_text()
    pairs = re.findall(r"`([\w/]+)\.py`, `([\w.]+)`", text)
    pairs += [found[::-1] for found in re.findall(r"`([\w.]+)` (?:of|in) module `([\w.]+)`", text)]
    assert pairs
    for module, name in pairs:
        found = importlib.import_module(f"skvae.{module.replace('/', '.')}")
        for part in name.split("."):
            found = getattr(found, part, None) or getattr(VAETransformer, part)
        assert found is not None, f"{module}.{name}"


def test_benchmarks_use_public_names_only():
    for path in (PACKAGE.parent / "benchmarks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("skvae"):
                assert node.module in ("skvae", "skvae.dask"), path.name
                public = importlib.import_module(node.module).__all__
                assert {alias.name for alias in node.names} <= set(public), path.name


def test_no_private_constant_is_patched():
    """Budgets are arguments: a constant that a test has to change is one that a person would."""
    for path in [*Path(__file__).parent.rglob("*.py")]:
        patched = re.findall(r"setattr\(\s*[\w.\"]+,?\s*\"?_[A-Z][A-Z_]+", path.read_text())
        patched += re.findall(r"setattr\(\s*\"skvae\.[\w.]*\._?[A-Z][A-Z_]+\"", path.read_text())
        assert not patched, f"{path.name}: {patched}"
