"""Strategies: every choice of training beside the default, at equal wall time.

For a data set and a seed the default is fitted first, to its own end. Each strategy then gets as
many passes as fit into the seconds that the default took: two short fits of the strategy itself,
on the same rows, say what a pass costs (``Pace``). It may end sooner where it settles. Seconds are
those of the processor: with one thread they are wall time, but for what neighbours take.

A fit becomes a JSON line: what was changed, for which task, and the figures on held-out rows. A
run that is started again skips what the file holds and tries failed fits again. What the lines
come to is told in ``strategy_report``. To add a strategy, add it to a group of ``STRATEGIES``.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from time import process_time
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

import skvae
from benchmarks import datasets, methods
from benchmarks.metrics import METRICS, Evaluation
from benchmarks.trials import environment, facts

FIGURES = ("log_likelihood_gain", "mse_ratio", "knn5", "fit_seconds")
CALIBRATION = (2, 22)  # passes of the two fits that say what a pass costs
DEFAULT = "default"


class Case(NamedTuple):
    """Codes and training rows of a data set: few enough for a default fit of some seconds."""

    latent_dim: int
    max_train_rows: int


CASES = {
    "digits": Case(8, 700),
    "breast_cancer": Case(2, 1000),
    "diabetes": Case(2, 1000),
    "wine": Case(2, 1000),
    "usps": Case(8, 600),
    "isolet": Case(8, 500),
    "coil20": Case(8, 300),
    "bike": Case(4, 700),
    "elevators": Case(4, 700),
    "pol": Case(4, 600),
    "mnist": Case(8, 600),
}


class Pace(NamedTuple):
    """Seconds that a fit takes whatever its length, and those that every pass adds."""

    fixed: float
    per_pass: float

    @classmethod
    def of(cls, seconds: dict[int, float]) -> "Pace":
        """Return the pace that two fits of different length show."""
        (few, short), (many, long) = sorted(seconds.items())
        # Noise of the clock may not make passes look free.
        per_pass = max((long - short) / (many - few), 0.2 * long / many)
        return cls(max(0.0, short - few * per_pass), per_pass)

    def n_passes(self, seconds: float) -> int:
        """Return how many passes fit into the time, 1 at least."""
        return max(1, int((seconds - self.fixed) / self.per_pass))


@dataclass(frozen=True)
class Task:
    """What identifies a fit, and where its data comes from."""

    strategy: str
    dataset: str
    seed: int
    max_train_rows: int
    source: datasets.Source = field(default_factory=datasets.Source)

    @property
    def latent_dim(self) -> int:
        """The number of codes."""
        return CASES[self.dataset].latent_dim

    @property
    def rows(self) -> tuple:
        """What says which rows are fitted, with how many codes."""
        return (self.dataset, self.latent_dim, self.seed, self.max_train_rows)

    @property
    def key(self) -> tuple:
        """What distinguishes lines in a results file."""
        return (self.strategy, *self.rows)


def available(source: datasets.Source) -> list[str]:
    """Return the data sets of ``CASES`` that can be read from this source."""
    there = datasets.available(source)
    return [name for name in CASES if name in there]


def part_of(names: list[str], part: str) -> list[str]:
    """Return every n-th data set from the i-th on, for a part written "i/n"."""
    first, _, n_parts = part.partition("/")
    if not (first.isdigit() and n_parts.isdigit() and 1 <= int(first) <= int(n_parts)):
        raise ValueError(f"part {part!r} must be i/n with i from 1 to n, such as 1/2")
    return names[int(first) - 1 :: int(n_parts)]


def plan(
    strategies: Iterable[str],
    names: Iterable[str],
    seeds: Iterable[int],
    source: datasets.Source,
    max_train_rows: int | None = None,
) -> Iterator[Task]:
    """Yield the fits, seed by seed; on every data set the default comes first."""
    chosen = [DEFAULT, *(name for name in strategies if name != DEFAULT)]
    for seed, dataset, strategy in product(seeds, list(names), chosen):
        cap = max_train_rows or CASES[dataset].max_train_rows
        yield Task(strategy, dataset, seed, cap, source)


def run(tasks: Iterable[Task], path: Path) -> None:
    """Run the fits that the file does not hold yet, and append a line for each."""
    finished = {key: line for key, line in read([path]).items() if "error" not in line}
    limits = {key[1:]: _seconds(line) for key, line in finished.items() if key[0] == DEFAULT}
    todo = [task for task in tasks if task.key not in finished]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lines, tqdm(todo, unit="fit") as progress:
        for task in progress:
            progress.set_description(f"{task.dataset} {task.seed} {task.strategy}")
            line = measure(task, limits.get(task.rows))
            if task.strategy == DEFAULT and "error" not in line:
                limits[task.rows] = _seconds(line)
            lines.write(json.dumps(line) + "\n")
            lines.flush()


def read(paths: Iterable[Path]) -> dict[tuple, dict]:
    """Return the lines of results files by key; of repeated ones the last."""
    found = {}
    for path in paths:
        for text in path.read_text().splitlines() if path.exists() else ():
            line = json.loads(text)
            if "strategy" in line:
                found[line["strategy"], *line["task"]] = line
    return found


def measure(task: Task, limit: float | None) -> dict:
    """Fit a strategy for so many seconds and return its line; an error is recorded, not raised."""
    split = _split(*task.rows, task.source)
    line = {"strategy": task.strategy, "task": task.rows, "limit": limit}
    line |= {"n_train": split.X_train.shape[0], "n_features": split.X_train.shape[1]}
    line |= {"metrics": {}} | environment()
    try:
        line["max_iter"] = n_passes = passes(task, limit)
        fitted = fit(task) if n_passes is None else fit(task, max_iter=n_passes)
        baseline = _baseline(*task.rows, task.source)
        evaluation = Evaluation(split, fitted.model, baseline, fitted.seconds, task)
        line["metrics"] = {name: METRICS[name](evaluation) for name in FIGURES}
        line |= {"facts": facts(fitted.model), "warnings": fitted.warnings}
    except Exception as error:  # one failing fit must not end a night's run
        line["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return line


def passes(task: Task, limit: float | None) -> int | None:
    """Return the passes that a strategy may make; the default ends by itself.

    The default's pace is measured all the same: its first fit would pay for what torch sets up.
    """
    pace = pace_of(task.strategy, task.dataset, task.max_train_rows, task.source)
    if task.strategy == DEFAULT:
        return None
    if limit is None:
        raise ValueError("the default failed, so there is no time to equal")
    return pace.n_passes(limit)


@cache
def pace_of(strategy: str, dataset: str, max_train_rows: int, source: datasets.Source) -> Pace:
    """Return what a fit of a strategy costs on the first seed's rows of a data set."""
    task = Task(strategy, dataset, 0, max_train_rows, source)
    n_passes = (CALIBRATION[0], *CALIBRATION)  # the first pays for what is loaded once: it goes
    seconds = [fit(task, max_iter=n, early_stopping=False).seconds for n in n_passes]
    return Pace.of(dict(zip(CALIBRATION, seconds[1:], strict=True)))


