"""Recipes: how the default training goes on and when it ends, held to other ways.

A recipe is a set of limits and options; every one sees the same rows and seeds as the recipe that
was the default before. Half of the data sets chose the default, the others confirm it. Each counts
by the mean over its seeds; seconds are the processor's.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from time import process_time
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import make_s_curve, make_swiss_roll
from sklearn.decomposition import PCA

from benchmarks import datasets, made
from benchmarks.costs import fit_seconds
from benchmarks.datasets import Source
from benchmarks.metrics import squared_error
from benchmarks.runner import Line, Outcome, Shown, Suite, Table, Task
from benchmarks.suites.experiments import Variant

BEFORE = "before"
KEY = ("half", "recipe")
RELATIVE = ("ratio", "steps", "seconds")
N_TEST = 1000  # rows to judge by, of those that are made


class Case(NamedTuple):
    """A data set, its codes, and how so many rows are made; without, those of its name are read."""

    latent_dim: int
    n_rows: int = 2000
    make: Callable[[int], np.ndarray] | None = None


HALVES: dict[str, dict[str, Case]] = {
    "chosen by": {
        "curved, 10 columns": Case(2, 200, lambda n: made.curved(n, 10)),
        "curved, 8 columns": Case(2, 300, lambda n: made.curved(n, 8)),
        "swiss roll": Case(2, 1000, lambda n: make_swiss_roll(n, noise=0.05, random_state=0)[0]),
        "iris": Case(2),
        "diabetes": Case(4),
        "digits": Case(8),
        "usps": Case(8),
        "isolet": Case(8),
        "bike": Case(4),
    },
    "confirmed by": {
        "normal, 10 columns": Case(2, 200, lambda n: made.normal(n, 10)),
        "curved, 12 columns": Case(2, 200, lambda n: made.curved(n, 12)),
        "curved, 3 dimensions": Case(3, 400, lambda n: made.curved(n, 12, 3)),
        "s-curve": Case(2, 800, lambda n: make_s_curve(n, noise=0.05, random_state=0)[0]),
        "wine": Case(2),
        "breast_cancer": Case(4),
        "spoken_digits": Case(8),
        "elevators": Case(4),
        "pol": Case(8),
        "donors": Case(4, 1000),
        "coil20": Case(16),
    },
}
CASES = HALVES["chosen by"] | HALVES["confirmed by"]

RECIPES = {
    BEFORE: Variant(limits={"last_shares": (0.0, 0.0)}),
    "default": Variant(),
    "more last passes": Variant(limits={"last_shares": (0.5, 0.5)}),
    "shorter patience": Variant(limits={"patience": 2, "small_patience": 4}),
    "shorter fall": Variant(limits={"fall_share": 0.1}),
    "shorter patience and fall": Variant(
        limits={"patience": 2, "small_patience": 4, "fall_share": 0.1}
    ),
}


@dataclass(frozen=True)
class RecipeTask(Task):
    """A recipe on one data set at one seed."""

    recipe: str
    dataset: str
    seed: int
    source: Source = field(default_factory=Source, compare=False)

    suite = "recipes"

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return training rows and those to judge by."""
        case = CASES[self.dataset]
        if case.make is None:
            return datasets.split(self.dataset, self.source, self.seed, case.n_rows)[:2]
        rows = case.make(case.n_rows + N_TEST)
        rows = rows[np.random.default_rng(self.seed).permutation(len(rows))]
        return rows[: case.n_rows], rows[case.n_rows :]

    def measure(self) -> Outcome:
        X, X_test = self.rows()
        latent_dim = CASES[self.dataset].latent_dim
        model, pca = RECIPES[self.recipe].estimator(latent_dim, self.seed), PCA(latent_dim).fit(X)
        figures = {"seconds": fit_seconds(model, X, process_time)}
        figures["steps"] = int(np.nanmax(model.history_["step"]))
        figures["ratio"] = squared_error(model, X_test) / squared_error(pca, X_test)
        figures["gain"] = model.score(X_test) - pca.score(X_test)
        return Outcome(figures, model)


def plan(options) -> list[RecipeTask]:
    """Return the trials, seed by seed."""
    source, there = datasets.source_of(options), datasets.available(datasets.source_of(options))
    wanted = options.datasets or CASES
    names = [name for name in wanted if CASES[name].make or name in there]
    tasks = product(options.seeds, names, options.recipes)
    return [RecipeTask(recipe, name, seed, source) for seed, name, recipe in tasks]


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per half and recipe, of the trials that the recipe before has as well."""
    found = [line for line in lines if line["suite"] == "recipes" and "figures" in line]
    if not found:
        return pd.DataFrame()
    trials = pd.DataFrame([line["task"] | line["figures"] for line in found])
    before = trials[trials.recipe == BEFORE].drop(columns="recipe")
    pairs = trials.merge(before, on=["dataset", "seed"], suffixes=("", "_before"))
    rows = []
    for (half, cases), recipe in product(HALVES.items(), RECIPES):
        own = pairs[pairs.dataset.isin(cases) & (pairs.recipe == recipe)]
        if len(own):
            rows.append({"half": half, "recipe": recipe} | _against(own))
    return pd.DataFrame(rows)


def _against(pairs: pd.DataFrame) -> dict[str, float]:
    """Return what pairs of trials come to, every data set by the mean over its seeds."""
    figures = {name: np.log(pairs[name] / pairs[f"{name}_before"]) for name in RELATIVE}
    figures |= {"mse": np.log(pairs.ratio), "gained": pairs.gain - pairs.gain_before}
    sets = pd.DataFrame(figures).groupby(pairs.dataset).mean()
    mean = np.exp(sets.mean())
    return {
        "trials": len(pairs), "mse": mean.mse, "relative": mean.ratio,
        "worst": np.exp(sets.ratio.max()), "best": np.exp(sets.ratio.min()),
        "gained": sets.gained.median(), "steps": mean.steps, "seconds": mean.seconds,
    }  # fmt: skip


def text(rows: pd.DataFrame) -> str:
    """Return the table as markdown."""
    lines = [
        "| data sets | recipe | trials | MSE / PCA's | relative to before | worst, best set "
        "| nats gained, median | steps | CPU seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.half} | {row.recipe} | {row.trials} | {row.mse:.3f} | {row.relative:.3f} "
        f"| {row.worst:.2f}, {row.best:.2f} | {row.gained:.2f} | {row.steps:.2f} "
        f"| {row.seconds:.2f} |"
        for row in rows.itertuples()
    ]
    return "\n".join(lines)


def _add_options(parser):
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--datasets", nargs="+", choices=CASES, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    datasets.add_source(parser)


SUITE = Suite(
    help="hold the default's way to train to others, paired over data sets and seeds",
    add_options=_add_options,
    plan=plan,
    tables={"recipes": Table(collect, KEY)},
    fragments={"benchmark:recipes": Shown(text, ("recipes",))},
    show=lambda lines: text(collect(lines)) if lines else "",
)
