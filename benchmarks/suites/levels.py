"""Levels: what counts alike in the linear start of a table, its levels or its columns.

All ways see the same rows of every table, half of which choose the default and half confirm it.
A table that is a matrix by nature has every third column cut into four levels. Figures are of rows
that were not fitted: their log-likelihood, what a linear classifier reads in their codes, and the
error of what fills three tenths of their cells.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import datasets, frames
from benchmarks.costs import fit_seconds
from benchmarks.datasets import Source
from benchmarks.frames import Rows, is_number
from benchmarks.runner import Line, Outcome, Shown, Suite, Table, Task
from benchmarks.suites.measures import TARGETS, halves, imputation_errors, pca_of_mixed
from skvae import Categorical, GaussianDiag, VAETransformer

DEFAULT, PCA = "levels", "pca"
KEY = ("half", "way")
MOST_ROWS = 4000
HIDDEN = 0.3  # of the cells that are filled
N_LEVELS = 4  # of a column that is cut


class Way(NamedTuple):
    """The likelihoods of levels and, unless it is the default, of numbers; and options."""

    levels: Categorical = Categorical()
    numbers: GaussianDiag | None = None
    options: dict[str, Any] = {}

    def estimator(self, frame: pd.DataFrame, latent_dim: int, seed: int) -> VAETransformer:
        """Return what is fitted to such a frame."""
        of = {True: self.numbers, False: self.levels}
        likelihood = {name: of[is_number(frame[name])] for name in frame}
        likelihood = {name: own for name, own in likelihood.items() if own is not None}
        return VAETransformer(latent_dim, likelihood=likelihood, random_state=seed, **self.options)


START = {"max_iter": 0}
WAYS = {
    DEFAULT: Way(),
    "columns": Way(Categorical(weight="columns")),
    "levels, linear start": Way(options=START),
    "columns, linear start": Way(Categorical(weight="columns"), options=START),
    "levels, shared noise": Way(numbers=GaussianDiag(start_noise="shared")),
}


class Case(NamedTuple):
    """How the rows of a table and their target are read, and the codes."""

    read: Callable[[str, Source], Rows]
    latent_dim: int = 8


def _mixed(name: str, source: Source) -> Rows:
    return TARGETS[name](frames.read(name, source.directory).X)


def _cut_frame(name: str, source: Source) -> Rows:
    """Return a table of numbers above all, cut; its last column is the target."""
    frame = frames.read(name, source.directory).X
    return _cut(frame.iloc[:, :-1], frame.iloc[:, -1].astype(float).to_numpy())


def _cut_matrix(name: str, source: Source) -> Rows:
    """Return a matrix, cut; the target is the class, or the last column of one without classes."""
    X, y, _ = datasets.read(name, source)
    X, y = (X[:, :-1], X[:, -1]) if y is None else (X, y)
    return _cut(pd.DataFrame(X).rename(columns="x{}".format), y)


def _cut(frame: pd.DataFrame, y: np.ndarray) -> Rows:
    """Return a table of which every third column is levels, and whether y is above its mean."""
    columns = dict(frame.items())
    for name in list(columns)[::3]:
        part = pd.qcut(columns[name].rank(method="first"), N_LEVELS, labels=False)
        # Of equal numbers all are in the part of the first.
        columns[name] = part.groupby(columns[name]).transform("min").map("part {}".format)
    return Rows(pd.DataFrame(columns), y > y.mean())


HALVES: dict[str, dict[str, Case]] = {
    "chosen by": {
        "adult": Case(_mixed),
        "hivae_spam": Case(_cut_frame),
        "wine": Case(_cut_matrix, 4),
        "diabetes": Case(_cut_matrix, 4),
        "digits": Case(_cut_matrix),
        "elevators": Case(_cut_matrix),
    },
    "confirmed by": {
        "loans": Case(_mixed),
        "hivae_wine": Case(_cut_frame, 4),
        "breast_cancer": Case(_cut_matrix),
        "bike": Case(_cut_matrix),
        "pol": Case(_cut_matrix),
        "donors": Case(_cut_matrix, 4),
    },
}
CASES = HALVES["chosen by"] | HALVES["confirmed by"]


@dataclass(frozen=True)
class LevelsTask(Task):
    """A way to weigh levels, or PCA, on one table at one seed."""

    way: str
    dataset: str
    seed: int
    source: Source = field(default_factory=Source, compare=False)

    suite = "levels"

    def rows(self) -> tuple[Rows, Rows]:
        """Return training rows and those to judge by."""
        rows = CASES[self.dataset].read(self.dataset, self.source)
        order = np.random.default_rng(self.seed).permutation(len(rows.X))[:MOST_ROWS]
        return halves(frames.take(rows, order), self.seed)

    def measure(self) -> Outcome:
        train, test = self.rows()
        latent_dim = CASES[self.dataset].latent_dim
        if self.way == PCA:
            pca = pca_of_mixed(train.X, latent_dim, self.seed)
            seconds = fit_seconds(pca, train.X, process_time)
            return Outcome({"seconds": seconds} | _read_in_codes(pca, train, test))
        model = WAYS[self.way].estimator(train.X, latent_dim, self.seed)
        figures = {"seconds": fit_seconds(model, train.X, process_time)}
        figures |= _read_in_codes(model, train, test)
        figures["log_likelihood"] = float(np.mean(model.score_samples(test.X)))
        figures["error"] = _filled_error(model, test.X, self.seed)
        return Outcome(figures, model)


def _read_in_codes(model, train: Rows, test: Rows) -> dict[str, float]:
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(model.transform(train.X), train.y)
    Z = model.transform(test.X)
    auc = roc_auc_score(test.y, classifier.predict_proba(Z)[:, 1])
    return {"accuracy": float(classifier.score(Z, test.y)), "auc": float(auc)}


def _filled_error(model: VAETransformer, frame: pd.DataFrame, seed: int) -> float:
    drawn = np.random.default_rng(seed).random(frame.shape) < HIDDEN
    hidden = drawn & frame.notna().to_numpy()
    filled = model.impute(frames.with_holes(frame, hidden))
    return imputation_errors(frame, filled, hidden)["error"]


def plan(options) -> list[LevelsTask]:
    """Return the trials, seed by seed."""
    source = datasets.source_of(options)
    there = {*datasets.available(source), *frames.available(source.directory)}
    names = [name for name in options.datasets or CASES if name in there]
    tasks = product(options.seeds, names, [*WAYS, PCA])
    return [LevelsTask(way, name, seed, source) for seed, name, way in tasks]


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per half and way, of the trials that the default has as well."""
    found = [line for line in lines if line["suite"] == "levels" and "figures" in line]
    if not found:
        return pd.DataFrame()
    trials = pd.DataFrame([line["task"] | line["figures"] for line in found])
    default = trials[trials.way == DEFAULT].drop(columns="way")
    pairs = trials.merge(default, on=["dataset", "seed"], suffixes=("", "_default"))
    rows = []
    for (half, cases), way in product(HALVES.items(), [PCA, *WAYS]):
        own = pairs[pairs.dataset.isin(cases) & (pairs.way == way)]
        if len(own):
            rows.append({"half": half, "way": way, "trials": len(own)} | _against(own))
    return pd.DataFrame(rows)