def fit(task: Task, **more) -> methods.Fit:
    """Fit the strategy of a task on its rows, with more arguments, and time it."""
    arguments = {"random_state": task.seed} | arguments_of(task.strategy) | more
    model = skvae.VAETransformer(task.latent_dim, **arguments)
    return methods.timed(model, _split(*task.rows, task.source).X_train, process_time)


def arguments_of(strategy: str) -> dict:
    """Return what a strategy changes of the estimator's arguments."""
    if strategy == DEFAULT:
        return {}
    return next(group[strategy] for group in STRATEGIES.values() if strategy in group)()


def names(chosen: Iterable[str] | None = None) -> list[str]:
    """Return the names of strategies by group: all, or those chosen by their own or its name."""
    chosen = STRATEGIES if chosen is None else set(chosen)
    return [
        name
        for group, members in STRATEGIES.items()
        for name in members
        if group in chosen or name in chosen
    ]


@lru_cache(maxsize=2)
def _split(dataset, latent_dim, seed, max_train_rows, source):
    return datasets.split(dataset, source, seed, max_train_rows)


@lru_cache(maxsize=1)
def _baseline(dataset, latent_dim, seed, max_train_rows, source):
    X = _split(dataset, latent_dim, seed, max_train_rows, source).X_train
    return PCA(latent_dim).fit(X.astype(np.float64))


def _seconds(line):
    return line["metrics"]["fit_seconds"]


