"""A data folder of stand-ins, copies of the pages, and the command line."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import skvae
from benchmarks import __main__ as command_line
from benchmarks import report
from benchmarks.suites import experiments
from tests.benchmarks.rows import mixed, with_holes

ROOT = Path(skvae.__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder with a small stand-in for every file."""
    path, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    table = mixed(150)
    income = np.where(table["a"] > 11, ">50K", "<=50K")
    adult = with_holes(table)[0].assign(income=income)
    adult.to_csv(path / "adult.csv.gz", index=False)
    grade = np.array(list("ABC"))[np.digitize(table["a"], [9, 11])]
    loans = table.assign(grade=grade, sub_grade=grade, interest_rate=1.0)
    loans.to_csv(path / "loans.csv.gz", index=False)
    for name in ("hivae_wine", "hivae_spam"):
        (path / name).mkdir()
        values = pd.DataFrame({0: table["a"], 1: table["b"], 2: 1 + table["positive"]})
        values.to_csv(path / name / "data.csv", index=False, header=False)
        types = "type,dim,nclass\npos,1,\ncount,1,\ncat,2,2\n"
        (path / name / "data_types.csv").write_text(types)
        for percent in (10, 30, 50):
            (path / name / f"Missing{percent}_1.csv").write_text("1,1\n3,2\n150,3\n5,3\n")
    np.savez(path / "news20_w100.npz", X=rng.integers(0, 2, (150, 8), np.uint8), y=np.arange(150))
    rates = np.exp(rng.normal(size=(2, 12)))[np.arange(150) % 2]
    for name in ("sc_celseq2", "basehock"):
        sparse.save_npz(path / f"{name}.sparse.npz", sparse.csr_matrix(rng.poisson(rates)))
        labels = np.array(["x", "y"], dtype=object)[np.arange(150) % 2]
        np.save(path / f"{name}.labels.npy", labels, allow_pickle=True)
    return str(path)


@pytest.fixture
def command(tmp_path):
    """A function that runs a command and returns the lines of its file."""

    def run(name, *arguments):
        path = tmp_path / f"{name}.jsonl"
        command_line.main([name, *arguments, "--output", str(path)])
        return [json.loads(line) for line in path.read_text().splitlines()]

    return run


@pytest.fixture
def one_split(monkeypatch):
    """One split judges the trainings of few rows: what is tested is the suite around them."""
    one = partial(skvae.Limits, few_rows=0)
    monkeypatch.setattr(skvae.VAETransformer, "limits", one())
    monkeypatch.setattr(experiments, "Limits", one)


@pytest.fixture
def short_training(one_split, monkeypatch):
    """And so few steps."""
    short = skvae.Limits(few_rows=0, steps=(30, 30))
    monkeypatch.setattr(skvae.VAETransformer, "limits", short)


@pytest.fixture
def pages(tmp_path):
    """A copy of the pages that the report fills, and of the tables."""
    for page in report.PAGES:
        (tmp_path / page).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / page, tmp_path / page)
    shutil.copytree(ROOT / report.TABLES, tmp_path / report.TABLES)
    return tmp_path
