"""Draws in files are those of the estimator."""

import io
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from skvae import VAETransformer


def test_rows_of_a_seed_are_those_of_the_estimator(vae, model, run):
    status, out, _ = run("sample", model, "-n", 20, "--seed", 3)
    assert status == 0
    expected = vae.sample(20, random_state=3)
    found = pd.read_csv(io.StringIO(out), dtype=str, keep_default_na=False)
    assert found.columns.tolist() == expected.columns.tolist()
    for name, own in expected.items():
        assert found[name].tolist() == [str(cell) for cell in own], name
    assert run("sample", model, "-n", 20, "--seed", 3)[1] == out
    assert run("sample", model, "-n", 20)[1] != out


def test_many_rows_are_drawn_in_parts(model, tmp_path, run):
    assert run("sample", model, "-n", 70_000, "--seed", 0, "-o", tmp_path / "rows.csv")[0] == 0
    found = pd.read_csv(tmp_path / "rows.csv")
    assert len(found) == 70_000
    assert found.duplicated().mean() < 0.5


def given_to(*values):
    return [option for value in values for option in ("--given", value)]


@pytest.mark.parametrize(
    ("told", "given"),
    [
        (["city=007", "age=40"], {"city": "007", "age": 40}),
        (["income=1500.5"], {"income": 1500.5}),
        (["member=yes", "size=m"], {"member": True, "size": "m"}),
        (["city=NA"], {"city": "NA"}),
    ],
)
def test_given_values_are_those_of_the_estimator(told, given, vae, model, run):
    options = ["-n", 20, "--seed", 3, *given_to(*told)]
    status, out, _ = run("sample", model, *options)
    assert status == 0
    expected = vae.sample(20, random_state=3, given=given)
    found = pd.read_csv(io.StringIO(out), dtype=str, keep_default_na=False)
    for name, own in expected.items():
        assert found[name].tolist() == [str(cell) for cell in own], name


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("city", "--given 'city': it is no COLUMN=VALUE, such as city=Oslo."),
        ("citty=Oslo", "--given 'citty=Oslo': no column 'citty'; do you mean 'city'?"),
        ("x=1", "no column 'x'; the columns are ['age', 'income', 'city', 'size', 'member']."),
        ("age=old", "--given 'age=old': 'old' is no number, such as -12 or 2e-3; give another"),
        ("age=40.5", "'40.5' is not a whole number, but fit had whole numbers there; give another"),
        ("member=maybe", "'maybe' is not a boolean, such as true or false, yes or no"),
        ("city=Bern", "given 'city'='Bern' has no support: the levels of that column are ['007'"),
        ("income=", "given 'income'=nan is a missing cell; leave the column out"),
        ("age=9000", "given 'age'=9000 has no support"),
    ],
)
def test_given_values_that_cannot_be_are_told(told, said, model, fails):
    assert said in fails("sample", model, "--given", told)


def test_a_column_is_given_once(model, fails):
    told = fails("sample", model, *given_to("age=40", "age=41"))
    assert "--given 'age=41': column 'age' has a value already" in told


def test_columns_are_given_by_position_or_a_name_with_any_sign(array_model, tmp_path, run):
    status, out, _ = run("sample", array_model, "-n", 3, *given_to("1=0.25"))
    assert status == 0
    assert [line.split(",")[1] for line in out.splitlines()[1:]] == ["0.25"] * 3
    rows = np.random.default_rng(0).standard_normal((40, 2))
    frame = pd.DataFrame(rows, columns=["a", "a=b"])
    VAETransformer(1, max_iter=0).fit(frame).save(tmp_path / "m.skvae")
    _, out, _ = run("sample", tmp_path / "m.skvae", *given_to("a=b=0.5", "a=-0.25"))
    assert out.splitlines()[1] == "-0.25,0.5"


def test_parts_of_many_rows_have_what_is_given(model, tmp_path, run):
    options = ["-n", 65_600, "--seed", 0, "-o", tmp_path / "rows.csv", "--given", "city=Oslo"]
    assert run("sample", model, *options)[0] == 0
    found = pd.read_csv(tmp_path / "rows.csv")
    assert len(found) == 65_600
    assert set(found["city"]) == {"Oslo"}


@pytest.mark.parametrize("has_text", [True, False], ids=["mixed", "numbers"])
@pytest.mark.parametrize("library", ["polars", "pyarrow"])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_decimals_are_those_of_the_estimator(library, ending, has_text, tmp_path, run):
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    cells = [Decimal(f"{x:.2f}") for x in np.random.default_rng(0).normal(size=60)]
    rows = {"d": cells, "x": np.arange(60.0)} | ({"k": ["a", "b"] * 30} if has_text else {})
    table = pl.DataFrame(rows) if library == "polars" else pa.table(rows)
    vae = VAETransformer(1, max_iter=0).fit(table)
    vae.save(tmp_path / "m.skvae")
    vae.set_output(transform=None if has_text else "polars")
    codes, path = np.asarray(vae.transform(table)), tmp_path / f"codes{ending}"
    frame = pd.DataFrame(codes, columns=vae.get_feature_names_out())
    frame.to_csv(path, index=False) if ending == ".csv" else frame.to_parquet(path)
    answers = {
        "sample": (["-n", 60, "--seed", 0], vae.sample(60, random_state=0)),
        "inverse": ([path], vae.inverse_transform(codes)),
    }
    for command, (options, expected) in answers.items():
        target = tmp_path / f"{command}{ending}"
        assert run(command, tmp_path / "m.skvae", *options, "-o", target)[0] == 0
        found = pd.read_csv(target) if ending == ".csv" else pd.read_parquet(target)
        assert found["d"].tolist() == [float(cell) for cell in expected["d"].to_numpy()]
