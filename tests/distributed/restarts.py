"""Fits of several processes that torchrun starts again, and what they leave; a table of them.

    python -m tests.distributed.restarts SIGKILL 30

Seconds are of the clock: until the others have noticed, and until the fit has ended.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.distributed.groups import ROOT, environment, started


class Ended(NamedTuple):
    """What a fit leaves, and seconds since a process was struck for the first time."""

    shas: set[str]
    n_told: int
    n_struck: int
    noticed: list[float]  # by the processes that were there to notice it
    seconds: float

    def said(self):
        noticed = ", ".join(f"{each:.1f}" for each in self.noticed)
        return f"{self.n_struck} struck, noticed after {noticed} s, end after {self.seconds:.1f} s"


def tell(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def ended(folder, size):
    """What the processes of a fit have left in a folder, all of which have ended."""
    assert not list((folder / "checkpoints").glob("*"))
    told = [(folder / f"ended-{rank}").read_text().split() for rank in range(size)]
    shas, _, n_told, end = zip(*told, strict=True)
    strikes = [float(path.read_text()) for path in sorted(folder.glob("attempt-*"))]
    since = strikes[0] if strikes else float(end[0])
    noticed = [float(path.read_text()) - since for path in sorted(folder.glob("noticed-*"))]
    return Ended(set(shas), int(n_told[0]), len(strikes), noticed, float(end[0]) - since)


def by_torchrun(folder, size, *strike, restarts=3):
    """What processes leave that are started as people start them, and started again."""
    folder.mkdir()
    command = started(size, "tests.distributed.killed", folder, *strike, restarts=restarts)
    done = subprocess.run(
        command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return ended(folder, size)


def main(name, n_strikes):
    """Strike fits at random moments, and tell of each."""
    with tempfile.TemporaryDirectory() as place:
        whole = by_torchrun(Path(place, "whole"), 2, -1, name, 0)
        for n in range(int(n_strikes)):
            rng, began = np.random.default_rng([3, n]), time.perf_counter()
            latest = 0.9 if name == "SIGSTOP" else 1.0  # to stop after the fit stops nothing
            moment = max(round(rng.uniform(0.0, latest) * whole.n_told), 1)
            strike = (n % 2, name, 1, moment, rng.uniform(0.0, 0.02))
            found = by_torchrun(Path(place, f"{n}"), 2, *strike)
            same = "same bits" if found.shas == whole.shas else "OTHER BITS"
            seconds = time.perf_counter() - began
            tell(f"{n}: {found.said()}, at {moment} of {whole.n_told}, {same}; {seconds:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
