"""Bars: single figures that the project holds itself to.

A table of figures is name -> function of ``Settings`` that yields ``Measured``; ``BARS`` ends this
module, those of other suites stand beside it. A task is a name; its line holds all that it yields.
Those that need a data set that is not there are left out, with a message.
"""

import statistics
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

from benchmarks import costs, datasets, methods
from benchmarks.datasets import Source
from benchmarks.markdown import markdown, number
from benchmarks.metrics import squared_error
from benchmarks.runner import Line, Outcome, Shown, Suite, Table, Task
from skvae import VAETransformer

# latent_dim -> held-out MSE, and seconds of fit where a time is promised.
MNIST_LIMITS = {2: (0.035, None), 16: (0.0090, 60), 64: (0.0026, None)}
KEY = ("bar", "label")
COLUMNS = ["bar", "value", "sign", "limit", "unit", "label", "environment"]


@dataclass(frozen=True)
class Measured:
    """One figure and the bar it is held to: ``value sign limit`` is to be true.

    A figure without a limit is there to be read, and counts as met.
    """

    bar: str
    value: float
    sign: str
    limit: float | None
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure keeps to its bar."""
        if self.limit is None or np.isnan(self.limit):
            return True
        return bool(self.value <= self.limit if self.sign == "<=" else self.value >= self.limit)

    def __str__(self) -> str:
        mark = "met   " if self.met else "MISSED"
        limit = "" if self.limit is None else f"{self.sign} {self.limit:.4g}"
        return f"{mark}  {self.bar:52s}{self.value:11.4g} {self.unit:3s} {limit}".rstrip()


class Settings(NamedTuple):
    """What figures can be asked for with; passes and a folder of None are their own defaults."""

    source: Source = Source()
    passes: int | None = None
    seeds: tuple[int, ...] = (0,)
    folder: Path | None = None  # for big temporary files

    @property
    def max_iter(self) -> int | str:
        """What the estimator is told."""
        return "auto" if self.passes is None else self.passes


Figures = dict[str, Callable[[Settings], Iterator[Measured]]]


@dataclass(frozen=True)
class BarTask(Task):
    """One name of a table of figures; a label tells another skvae that is measured beside ours."""

    name: str
    passes: int | None = None
    seeds: tuple[int, ...] = (0,)
    label: str | None = None
    part: str = field(compare=False, kw_only=True)
    figure: Callable[[Settings], Iterator[Measured]] = field(compare=False, kw_only=True)
    settings: Settings = field(compare=False, kw_only=True)

    @property
    def suite(self) -> str:
        return self.part

    def measure(self) -> Outcome:
        found = [asdict(measured) for measured in self.figure(self.settings)]
        return Outcome({"measured": found})


def plan(
    part: str,
    names: Iterable[str],
    figures: Figures,
    settings: Settings,
    label: str | None = None,
) -> Generator[BarTask, Line, None]:
    """Yield a task for each of some names of a table."""
    for name in names:
        given = settings.passes, settings.seeds, label
        yield BarTask(name, *given, part=part, figure=figures[name], settings=settings)


def measured_in(lines: list[Line]) -> list[Measured]:
    """Return the figures that lines hold."""
    return [
        Measured(**found) for line in lines for found in line.get("figures", {}).get("measured", [])
    ]


def show(lines: list[Line]) -> str:
    """Return the figures beside their bars."""
    return "\n".join(map(str, measured_in(lines)))


def collect(parts: tuple[str, ...]) -> Callable[[list[Line]], pd.DataFrame]:
    """Return the function that makes the rows of some suites of figures."""

    def rows(lines):
        found = [
            asdict(measured)
            | {"label": line["task"].get("label"), "environment": line["environment"]}
            for line in lines
            if line["suite"] in parts
            for measured in measured_in([line])
        ]
        return pd.DataFrame(found, columns=COLUMNS)

    return rows


def ours(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the figures of this skvae."""
    return rows[rows["label"].isna()]


def table(rows: pd.DataFrame) -> str:
    """Return the single figures beside the bar each is held to, and over those of a label."""
    others = {label: part.set_index("bar")["value"] for label, part in rows.groupby("label")}
    shown = []
    for line in ours(rows).fillna({"unit": ""}).to_dict("records"):
        measured = Measured(*(line[name] for name in COLUMNS[:5]))
        limited = pd.notna(measured.limit)
        limit = f"{measured.sign} {measured.limit:.4g} {measured.unit}".strip() if limited else ""
        shown.append(
            {
                "what": measured.bar,
                "measured": f"{measured.value:.4g} {measured.unit}".strip(),
                "bar": limit,
                "": ("met" if measured.met else "**missed**") if limited else "",
            }
            | {
                f"over {label}": number(measured.value / values.get(measured.bar, np.nan), ".3g")
                for label, values in others.items()
            }
        )
    return markdown(pd.DataFrame(shown))


