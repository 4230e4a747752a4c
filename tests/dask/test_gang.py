"""Fits of a gang end whatever happens to a worker, and with the same bits."""

import os
import re
import signal
import threading
import time
import warnings

import dask.array as da
import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold

from skvae import VAETransformer
from skvae.dask import DaskVAETransformer
from skvae.team import TeamError
from tests.dask.restarts import LONG, ROWS, fit, lazy, struck, whole
from tests.distributed.groups import grouped
from tests.distributed.together import SMALL, sha

FEW = ROWS[:300]


def n_searching(client):
    keys = [key for tasks in client.processing().values() for key in tasks]
    return sum("_fit_and_score" in str(key) for key in keys)


def kill(client):
    """Kill a worker once both have got candidates of a search."""
    pids = list(client.run(os.getpid).values())
    end = time.monotonic() + 60
    while n_searching(client) < 2 and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(pids[0], signal.SIGKILL)


@pytest.fixture
def client(processes):
    """The client of two processes: one that a test has killed has been started again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        processes.wait_for_workers(2, timeout=300)
    return processes


@pytest.fixture(scope="module")
def undisturbed(processes):
    return whole(processes, lambda: fit(lazy()))


def alone():
    """The same of one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vae = VAETransformer(2, distributed="auto", deterministic=True, **SMALL).fit(FEW)
    return sha(vae)


def members(dask_scheduler):
    """How many tasks gangs have had so far."""
    keys = {str(key) for key, *_ in dask_scheduler.transition_log}
    return len([key for key in keys if re.fullmatch(r"skvae-\w+-\d+", key)])


def test_two_workers_fit_as_one_and_answer_about_their_rows(client):
    halves = [
        client.persist(da.from_array(half), workers=[worker])
        for half, worker in zip(np.split(FEW, 2), client.nthreads(), strict=True)
    ]
    rows, before = da.concatenate(halves), client.run_on_scheduler(members)
    vae = fit(rows, **SMALL)
    assert client.run_on_scheduler(members) - before == 2
    assert sha(vae.to_local()) == grouped(1, alone)[0]
    assert vae.n_samples_ == len(FEW)
    assert vae.n_restarts_ == 0
    codes = vae.transform(rows).compute()
    assert np.allclose(codes, vae.to_local().transform(FEW), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_killed_worker_costs_time_alone(client, undisturbed, share):
    vae = struck(client, lambda: fit(lazy()), undisturbed.moment(share))
    assert vae.n_restarts_ == 1
    assert sha(vae.to_local()) == undisturbed.sha


@pytest.mark.slow
def test_losing_more_workers_than_are_allowed_is_told(client, undisturbed):
    with pytest.raises(TeamError, match=r"workers were lost 1 times.*max_restarts=1"):
        struck(client, lambda: fit(lazy(), max_restarts=0), undisturbed.moment(0.3))
    client.wait_for_workers(2, timeout=60)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_a_fit_goes_on_from_its_checkpoint(client, undisturbed, tmp_path, seed):
    kept = {"checkpoint_dir": tmp_path, "checkpoint_every": 0}
    moment = undisturbed.moment(np.random.default_rng(seed).uniform(0.0, 0.9))
    vae = struck(client, lambda: fit(lazy(), **kept), moment)
    assert vae.n_restarts_ == 1
    assert sha(vae.to_local()) == undisturbed.sha
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # which threads share
def test_two_fits_take_turns(client, undisturbed):
    found = []
    other = threading.Thread(target=lambda: found.append(fit(lazy())))
    other.start()
    found.append(fit(lazy()))
    other.join()
    assert [sha(vae.to_local()) for vae in found] == [undisturbed.sha] * 2
    assert [vae.n_restarts_ for vae in found] == [0, 0]


def test_without_a_cluster_it_says_how_to_make_one(monkeypatch):
    monkeypatch.setattr("skvae.dask.transformer.get_client", _none)
    with pytest.raises(RuntimeError, match="LocalCluster"):
        DaskVAETransformer(2, **SMALL).fit(lazy())


def _none():
    raise ValueError("No global client found and no address provided")


@pytest.mark.slow
def test_a_search_on_the_cluster_survives_a_killed_worker(client):
    # What joblib sends to one worker is lost with it: rows go to all, lists with the tasks.
    folds = [(own.tolist(), held.tolist()) for own, held in KFold(2).split(ROWS)]
    search = GridSearchCV(
        VAETransformer(**LONG),
        {"latent_dim": [1, 2, 3]},
        cv=folds,
        refit=False,
        error_score="raise",
    )

    def on_the_cluster():
        with joblib.parallel_config(backend="dask", scatter=[ROWS]):
            return clone(search).fit(ROWS)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        killer = threading.Thread(target=kill, args=(client,))
        killer.start()
        found = on_the_cluster()
        killer.join()
        expected = clone(search).fit(ROWS)
    scores = [each.cv_results_["mean_test_score"] for each in (found, expected)]
    assert np.allclose(*scores, rtol=1e-3)
