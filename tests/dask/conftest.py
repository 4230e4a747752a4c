"""Clusters that tests share: of threads of this process, and of two processes."""

import contextlib
import importlib.util
import multiprocessing.forkserver

import pytest

if importlib.util.find_spec("distributed") is None:
    collect_ignore_glob = ["test_*.py"]

# Beside tests on every core a process may not get a turn for long.
PATIENT = {
    "distributed.comm.timeouts.connect": "300s",
    "distributed.comm.timeouts.tcp": "300s",
    "distributed.deploy.lost-worker-timeout": "300s",
    "distributed.scheduler.worker-ttl": None,
    "distributed.worker.multiprocessing-method": "forkserver",
}


@contextlib.contextmanager
def cluster_of(processes):
    """A cluster of two workers, and its client."""
    import dask
    from distributed import Client, LocalCluster

    import tests.processes  # noqa: F401 (what the server imports before it forks)

    multiprocessing.forkserver.ensure_running()
    with (
        dask.config.set(PATIENT),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=processes,
            dashboard_address=":0",
            memory_limit="2GiB",
        ) as made,
        Client(made) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def processes():
    """The client of two processes."""
    with cluster_of(processes=True) as client:
        yield client


@pytest.fixture(scope="module")
def threads():
    """The client of two workers in this process."""
    with cluster_of(processes=False) as client:
        yield client
