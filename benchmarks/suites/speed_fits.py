"""Figures of speed that are whole fits and searches, each beside what it comes to.

``FITS`` is a table of figures as ``bars`` has them, and a part of ``speed_figures.SPEED``.
"""

import statistics
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from resource import RUSAGE_SELF, getrusage
from time import process_time
from typing import Any, NamedTuple

from scipy import stats
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, KFold

from benchmarks import costs, datasets
from benchmarks.costs import fit_seconds
from benchmarks.made import curved, curved_blocks, normal
from benchmarks.metrics import squared_error
from benchmarks.suites import bars
from benchmarks.suites.bars import Figures, Measured, Settings
from benchmarks.suites.tables import TableTask
from skvae import VAETransformer

TIMES = 5  # turns of a median
FRAMES = {
    "adult": TableTask("likelihood", "adult", "skvae", seed=0),
    "loans": TableTask("likelihood", "loans", "skvae", seed=0),
    "hivae_wine, 30 % missing": TableTask("imputation", "hivae_wine", "skvae", seed=0, missing=30),
}
UNITS = {"seconds": "s", "log_likelihood": "nats", "error": ""}
LATENT_DIMS = (2, 4, 8, 16, 32)
MORE_LATENT_DIMS = (2, 4, 8, 12, 16, 24, 32)  # nearly as many as some sets have columns
SEARCHED = ("curved", "wine", "breast_cancer", "diabetes", "digits", "elevators", "usps")
# A search by halving as the guide has it: passes of its one round.
PASSES, PASSES_OF_FEW_ROWS, FEW_ROWS = 15, 100, 1000


class HalvedSearch:
    """A search by halving: few passes for all candidates, the best of them fitted in full."""

    def __init__(self, model: VAETransformer, grid: dict[str, list], cv: Any) -> None:
        self.model, self.grid, self.cv = model, grid, cv

    def fit(self, X):
        passes = PASSES_OF_FEW_ROWS if len(X) < FEW_ROWS else PASSES
        self.search = HalvingGridSearchCV(
            self.model,
            self.grid,
            resource="max_iter",
            min_resources=passes,
            max_resources=passes,
            cv=self.cv,
            refit=False,
            return_train_score=False,  # which would take longer than the training
        ).fit(X)
        self.best_params_ = {"latent_dim": self.search.best_params_["latent_dim"]}
        self.best_estimator_ = clone(self.model).set_params(**self.best_params_).fit(X)
        return self


def seconds_of_ours(X, latent_dim: int, **arguments) -> float:
    """Return what a fit of ours takes, on the CPU."""
    model = VAETransformer(latent_dim, **{"random_state": 0, "device": "cpu"} | arguments)
    return fit_seconds(model, X)


def small_fit(settings: Settings, times: int = TIMES) -> Iterator[Measured]:
    """Yield the time of a fit of 200 rows of 10 columns."""
    for name, X in (("curved", curved(200, 10)), ("normal", normal(200, 10))):
        seconds = [seconds_of_ours(X, 2, random_state=seed) for seed in range(times + 1)]
        value = statistics.median(seconds[1:])  # the first pays for what is loaded late
        yield Measured(f"fit, 200 {name} rows of 10 columns", value, "<=", 0.5, "s")


def frame_fit(settings: Settings, max_rows: int | None = None) -> Iterator[Measured]:
    """Yield the time of fits of frames by their types, and how good they are.

    Likelihoods are of the fifth of the rows that was held out. Of the table with gaps all rows are
    fitted; its gaps are filled within the time, and the error is of what fills them.
    """
    for name, task in FRAMES.items():
        task = replace(task, directory=settings.source.directory, max_rows=max_rows)
        found = task.measure().figures
        for figure, unit in UNITS.items():
            if figure in found:
                title = f"{name}, {task.latent_dim} codes: {figure.replace('_', ' ')}"
                yield Measured(title, found[figure], "<=", None, unit)


def mnist_fit(settings: Settings) -> Iterator[Measured]:
    """Yield error and time of fits on MNIST, 60000 training rows: as it is, and shorter."""
    split = datasets.split("mnist", settings.source, seed=0)
    seconds_of_ours(split.X_train[:500], 16, max_iter=1)
    for name, max_iter, limit in (("", "auto", 0.0083), (", 15 passes", 15, 0.0090)):
        model = VAETransformer(16, random_state=0, max_iter=max_iter, device="cpu")
        seconds = fit_seconds(model, split.X_train)
        error = squared_error(model, split.X_test)
        yield Measured(f"MNIST, 16 codes{name}: MSE", error, "<=", limit)
        yield Measured(f"MNIST, 16 codes{name}: fit", seconds, "<=", 30, "s")


