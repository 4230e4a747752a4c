"""Fits of several processes of this machine, held to those of one, on the same rows and seeds.

Seconds are the processor's, of the first process. Digits, 8 codes, a test part of 30 %.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pandas as pd

from benchmarks.group import fitted
from benchmarks.markdown import markdown
from benchmarks.runner import Line, Outcome, Suite, Task

ALONE, OWN, ONE = "no group", "shards of their own", "one order"  # how sums are taken
WAYS = [(ALONE, 1), (OWN, 1), (OWN, 2), *product([ONE], [1, 2, 3, 4, 8])]


@dataclass(frozen=True)
class GroupTask(Task):
    """Fits by so many processes, one for each seed."""

    way: str
    n_processes: int
    seeds: tuple[int, ...]

    suite = "distributed"

    def measure(self) -> Outcome:
        if self.way == ALONE:
            found = [fitted(seed) for seed in self.seeds]
        else:
            found = _started(self.n_processes, self.way, self.seeds)
        columns = pd.DataFrame(found).to_dict("list")
        return Outcome(columns)


def _started(size: int, way: str, seeds: tuple[int, ...]) -> list[dict]:
    """What the first process of a group that torchrun starts has found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "found.json")
        command = [
            sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
            str(size), "-m", "benchmarks.group", str(path), way, *map(str, seeds),
        ]  # fmt: skip
        threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        subprocess.run(command, env=os.environ | threads, check=True, capture_output=True)
        return json.loads(path.read_text())


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per way: what it comes to over all seeds, against the fit of no group."""
    found = {
        (line["task"]["way"], line["task"]["n_processes"]): pd.DataFrame(line["figures"])
        for line in lines
        if line["suite"] == "distributed" and "figures" in line
    }
    alone = found.get((ALONE, 1))
    first = {way: own["codes"].tolist() for (way, _), own in reversed(found.items())}
    rows = []
    for (way, n), own in found.items():
        row = {"sums": way, "processes": n, "fits": len(own)}
        row["same bits as the fewest"] = own["codes"].tolist() == first[way]
        means = own[["score", "error", "seconds"]].mean()
        if alone is not None:
            before = alone[["score", "error", "seconds"]].mean()
            row |= {
                "score, %": 100 * (means.score - before.score) / abs(before.score),
                "error, %": 100 * (means.error / before.error - 1),
                "seeds differ, %": 100 * own.error.std() / own.error.mean(),
                "CPU of a process": means.seconds / before.seconds,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def show(lines: list[Line]) -> str:
    """Return the table as markdown."""
    return markdown(collect(lines).round(3))


def add_options(parser) -> None:
    """Add the seeds."""
    about = "one fit of every way for each"
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)), help=about)
    names = sorted({way for way, _ in WAYS})
    parser.add_argument("--ways", nargs="+", choices=names, default=names, help="how sums go")


def plan(options) -> list[GroupTask]:
    """Return a task for every way."""
    seeds = tuple(options.seeds)
    return [GroupTask(way, n, seeds) for way, n in WAYS if way in options.ways]


SUITE = Suite(
    help="fits of several processes against those of one",
    add_options=add_options,
    plan=plan,
    show=show,
)
