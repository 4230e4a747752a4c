"""Suites: what is measured, one module each with its tasks, its figures and its tables.

``SUITES`` is the table of commands. To add a suite, write a module that ends in a ``Suite`` and
add a line; for its table on a page, add the marker to the page and to ``report.PAGES``.
"""

from benchmarks.runner import Suite
from benchmarks.suites import (
    bars,
    distributed,
    experiments,
    levels,
    published,
    recipes,
    speed,
    strategies,
    tables,
    trials,
)

SUITES: dict[str, Suite] = {
    "trials": trials.SUITE,
    "bars": bars.SUITE,
    "experiments": experiments.SUITE,
    "recipes": recipes.SUITE,
    "levels": levels.SUITE,
    "tables": tables.SUITE,
    "strategies": strategies.SUITE,
    "speed": speed.SUITE,
    "published": published.SUITE,
    "distributed": distributed.SUITE,
}
