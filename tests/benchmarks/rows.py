"""Small made-up tables, and lines of results as if measured."""

import numpy as np
import pandas as pd

from benchmarks import frames
from benchmarks.runner import Line
from benchmarks.suites.measures import MEASURES
from benchmarks.suites.tables import TableTask


def mixed(n_rows, seed=0):
    """A table in which every column follows the others: numbers, text, a category, a boolean."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n_rows)
    kind = np.digitize(z, [-0.5, 0.5])
    return pd.DataFrame({
        "a": 3 * z + 0.1 * rng.normal(size=n_rows) + 10,
        "b": np.round(100 * z).astype(int),
        "kind": np.array(["low", "middle", "high"])[kind],
        "size": pd.Categorical.from_codes(kind, ["S", "M", "L"], ordered=True),
        "positive": z > 0,
    })  # fmt: skip


def with_holes(frame, seed=0):
    hidden = np.random.default_rng(seed).random(frame.shape) < 0.2
    return frames.with_holes(frame, hidden), hidden


def task(table, method, folder, dataset=None, **options):
    measure = MEASURES[table]
    dataset = dataset or measure.datasets[0]
    missing = measure.missing and measure.missing[dataset][0]
    return TableTask(table, dataset, method, 0, missing, directory=folder, **options)


def line(suite: str, task: dict, figures: dict | None = None, **more) -> Line:
    """A line of a results file; without figures it needs an error."""
    found = {} if figures is None else {"figures": figures}
    versions = {"versions": {"python": "3"}, "threads": 1, "processor": "toy", "environment": 0}
    return {"suite": suite, "task": task} | versions | found | more
