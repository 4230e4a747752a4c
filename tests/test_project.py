"""The files by which others adopt the project agree with the package and with each other."""

import re
import tomllib
from pathlib import Path

import pytest

import skvae

ROOT = Path(skvae.__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
CONDA_NAMES = {"torch": "pytorch"}  # where conda-forge's name is another


@pytest.fixture(scope="module")
def yaml():
    return pytest.importorskip("yaml")


def test_the_citation_is_of_this_version(yaml):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == skvae.__version__
    assert citation["license"] == PROJECT["license"]


def test_a_version_has_a_date_once_it_is_released(yaml):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    heading = rf"^## {re.escape(skvae.__version__)} \((.*)\)$"
    told = re.search(heading, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE).group(1)
    assert str(citation.get("date-released", "unreleased")) == told


def test_the_recipe_asks_for_what_the_package_asks_for(yaml):
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text())
    assert recipe["schema_version"] == 1
    assert {"package", "source", "build", "requirements", "tests", "about"} <= set(recipe)
    assert recipe["context"]["version"] == skvae.__version__
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]
    named = [re.fullmatch(r"([\w-]+)(>=.*)", line).groups() for line in PROJECT["dependencies"]]
    wanted = {f"{CONDA_NAMES.get(name, name)} {bound}" for name, bound in named}
    asked = {line for line in recipe["requirements"]["run"] if not line.startswith("python ")}
    assert asked == wanted
    (script,) = recipe["build"]["python"]["entry_points"]
    assert PROJECT["scripts"] == dict([script.split(" = ")])
    assert recipe["about"]["license"] == PROJECT["license"]


@pytest.mark.parametrize("form", FORMS, ids=[form.stem for form in FORMS])
def test_forms_of_issues_are_whole(form, yaml):
    content = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert all({"name", "url", "about"} == set(link) for link in content["contact_links"])
        return
    assert {"name", "description", "body"} <= set(content)
    fields = [field for field in content["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    text = form.read_text()
    assert "skvae inspect" in text
    assert "skvae --version" in text


def test_there_is_a_form_for_a_bug_and_one_for_a_fit():
    assert {form.stem for form in FORMS} == {"bug", "config", "fit"}


def test_the_links_of_the_project_lead_to_files():
    assert {"Homepage", "Repository", "Documentation", "Changelog", "Issues"} <= set(
        PROJECT["urls"]
    )
    start = f"{PROJECT['urls']['Repository']}/blob/main/"
    for target in PROJECT["urls"].values():
        assert target.startswith(PROJECT["urls"]["Repository"])
        if target.startswith(start):
            assert (ROOT / target.removeprefix(start)).is_file(), target


def test_the_readme_renders_on_a_package_index():
    rendering = pytest.importorskip("readme_renderer.markdown")
    page = rendering.render((ROOT / "README.md").read_text())
    assert page
    for target in re.findall(r'(?:href|src)="([^"]+)"', page):
        assert target.startswith("https://"), target
