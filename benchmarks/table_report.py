"""Table report: the lines that ``python -m benchmarks tables`` wrote -> a table per measure.

A row is a figure on a data set, a column a method; a cell is the mean over seeds and, in
brackets, the worst seed. Runs on capped rows are for trying things out and do not count.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from benchmarks.measures import MEASURES, Figure, Measure

Groups = dict[tuple[str, int | None], dict[str, list[dict]]]


def summaries(records: Iterable[dict]) -> dict[str, pd.DataFrame]:
    """Return the table of every measure that has results, by its name."""
    lines = [line for line in records if line["max_rows"] is None and "error" not in line]
    return {
        name: _summary(measure, [line for line in lines if line["table"] == name])
        for name, measure in MEASURES.items()
        if any(line["table"] == name for line in lines)
    }


def failures(records: Iterable[dict]) -> pd.DataFrame:
    """Return the runs that raised an error, with its text."""
    names = ["table", "dataset", "missing", "method", "seed", "error"]
    failed = [{name: line[name] for name in names} for line in records if "error" in line]
    return pd.DataFrame(failed, columns=names)


def _summary(measure: Measure, lines: list[dict]) -> pd.DataFrame:
    found = {line["method"]: None for line in lines}
    methods = sorted(found, key=lambda name: _rank(measure, name))
    groups = _grouped(measure, lines)
    rows = [
        {"data": _data_name(*data), "figure": figure.replace("_", " "), "seeds": _n_seeds(runs)}
        | {name: _cell(runs.get(name, []), figure, shown) for name in methods}
        for data, runs in groups.items()
        for figure, shown in measure.figures.items()
        if any(line["metrics"].get(figure) is not None for part in runs.values() for line in part)
    ]
    return pd.DataFrame(rows)


def _rank(measure, name):
    """Return where a method's column stands: in the order of the measure, others behind."""
    known = list(measure.methods)
    return (known.index(name) if name in known else len(known), name)


def _grouped(measure: Measure, lines: list[dict]) -> Groups:
    """Return the lines by data set and percentage, in the measure's order, and by method."""
    groups: Groups = {}
    order = {name: n for n, name in enumerate(measure.datasets)}
    for line in sorted(lines, key=lambda line: (order[line["dataset"]], line["missing"] or 0)):
        runs = groups.setdefault((line["dataset"], line["missing"]), {})
        runs.setdefault(line["method"], []).append(line)
    return groups


def _data_name(dataset, missing):
    return dataset if missing is None else f"{dataset}, {missing} % missing"


def _n_seeds(runs):
    """Return how many seeds the cells of a row sum up: a number, or the range of them."""
    counts = [len(lines) for lines in runs.values()]
    return f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)}-{max(counts)}"


def _cell(lines: list[dict], figure: str, shown: Figure) -> str:
    values = [line["metrics"].get(figure) for line in lines]
    values = [value for value in values if value is not None]
    if not values:
        return ""
    text = f"{np.mean(values):.{shown.decimals}f}"
    worst = min(values) if shown.worst == "min" else max(values)
    return f"{text} ({worst:.{shown.decimals}f})" if len(values) > 1 else text
