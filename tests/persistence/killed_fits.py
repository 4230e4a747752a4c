"""Fits that are killed at random moments, and asked for again.

    python -m tests.persistence.killed_fits FOLDER N_KILLS SEED

It tells how many fits were killed, and how many of them had left a checkpoint.
"""

import os
import random
import select
import signal
import sys
import time
import warnings
from functools import partial
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


def in_a_child(kind, folder=None, wait=None):
    """What a fit of another process leaves; None if it was killed after a wait.

    This process itself never fits: torch would hang in what is forked after its threads have run.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write, "w") as file:
            file.write(fit(*kind, folder=folder))
        os._exit(0)
    os.close(write)
    if wait is not None:
        wait(read)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read) as file:
        found = file.read()
    return found if os.waitpid(child, 0)[1] == 0 else None


def a_moment(seconds, read):
    """Wait for so many seconds, whatever the fit does."""
    time.sleep(seconds)


def until_kept(folder, read):
    """Wait for a checkpoint, or for the end of the fit, whose answer can then be read."""
    while not (has_checkpoint(folder) or select.select([read], [], [], 0)[0]):
        time.sleep(0.001)


def has_checkpoint(folder):
    return any(Path(folder).glob("*.checkpoint"))


def main(folder, n_kills, seed):
    """Kill, ask again, compare; about half of the kills wait for a checkpoint, others for a moment.

    How long a fit takes before its first checkpoint differs from machine to machine: it goes on
    until a quarter of the kills have left one.
    """
    luck, whole, seconds, kinds = random.Random(seed), [], [], KINDS[:n_kills]
    for kind in kinds:
        whole.append(in_a_child(kind))
        began = time.perf_counter()
        in_a_child(kind, folder)
        seconds.append(time.perf_counter() - began)
    n_killed = n_left = n = 0
    while (n_killed < n_kills or n_left < n_kills // 4) and n < 10 * n_kills:
        own, moment = n % len(kinds), luck.uniform(0, seconds[n % len(kinds)])
        wait = partial(until_kept, folder) if luck.random() < 0.5 else partial(a_moment, moment)
        is_killed = in_a_child(kinds[own], folder, wait) is None
        n_killed += is_killed
        n_left += is_killed and has_checkpoint(folder)
        assert in_a_child(kinds[own], folder) == whole[own], kinds[own]
        n += 1
    assert not [*Path(folder).iterdir()]
    return n_killed, n_left


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.stdout.write("{} {}".format(*main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