def start_is_pca(settings: Settings) -> Iterator[Measured]:
    """Yield how far ``max_iter=0`` is from scikit-learn's PCA, the largest over data sets.

    Differences are relative to the largest value of what is compared. Where there are no more
    rows than columns the start may score above PCA, and only falling short counts.
    """
    there = datasets.available(settings.source)
    names = ["iris", "wine", "breast_cancer", "digits", "tox171"]
    found = [_start_differences(name, settings.source) for name in names if name in there]
    for part in found[0]:
        worst = max(0.0, *(differences[part] for differences in found))
        yield Measured(f"max_iter=0: {part} against PCA", worst, "<=", 1e-6)


def _start_differences(name, source):
    split = datasets.split(name, source, seed=0)
    latent_dim = datasets.fitting_dims(split.X_train, (8, 4, 2))[0]
    ours = VAETransformer(latent_dim, max_iter=0, random_state=0).fit(split.X_train)
    pca = PCA(latent_dim, svd_solver="full").fit(split.X_train)
    codes, X = pca.transform(split.X_test), split.X_test
    gain = (ours.score(X) - pca.score(X)) / abs(pca.score(X))
    wide = len(split.X_train) <= X.shape[1]
    return {
        "transform": _relative(ours.transform(X), codes),
        "inverse_transform": _relative(
            ours.inverse_transform(ours.transform(X)), pca.inverse_transform(codes)
        ),
        "score": max(0.0, -gain) if wide else abs(gain),
    }


def _relative(actual, expected):
    return float(np.max(np.abs(actual - expected)) / np.max(np.abs(expected)))


def digits_fit(settings: Settings) -> Iterator[Measured]:
    """Yield the time of a fit of all digits at latent_dim 8, the median of three seeds."""
    X = datasets.read("digits", settings.source).X / 16
    seconds = [methods.fit("skvae", X, 8, seed)[1] for seed in range(3)]
    yield Measured("fit: digits, latent_dim 8", statistics.median(seconds), "<=", 2, "s")


def digits_grid_search(settings: Settings) -> Iterator[Measured]:
    """Yield the time of a search over latent_dim on all digits, five folds."""
    X = datasets.read("digits", settings.source).X / 16
    search = GridSearchCV(VAETransformer(random_state=0), {"latent_dim": [2, 4, 8, 16, 32]}, cv=5)
    seconds = costs.fit_seconds(search, X)
    yield Measured("GridSearchCV: digits, 5 latent_dims, 5 folds", seconds, "<=", 60, "s")


def mnist(settings: Settings) -> Iterator[Measured]:
    """Yield held-out error, time and neighbour accuracy on MNIST, 60000 training rows."""
    split = datasets.split("mnist", settings.source, seed=0)
    for latent_dim, (mse_limit, seconds_limit) in MNIST_LIMITS.items():
        model, seconds = methods.fit("skvae", split.X_train, latent_dim, seed=0)
        name = f"MNIST, latent_dim {latent_dim}"
        yield Measured(f"{name}: MSE", squared_error(model, split.X_test), "<=", mse_limit)
        yield Measured(f"{name}: fit", seconds, "<=", seconds_limit, "s")
    # The model is that of the last, the largest latent_dim.
    pca, _ = methods.fit("pca", split.X_train, latent_dim, seed=0)
    ours, theirs = (neighbour_accuracy(reducer, split, 1) for reducer in (model, pca))
    yield Measured(f"{name}: 1-NN accuracy against PCA's", ours, ">=", theirs)


def neighbour_accuracy(model, split: datasets.Split, n_neighbors: int) -> float:
    """Return the held-out accuracy of nearest neighbours on the codes."""
    knn = KNeighborsClassifier(n_neighbors).fit(model.transform(split.X_train), split.y_train)
    return float(knn.score(model.transform(split.X_test), split.y_test))


def fit_memory(settings: Settings) -> Iterator[Measured]:
    """Yield the peak memory of fits above the data, which may be 1.2 x the data + 600 MB."""
    for name in ("digits", "mnist", "donors", "sc_celseq2"):
        if name in datasets.available(settings.source):
            X = datasets.split(name, settings.source, seed=0).X_train
            limit = 1.2 * costs.size_mb(X) + 600
            value = costs.peak_growth_mb(_fit_of, (name, settings.source))
            yield Measured(f"peak memory above the data: {name}", value, "<=", limit, "MB")


def _fit_of(task: tuple[str, Source]) -> Callable[[], Any]:
    X = datasets.split(*task, seed=0).X_train
    # The reader's cache would keep a second copy of the data alive.
    datasets.read.cache_clear()
    return lambda: methods.fit("skvae", X, 8, seed=0)


BARS: Figures = {
    "start_is_pca": start_is_pca,
    "digits_fit": digits_fit,
    "digits_grid_search": digits_grid_search,
    "mnist": mnist,
    "fit_memory": fit_memory,
}


def _add_options(parser):
    parser.add_argument("--only", nargs="+", choices=BARS, default=list(BARS))
    datasets.add_source(parser)


SUITE = Suite(
    help="measure the single figures and print each beside its bar",
    add_options=_add_options,
    plan=lambda options: plan("bars", options.only, BARS, Settings(datasets.source_of(options))),
    tables={"bars": Table(collect(("bars", "published")), KEY)},
    fragments={"benchmark:bars": Shown(table, ("bars",))},
    show=show,
)
