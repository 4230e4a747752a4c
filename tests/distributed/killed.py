"""A fit of several processes, one of which is killed or stopped on the way, as often as is asked.

torchrun --nproc-per-node 2 --max-restarts 3 -m tests.distributed.killed FOLDER RANK SIGKILL N
"""

import os
import signal
import sys
import threading
import time
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch.distributed as dist
from sklearn.exceptions import ConvergenceWarning

from skvae import VAETransformer
from tests.distributed.together import parts, sha
from tests.samples import curve


def fit(folder, victim, name, n_times, seed=0):
    """Fit together, and leave a hash of the model in the folder."""
    folder = Path(folder)
    rank, size = dist.get_rank(), dist.get_world_size()
    X = curve(600, 6)
    vae = VAETransformer(
        latent_dim=2, max_iter=60, early_stopping=False, random_state=0, distributed="auto",
        deterministic=True, checkpoint_dir=folder / "checkpoints", checkpoint_every=0,
    )  # fmt: skip
    vae.limits = replace(VAETransformer.limits, few_rows=0, answer_seconds=8.0)
    attempts = len(list(folder.glob("attempt-*")))
    if rank == int(victim) and attempts < int(n_times):
        (folder / f"attempt-{attempts}").touch()
        wait = np.random.default_rng(int(seed) + attempts).uniform(0.3, 2.5)
        strike = threading.Timer(wait, os.kill, (os.getpid(), getattr(signal, name)))
        strike.daemon = True
        strike.start()
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vae.fit(X[parts(len(X), rank, size, "even")])
    passes = f"{vae.n_iter_} {time.perf_counter() - began:.2f}"
    (folder / f"ended-{rank}").write_text(f"{sha(vae)} {passes}")


def main(*arguments):
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    fit(*arguments)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
