"""Processes that are killed, stopped or told to end: the others notice, and all go on."""

from typing import NamedTuple

import numpy as np
import pytest

from tests.distributed.groups import grouped
from tests.distributed.killed import fit
from tests.distributed.links import across, can_be_made
from tests.distributed.restarts import by_torchrun, ended
from tests.distributed.strikes import CUT
from tests.processes import ProcessError


class Untouched(NamedTuple):
    """What a fit without strikes leaves, and how often its processes tell each other something."""

    shas: set[str]
    n_told: int

    def moment(self, share):
        return max(round(share * self.n_told), 1)


def forked(folder, size, *strike, restarts=3):
    """What is left after processes that are begun again, all of them, where one is lost."""
    folder.mkdir()
    for n_restarts in range(restarts + 1):
        try:
            grouped(size, fit, folder, *strike)
        except ProcessError:
            if n_restarts == restarts:
                raise
        else:
            break
    return ended(folder, size)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory):
    found = forked(tmp_path_factory.mktemp("untouched") / "fit", 2, -1, "SIGKILL", 0)
    return Untouched(found.shas, found.n_told)


@pytest.mark.parametrize("run", [forked, pytest.param(by_torchrun, marks=pytest.mark.slow)])
def test_a_process_is_killed_and_all_go_on_to_the_same_bits(run, tmp_path, untouched):
    found = run(tmp_path / "fit", 2, 1, "SIGKILL", 1, untouched.moment(0.5))
    assert found.shas == untouched.shas
    assert found.n_struck == 1


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
@pytest.mark.parametrize("seed", range(15))
def test_processes_are_killed_at_random_moments(tmp_path, untouched, victim, seed):
    rng = np.random.default_rng([victim, seed])
    moment, delay = untouched.moment(rng.random()), rng.uniform(0.0, 0.02)
    found = by_torchrun(tmp_path / "fit", 2, victim, "SIGKILL", 1, moment, delay)
    assert found.shas == untouched.shas
    assert found.n_struck == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_process_that_is_stopped_is_noticed(tmp_path, untouched, seed):
    moment = untouched.moment(np.random.default_rng(seed).uniform(0.0, 0.9))
    found = by_torchrun(tmp_path / "fit", 2, 1, "SIGSTOP", 1, moment)
    assert found.shas == untouched.shas
    assert found.n_struck == 1
    assert len(found.noticed) == 1  # by an error of the team


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_link_that_is_cut_is_noticed_by_both(tmp_path, untouched, seed):
    if not can_be_made():
        pytest.skip("networks are made by root, on Linux")
    moment = untouched.moment(np.random.default_rng(seed).uniform(0.0, 0.9))
    found = across(tmp_path / "fit", seed % 2, CUT, 1, moment)
    assert found.shas == untouched.shas
    assert found.n_struck == 1
    assert len(found.noticed) == 2
