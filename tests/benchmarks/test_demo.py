"""The demo: a tour of the digits."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skvae
from benchmarks import demo


def test_the_tour(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "LATENT_DIMS", (2, 4))
    monkeypatch.setattr(demo, "load_digits", few_digits(demo.load_digits))
    quick = lambda latent_dim: skvae.VAETransformer(latent_dim, max_iter=0)  # noqa: E731
    monkeypatch.setitem(demo.REDUCERS, "VAETransformer", (quick, "latent_dim"))
    picture = tmp_path / "demo.png"
    monkeypatch.setattr(sys, "argv", ["demo", "--output", str(picture)])
    demo.main()
    shown = capsys.readouterr().out
    for part in ("latent_dim", "Pipeline, latent_dim 4", "GridSearchCV, 3 folds", "picture:"):
        assert part in shown
    assert picture.stat().st_size > 1000


def few_digits(load):
    """The first digits alone."""
    return lambda **options: tuple(np.asarray(part)[:300] for part in load(**options))


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["", 'a "b"', "it's $HOME `id` \\"])
@pytest.mark.parametrize("is_given", [True, False], ids=["given", "environment"])
def test_any_file_and_column_reaches_the_report(target, is_given, tmp_path):
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    shutil.copy(Path(demo.__file__).parents[1] / "Makefile", tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    for name in ("torch", "report"):
        (tmp_path / ".venv" / f".installed-{name}").touch()
    own = {"DATA": "a 'b'; \"c\".csv", "TARGET": target}
    given = [f"{name}={value.replace('$', '$$')}" for name, value in own.items()]
    found = subprocess.run(
        ["make", "-s", "demo", *(given if is_given else [])],
        cwd=tmp_path, env=os.environ | ({} if is_given else own), text=True, check=True,
        capture_output=True,
    )  # fmt: skip
    option = ["--target", target] if target else []
    words = ["-m", "skvae", "report", own["DATA"], "-o", "demo.html", *option]
    assert found.stdout.splitlines() == words
