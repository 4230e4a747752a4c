"""How the command is called, and how it ends."""

import os
import subprocess
import sys

import pytest

import skvae
from skvae.command.main import SUBCOMMANDS, main
from tests.command.conftest import people


@pytest.mark.parametrize(
    "arguments", [[], ["nothing"], ["sample"], ["sample", "m", "-n", "0"], ["inspect", "m", "--x"]]
)
def test_calls_that_it_does_not_know_end_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: skvae" in capsys.readouterr().err


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_tells_of_every_subcommand(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert SUBCOMMANDS[name].summary.capitalize() in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in SUBCOMMANDS if name != "report"])
def test_files_that_are_no_models(name, tmp_path, fails):
    path = tmp_path / "model.skvae"
    rows = tmp_path / "rows.csv"
    people(3).to_csv(rows, index=False)
    more = [] if name in ("inspect", "sample") else [rows]
    assert "model.skvae: No such file" in fails(name, path, *more)
    path.write_text("no model")
    assert "model.skvae: this is not a skvae file" in fails(name, path, *more)


def test_tracebacks_are_shown_where_they_are_asked_for(tmp_path):
    with pytest.raises(OSError, match=r"model\.skvae"):
        main(["inspect", str(tmp_path / "model.skvae"), "--traceback"])


def test_an_interrupt_leaves_nothing(model, tmp_path, run, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    people(3).to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setattr("skvae.command.rows.typed", interrupted)
    status, _, err = run("transform", model, tmp_path / "rows.csv", "-o", tmp_path / "c.csv")
    assert status == 130
    assert "interrupted" in err
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_it_runs_as_a_module_and_whoever_reads_it_may_stop(model):
    call = [sys.executable, "-m", "skvae"]
    shown = subprocess.run([*call, "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"skvae {skvae.__version__}\n"
    command = [*call, "sample", model, "-n", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


_OWN = """
import skvae
from torch import nn


def shallow(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 3), nn.Tanh(), nn.Linear(3, n_out))


skvae.register("command.shallow", shallow)
"""


def test_a_module_that_is_named_registers_parts_of_models(tmp_path, monkeypatch):
    (tmp_path / "own_parts.py").write_text(_OWN)
    model = tmp_path / "own.skvae"
    make = (
        "import numpy as np, skvae, own_parts\n"
        "X = np.random.default_rng(0).standard_normal((40, 3))\n"
        "own = skvae.VAETransformer(1, architecture=own_parts.shallow, max_iter=0)\n"
        f"own.fit(X).save({str(model)!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    subprocess.run([sys.executable, "-c", make], check=True)
    call = [sys.executable, "-m", "skvae", "sample", model, "--seed", "0"]
    alone = subprocess.run(call, capture_output=True, text=True, check=False)
    assert alone.returncode == 1
    assert "--import" in alone.stderr
    named = subprocess.run([*call, "--import", "own_parts"], capture_output=True, check=False)
    assert named.returncode == 0


def test_modules_that_are_not_there_are_named(model, fails):
    assert "--import no_such.module: No module" in fails(
        "sample", model, "--import", "no_such.module"
    )