def stream(settings: Settings, n_rows: int = 10**6, n_columns: int = 20) -> Iterator[Measured]:
    """Yield what `partial_fit` takes for rows that are made block by block, in a fresh process.

    Its error is held to that of one fit of a hundred thousand of them, and so is the time of a row.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        found = pool.submit(_streamed, n_rows, n_columns).result()
    title = f"partial_fit, {n_rows} x {n_columns} in blocks"
    yield Measured(f"{title}: rows per second of CPU", n_rows / found.seconds, ">=", None)
    yield Measured(f"{title}: memory of the process", found.gigabytes, "<=", 3, "GB")
    yield Measured(f"{title}: MSE over that of one fit", found.error, "<=", None)
    yield Measured(f"{title}: CPU per row over that of one fit", found.per_row, "<=", None)


class Streamed(NamedTuple):
    """What a process took that learnt block by block."""

    seconds: float  # of CPU, without making the rows
    gigabytes: float  # at its peak, libraries included
    error: float  # over that of one fit
    per_row: float


def _streamed(n_rows: int, n_columns: int) -> Streamed:
    model, seconds = VAETransformer(2, random_state=0, device="cpu"), 0.0
    for block in curved_blocks(n_rows, n_columns):
        seconds += costs.seconds(partial(model.partial_fit, block), process_time)
    gigabytes = getrusage(RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes on Linux
    *_, X, X_test = curved_blocks(200_000, n_columns)
    whole = VAETransformer(2, random_state=0, device="cpu")
    per_row = seconds / n_rows * len(X) / fit_seconds(whole, X, process_time)
    error = squared_error(model, X_test) / squared_error(whole, X_test)
    return Streamed(seconds, gigabytes, error, per_row)


def grid_search(
    settings: Settings,
    latent_dims: Iterable[int] = LATENT_DIMS,
    n_folds: int = 5,
    max_iter: int | str = "auto",
) -> Iterator[Measured]:
    """Yield the time of searches over latent_dim on all digits and what they choose.

    GridSearchCV in one process and in two, and a search by halving in one.
    """
    X = datasets.read("digits", settings.source).X / 16
    model = VAETransformer(max_iter=max_iter, random_state=0, device="cpu")
    grid = {"latent_dim": list(latent_dims)}
    searches = {
        "GridSearchCV on digits, n_jobs=None": GridSearchCV(model, grid, cv=n_folds),
        "GridSearchCV on digits, n_jobs=2": GridSearchCV(model, grid, cv=n_folds, n_jobs=2),
        "search by halving on digits": HalvedSearch(model, grid, n_folds),
    }
    seconds = {name: fit_seconds(search, X) for name, search in searches.items()}
    for name, search in searches.items():
        yield Measured(name, seconds[name], "<=", None, "s")
        yield Measured(f"{name}: latent_dim", search.best_params_["latent_dim"], "<=", None)
    plain, two, halved = seconds.values()
    yield Measured("GridSearchCV on digits, the better", min(plain, two), "<=", 20, "s")
    yield Measured("search by halving on digits over GridSearchCV", halved / plain, "<=", None)


def halving(
    settings: Settings,
    names: Iterable[str] = SEARCHED,
    max_train_rows: int = 2000,
    max_iter: int | str = "auto",
) -> Iterator[Measured]:
    """Yield how a search by halving compares with full fits in three folds, by data set.

    Told are the rank correlation of the candidates' scores after the first passes with those of
    full fits, by how many nats the full fit of its choice is behind that of the best, and its time
    over the full search's. One table is made up: of two dimensions, which a few passes do not see.
    """
    there = {"curved", *datasets.available(settings.source)}
    for name in filter(there.__contains__, names):
        X = _rows(name, settings, max_train_rows)
        model = VAETransformer(max_iter=max_iter, random_state=0, device="cpu")
        grid = {"latent_dim": datasets.fitting_dims(X, MORE_LATENT_DIMS)}
        folds = KFold(3, shuffle=True, random_state=0)
        full, halved = GridSearchCV(model, grid, cv=folds), HalvedSearch(model, grid, folds)
        ratio = 1 / fit_seconds(full, X)
        ratio *= fit_seconds(halved, X)
        scores, first = (
            search.cv_results_["mean_test_score"][: len(grid["latent_dim"])]
            for search in (full, halved.search)
        )
        chosen = grid["latent_dim"].index(halved.best_params_["latent_dim"])
        correlation = float(stats.spearmanr(scores, first).statistic)
        title = f"search by halving on {name}"
        yield Measured(f"{title}: rank correlation", correlation, ">=", 0.9)
        yield Measured(f"{title}: nats lost", float(scores.max() - scores[chosen]), "<=", 0.1)
        yield Measured(f"{title}: time over the full search's", ratio, "<=", 0.4)


def _rows(name, settings, max_train_rows):
    if name == "curved":
        return curved(1000, 10)
    return datasets.split(name, settings.source, 0, max_train_rows).X_train


FITS: Figures = {
    "small_fit": small_fit,
    "digits_fit": bars.digits_fit,
    "frame_fit": frame_fit,
    "mnist_fit": mnist_fit,
    "stream": stream,
    "grid_search": grid_search,
    "halving": halving,
}
