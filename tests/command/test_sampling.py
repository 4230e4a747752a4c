"""Draws in files are those of the estimator."""

import io

import pandas as pd


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
