"""Rows per second of a pass: no group, one process of torchrun, two with as many rows each.

    python -m benchmarks.pace

One thread in each process. Rows per second of the clock need two cores that are free; those of a
process's CPU time say what communication costs, but not what waiting does. What a pass takes is the
difference of two fits, of many and of few passes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch.distributed as dist
from sklearn.exceptions import ConvergenceWarning

from benchmarks.made import curved
from skvae import VAETransformer

ROWS, COLUMNS, BATCH = 8_000, 50, 512  # of every process
FEW, MANY = 2, 32  # passes
TURNS = 3


def passes(rank=0, size=1, distributed=None):
    """Rows that all learn from in a second of the clock, and a process in one of its CPU."""
    X = curved(size * ROWS, COLUMNS)[rank * ROWS : (rank + 1) * ROWS]
    seconds = {}
    for n in (1, FEW, MANY):  # the first warms up
        vae = VAETransformer(
            8, max_iter=n, early_stopping=False, random_state=0, batch_size=size * BATCH,
            distributed=distributed,
        )  # fmt: skip
        began = np.array([time.perf_counter(), time.process_time()])
        vae.fit(X)
        seconds[n] = np.array([time.perf_counter(), time.process_time()]) - began
    clock, own = ROWS * (MANY - FEW) / (seconds[MANY] - seconds[FEW])
    return size * clock, own


def started(size):
    """The same in a process alone (0), or in so many of torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        command = [sys.executable, *(torchrun if size else []), "-m", "benchmarks.pace", str(path)]
        subprocess.run(
            command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, capture_output=True
        )
        return json.loads(path.read_text())


def member(path):
    """What one process does."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    if "RANK" not in os.environ:
        found, is_first = passes(), True
    else:
        dist.init_process_group("gloo")
        found = passes(dist.get_rank(), dist.get_world_size(), "auto")
        is_first = dist.get_rank() == 0
        dist.destroy_process_group()
    if is_first:
        Path(path).write_text(json.dumps(found))


def main():
    found = {size: [] for size in (0, 1, 2)}
    for _ in range(TURNS):
        for size, rates in found.items():
            rates.append(started(size))
    for i, of in enumerate(("the clock", "its CPU")):
        said = {size: [round(rate[i]) for rate in rates] for size, rates in found.items()}
        alone, one, two = (float(np.median(rates)) for rates in said.values())
        ratio = two / one / (1 if i else 2)
        sys.stdout.write(
            f"rows in a second of {of}, by processes of torchrun (0: none): {said}\n"
            f"two against one: {ratio:.3f}; time of one, of none: {alone / one:.3f}\n"
        )


if __name__ == "__main__":
    member(*sys.argv[1:]) if sys.argv[1:] else main()
