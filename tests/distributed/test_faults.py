"""Processes that are killed, stopped or told to end: the others notice, and all go on."""

import subprocess

import pytest

from tests.distributed.conftest import ROOT, environment, started


def ended(folder, size, *strike, restarts=3):
    """What the processes of a fit tell that was struck so; where none was struck, the model."""
    folder.mkdir()
    command = started(size, "tests.distributed.killed", folder, *strike, restarts=restarts)
    done = subprocess.run(
        command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [(folder / f"ended-{rank}").read_text().split() for rank in range(size)]
    assert len(list(folder.glob("attempt-*"))) == int(strike[2])
    assert not list((folder / "checkpoints").glob("*"))
    return {sha for sha, *_ in found}


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    return ended(tmp_path_factory.mktemp("untouched") / "fit", 1, 0, "SIGKILL", 0)


def test_a_process_is_killed_and_all_go_on_to_the_same_bits(tmp_path, untouched):
    assert ended(tmp_path / "fit", 2, 1, "SIGKILL", 1) == untouched


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("seed", range(15))
def test_processes_are_killed_at_random_moments(tmp_path, untouched, victim, seed):
    assert ended(tmp_path / "fit", 2, victim, "SIGKILL", 1, 100 * seed) == untouched


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_process_that_is_stopped_is_noticed(tmp_path, untouched, seed):
    assert ended(tmp_path / "fit", 2, 1, "SIGSTOP", 1, seed) == untouched
