"""A tour of the main job: VAETransformer where PCA stands, on digits or on a table of yours.

``python -m benchmarks.demo`` uses scikit-learn's bundled digits; ``--data file.csv`` a table,
whose numeric columns are standardised. It compares held-out error, log-likelihood and
neighbour accuracy at several ``latent_dim`` s, puts a classifier behind either reducer in a
Pipeline, lets GridSearchCV choose ``latent_dim``, prints one table and draws one picture.
"""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from benchmarks.costs import fit_seconds
from benchmarks.datasets import fitting_dims
from benchmarks.figures import save
from benchmarks.metrics import pca_log_densities, squared_error
from benchmarks.picture import picture
from skvae import VAETransformer

LATENT_DIMS = (2, 4, 8, 16, 32)
N_FOLDS = 3
N_ROWS_AT_MOST = 10000
N_CLASSES_AT_MOST = 50


@dataclass
class Data:
    """Training and held-out rows; ``image_shape`` where a row is a picture."""

    name: str
    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray | None
    y_test: np.ndarray | None
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
    accuracy: float | None


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
    data = read_table(options.data, options.target) if options.data else read_digits()
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


def read_table(path: Path, target: str | None) -> Data:
    """Return the numeric columns of a CSV file, standardised on the training rows.

    Columns that are not numeric or mostly missing, and then rows with missing cells, are left
    out, with a message.
    """
    frame = pd.read_csv(path)
    y = None if target is None else _classes(frame, target)
    numeric = _numeric_columns(frame.drop(columns=[] if target is None else target))
    rows = _complete_rows(numeric)
    if len(rows) < 20 or numeric.shape[1] < 4:
        raise SystemExit(
            f"{path.name}: {len(rows)} complete rows of {numeric.shape[1]} numeric columns"
            " are left; the demo needs at least 20 rows of 4 columns"
        )
    data = _halves(path.stem, numeric.to_numpy()[rows], None if y is None else y[rows])
    scaler = StandardScaler().fit(data.X_train)
    data.X_train, data.X_test = map(scaler.transform, (data.X_train, data.X_test))
    return data


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
    if data.y_train is None:
        return {}
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
    if data.y_test is None:
        groups, fields, decimals = (x[:2] + x[3:] for x in (groups, fields, decimals))
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
    if not accuracies:
        print("\nno classes, so no Pipeline with a classifier (--target COLUMN names them)")
        return
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
    if data.y_train is None:
        return None
    neighbours = KNeighborsClassifier(5).fit(model.transform(data.X_train), data.y_train)
    return neighbours.score(model.transform(data.X_test), data.y_test)


def _halves(name, X, y, image_shape=None):
    rows = np.arange(len(X))
    train, test = train_test_split(rows, test_size=0.25, random_state=0)
    y_train, y_test = (None, None) if y is None else (y[train], y[test])
    return Data(name, X[train], X[test], y_train, y_test, image_shape)


def _classes(frame, target):
    if target not in frame:
        raise SystemExit(f"no column {target!r}; there are: {', '.join(map(str, frame.columns))}")
    classes = frame[target].astype("string").fillna("missing").to_numpy(dtype=str)
    n_classes = len(np.unique(classes))
    if n_classes > N_CLASSES_AT_MOST:
        print(f"{target!r} has {n_classes} values, too many for classes: it is not used")
        return None
    return classes


def _numeric_columns(frame):
    numeric = frame.select_dtypes(["number", "bool"]).astype("float64")
    others = frame.columns.difference(numeric.columns, sort=False)
    # One nearly empty column would cost nearly all rows.
    sparse = numeric.columns[numeric.isna().mean() > 0.5]
    for reason, names in (("not numeric", others), ("mostly missing", sparse)):
        if len(names):
            print(f"columns left out, {reason}: {', '.join(map(str, names))}")
    return numeric.drop(columns=sparse)


def _complete_rows(numeric):
    rows = np.flatnonzero(np.isfinite(numeric.to_numpy()).all(axis=1))
    if len(rows) < len(numeric):
        print(f"rows left out, missing cells: {len(numeric) - len(rows)} of {len(numeric)}")
    if len(rows) > N_ROWS_AT_MOST:
        print(f"rows used, drawn at random: {N_ROWS_AT_MOST} of {len(rows)}")
        rows = np.random.default_rng(0).choice(rows, N_ROWS_AT_MOST, replace=False)
    return rows


def _middle(data):
    """Return the latent_dim shown in detail: 8, or the largest below it that fits."""
    return max((k for k in data.latent_dims if k <= 8), default=data.latent_dims[0])


def _n_steps(data):
    n_reducers, n_dims = len(REDUCERS), len(data.latent_dims)
    n_pipelines = 0 if data.y_train is None else n_reducers * len(CLASSIFIERS)
    return n_reducers * n_dims * (1 + N_FOLDS) + n_pipelines


def _options():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FILE.csv", help="a table of your own")
    parser.add_argument("--target", metavar="COLUMN", help="its column of classes, if any")
    parser.add_argument("--output", type=Path, default=Path("demo.png"), help="the picture")
    return parser.parse_args()


if __name__ == "__main__":
    main()
