"""Peak memory of a fit, measured in a fresh process so that nothing else has touched it."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from threading import Event, Thread

import psutil
from scipy import sparse

from benchmarks import datasets, methods

MEGABYTE = 1e6


def size_mb(X) -> float:
    """Return the size of a matrix in megabytes."""
    arrays = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
    return sum(array.nbytes for array in arrays) / MEGABYTE


def peak_memory_mb(task) -> float:
    """Return by how many megabytes the process grew while the task's method was fitted.

    The data and the imported libraries are there before the fit and do not count.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_growth_mb, task).result()


def _growth_mb(task):
    X = task.split().X_train
    # The reader's cache would keep a second copy of the data alive.
    datasets.read.cache_clear()
    process, done, sizes = psutil.Process(), Event(), []

    def watch():
        while not done.wait(0.005):
            sizes.append(process.memory_info().rss)

    before = process.memory_info().rss
    watcher = Thread(target=watch)
    watcher.start()
    methods.fit(task.method, X, task.latent_dim, task.seed)
    done.set()
    watcher.join()
    return (max([*sizes, before]) - before) / MEGABYTE
