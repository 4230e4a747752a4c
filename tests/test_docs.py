"""README, pages and docstrings keep up with the code."""

import inspect
import re
import tomllib
from pathlib import Path

import pytest
from sklearn.datasets import load_iris
from sklearn.utils import get_tags

import skvae
from benchmarks import report
from skvae import VAETransformer
from skvae.model.networks import ACTIVATIONS, ARCHITECTURES
from tests.samples import fit_quietly

ROOT = Path(skvae.__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
GUIDE = (ROOT / "docs" / "guide.md").read_text()
GROUPS = [
    *("Getting started", "User guide", "Examples", "Reference", "How it works", "Evidence"),
    "Contributing",
]
PARAMETERS = list(inspect.signature(VAETransformer).parameters)


def ids(paths):
    return [path.name for path in paths]


def section(docstring, name):
    """Text of one section of a numpydoc docstring."""
    text = inspect.cleandoc(docstring)
    found = re.search(rf"^{name}\n-+\n(.*?)(?=^[^\n]+\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return found.group(1) if found else ""


def documented(docstring, name):
    """Names that a section of parameters or attributes describes."""
    lines = re.findall(r"^([\w, ]+) :", section(docstring, name), re.MULTILINE)
    return [entry.strip() for line in lines for entry in line.split(",")]


def fitted_attributes(estimator):
    return [name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")]


@pytest.fixture(scope="module")
def estimator():
    X = load_iris(as_frame=True).data
    return fit_quietly(VAETransformer(2, max_iter=2, random_state=0), X)


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_the_guide_has_a_section_on_every_parameter(parameter):
    assert re.search(rf"^### {parameter}$", GUIDE, re.MULTILINE)


def test_the_guide_describes_no_parameter_that_is_not_there():
    assert set(re.findall(r"^### (\w+)$", GUIDE, re.MULTILINE)) == set(PARAMETERS)


@pytest.mark.parametrize("name", [*ARCHITECTURES])
def test_the_guide_lists_every_architecture(name):
    assert f'| `"{name}"` |' in GUIDE


def test_docstrings_list_the_names_of_the_tables():
    components = {inspect.getdoc(component) for component in ARCHITECTURES.values()}
    assert all(f'"{name}"' in VAETransformer.__doc__ for name in ARCHITECTURES)
    assert any(all(f'"{name}"' in text for name in ACTIVATIONS) for text in components)


def test_the_docstring_describes_every_parameter_with_its_default():
    assert documented(VAETransformer.__doc__, "Parameters") == PARAMETERS
    text = section(VAETransformer.__doc__, "Parameters")
    for name, parameter in inspect.signature(VAETransformer).parameters.items():
        default = repr(parameter.default).replace("'", '"')
        assert re.search(rf"^{name} : .*default={re.escape(default)}$", text, re.MULTILINE), name


def test_the_docstring_describes_every_fitted_attribute(estimator):
    described = documented(VAETransformer.__doc__, "Attributes")
    assert sorted(described) == sorted(fitted_attributes(estimator))


def test_the_guide_knows_the_attributes_it_reads(estimator):
    reading = GUIDE.split("## Reading a fit")[1]
    named = set(re.findall(r"`(\w+_)`", reading))
    assert named
    assert named <= set(fitted_attributes(estimator))


def public_methods():
    for name, method in inspect.getmembers(VAETransformer, inspect.isfunction):
        if not name.startswith("_") and method.__module__ == VAETransformer.__module__:
            yield name, method


@pytest.mark.parametrize(("name", "method"), list(public_methods()))
def test_methods_describe_what_they_take_and_return(name, method):
    parameters = [p for p in inspect.signature(method).parameters if p != "self"]
    assert documented(method.__doc__, "Parameters") == parameters
    assert documented(method.__doc__, "Returns")


def test_everything_public_is_on_the_page_of_the_api():
    text = (ROOT / "docs" / "api.md").read_text()
    for name in skvae.__all__:
        assert inspect.getdoc(getattr(skvae, name))
        assert re.search(rf"^   {name}$", text, re.MULTILINE), name


def test_the_page_of_the_api_has_nothing_else():
    text = (ROOT / "docs" / "api.md").read_text()
    others = ["DaskVAETransformer", "Page"]  # of modules that are imported by their own names
    named = re.findall(r"^   (\w+)$", text, re.MULTILINE)
    assert sorted(named) == sorted([*skvae.__all__, *others])


def test_every_page_is_in_the_navigation_once():
    text = (ROOT / "docs" / "index.md").read_text()
    trees = re.findall(r"```{toctree}\n:hidden:\n:caption: (.+)\n\n([^`]+)```", text)
    named = [line for _, lines in trees for line in lines.split()]
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}
    assert sorted(named) == sorted(pages | {"generated_examples/index"})
    assert [caption for caption, _ in trees] == GROUPS


def test_no_page_asks_another_server_for_a_script():
    settings = (ROOT / "docs" / "conf.py").read_text()
    script = re.search(r'^mathjax_path = "(.+)"$', settings, re.MULTILINE).group(1)
    assert (ROOT / "docs" / "_static" / script).stat().st_size > 1_000_000
    assert "://" not in script


def test_what_is_said_of_sparse_rows_is_in_the_tags():
    assert get_tags(VAETransformer()).input_tags.sparse
    assert "Sparse" in GUIDE


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`(make [^`]+)`", page.read_text())
    for line in [*"\n".join(blocks).splitlines(), *inline]:
        words = line.split("#")[0].split()
        if words and words[0] == "make":
            named = [word for word in words[1:] if "=" not in word]
            assert set(named) <= targets, line


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_links_to_files_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not target.startswith("generated"):  # which the build makes
            assert (page.parent / target).exists(), target


def test_links_of_the_readme_work_where_only_the_readme_is():
    address = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    pictures = address.replace("github.com", "raw.githubusercontent.com") + "/main/"
    text = (ROOT / "README.md").read_text()
    names = re.findall(r"(!?)\[[^\]]*\]\[([^\]]+)\]", text)
    targets = dict(re.findall(r"^\[(.+)\]: (\S+)$", text, re.MULTILINE))
    assert names
    assert "](" not in text
    for is_picture, name in names:
        start = pictures if is_picture else f"{address}/blob/main/"
        assert targets[name].startswith(start)
    for target in targets.values():
        path = target.removeprefix(pictures).removeprefix(f"{address}/blob/main/")
        assert (ROOT / path).is_file(), target


@pytest.mark.parametrize("page", report.PAGES)
def test_pages_hold_the_markers_of_the_report(page):
    text = (ROOT / page).read_text()
    found = re.findall(r"<!-- (benchmark\S*):start -->", text)
    assert found == list(report.PAGES[page])


def test_no_page_has_markers_that_nothing_fills():
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        assert (name in report.PAGES) == ("<!-- benchmark" in page.read_text())


def test_the_changelog_knows_the_version():
    assert skvae.__version__ in (ROOT / "CHANGELOG.md").read_text()
