"""A cluster of two workers, which the tests share."""

import warnings

import pytest

pytest.importorskip("distributed")

from distributed import Client, LocalCluster


@pytest.fixture(scope="session")
def cluster():
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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = Client.current()
        client.wait_for_workers(2, timeout=60)
    return client
