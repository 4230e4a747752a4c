"""Fits on a cluster of Dask on this machine against those of one process.

    python -m benchmarks.cluster bits
    python -m benchmarks.cluster tables --data DIR
    python -m benchmarks.cluster transform
    python -m benchmarks.cluster larger

Seconds are of the clock: `transform` needs two cores that nothing else uses.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from benchmarks import frames
from benchmarks.made import curved
from skvae import VAETransformer
from skvae.dask import DaskVAETransformer

HIDDEN = 0.2  # share of the cells that a table loses
CHUNK = 250_000  # rows
# Dask makes workers return memory at once, and glibc ask for it again at every operation.
_ENVIRONMENT = "distributed.nanny.pre-spawn-environ"
KEEPING = {
    f"{_ENVIRONMENT}.MALLOC_TRIM_THRESHOLD_": 2**28,
    f"{_ENVIRONMENT}.MALLOC_MMAP_THRESHOLD_": 2**25,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=MEASURED)
    parser.add_argument("--data", help="folder of data sets")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--names", nargs="+", default=["adult", "adult, holes"])
    parser.add_argument("--rows", type=int, default=10**7)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    for line in MEASURED[options.what](options):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


def cluster(n_workers, **options):
    """The client of workers of one thread, which ends with its cluster."""
    made = LocalCluster(
        n_workers=n_workers, threads_per_worker=1, dashboard_address=":0", **options
    )
    return Client(made)


def bits(options):
    """Codes of digits after whole fits by workers and by processes of torchrun, as hashes."""
    X, held_out = train_test_split(load_digits().data, test_size=0.3, random_state=0)
    for n in options.workers:
        with cluster(n) as client, client.cluster:
            vae = DaskVAETransformer(8, random_state=0, deterministic=True)
            vae.fit(da.from_array(X, chunks=(200, X.shape[1])))
            codes = vae.to_local().encode(held_out)[0]
        yield f"Dask, {n}: {hashlib.sha256(codes.tobytes()).hexdigest()}, {vae.n_iter_} passes"
    for n in options.workers:
        yield f"torchrun, {n}: {by_torchrun(n)}"


def by_torchrun(n):
    """The hash of the same by processes of torchrun."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
            str(n), "-m", "benchmarks.group", str(path), "one order", "0",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads(path.read_text())[0]
    return f"{found['codes']}, {found['pass']} passes"


def tables(options):
    """Scores and schemas of tables: two workers against one process."""
    with cluster(2) as client, client.cluster:
        for name in options.names:
            for seed in options.seeds:
                yield f"{name}, seed {seed}: {compared(*rows_of(name, options.data), seed)}"


def rows_of(name, folder):
    """Rows of a table to fit and to judge by, some cells of which may be hidden."""
    stem, _, holes = name.partition(", ")
    frame = frames.read(stem, folder).X
    if holes:
        frame = frame.mask(np.random.default_rng(0).random(frame.shape) < HIDDEN)
    return train_test_split(frame, test_size=0.3, random_state=0)


def compared(rows, held_out, seed):
    """What two workers and one process make of the same rows."""
    lazy = dd.from_pandas(rows, npartitions=8, sort=False)
    together = DaskVAETransformer(4, random_state=seed).fit(lazy).to_local()
    alone = VAETransformer(4, random_state=seed).fit(lazy.compute())  # with the dtypes of Dask
    same = schema(together) == schema(alone)
    scores = [vae.score(held_out) for vae in (together, alone)]
    differ = 100 * (scores[0] - scores[1]) / abs(scores[1])
    said = "schema identical" if same else "OTHER SCHEMA"
    return f"score {scores[0]:.4f} and {scores[1]:.4f}, {differ:+.2f} %; {said}"


def schema(vae):
    """Names, dtypes and levels of the columns, and how they are modelled; names of the codes."""
    columns = vae._columns
    blocks = [(repr(likelihood), own.tolist()) for likelihood, own in columns.likelihoods]
    levels, codes = columns.n_levels.tolist(), vae.get_feature_names_out().tolist()
    return columns.schema, columns.is_plain, blocks, levels, codes, vae.feature_names_in_.tolist()


def transform(options):
    """Seconds of `transform`: two workers, also such as keep memory; a process of two threads."""
    vae = VAETransformer(8, random_state=0, max_iter=5).fit(curved(20_000, 20).astype("float32"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.skvae")
        vae.save(path)
        together = []
        for name, own in (("Dask, two workers", {}), ("the same, which keep memory", KEEPING)):
            with dask.config.set(own):
                together.append(by_workers(vae, options.rows))
            yield f"{name}: {together[-1]}"
        alone = subprocess.run(
            [sys.executable, "-c", ALONE, str(path), str(options.rows)],
            env=os.environ | {"OMP_NUM_THREADS": "2"},
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        alone = json.loads(alone.stdout)
        yield f"one process, two threads: {alone}"
        ratios = [f"{np.median(took) / np.median(alone):.2f}" for took in together]
        yield f"ratios of medians: {', '.join(ratios)}"


def by_workers(vae, n_rows):
    """Seconds of `transform` by two workers of one thread that have loaded the model."""
    with cluster(2, memory_limit="4GiB") as client, client.cluster:
        X = da.random.default_rng(0).normal(size=(n_rows, 20), chunks=(min(n_rows // 4, CHUNK), 20))
        X = client.persist(X.astype("float32"))
        lazy = DaskVAETransformer.from_local(vae)
        lazy.transform(X).sum().compute()
        return [seconds(lambda: lazy.transform(X).sum().compute()) for _ in range(3)]


ALONE = """
import json, sys
import numpy as np
import skvae
from benchmarks.cluster import seconds
vae = skvae.load(sys.argv[1])
X = np.random.default_rng(0).normal(size=(int(sys.argv[2]), 20)).astype("float32")
vae.transform(X[:50_000])
print(json.dumps([seconds(lambda: vae.transform(X).sum()) for _ in range(3)]))
"""


def seconds(work):
    began = time.perf_counter()
    work()
    return round(time.perf_counter() - began, 2)


def larger(options):
    """A fit of more rows than the workers may hold, made block by block."""
    chunk, n_columns = 100_000, 20
    X = da.map_blocks(
        lambda block_info: block(block_info[None]["chunk-location"][0], chunk, n_columns),
        chunks=((chunk,) * (options.rows // chunk), (n_columns,)),
        dtype=np.float64, meta=np.empty((0, n_columns)),
    )  # fmt: skip
    with cluster(2, memory_limit="1GB") as client, client.cluster:
        began = time.perf_counter()
        vae = DaskVAETransformer(4, random_state=0, max_iter=3, max_restarts=1)
        vae.fit(X)
        took = time.perf_counter() - began
    yield f"{X.nbytes / 1e9:.1f} GB: {took:.0f} s, {vae.n_samples_} rows"


def block(seed, n, n_columns):
    """Noisy points of a curved surface."""
    turns, rng = np.random.default_rng(0).normal(size=(2, n_columns)), np.random.default_rng(seed)
    return np.sin(rng.uniform(-2, 2, (n, 2)) @ turns) + 0.1 * rng.normal(size=(n, n_columns))


MEASURED = {"bits": bits, "tables": tables, "transform": transform, "larger": larger}


if __name__ == "__main__":
    main()
