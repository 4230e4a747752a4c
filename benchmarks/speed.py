"""Speed: VAETransformer and its peers side by side, on the same rows in the same process.

For each case (``CASES``) and seed every peer is fitted, timed and measured on held-out rows; then
``VAETransformer`` as it is, and with 0, 1, 2, 3, 4, 6, 8, 12, ... passes, until a fit is better
than every neural peer's or takes as long as the longest of them, and the passes are fewer than its
own. Each is a complete fit, timed whole. What is told of it are ratios, since seconds are those of
a machine (``speed_report``).

A fit becomes a JSON line. A run that is started again skips what the file holds and tries failed
fits again. The single figures of speed are in ``speed_bars``. To add a case, add it to ``CASES``.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import count, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks import datasets, methods, peers
from benchmarks.trials import environment, facts
from skvae import VAETransformer

OURS = "VAETransformer"
ROWS_PER_CHUNK = 2048  # of those that are reconstructed at once


class Case(NamedTuple):
    """A data set, its number of codes, and of training rows if there are to be fewer."""

    dataset: str
    latent_dim: int
    max_train_rows: int | None = None


CASES = {
    "mnist_10000": Case("mnist", 16, 10000),
    "mnist_60000": Case("mnist", 16, 60000),
    "usps": Case("usps", 16),
    "cifar10": Case("cifar10", 16),
    "bike": Case("bike", 4),
    # As many as its trials have.
    "donors": Case("donors", 4, datasets.DATASETS["donors"].max_train_rows),
    "isolet": Case("isolet", 16),
}


@dataclass(frozen=True)
class Task:
    """What identifies a fit, and where its data comes from; passes are None for our default."""

    case: str
    seed: int
    max_train_rows: int | None = None
    method: str = OURS
    passes: int | None = None
    source: datasets.Source = field(default_factory=datasets.Source)

    @property
    def latent_dim(self) -> int:
        """The number of codes."""
        return CASES[self.case].latent_dim

    @property
    def rows(self) -> tuple:
        """What says which rows are fitted."""
        return (self.case, self.seed, self.max_train_rows)

    @property
    def key(self) -> tuple:
        """What distinguishes lines in a results file."""
        return (*self.rows, self.method, self.passes)

    def split(self) -> datasets.Split:
        """Return the rows of this fit, scaled."""
        return _split(CASES[self.case].dataset, self.source, self.seed, self.max_train_rows)


Lines = dict[tuple, dict]  # key of a task -> line


def available(source: datasets.Source) -> list[str]:
    """Return the cases whose data set can be read from this source."""
    there = datasets.available(source)
    return [name for name, case in CASES.items() if case.dataset in there]


def plan(
    cases: Iterable[str],
    seeds: Iterable[int],
    source: datasets.Source,
    max_train_rows: int | None = None,
) -> Iterator[Task]:
    """Yield our default fit of every case, seed by seed."""
    for seed, case in product(seeds, list(cases)):
        yield Task(case, seed, max_train_rows or CASES[case].max_train_rows, source=source)


def run(tasks: Iterable[Task], names: list[str], path: Path) -> None:
    """Fit the named peers and ours to the rows of every task, and append a line for each."""
    known = {key: line for key, line in read([path]).items() if "error" not in line}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lines, tqdm(list(tasks), unit="case") as progress:

        def fitted(task: Task) -> dict:
            if task.key in known:
                return known[task.key]
            progress.set_description(" ".join(map(str, (task.case, task.seed, *task.key[-2:]))))
            line = measure(task)
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            if "error" not in line:
                known[task.key] = line
            return line

        for task in progress:
            for name in names:
                fitted(replace(task, method=name))
            fit_ours(task, Goal.of(known, task), fitted)


class Goal(NamedTuple):
    """Seconds of the longest neural peer and R2 of the best; inf without one."""

    seconds: float
    r2: float

    @classmethod
    def of(cls, lines: Lines, task: Task) -> "Goal":
        """The goal that the peers set on the rows of a task."""
        found = [
            line
            for (*rows, method, _), line in lines.items()
            if tuple(rows) == task.rows and method in peers.PEERS and peers.PEERS[method].is_neural
        ]
        return cls(*(max((line[k] for line in found), default=np.inf) for k in cls._fields))


def fit_ours(task: Task, goal: Goal, fitted: Callable[[Task], dict]) -> None:
    """Fit ours to its own end, then with ever more passes up to the goal."""
    own = fitted(task)
    for n_passes in ladder():
        if "error" in own or n_passes >= own["facts"]["n_iter_"]:
            return
        line = fitted(replace(task, passes=n_passes))
        if "error" in line or line["seconds"] >= goal.seconds or line["r2"] > goal.r2:
            return


def ladder() -> Iterator[int]:
    """Yield numbers of passes: 0, 1, 2, 3, 4, 6, 8, 12, ..."""
    yield from (0, 1)
    for power in count(1):
        yield from (2**power, 3 * 2 ** (power - 1))


def read(paths: Iterable[Path]) -> Lines:
    """Return the lines of results files by key; of repeated ones the last."""
    found = {}
    for path in paths:
        for text in path.read_text().splitlines() if path.exists() else ():
            line = json.loads(text)
            if "case" in line:
                names = ("case", "seed", "max_train_rows", "method", "passes")
                found[tuple(line[name] for name in names)] = line
    return found


def measure(task: Task) -> dict:
    """Fit what a task names and return its line; an error is recorded, not raised."""
    split = task.split()
    line = {"case": task.case, "seed": task.seed, "max_train_rows": task.max_train_rows}
    line |= {"method": task.method, "passes": task.passes, "latent_dim": task.latent_dim}
    line |= {"n_train": split.X_train.shape[0], "n_features": split.X_train.shape[1]}
    line |= environment()
    line["versions"] = line["versions"] | peers.versions()
    try:
        warm_up(task.method)
        model = build(task.method, task.latent_dim, task.seed, task.passes)
        fitted = methods.timed(model, split.X_train)
        line |= {"seconds": fitted.seconds, "r2": r2(model, split), "warnings": fitted.warnings}
        line["facts"] = facts(model.model) if task.method == OURS else {}
    except Exception as error:  # one failing fit must not end a night's run
        line["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return line


def build(method: str, latent_dim: int, seed: int, passes: int | None = None):
    """Return what a task fits: an object with ``fit`` and ``reconstruct``."""
    if method != OURS:
        return peers.PEERS[method].build(latent_dim, seed)
    max_iter = "auto" if passes is None else passes
    return peers.Reducer(VAETransformer(latent_dim, max_iter=max_iter, random_state=seed))


@cache
def warm_up(method: str) -> None:
    """Fit a few rows, once per process: the first fit pays for what is imported late."""
    X = np.random.default_rng(0).random((64, 8), dtype="float32")
    model = methods.timed(build(method, 2, 0, 1), X).model
    model.reconstruct(X)


def r2(model, split: datasets.Split) -> float:
    """Return the share of held-out squares around the training mean that is reconstructed.

    A model that returns the training mean for every row has 0.
    """
    mean, error, total = split.X_train.mean(axis=0, dtype="float64"), 0.0, 0.0
    for start in range(0, len(split.X_test), ROWS_PER_CHUNK):
        X = split.X_test[start : start + ROWS_PER_CHUNK]
        error += np.sum(np.square(X - model.reconstruct(X), dtype="float64"))
        total += np.sum(np.square(X - mean, dtype="float64"))
    return float(1 - error / total)


@lru_cache(maxsize=1)
def _split(dataset, source, seed, max_train_rows):
    return datasets.split(dataset, source, seed, max_train_rows)
