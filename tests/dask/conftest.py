"""A cluster of two workers, which the tests share."""

import importlib.util
import warnings

import pytest

if importlib.util.find_spec("distributed") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def cluster():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit="2GiB"
        ) as made,
        Client(made),
    ):
        yield made


@pytest.fixture
def client(cluster):
    """A client of both workers: one that a test has killed has been started again."""
    from distributed import Client

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = Client.current()
        client.wait_for_workers(2, timeout=60)
    return client
