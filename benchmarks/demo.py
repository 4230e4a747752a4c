"""A tour of the main job: VAETransformer where PCA stands, on scikit-learn's bundled digits.

It compares held-out error, log-likelihood and neighbour accuracy at several ``latent_dim`` s,
puts a classifier behind either reducer in a Pipeline, lets GridSearchCV choose ``latent_dim``,
prints one table and draws one picture. A table of your own is what ``skvae report`` is for.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from benchmarks.costs import fit_seconds
from benchmarks.datasets import fitting_dims
from benchmarks.figures import save
from benchmarks.metrics import pca_log_densities, squared_error
from benchmarks.picture import picture
from skvae import VAETransformer

LATENT_DIMS = (2, 4, 8, 16, 32)
N_FOLDS = 3


@dataclass
class Data:
    """Training and held-out rows; ``image_shape`` where a row is a picture."""

    name: str
    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray
    image_shape: tuple[int, int] | None = None
    latent_dims: list[int] = field(init=False)

    def __post_init__(self):
        self.latent_dims = fitting_dims(self.X_train, LATENT_DIMS)


@dataclass
class Result:
    """What one reducer does at one latent_dim."""

    model: Any
    seconds: float
    mse: float
    log_likelihood: float
    accuracy: float


def pca(latent_dim):
    return PCA(latent_dim, random_state=0)


def vae(latent_dim):
    return VAETransformer(latent_dim, random_state=0)


# name -> (how it is built, what GridSearchCV calls the number of codes)
REDUCERS = {"PCA": (pca, "n_components"), "VAETransformer": (vae, "latent_dim")}

CLASSIFIERS = {
    "5 nearest neighbours": lambda: KNeighborsClassifier(5),
    "logistic regression": lambda: LogisticRegression(max_iter=2000),
}


def main() -> None:
    """Run the tour with the options of the command line."""
    options = _options()
    data = read_digits()
    start = perf_counter()
    n_fit, n_columns = data.X_train.shape
    print(f"{data.name}: {n_fit} rows to fit, {len(data.X_test)} held out, {n_columns} columns\n")
    with tqdm(total=_n_steps(data), unit="fit", leave=False) as progress:
        results = compare(data, progress)
        pipelines = classify(data, progress)
        searches = search(data, progress)
    print_comparison(data, results)
    print_pipelines(data, pipelines)
    print_searches(data, searches)
    save(picture(data, results, _middle(data)), options.output)
    print(f"picture: {options.output}   ({perf_counter() - start:.0f} s in all)")


def read_digits() -> Data:
    """Return scikit-learn's 8x8 digits, pixels in [0, 1]."""
    X, y = load_digits(return_X_y=True)
    return _halves("digits", X / 16, y, image_shape=(8, 8))


def compare(data: Data, progress) -> dict[tuple[str, int], Result]:
    """Return the result of every reducer at every latent_dim."""
    results = {}
    for latent_dim in data.latent_dims:
        for name, (build, _) in REDUCERS.items():
            progress.set_description(f"{name}({latent_dim})")
            results[name, latent_dim] = _result(build(latent_dim), data)
            progress.update()
    return results


def classify(data: Data, progress) -> dict[tuple[str, str], float]:
    """Return the held-out accuracy of a Pipeline of either reducer with each classifier."""
    accuracies = {}
    for classifier, build_classifier in CLASSIFIERS.items():
        for name, (build, _) in REDUCERS.items():
            progress.set_description(f"Pipeline: {name}, {classifier}")
            steps = [("reduce", build(_middle(data))), ("classify", build_classifier())]
            pipeline = Pipeline(steps).fit(data.X_train, data.y_train)
            accuracies[name, classifier] = pipeline.score(data.X_test, data.y_test)
            progress.update()
    return accuracies


def search(data: Data, progress) -> dict[str, GridSearchCV]:
    """Return searches over latent_dim by the score of either, the log-likelihood."""
    searches = {}
    for name, (build, parameter) in REDUCERS.items():
        progress.set_description(f"GridSearchCV: {name}")
        grid = {parameter: data.latent_dims}
        searches[name] = GridSearchCV(build(2), grid, cv=N_FOLDS).fit(data.X_train)
        progress.update(N_FOLDS * len(data.latent_dims))
    return searches


def print_comparison(data: Data, results) -> None:
    """Print held-out figures of both reducers, a line per latent_dim."""
    groups = ["squared error", "nats per row", "5-NN accuracy", "seconds to fit"]
    fields = ["mse", "log_likelihood", "accuracy", "seconds"]
    decimals = [5, 2, 3, 2]
    print("held out    " + "".join(f"{group:>23s}" for group in groups) + "   error")
    print("latent_dim  " + f"{'PCA':>13s}{'VAE':>10s}" * len(groups) + "   VAE/PCA")
    for latent_dim in data.latent_dims:
        pair = [results[name, latent_dim] for name in REDUCERS]
        cells = (
            f"{getattr(pair[0], name):13.{n}f}{getattr(pair[1], name):10.{n}f}"
            for name, n in zip(fields, decimals, strict=True)
        )
        print(f"{latent_dim:10d}  {''.join(cells)}{pair[1].mse / pair[0].mse:10.2f}")


def print_pipelines(data: Data, accuracies) -> None:
    """Print the held-out accuracy of the pipelines, a line per classifier."""
    print(f"\n{f'Pipeline, latent_dim {_middle(data)}: accuracy':44s}{'PCA':>13s}{'VAE':>10s}")
    for classifier in CLASSIFIERS:
        a, b = (accuracies[name, classifier] for name in REDUCERS)
        print(f"  reducer, {classifier:33s}{a:13.3f}{b:10.3f}")


def print_searches(data: Data, searches) -> None:
    """Print the cross-validated score of every latent_dim, and which is chosen."""
    title = f"GridSearchCV, {N_FOLDS} folds: nats per row, latent_dim ="
    print(f"\n{title:48s}" + "".join(f"{k:9d}" for k in data.latent_dims) + "   chosen")
    for name, found in searches.items():
        scores = "".join(f"{score:9.2f}" for score in found.cv_results_["mean_test_score"])
        (chosen,) = found.best_params_.values()
        print(f"  {name:46s}{scores}{chosen:9d}")
    print()


def _result(model, data):
    seconds = fit_seconds(model, data.X_train)
    is_pca = isinstance(model, PCA)
    densities = pca_log_densities(model, data.X_test) if is_pca else None
    score = np.mean(densities) if is_pca else model.score(data.X_test)
    mse = squared_error(model, data.X_test)
    return Result(model, seconds, mse, float(score), _neighbour_accuracy(model, data))


def _neighbour_accuracy(model, data):
    neighbours = KNeighborsClassifier(5).fit(model.transform(data.X_train), data.y_train)
    return neighbours.score(model.transform(data.X_test), data.y_test)


def _halves(name, X, y, image_shape=None):
    rows = np.arange(len(X))
    train, test = train_test_split(rows, test_size=0.25, random_state=0)
    return Data(name, X[train], X[test], y[train], y[test], image_shape)


def _middle(data):
    """Return the latent_dim shown in detail: 8, or the largest below it that fits."""
    return max((k for k in data.latent_dims if k <= 8), default=data.latent_dims[0])


def _n_steps(data):
    n_reducers, n_dims = len(REDUCERS), len(data.latent_dims)
    return n_reducers * (n_dims * (1 + N_FOLDS) + len(CLASSIFIERS))


def _options():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo.png"), help="the picture")
    return parser.parse_args()


if __name__ == "__main__":
    main()
