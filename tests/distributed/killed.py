"""A fit of several processes, one of which is killed or stopped on the way, as often as is asked.

torchrun --nproc-per-node 2 --max-restarts 3 -m tests.distributed.killed FOLDER RANK SIGKILL N

MOMENT and DELAY may follow: strikes count what the process tells the others (`strikes`).
"""

import sys
import time
import warnings
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from sklearn.exceptions import ConvergenceWarning

from skvae import VAETransformer
from skvae.team import TeamError
from tests.distributed.strikes import Strike
from tests.distributed.together import parts, sha
from tests.samples import curve

ANSWER_SECONDS = 8.0


def fit(folder, victim, name, n_times, moment=1, delay=0.0):
    """Fit together, and leave a hash of the model in the folder."""
    folder = Path(folder)
    rank, size = dist.get_rank(), dist.get_world_size()
    X = curve(600, 6)
    vae = VAETransformer(
        latent_dim=2, max_iter=60, early_stopping=False, random_state=0, distributed="auto",
        deterministic=True, checkpoint_dir=folder / "checkpoints", checkpoint_every=0,
    )  # fmt: skip
    vae.limits = replace(VAETransformer.limits, few_rows=0, answer_seconds=ANSWER_SECONDS)
    attempts = len(list(folder.glob("attempt-*")))
    is_struck = rank == int(victim) and attempts < int(n_times)
    note = folder / f"attempt-{attempts}" if is_struck else None
    strike = Strike(int(moment) if is_struck else 0, name, float(delay), note).arm()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            vae.fit(X[parts(len(X), rank, size, "even")])
    except TeamError:
        (folder / f"noticed-{rank}").write_text(f"{time.time()}")
        raise
    strike.wait()
    told = f"{sha(vae)} {vae.n_iter_} {strike.n_told} {time.time()}"
    (folder / f"ended-{rank}").write_text(told)


def main(*arguments):
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    fit(*arguments)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