def _random_with(**more):
    return {"init": "random"} | more


# Group -> name -> function of nothing that returns arguments: a component for every fit.
STRATEGIES: dict[str, dict[str, Callable[[], dict]]] = {
    "control": {"nothing changed": dict},
    "activation": {
        name: lambda name=name: {"architecture": skvae.MLP(activation=name)}
        for name in ("relu", "leaky_relu", "gelu", "elu", "selu", "tanh")
    },
    "architecture": {
        "linear": lambda: {"architecture": "linear"},
        "one layer of 16": lambda: {"architecture": skvae.MLP(hidden_layer_sizes=(16,))},
        "one layer of 256": lambda: {"architecture": skvae.MLP(hidden_layer_sizes=(256,))},
        "three layers of 256": lambda: {"architecture": skvae.MLP(hidden_layer_sizes=(256,) * 3)},
        "dropout 0.1": lambda: {"architecture": skvae.MLP(dropout=0.1)},
        "batch norm": lambda: {"architecture": skvae.MLP(normalization="batch")},
        "layer norm": lambda: {"architecture": skvae.MLP(normalization="layer")},
        "residual": lambda: {"architecture": skvae.MLP(residual=True)},
    },
    "optimizer": {
        name: lambda name=name: {"optimizer": name} for name in ("adam", "sgd", "rmsprop", "muon")
    },
    "learning rate": {
        "0.001": lambda: {"optimizer": skvae.AdamW(learning_rate=1e-3)},
        "one cycle": lambda: {"optimizer": skvae.AdamW(schedule="one_cycle")},
        "cosine": lambda: {"optimizer": skvae.AdamW(schedule="cosine")},
        "constant": lambda: {"optimizer": skvae.AdamW(schedule="constant")},
        "plateau": lambda: {"optimizer": skvae.AdamW(schedule="plateau")},
    },
    "step": {
        "no averaging": lambda: {"optimizer": skvae.AdamW(averaging=0.0)},
        "no clipping": lambda: {"optimizer": skvae.AdamW(clip_norm=None)},
        "no weight decay": lambda: {"optimizer": skvae.AdamW(weight_decay=0.0)},
        "fixed batch of 64": lambda: {"batch_size": 64},
        "fixed batch of 128": lambda: {"batch_size": 128},
    },
    "objective": {
        "no point codes": lambda: {"objective": skvae.Elbo(point_share=0.0)},
        "free bits 0.25": lambda: {"objective": skvae.Elbo(free_bits=0.25)},
        "iwae": lambda: {"objective": "iwae"},
        "tc": lambda: {"objective": "tc"},
        "mmd": lambda: {"objective": "mmd"},
        "autoencoder": lambda: {"objective": "autoencoder"},
        "denoising": lambda: {"objective": "denoising"},
    },
    "weight of the KL": {
        "beta 0.5": lambda: {"beta": 0.5},
        "beta 2": lambda: {"beta": 2.0},
        "linear warm-up": lambda: {"kl_schedule": "linear"},
        "sigmoid warm-up": lambda: {"kl_schedule": "sigmoid"},
        "cyclical": lambda: {"kl_schedule": "cyclical"},
    },
    "prior": {
        "mixture": lambda: {"prior": "mixture"},
        "vamp": lambda: {"prior": "vamp"},
        "ex post": lambda: {"prior": "ex_post"},
    },
    "annealing": {
        # Its own 1200 steps after the training would leave no time for that.
        "metropolis": lambda: {"annealing": skvae.Metropolis(n_proposals=4, n_steps=50)},
        "langevin": lambda: {"annealing": "langevin"},
        # A search without gradients takes small networks only, and none of many columns.
        "random walk of one layer of 16": lambda: {
            "annealing": "randomwalk",
            "architecture": skvae.MLP(hidden_layer_sizes=(16,)),
        },
    },
    "start": {
        "best of 3": lambda: {"n_init": 3},
        "random": _random_with,
        "random + linear warm-up": lambda: _random_with(kl_schedule="linear"),
        "random + sigmoid warm-up": lambda: _random_with(kl_schedule="sigmoid"),
        "random + cyclical": lambda: _random_with(kl_schedule="cyclical"),
        "random + free bits 0.25": lambda: _random_with(objective=skvae.Elbo(free_bits=0.25)),
    },
}
