"""A tour of a cluster: a fit on two workers, lazy answers, a worker that is killed; one table.

``python -m benchmarks.demo_cluster`` starts a LocalCluster of two workers of one thread.
"""

import os
import signal
import threading
import time
import warnings

import dask.array
import numpy as np
import pandas as pd
from distributed import Client, LocalCluster

from benchmarks.markdown import markdown
from skvae import MLP
from skvae.dask import DaskVAETransformer

ROWS, COLUMNS, CHUNK = 16_000, 20, 2_000
PASSES = 4


def rows(seed, n=CHUNK):
    """Points of a curved surface in 20 columns, with noise."""
    t = np.random.default_rng(0).normal(size=(2, COLUMNS))
    rng = np.random.default_rng([1, seed])
    z = rng.uniform(-2.0, 2.0, (n, 2))
    return np.sin(z @ t) + 0.3 * z @ t[:, ::-1] + 0.05 * rng.normal(size=(n, COLUMNS))


def made():
    """These rows as a lazy array: each chunk is made where it is needed."""
    chunks = tuple([CHUNK] * (ROWS // CHUNK))
    return dask.array.map_blocks(
        lambda block_info: rows(block_info[None]["chunk-location"][0]),
        chunks=(chunks, (COLUMNS,)), dtype=np.float64, meta=np.empty((0, COLUMNS)),
    )  # fmt: skip


def fitted(X):
    vae = DaskVAETransformer(
        2,
        architecture=MLP(hidden_layer_sizes=(64, 64)),
        deterministic=True,
        max_iter=PASSES,
        early_stopping=False,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of passes that are few
        return vae.fit(X)


def kill(client, seconds, told):
    """End a worker in the middle of the next fit."""
    while not any("skvae-" in str(task) for task in client.processing().values()):
        time.sleep(0.02)
    time.sleep(seconds)
    pid = next(iter(client.run(os.getpid).values()))
    os.kill(pid, signal.SIGKILL)
    told.append(time.perf_counter())


def timed(work):
    start = time.perf_counter()
    found = work()
    return found, time.perf_counter() - start


def codes_of(vae):
    """Codes of some rows, by which models are compared."""
    return vae.to_local().transform(rows(0, 1000))


def tour(client):
    """What happened, a line for each."""
    X, told = made(), []
    client.run(lambda: __import__("skvae"))
    vae, seconds = timed(lambda: fitted(X))
    yield "fit on two workers", seconds, f"{ROWS} x {COLUMNS} rows, kept {vae.kept_:g}"
    codes, seconds = timed(lambda: vae.transform(X))
    yield "transform, asked", seconds, f"{codes.shape}, chunks of {codes.chunksize[0]} rows"
    found, seconds = timed(codes.compute)
    local = vae.to_local().transform(X.compute())
    differ = float(np.abs(found - local).max())
    yield "transform, computed", seconds, f"differs from one process by {differ:.1e}"
    score, seconds = timed(lambda: vae.score(X))
    yield "score", seconds, f"{score:.3f} nats per row; the linear start has {vae.pca_score_:.3f}"
    drawn, seconds = timed(lambda: vae.sample(100_000, random_state=0).compute())
    yield "sample", seconds, f"{len(drawn)} rows"
    killer = threading.Thread(target=kill, args=(client, 1.0, told))
    killer.start()
    again, seconds = timed(lambda: fitted(X))
    killer.join()
    since = time.perf_counter() - told[0]
    same = "the same" if np.array_equal(codes_of(again), codes_of(vae)) else "other"
    yield (
        "fit, a worker killed",
        seconds,
        f"restarts: {again.n_restarts_}; {since:.1f} s from the kill to the end; {same} bits",
    )


def main():
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        lines = []
        for what, seconds, result in tour(client):
            print(f"{what}: {seconds:.2f} s", flush=True)
            lines.append([what, f"{seconds:.2f}", result])
    print(markdown(pd.DataFrame(lines, columns=["what", "seconds", "result"])))


if __name__ == "__main__":
    main()
