"""Fits on a cluster that begin again, for a worker was killed; a table of them.

    python -m tests.dask.restarts 30

Seconds are of the clock, of a fit with a kill and of one without; that on an idle machine is told.
"""

import contextlib
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skvae.dask import DaskVAETransformer
from tests.distributed.strikes import arm_here, told_here
from tests.distributed.together import SMALL, sha
from tests.samples import curve

LONG = SMALL | {"max_iter": 40, "early_stopping": False}
ROWS = curve(1000, 6)


class Whole(NamedTuple):
    """A fit without strikes, and how often its workers tell each other something."""

    sha: str
    n_told: int
    seconds: float

    def moment(self, share):
        return max(round(share * self.n_told), 1)


def lazy(X=ROWS):
    return da.from_array(X, chunks=(200, X.shape[1]))


def fit(rows, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return DaskVAETransformer(2, deterministic=True, **(LONG | parameters)).fit(rows)


def whole(client, work):
    """A fit that nothing happens to."""
    client.run(arm_here)
    began = time.perf_counter()
    vae = work()
    seconds = time.perf_counter() - began
    return Whole(sha(vae.to_local()), min(client.run(told_here).values()), seconds)


def struck(client, work, moment, delay=0.0):
    """What comes of a fit of two workers, one of which is killed."""
    victim = sorted(client.nthreads())[0]
    client.run(arm_here, moment, delay, workers=[victim])
    return work()


def main(n_strikes):
    """Kill workers at random moments, and tell of each."""
    from tests.dask.conftest import cluster_of

    with contextlib.ExitStack() as stack:
        client = stack.enter_context(cluster_of(processes=True))
        place = stack.enter_context(tempfile.TemporaryDirectory())
        kept = {"checkpoint_dir": Path(place), "checkpoint_every": 0}
        undisturbed = whole(client, lambda: fit(lazy(), **kept))
        undisturbed = whole(client, lambda: fit(lazy(), **kept))  # with all imported
        for n in range(int(n_strikes)):
            rng, began = np.random.default_rng([5, n]), time.perf_counter()
            moment, delay = undisturbed.moment(rng.random()), rng.uniform(0.0, 0.02)
            vae = struck(client, lambda: fit(lazy(), **kept), moment, delay)
            seconds = time.perf_counter() - began
            same = "same bits" if sha(vae.to_local()) == undisturbed.sha else "OTHER BITS"
            sys.stdout.write(
                f"{n}: {same}, {vae.n_restarts_} restarts, struck at {moment} of "
                f"{undisturbed.n_told}; {seconds:.1f} s, without {undisturbed.seconds:.1f} s\n"
            )
            sys.stdout.flush()
            client.wait_for_workers(2, timeout=300)


if __name__ == "__main__":
    main(*sys.argv[1:])
