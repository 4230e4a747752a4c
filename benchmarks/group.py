"""What a process of a group does for the suite `distributed`: fits its rows, once for each seed.

``torchrun --nproc-per-node 2 -m benchmarks.group OUT 0 1 2`` writes the figures of the first.
"""

import hashlib
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch.distributed as dist
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from benchmarks.metrics import squared_error
from skvae import VAETransformer


def fitted(seed, rank=0, size=1, **parameters):
    """The figures of a fit to the rows that a process of so many has."""
    X, held_out = train_test_split(load_digits().data, test_size=0.3, random_state=0)
    own = np.array_split(np.arange(len(X)), size)[rank]
    vae = VAETransformer(8, random_state=seed, **parameters)
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vae.fit(X[own])
    seconds = time.process_time() - started
    codes = vae.encode(held_out)[0]  # to the bit, where weights are
    return {
        "seconds": seconds,
        "score": vae.score(held_out),
        "error": float(squared_error(vae, held_out)),
        "codes": hashlib.sha256(codes.tobytes()).hexdigest(),
        "kept": vae.kept_,
        "pass": vae.n_iter_,
    }


def main(path, order, *seeds):
    """Fit at each seed as one group, and write what the first process has of it."""
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    way = {"distributed": "auto", "deterministic": order == "one order"}
    found = [fitted(int(seed), rank, size, **way) for seed in seeds]
    if rank == 0:
        Path(path).write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
