"""Tables: skvae on tables of mixed types with missing cells, and on counts, beside its peers.

A run of one measure (``measures.MEASURES``) with one method on one data set at one seed
becomes a JSON line, as a trial does (``trials``): a run that is started again skips the lines
that are there, and tries those again that hold an error.

A method's name may end in a number, ``skvae_16``, which is its ``latent_dim``; without one it
is the measure's own.
"""

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from tqdm import tqdm

from benchmarks import frames
from benchmarks.measures import MEASURES
from benchmarks.trials import environment, facts

# What a line is recognised by.
KEY = ("table", "dataset", "method", "seed", "missing", "max_rows")


@dataclass(frozen=True)
class Task:
    """What identifies a run, and where its data comes from; ``missing`` is in percent."""

    table: str
    dataset: str
    method: str
    seed: int
    missing: int | None = None
    max_rows: int | None = None
    directory: str | None = None

    @property
    def key(self) -> tuple:
        """What distinguishes lines in a results file."""
        return tuple(getattr(self, name) for name in KEY)

    @property
    def base(self) -> str:
        """The method's name without its latent_dim."""
        return split_method(self.method)[0]

    @property
    def latent_dim(self) -> int:
        """The number of codes."""
        return split_method(self.method)[1] or MEASURES[self.table].latent_dim

    def rows(self) -> frames.Rows:
        """Return the rows of this run, all of them or ``max_rows`` drawn by the seed."""
        return frames.read(self.dataset, self.directory, self.max_rows, self.seed)


def split_method(method: str) -> tuple[str, int | None]:
    """Return a method's name, and the latent_dim that stands at its end."""
    name, _, digits = method.rpartition("_")
    return (name, int(digits)) if digits.isdigit() else (method, None)


def plan(
    names: Iterable[str],
    seeds: Iterable[int],
    directory: str | None,
    *,
    datasets: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    max_rows: int | None = None,
) -> Iterator[Task]:
    """Yield the runs of some measures: those of their data sets and methods that are asked for.

    Data sets that are not in the folder are passed over, unless they are asked for by name.
    """
    there = frames.available(directory) if datasets is None else list(datasets)
    for name in names:
        measure = MEASURES[name]
        for dataset, seed in product((d for d in measure.datasets if d in there), list(seeds)):
            for missing in _percentages(measure, dataset, seed, directory):
                for method in _asked(measure, methods):
                    yield Task(name, dataset, method, seed, missing, max_rows, directory)


def run(tasks: Iterable[Task], path: Path) -> None:
    """Run the tasks that the file does not hold yet, and append a line for each."""
    finished = {key for key, line in read([path]).items() if "error" not in line}
    todo = [task for task in tasks if task.key not in finished]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lines, tqdm(todo, unit="run") as progress:
        for task in progress:
            progress.set_description(f"{task.table} {task.dataset} {task.method}")
            lines.write(json.dumps(measure(task)) + "\n")
            lines.flush()


def read(paths: Iterable[Path]) -> dict[tuple, dict]:
    """Return the runs in results files by key; of repeated ones the last."""
    records = {}
    for path in paths:
        for line in path.read_text().splitlines() if path.exists() else ():
            record = json.loads(line)
            if "table" in record:
                records[tuple(record[name] for name in KEY)] = record
    return records


def measure(task: Task) -> dict:
    """Do a run and return its line; an error is recorded, not raised."""
    shape = task.rows().X.shape  # a file that is not there ends everything
    line = {name: value for name, value in asdict(task).items() if name != "directory"}
    line |= {"latent_dim": task.latent_dim, "n_rows": shape[0], "n_columns": shape[1]}
    line |= {"metrics": {}} | environment()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome = MEASURES[task.table].run(task)
            line |= {"metrics": outcome.metrics, "facts": facts(outcome.model)}
        except Exception as error:  # one failing fit must not end a night's run
            line["error"] = f"{type(error).__name__}: {error}".splitlines()[0]
    return line | {"warnings": sorted({warning.category.__name__ for warning in caught})}


def check_methods(names: Iterable[str], methods: Iterable[str] | None) -> None:
    """Raise ValueError for a method that none of the measures knows."""
    known = {split_method(method)[0] for name in names for method in MEASURES[name].methods}
    unknown = {method for method in methods or () if split_method(method)[0] not in known}
    if unknown:
        raise ValueError(f"no such methods: {sorted(unknown)}; there are {sorted(known)}")


def _asked(measure, methods):
    """Return the methods of a measure, or those asked for that it knows."""
    if methods is None:
        return list(measure.methods)
    known = {split_method(method)[0] for method in measure.methods}
    return [
        method
        for method in methods
        if method in measure.methods or split_method(method)[0] in known
    ]


def _percentages(measure, dataset, seed, directory):
    if measure.missing is None:
        return [None]
    percentages = measure.missing[dataset]
    return [p for p in percentages if frames.has_holes(dataset, p, seed, directory)]
