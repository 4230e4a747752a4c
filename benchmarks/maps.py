"""Maps side by side: PCA, t-SNE, UMAP and VAETransformer with two codes on six data sets.

``python -m benchmarks.maps --data DIR`` prints the table of docs/maps.md and draws its picture.
Three sets come with scikit-learn or are made; the others are read from the folder. All methods get
the same rows and their defaults. Times are seconds of the processor, on one thread.
"""

import argparse
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.spatial import procrustes
from sklearn.datasets import make_swiss_roll
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from benchmarks import datasets
from benchmarks.datasets import Source, Split
from benchmarks.figures import STYLE, save
from benchmarks.markdown import markdown, number
from skvae import VAETransformer

N_NEIGHBORS = 10
N_INVERTED = 200  # rows that are brought back: UMAP takes a second for dozens
SETS = ("swiss roll", "wine", "digits", "usps", "mnist", "isolet")
SEEDS = (0, 1)
FORMATS = {
    "fit, s": ".2f",
    "1000 new rows, s": ".2f",
    "neighbours kept": ".2f",
    "trustworthiness": ".3f",
    "5-NN accuracy": ".3f",
    "5-NN accuracy, new rows": ".3f",
    "squared error / PCA's": ".2f",
    "nats over PCA": "+.2f",
    "two seeds differ by": ".2f",
}


def _umap(seed):
    from umap import UMAP  # takes seconds to import, and only this module needs it

    return UMAP(n_components=2, random_state=seed, n_jobs=1)


METHODS = {
    "PCA": lambda seed: PCA(2),
    "t-SNE": lambda seed: TSNE(2, random_state=seed, n_jobs=1),
    "UMAP": _umap,
    "VAETransformer": lambda seed: VAETransformer(2, random_state=seed, device="cpu"),
}


@dataclass
class Map:
    """A method fitted to the training rows by one seed, and where it put them."""

    model: Any
    codes: np.ndarray
    seconds: float


def rows_of(name: str, source: Source, max_rows: int) -> Split:
    """Return at most so many training rows of a set, and half as many that no method sees."""
    if name != "swiss roll":
        return datasets.split(name, source, seed=0, max_train_rows=max_rows)
    X, along = make_swiss_roll(max_rows + max_rows // 2, noise=0.5, random_state=0)
    y = np.digitize(along, np.quantile(along, np.linspace(0, 1, 7)[1:-1]))
    return Split(X[:max_rows], X[max_rows:], y[:max_rows], y[max_rows:])


def fit(name: str, split: Split, seed: int) -> Map:
    """Return a map of the training rows."""
    model = METHODS[name](seed)
    start = process_time()
    codes = np.asarray(model.fit_transform(split.X_train))
    return Map(model, codes, process_time() - start)


def measure(split: Split, maps: list[Map]) -> dict[str, float]:
    """Return the figures of one method on one set, over maps by several seeds; absent is NaN."""
    found = {
        "fit, s": np.mean([each.seconds for each in maps]),
        "neighbours kept": np.mean([kept(split.X_train, each.codes) for each in maps]),
        "trustworthiness": np.mean(
            [trustworthiness(split.X_train, each.codes, n_neighbors=N_NEIGHBORS) for each in maps]
        ),
        "5-NN accuracy": np.mean([accuracy(each.codes, split.y_train) for each in maps]),
        "two seeds differ by": procrustes(maps[0].codes, maps[1].codes)[2],
    }
    model = maps[0].model
    if hasattr(model, "transform"):
        start = process_time()
        codes = np.asarray(model.transform(split.X_test))
        found["1000 new rows, s"] = (process_time() - start) * 1000 / len(codes)
        classifier = KNeighborsClassifier(5).fit(maps[0].codes, split.y_train)
        found["5-NN accuracy, new rows"] = classifier.score(codes, split.y_test)
        restored = np.asarray(model.inverse_transform(codes[:N_INVERTED]))
        found["squared error"] = np.mean((restored - split.X_test[:N_INVERTED]) ** 2)
    if hasattr(model, "score"):
        found["log-likelihood"] = model.score(split.X_test)
    return found


def kept(X: np.ndarray, codes: np.ndarray) -> float:
    """Return the share of the nearest neighbours of a row that are neighbours on the map."""
    near = [
        NearestNeighbors(n_neighbors=N_NEIGHBORS).fit(space).kneighbors(return_distance=False)
        for space in (X, codes)
    ]
    return np.mean([len(np.intersect1d(a, b)) / N_NEIGHBORS for a, b in zip(*near, strict=True)])


def accuracy(codes: np.ndarray, y: np.ndarray) -> float:
    """Return the accuracy of five neighbours on the map, over five folds of its rows."""
    return cross_val_score(KNeighborsClassifier(5), codes, y, cv=5).mean()


def table(found: dict[tuple[str, str], dict[str, float]]) -> pd.DataFrame:
    """Return the figures as they are printed: errors and likelihoods against PCA's."""
    lines = []
    for (name, method), figures in found.items():
        base = found[name, "PCA"]
        figures = dict(figures)
        error, score = figures.pop("squared error", np.nan), figures.pop("log-likelihood", np.nan)
        figures["squared error / PCA's"] = error / base["squared error"]
        figures["nats over PCA"] = score - base["log-likelihood"]
        lines.append({"data": name, "method": method, **figures})
    shown = pd.DataFrame(lines)[["data", "method", *FORMATS]]
    for name, style in FORMATS.items():
        shown[name] = [number(value, style) for value in shown[name]]
    return shown


@matplotlib.rc_context(STYLE)
def picture(maps: dict[tuple[str, str], Map], labels: dict[str, np.ndarray]) -> Figure:
    """Return the maps of the first seed: a line per set, a panel per method."""
    drawn = Figure(figsize=(9.6, 2.3 * len(labels)), layout="constrained")
    panels = drawn.subplots(len(labels), len(METHODS), squeeze=False)
    for line, (name, y) in zip(panels, labels.items(), strict=True):
        for axes, method in zip(line, METHODS, strict=True):
            codes = maps[name, method].codes
            axes.scatter(*codes.T, c=y % 20, cmap="tab20" if y.max() > 9 else "tab10", s=3,
                         vmax=19 if y.max() > 9 else 9, vmin=0, linewidths=0)  # fmt: skip
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, weight="bold")
    for axes, method in zip(panels[0], METHODS, strict=True):
        axes.set_title(method)
    return drawn


def main(arguments: Iterable[str] | None = None) -> None:
    """Fit every method to every set, print the table, draw the maps."""
    parser = argparse.ArgumentParser(description=__doc__)
    datasets.add_source(parser)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--methods", nargs="+", choices=[*METHODS], default=[*METHODS])
    parser.add_argument("--rows", type=int, default=2000, help="training rows, at most")
    parser.add_argument("--output", type=Path, default=Path("maps.png"))
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # of numba and of passes that ran out: figures tell of both
    found, drawn, labels = {}, {}, {}
    for name in options.sets:
        split = rows_of(name, datasets.source_of(options), options.rows)
        labels[name] = split.y_train
        for method in options.methods:
            maps = [fit(method, split, seed) for seed in SEEDS]
            drawn[name, method] = maps[0]
            found[name, method] = measure(split, maps)
            print(name, method, found[name, method], flush=True)
    print(markdown(table(found)))
    if set(options.methods) == set(METHODS):
        print(save(picture(drawn, labels), options.output))


if __name__ == "__main__":
    main()
