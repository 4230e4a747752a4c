"""Tables: skvae on tables of mixed types with missing cells, and on counts, beside its peers.

A task is one measure (``measures.MEASURES``) with one method on one data set at one seed. A
method's name may end in a number, ``skvae_16``, which is its ``latent_dim``; without one it is the
measure's own.

On the page a row is a figure on a data set, a column a method; a cell is the mean over seeds and,
in brackets, the worst seed. Runs on capped rows are for trying things out and do not count.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

import pandas as pd

from benchmarks import frames
from benchmarks.frames import FRAMES
from benchmarks.markdown import failures, markdown
from benchmarks.runner import Line, Outcome, Shown, Suite, Table, Task, row_of
from benchmarks.suites.measures import MEASURES, Measure

KEY = ("table", "dataset", "missing", "method", "seed")
FIGURES = list(dict.fromkeys(name for measure in MEASURES.values() for name in measure.figures))
COLUMNS = [*KEY, *FIGURES, "environment", "failure"]


@dataclass(frozen=True)
class TableTask(Task):
    """What identifies a run; ``missing`` is in percent."""

    table: str
    dataset: str
    method: str
    seed: int
    missing: int | None = None
    max_rows: int | None = None
    directory: str | None = field(default=None, compare=False)

    suite = "tables"

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

    def measure(self) -> Outcome:
        return MEASURES[self.table].run(self)


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
) -> list[TableTask]:
    """Return the runs of some measures: those of their data sets and methods that are asked for.

    Data sets that are not in the folder are passed over, unless they are asked for by name.
    """
    there = frames.available(directory) if datasets is None else list(datasets)
    tasks = []
    for name in names:
        measure = MEASURES[name]
        for dataset, seed in product((d for d in measure.datasets if d in there), list(seeds)):
            tasks += [
                TableTask(name, dataset, method, seed, missing, max_rows, directory)
                for missing in _percentages(measure, dataset, seed, directory)
                for method in _asked(measure, methods)
            ]
    return tasks


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


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per run of all rows, failed ones with a text in ``failure``."""
    rows = [
        row_of(line)
        for line in lines
        if line["suite"] == "tables" and line["task"]["max_rows"] is None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def summaries(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the table of every measure that has results, by its name."""
    # Files of before know fewer figures.
    measured = runs[runs["failure"].isna()].reindex(columns=COLUMNS)
    parts = {name: measured[measured["table"] == name] for name in MEASURES}
    return {name: _summary(MEASURES[name], part) for name, part in parts.items() if len(part)}


def _summary(measure: Measure, runs: pd.DataFrame) -> pd.DataFrame:
    known = [*measure.methods, *sorted({*runs["method"]} - {*measure.methods})]
    methods = [name for name in known if name in {*runs["method"]}]
    rows = []
    for dataset in measure.datasets:
        for missing, part in runs[runs["dataset"] == dataset].groupby("missing", dropna=False):
            data = dataset if pd.isna(missing) else f"{dataset}, {missing:.0f} % missing"
            counts = part["method"].value_counts()
            seeds = "-".join(map(str, sorted({counts.min(), counts.max()})))
            rows += [
                {"data": data, "figure": figure.replace("_", " "), "seeds": seeds}
                | {name: _cell(part[part["method"] == name][figure], shown) for name in methods}
                for figure, shown in measure.figures.items()
                if part[figure].notna().any()
            ]
    return pd.DataFrame(rows)


def _cell(values, shown):
    values = values.dropna()
    if values.empty:
        return ""
    text = f"{values.mean():.{shown.decimals}f}"
    worst = f"{values.agg(shown.worst):.{shown.decimals}f}"
    return f"{text} ({worst})" if len(values) > 1 else text


def text(runs: pd.DataFrame) -> str:
    """Return the tables of all measures, and what failed."""
    found = summaries(runs)
    parts = [f"### {name.capitalize()}\n\n{markdown(table)}" for name, table in found.items()]
    return "\n".join(parts) + failures(runs, list(KEY), "Runs")


def _add_options(parser):
    add = parser.add_argument
    names = ", ".join(FRAMES)
    add("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="NAME")
    add("--datasets", nargs="+", choices=FRAMES, metavar="NAME", help=f"of {names}")
    add("--methods", nargs="+", metavar="NAME", help="a number at the end is latent_dim: skvae_16")
    add("--seeds", nargs="+", type=int, default=list(range(5)))
    add("--max-rows", type=int, help="cap the rows of every table")
    add("--data", metavar="DIR", help="folder with the files of tables")


def _plan(options):
    check_methods(options.only, options.methods)
    return plan(
        options.only,
        options.seeds,
        options.data,
        datasets=options.datasets,
        methods=options.methods,
        max_rows=options.max_rows,
    )


SUITE = Suite(
    help="measure skvae and its peers on tables of mixed types with missing cells, and on counts",
    add_options=_add_options,
    plan=_plan,
    tables={"tables": Table(collect, KEY)},
    fragments={"benchmark-tables": Shown(text, ("tables",))},
)
