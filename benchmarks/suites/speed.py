"""Speed: VAETransformer and its peers side by side, on the same rows in the same process.

For each case (``CASES``) and seed every peer is fitted, timed and measured on held-out rows; then
``VAETransformer`` as it is, and with 0, 1, 2, 3, 4, 6, 8, 12, ... passes, until a fit is better
than every neural peer's or takes as long as the longest of them, and the passes are fewer than its
own. Each is a complete fit, timed whole. What is told of it are ratios, since seconds are those of
a machine (``speed_table``). The single figures of speed are in ``speed_figures``.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import datasets, peers
from benchmarks.costs import fit_seconds
from benchmarks.datasets import Source
from benchmarks.metrics import batches
from benchmarks.peers import PEERS
from benchmarks.runner import Line, Outcome, Suite, Table, Task
from benchmarks.suites import bars, speed_table
from benchmarks.suites.speed_figures import SPEED
from benchmarks.suites.speed_table import CASES, OURS
from skvae import VAETransformer

GROUPS = ("peers", "figures")


@dataclass(frozen=True)
class Fit(Task):
    """What identifies a fit; passes are None for our default and for peers."""

    case: str
    seed: int
    max_train_rows: int | None = None
    method: str = OURS
    passes: int | None = None
    source: Source = field(default_factory=Source, compare=False)

    suite = "speed"

    @property
    def latent_dim(self) -> int:
        """The number of codes."""
        return CASES[self.case].latent_dim

    def measure(self) -> Outcome:
        data = (CASES[self.case].dataset, self.source, self.seed, self.max_train_rows)
        split = datasets.split(*data)
        warm_up(self.method)
        model = build(self.method, self.latent_dim, self.seed, self.passes)
        seconds = fit_seconds(model, split.X_train)
        n_train, n_features = split.X_train.shape
        figures = {"n_train": n_train, "n_features": n_features, "latent_dim": self.latent_dim}
        figures |= {"seconds": seconds, "r2": r2(model, split)}
        return Outcome(figures, model.model if self.method == OURS else None)


class Goal(NamedTuple):
    """Seconds of the longest neural peer and R2 of the best; inf without one."""

    seconds: float
    r2: float

    @classmethod
    def of(cls, lines: Iterable[Line]) -> "Goal":
        """The goal that the lines of peers set on the rows of a case."""
        found = [
            line["figures"]
            for line in lines
            if "figures" in line and PEERS[line["task"]["method"]].is_neural
        ]
        return cls(*(max((line[name] for line in found), default=np.inf) for name in cls._fields))


def plan(
    cases: Iterable[str],
    seeds: Iterable[int],
    names: Iterable[str],
    source: Source,
    max_train_rows: int | None = None,
) -> Generator[Fit, Line, None]:
    """Yield the fits of the named peers to every case, seed by seed, each followed by ours."""
    names = list(names)
    for seed, case in product(seeds, list(cases)):
        ours = Fit(case, seed, max_train_rows or CASES[case].max_train_rows, source=source)
        found = []
        for name in names:
            found.append((yield replace(ours, method=name)))
        yield from fits_of_ours(ours, Goal.of(found))


def fits_of_ours(ours: Fit, goal: Goal) -> Generator[Fit, Line, None]:
    """Yield ours to its own end, then with ever more passes up to the goal."""
    own = yield ours
    for n_passes in ladder():
        if "figures" not in own or n_passes >= own["facts"]["n_iter_"]:
            return
        line = yield replace(ours, passes=n_passes)
        found = line.get("figures")
        if found is None or found["seconds"] >= goal.seconds or found["r2"] > goal.r2:
            return


def ladder() -> Iterator[int]:
    """Yield numbers of passes: 0, 1, 2, 3, 4, 6, 8, 12, ..."""
    yield from (0, 1)
    for power in count(1):
        yield from (2**power, 3 * 2 ** (power - 1))


def build(method: str, latent_dim: int, seed: int, passes: int | None = None):
    """Return what a task fits: an object with ``fit`` and ``reconstruct``."""
    if method != OURS:
        return PEERS[method].build(latent_dim, seed)
    max_iter = "auto" if passes is None else passes
    return peers.Reducer(VAETransformer(latent_dim, max_iter=max_iter, random_state=seed))


@cache
def warm_up(method: str) -> None:
    """Fit a few rows, once per process: the first fit pays for what is imported late."""
    X = np.random.default_rng(0).random((64, 8), dtype="float32")
    build(method, 2, 0, 1).fit(X).reconstruct(X)


def r2(model, split: datasets.Split) -> float:
    """Return the share of held-out squares around the training mean that is reconstructed.

    A model that returns the training mean for every row has 0.
    """
    mean, error, total = split.X_train.mean(axis=0, dtype="float64"), 0.0, 0.0
    for X in batches(split.X_test):
        error += np.sum(np.square(X - model.reconstruct(X), dtype="float64"))
        total += np.sum(np.square(X - mean, dtype="float64"))
    return float(1 - error / total)


def asked(only: Iterable[str], data: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the peers, cases and figures that names stand for; a case without peers is for all."""
    only = set(only)
    named = [name for name in PEERS if name in only]
    if "peers" in only or (not named and only & set(CASES)):
        named = [*PEERS]
    wanted = only | set(data)
    cases = [name for name, case in CASES.items() if wanted & {name, case.dataset}]
    return named, cases, [name for name in SPEED if name in only or "figures" in only]


def _add_options(parser):
    add = parser.add_argument
    known = [*GROUPS, *PEERS, *CASES, *SPEED]
    groups = f"peers, cases or figures, or groups of them: {', '.join(known)}"
    add("--only", nargs="+", choices=known, default=[*GROUPS], metavar="NAME", help=groups)
    names = sorted({case.dataset for case in CASES.values()})
    data = f"of {', '.join(names)}"
    add("--datasets", nargs="+", choices=names, default=[], metavar="NAME", help=data)
    add("--seeds", nargs="+", type=int, default=[0])
    add("--max-train-rows", type=int, help="for trying out: the report leaves such lines out")
    add("--label", help="what another skvae is called, whose figures stand beside ours")
    add("--folder", type=Path, help="for a temporary file of 4 GB; the system's without")
    datasets.add_source(parser)


def _plan(options):
    source = datasets.source_of(options)
    named, cases, figures = asked(options.only, options.datasets)
    there = datasets.available(source)
    cases = cases or [name for name, case in CASES.items() if case.dataset in there]
    settings = bars.Settings(source, folder=options.folder)
    fits = plan(cases, options.seeds, named, source, options.max_train_rows)
    tasks = bars.plan("speed_figures", figures, SPEED, settings, options.label)
    return _then(fits if named else (), tasks)


def _then(fits, tasks):
    yield from fits
    yield from tasks


SUITE = Suite(
    help="time VAETransformer beside its peers, and measure the single figures of speed",
    add_options=_add_options,
    plan=_plan,
    tables={
        "speed": Table(speed_table.collect, speed_table.KEY),
        "speed_figures": Table(bars.collect(("speed_figures",)), bars.KEY),
    },
    fragments=speed_table.FRAGMENTS,
    pictures=speed_table.PICTURES,
    show=bars.show,
)
