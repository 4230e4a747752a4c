"""Runner: a plan of tasks -> a line of JSON for each in a results file -> the lines again.

A line holds the task, its figures, what a model of skvae says about its fit, warnings or the
error, versions and the number of threads. A plan that is run again skips the tasks whose line the
file holds, and tries those again that failed. A plan may be a generator: what it yields is
answered with the line, so that later tasks can depend on earlier ones.
"""

import contextlib
import json
import platform
import warnings
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from tqdm import tqdm

import skvae
from benchmarks.costs import capabilities

RESULTS = Path("benchmarks") / "results"  # of lines; git ignores it
PACKAGES = ("scikit-learn", "torch", "numpy", "scipy", "pythae", "pyod", "umap-learn")

# What a task raises that cannot be done here: without a file, a library, an instruction.
LEFT_OUT = (FileNotFoundError, ImportError, NotImplementedError)

# Fitted attributes of skvae that explain a result; other methods have none of them.
FACTS = ("n_iter_", "kept_", "start_weight_", "n_active_", "converged_")


class Outcome(NamedTuple):
    """The figures of a task, and the model for what it says about its fit."""

    figures: dict[str, Any]
    model: Any = None


@dataclass(frozen=True)
class Task(ABC):
    """One thing to measure. Fields that are not compared say where rows come from, not what."""

    @property
    @abstractmethod
    def suite(self) -> str:
        """The name of the suite, or of the part of it, that the line belongs to."""

    @abstractmethod
    def measure(self) -> Outcome:
        """Return the figures; an error is recorded by the runner."""

    def key(self) -> dict[str, Any]:
        """Return what tells the task's line from others: the fields that are compared."""
        return {each.name: getattr(self, each.name) for each in fields(self) if each.compare}


Line = dict[str, Any]
Plan = Iterable[Task] | Generator[Task, Line | None, None]
Tables = dict[str, pd.DataFrame]  # of figures, by the names of their files


@dataclass(frozen=True)
class Table:
    """A file of figures: how lines become its rows, and the columns that tell rows apart."""

    collect: Callable[[list[Line]], pd.DataFrame]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A text or a figure that is made of some tables, by the names of their files."""

    make: Callable[..., Any]
    tables: tuple[str, ...]

    def of(self, tables: Tables) -> Any:
        """Return it, None where a table is not there."""
        if not set(self.tables) <= set(tables):
            return None
        return self.make(*(tables[name] for name in self.tables))


@dataclass(frozen=True)
class Suite:
    """A command: its options, its plan, and what becomes of the lines.

    ``fragments`` fill the markers of pages, ``pictures`` the files of docs/images. ``show`` is what
    a person sees at the end of a run.
    """

    help: str
    add_options: Callable[[ArgumentParser], None]
    plan: Callable[[Namespace], Plan]
    tables: dict[str, Table] = field(default_factory=dict)
    fragments: dict[str, Shown] = field(default_factory=dict)
    pictures: dict[str, Shown] = field(default_factory=dict)
    show: Callable[[list[Line]], str] = lambda lines: ""


def run(plan: Plan, path: Path) -> list[Line]:
    """Run the tasks that the file does not hold yet, append a line for each; return all lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {_identity(line): line for line in read([path]) if "error" not in line}
    total = len(plan) if isinstance(plan, list) else None
    tasks = plan if isinstance(plan, Generator) else (task for task in plan)
    lines: list[Line] = []
    left_out, answer = set(), None
    with path.open("a") as file, tqdm(total=total, unit="task") as progress:
        while True:
            try:
                task = tasks.send(answer)
            except StopIteration:
                return lines
            progress.set_description(_told(task))
            answer = known.get(_identity({"suite": task.suite, "task": task.key()}))
            if answer is None:
                answer = _measured(task)
                if "missing" not in answer:
                    file.write(json.dumps(answer) + "\n")
                    file.flush()
            if "missing" not in answer:
                lines.append(answer)
            elif answer["missing"] not in left_out:
                left_out.add(answer["missing"])
                progress.write(f"left out: {answer['missing']}")
            progress.update()


def read(paths: Iterable[Path]) -> list[Line]:
    """Return the lines of results files; of a task's several lines the last."""
    found = {}
    for path in paths:
        for text in path.read_text().splitlines() if path.exists() else ():
            line = json.loads(text)
            found[_identity(line)] = line
    return list(found.values())


def row_of(line: Line) -> Line:
    """Return a row of a table of figures: task, figures, where it ran, the text of a failure."""
    facts = {"environment": line["environment"], "failure": line.get("error")}
    return line["task"] | line.get("figures", {}) | facts


def _told(task: Task) -> str:
    return " ".join(f"{value}" for value in task.key().values() if value is not None)


def _measured(task: Task) -> Line:
    """Do a task and return its line."""
    line: Line = {"suite": task.suite, "task": task.key(), **environment()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome = task.measure()
        except LEFT_OUT as error:
            return {"missing": str(error)}
        except Exception as error:  # one failing fit must not end a night's run
            return line | {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
    names = sorted({warning.category.__name__ for warning in caught})
    return line | {"figures": outcome.figures, "facts": _facts(outcome.model), "warnings": names}


def environment() -> Line:
    """Return what a figure depends on besides the code of the benchmark."""
    versions = {"python": platform.python_version(), "skvae": skvae.__version__}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    processor = capabilities().get("cpu_name", platform.machine())
    return {"versions": versions, "threads": torch.get_num_threads(), "processor": processor}


def _facts(model) -> Line:
    found = {name: getattr(model, name) for name in FACTS if hasattr(model, name)}
    return {
        name: value.item() if hasattr(value, "item") else value for name, value in found.items()
    }


def _identity(line: Line) -> str:
    return json.dumps([line["suite"], line["task"]], sort_keys=True)
