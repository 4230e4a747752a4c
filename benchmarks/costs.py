"""Costs: the seconds of an action, and the peak memory of one in a process of its own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from threading import Event, Thread
from time import perf_counter
from typing import Any

import psutil
import torch
from scipy import sparse

MEGABYTE = 1e6


def seconds(action: Callable[[], Any], clock: Callable[[], float] = perf_counter) -> float:
    """Return how long a call takes."""
    start = clock()
    action()
    return clock() - start


def fit_seconds(model, X, clock: Callable[[], float] = perf_counter) -> float:
    """Fit a model on the rows and return how long that took."""
    return seconds(lambda: model.fit(X), clock)


def capabilities() -> dict[str, Any]:
    """Return the name of the processor and its instructions, as far as torch tells them."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def size_mb(X) -> float:
    """Return the size of a matrix in megabytes."""
    arrays = (X.data, X.indices, X.indptr) if sparse.issparse(X) else (X,)
    return sum(array.nbytes for array in arrays) / MEGABYTE


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

    ``prepare(task)`` reads the data; neither they nor the imported libraries count.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_growth_mb, prepare, task, held).result()


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