def _against(pairs: pd.DataFrame) -> dict[str, float]:
    """Return what pairs of trials come to, every table by the mean over its seeds."""
    figures = {
        "accuracy": pairs.accuracy, "auc": pairs.auc,
        "more": pairs.auc - pairs.auc_default,
        "gained": pairs.log_likelihood - pairs.log_likelihood_default,
        "error": np.log(pairs.error / pairs.error_default),
        "seconds": np.log(pairs.seconds / pairs.seconds_default),
    }  # fmt: skip
    tables = pd.DataFrame(figures).groupby(pairs.dataset).mean()
    mean = tables.mean()
    return {
        "accuracy": mean.accuracy, "auc": mean.auc, "higher": int((tables.more > 0).sum()),
        "gained": mean.gained, "least_gained": tables.gained.min(),
        "error": np.exp(mean.error), "worst_error": np.exp(tables.error.max()),
        "seconds": np.exp(mean.seconds),
    }  # fmt: skip


def text(rows: pd.DataFrame) -> str:
    """Return the table as markdown."""
    lines = [
        "| tables | codes of | trials | accuracy | AUC | tables of higher AUC "
        "| nats gained: mean, least | error of filled cells: mean, largest | CPU seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.half} | {row.way} | {row.trials} | {row.accuracy:.3f} | {row.auc:.3f} "
        f"| {row.higher} | {_shown(row.gained, row.least_gained, '+.2f')} "
        f"| {_shown(row.error, row.worst_error, '.3f')} | {row.seconds:.2f} |"
        for row in rows.itertuples()
    ]
    return "\n".join(lines)


def _shown(mean: float, extreme: float, form: str) -> str:
    return "" if np.isnan(mean) else f"{mean:{form}}, {extreme:{form}}"


def _add_options(parser):
    parser.add_argument("--datasets", nargs="+", choices=CASES, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    datasets.add_source(parser)


SUITE = Suite(
    help="weigh levels or columns alike in the linear start of tables of mixed types",
    add_options=_add_options,
    plan=plan,
    tables={"levels": Table(collect, KEY)},
    fragments={"benchmark:levels": Shown(text, ("levels",))},
    show=lambda lines: text(collect(lines)) if lines else "",
)
