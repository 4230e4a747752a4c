"""Processes that are killed, stopped or told to end: the others notice, and all go on."""

import subprocess

import pytest

from tests.distributed.groups import ROOT, environment, grouped, started
from tests.distributed.killed import fit
from tests.processes import ProcessError


def ended(folder, size, *strike):
    """Hashes of the model in the processes of a fit that was struck so."""
    found = [(folder / f"ended-{rank}").read_text().split() for rank in range(size)]
    assert len(list(folder.glob("attempt-*"))) == int(strike[2])
    assert not list((folder / "checkpoints").glob("*"))
    return {sha for sha, *_ in found}


def forked(folder, size, *strike, restarts=3):
    """The same after processes that are begun again, all of them, where one is lost."""
    folder.mkdir()
    for n_restarts in range(restarts + 1):
        try:
            grouped(size, fit, folder, *strike)
        except ProcessError:
            if n_restarts == restarts:
                raise
        else:
            break
    return ended(folder, size, *strike)


def by_torchrun(folder, size, *strike, restarts=3):
    """The same as people start processes, and have them started again."""
    folder.mkdir()
    command = started(size, "tests.distributed.killed", folder, *strike, restarts=restarts)
    done = subprocess.run(
        command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return ended(folder, size, *strike)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    return forked(tmp_path_factory.mktemp("untouched") / "fit", 1, 0, "SIGKILL", 0)


@pytest.mark.parametrize("run", [forked, pytest.param(by_torchrun, marks=pytest.mark.slow)])
def test_a_process_is_killed_and_all_go_on_to_the_same_bits(run, tmp_path, untouched):
    assert run(tmp_path / "fit", 2, 1, "SIGKILL", 1) == untouched


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("seed", range(15))
def test_processes_are_killed_at_random_moments(tmp_path, untouched, victim, seed):
    assert by_torchrun(tmp_path / "fit", 2, victim, "SIGKILL", 1, 100 * seed) == untouched


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_process_that_is_stopped_is_noticed(tmp_path, untouched, seed):
    assert by_torchrun(tmp_path / "fit", 2, 1, "SIGSTOP", 1, seed) == untouched
