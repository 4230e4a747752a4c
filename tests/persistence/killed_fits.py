"""Fits that are killed at random moments, and asked for again.

    python -m tests.persistence.killed_fits FOLDER N_KILLS SEED

It tells how many fits were killed, and how many of them had left a checkpoint.
"""

import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

from skvae import Metropolis, RandomWalk
from skvae.limits import Limits
from tests.persistence.quick import FRAME, X, answers, fitted, quick
from tests.samples import gaussian

FEW = Limits(check_steps=5)  # of which several splits judge
# Rows, parameters and limits.
KINDS = (
    (X, {"architecture": "mlp"}, None),
    (FRAME, {}, None),
    (X, {"annealing": Metropolis(n_proposals=4, n_steps=9)}, None),
    (X, {"annealing": RandomWalk(n_proposals=200), "max_iter": 200}, None),
    (X, {"n_init": 3}, None),
    (X, {"objective": "autoencoder", "prior": "ex_post"}, None),
    (gaussian(120, 5), {"max_iter": 10}, FEW),
)


def fit(rows, changes, limits, folder=None):
    """All that a fit leaves, as text."""
    vae = quick(folder, checkpoint_every=0.02, **changes)
    vae.limits = limits or vae.limits
    return repr(answers(fitted(vae, rows), rows))


def in_a_child(kind, folder, seconds=None):
    """What a fit of another process leaves; None if it was killed after so many seconds."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write, "w") as file:
            file.write(fit(*kind, folder=folder))
        os._exit(0)
    os.close(write)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read) as file:
        found = file.read()
    return found if os.waitpid(child, 0)[1] == 0 else None


def main(folder, n_kills, seed):
    """Kill, ask again, compare."""
    luck, whole, seconds, kinds = random.Random(seed), [], [], KINDS[:n_kills]
    for kind in kinds:
        whole.append(fit(*kind))
        began = time.perf_counter()
        in_a_child(kind, folder)
        seconds.append(time.perf_counter() - began)
    n_killed = n_left = n = 0
    while n_killed < n_kills:
        own = n % len(kinds)
        is_killed = in_a_child(kinds[own], folder, luck.uniform(0, seconds[own])) is None
        n_killed += is_killed
        n_left += is_killed and any(Path(folder).glob("*.checkpoint"))
        assert in_a_child(kinds[own], folder) == whole[own], kinds[own]
        n += 1
    assert not [*Path(folder).iterdir()]
    return n_killed, n_left


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write("{} {}".format(*main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
