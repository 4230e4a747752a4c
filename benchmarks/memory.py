"""Peak memory of a fit, measured in a fresh process so that nothing else has touched it."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from threading import Event, Thread
from typing import Any

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
    return peak_growth_mb(_fit_of, task)


def resident_mb(process: psutil.Process) -> float:
    """Return the memory that a process holds, pages of mapped files included."""
    return process.memory_info().rss / MEGABYTE


def anonymous_mb(process: psutil.Process) -> float:
    """Return the same without pages of files, where the system tells them apart (Linux)."""
    info = process.memory_info()
    return (info.rss - getattr(info, "shared", 0)) / MEGABYTE


def peak_growth_mb(
    prepare: Callable[..., Callable[[], Any]],
    task,
    held: Callable[[psutil.Process], float] = resident_mb,
) -> float:
    """Return by how many megabytes a fresh process grows in the action that ``prepare`` returns.

    ``prepare(task)`` reads the data; what it needs does not count.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_growth_mb, prepare, task, held).result()


def _fit_of(task):
    X = task.split().X_train
    # The reader's cache would keep a second copy of the data alive.
    datasets.read.cache_clear()
    return lambda: methods.fit(task.method, X, task.latent_dim, task.seed)


def _growth_mb(prepare, task, held):
    action = prepare(task)
    process, done, sizes = psutil.Process(), Event(), []

    def watch():
        while not done.wait(0.005):
            sizes.append(held(process))

    before = held(process)
    watcher = Thread(target=watch)
    watcher.start()
    action()
    done.set()
    watcher.join()
    return max([*sizes, before]) - before
