"""Bars: single figures that the project holds itself to.

The table ``BARS`` ends the module: name -> function of a ``Source`` that yields ``Measured``
lines. Those that need a data set that is not there are left out, with a message.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from tqdm import tqdm

from benchmarks import datasets, memory, methods
from benchmarks.metrics import squared_error
from benchmarks.trials import Task, environment
from skvae import VAETransformer

# latent_dim -> held-out MSE, and seconds of fit where a time is promised.
MNIST_LIMITS = {2: (0.035, None), 16: (0.0090, 60), 64: (0.0026, None)}


@dataclass
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
        if self.limit is None:
            return True
        return bool(self.value <= self.limit if self.sign == "<=" else self.value >= self.limit)

    def __str__(self) -> str:
        mark = "met   " if self.met else "MISSED"
        limit = "" if self.limit is None else f"{self.sign} {self.limit:.4g}"
        return f"{mark}  {self.bar:52s}{self.value:11.4g} {self.unit:3s} {limit}".rstrip()


def run(
    names: list[str],
    source: datasets.Source,
    path: Path,
    table: dict[str, Callable[[datasets.Source], Iterator[Measured]]] | None = None,
) -> list[Measured]:
    """Measure the named bars of a table, append a line for each to the file, and return them."""
    table = BARS if table is None else table
    path.parent.mkdir(parents=True, exist_ok=True)
    found = []
    with path.open("a") as lines, tqdm(names, unit="bar") as progress:
        for name in progress:
            progress.set_description(name)
            for measured in _measure(name, table[name], source, progress):
                found.append(measured)
                line = asdict(measured) | {"met": measured.met} | environment()
                lines.write(json.dumps(line) + "\n")
                lines.flush()
    return found


def _measure(name, bar, source, progress):
    try:
        yield from bar(source)
    except FileNotFoundError as error:
        progress.write(f"{name} left out: {error}")


def start_is_pca(source) -> Iterator[Measured]:
    """Yield how far ``max_iter=0`` is from scikit-learn's PCA, the largest over data sets.

    Differences are relative to the largest value of what is compared. Where there are no more
    rows than columns the start may score above PCA, and only falling short counts.
    """
    names = ["iris", "wine", "breast_cancer", "digits", "tox171"]
    worst = {"transform": 0.0, "inverse_transform": 0.0, "score": 0.0}
    for name in names:
        if name in datasets.available(source):
            for part, difference in _start_differences(name, source).items():
                worst[part] = max(worst[part], difference)
    for part, difference in worst.items():
        yield Measured(f"max_iter=0: {part} against PCA", difference, "<=", 1e-6)


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


def digits_fit(source) -> Iterator[Measured]:
    """Yield the time of a fit of all digits at latent_dim 8, the median of three seeds."""
    X = datasets.read("digits", source).X / 16
    seconds = [methods.fit("skvae", X, 8, seed).seconds for seed in range(3)]
    yield Measured("fit: digits, latent_dim 8", statistics.median(seconds), "<=", 2, "s")


def digits_grid_search(source) -> Iterator[Measured]:
    """Yield the time of a search over latent_dim on all digits, five folds."""
    X = datasets.read("digits", source).X / 16
    search = GridSearchCV(VAETransformer(random_state=0), {"latent_dim": [2, 4, 8, 16, 32]}, cv=5)
    start = perf_counter()
    search.fit(X)
    seconds = perf_counter() - start
    yield Measured("GridSearchCV: digits, 5 latent_dims, 5 folds", seconds, "<=", 60, "s")


def mnist(source) -> Iterator[Measured]:
    """Yield held-out error, time and neighbour accuracy on MNIST, 60000 training rows."""
    split = datasets.split("mnist", source, seed=0)
    for latent_dim, (mse_limit, seconds_limit) in MNIST_LIMITS.items():
        model, seconds, _ = methods.fit("skvae", split.X_train, latent_dim, seed=0)
        name = f"MNIST, latent_dim {latent_dim}"
        yield Measured(f"{name}: MSE", squared_error(model, split.X_test), "<=", mse_limit)
        yield Measured(f"{name}: fit", seconds, "<=", seconds_limit, "s")
    # The model is that of the last, the largest latent_dim.
    pca = methods.fit("pca", split.X_train, latent_dim, seed=0).model
    accuracies = [_nearest_neighbour(reducer, split) for reducer in (model, pca)]
    yield Measured(f"{name}: 1-NN accuracy against PCA's", accuracies[0], ">=", accuracies[1])


def _nearest_neighbour(model, split):
    knn = KNeighborsClassifier(1).fit(model.transform(split.X_train), split.y_train)
    return knn.score(model.transform(split.X_test), split.y_test)


def fit_memory(source) -> Iterator[Measured]:
    """Yield the peak memory of fits above the data, which may be 1.2 x the data + 600 MB."""
    for name in ("digits", "mnist", "donors", "sc_celseq2"):
        if name in datasets.available(source):
            task = Task(name, "skvae", 8, 0, source=source)
            limit = 1.2 * memory.size_mb(task.split().X_train) + 600
            value = memory.peak_memory_mb(task)
            yield Measured(f"peak memory above the data: {name}", value, "<=", limit, "MB")


BARS: dict[str, Callable[[datasets.Source], Iterator[Measured]]] = {
    "start_is_pca": start_is_pca,
    "digits_fit": digits_fit,
    "digits_grid_search": digits_grid_search,
    "mnist": mnist,
    "fit_memory": fit_memory,
}
