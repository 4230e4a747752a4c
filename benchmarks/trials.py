"""Trials: one method on one data set at one ``latent_dim`` and seed, and the file they fill.

A trial becomes one JSON line: what was run, the metrics, what the model says about its fit,
warnings or the error, the versions and the number of threads. A run that is started again
skips the trials that are in the file with every metric asked for; failed ones are tried again.
"""

import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from itertools import product
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from benchmarks import datasets, memory, methods
from benchmarks.metrics import METRICS, Evaluation

# Fitted attributes of skvae that explain a result; other methods have none of them.
FACTS = ("n_iter_", "kept_", "start_weight_", "n_active_", "converged_")


@dataclass(frozen=True)
class Task:
    """What identifies a trial, and where its data comes from."""

    dataset: str
    method: str
    latent_dim: int
    seed: int
    max_train_rows: int | None = None
    source: datasets.Source = field(default_factory=datasets.Source)

    @property
    def key(self) -> tuple:
        """What distinguishes trials in a results file."""
        return (self.dataset, self.method, self.latent_dim, self.seed, self.max_train_rows)

    def split(self) -> datasets.Split:
        """Return the rows of this trial, scaled."""
        return _split(self.dataset, self.source, self.seed, self.max_train_rows)


def run(tasks: Iterable[Task], metrics: tuple[str, ...], path: Path) -> None:
    """Run the tasks that the file does not hold yet, and append a line for each."""
    finished = {key for key, record in read(path).items() if _holds(record, metrics)}
    todo = [task for task in tasks if task.key not in finished]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lines, tqdm(todo, unit="trial") as progress:
        for task in progress:
            progress.set_description(f"{task.dataset} {task.method} {task.latent_dim}")
            lines.write(json.dumps(measure(task, metrics)) + "\n")
            lines.flush()


def read(path: Path) -> dict[tuple, dict]:
    """Return the trials of a results file by key; of repeated ones the last, metrics merged."""
    records = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        record = json.loads(line)
        if "dataset" not in record or "table" in record:  # a line of another command
            continue
        key = tuple(record[name] for name in Task.__dataclass_fields__ if name != "source")
        record["metrics"] = records.get(key, {}).get("metrics", {}) | record["metrics"]
        records[key] = record
    return records


def plan(
    names: Iterable[str],
    method_names: Iterable[str],
    latent_dims: Iterable[int],
    seeds: Iterable[int],
    source: datasets.Source,
    *,
    max_train_rows: int | None = None,
    full: bool = False,
) -> Iterator[Task]:
    """Yield the tasks that make sense: the method takes such rows, latent_dim fits."""
    seeds = list(seeds)
    for name in names:
        cap = None if full else max_train_rows or datasets.DATASETS[name].max_train_rows
        # Every seed has as many rows; the first one decides for all.
        X = _split(name, source, seeds[0], cap).X_train
        accepting = [method for method in method_names if methods.METHODS[method].accepts(X)]
        fitting = datasets.fitting_dims(X, latent_dims)
        for seed, latent_dim, method in product(seeds, fitting, accepting):
            yield Task(name, method, latent_dim, seed, cap, source)


def measure(task: Task, metrics: tuple[str, ...]) -> dict:
    """Run a trial and return its line; an error is recorded, not raised."""
    split = task.split()
    line = _description(task, split)
    try:
        fitted = methods.fit(task.method, split.X_train, task.latent_dim, task.seed)
        baseline = _baseline(task)
        evaluation = Evaluation(split, fitted.model, baseline, fitted.seconds, task)
        line["metrics"] = {name: METRICS[name](evaluation) for name in metrics}
        line["facts"] = facts(fitted.model)
        line["warnings"] = fitted.warnings
    except Exception as error:  # one failing fit must not end a night's run
        line["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return line


def facts(model) -> dict:
    """Return what a fitted skvae model says about its fit."""
    found = {name: getattr(model, name) for name in FACTS if hasattr(model, name)}
    return {
        name: value.item() if hasattr(value, "item") else value for name, value in found.items()
    }


def environment() -> dict:
    """Return what a figure depends on besides the code of the benchmark."""
    packages = ("skvae", "scikit-learn", "torch", "numpy", "scipy")
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {"versions": versions, "threads": torch.get_num_threads()}


@lru_cache(maxsize=1)
def _split(dataset, source, seed, max_train_rows):
    return datasets.split(dataset, source, seed, max_train_rows)


@lru_cache(maxsize=1)
def _fit_baseline(dataset, source, seed, max_train_rows, latent_dim):
    X = _split(dataset, source, seed, max_train_rows).X_train
    # In double precision, so that no rounding of the baseline's decides about a row.
    return methods.fit("pca", X.astype(np.float64), latent_dim, seed).model


def _baseline(task):
    """Return PCA on the rows of this trial, fitted once for all methods that follow."""
    return _fit_baseline(task.dataset, task.source, task.seed, task.max_train_rows, task.latent_dim)


def _description(task, split):
    return {
        "dataset": task.dataset,
        "method": task.method,
        "latent_dim": task.latent_dim,
        "seed": task.seed,
        "max_train_rows": task.max_train_rows,
        "n_train": split.X_train.shape[0],
        "n_test": split.X_test.shape[0],
        "n_features": split.X_train.shape[1],
        "data_mb": round(memory.size_mb(split.X_train), 3),
        "scaling": datasets.DATASETS[task.dataset].scaling,
        "metrics": {},
        **environment(),
    }


def _holds(record, metrics):
    return "error" not in record and set(metrics) <= set(record["metrics"])
