"""Data sets: where the rows come from, how they are scaled, how they are split.

The table ``DATASETS`` ends the module. scikit-learn's bundled sets are always there; the
others are read from a folder (``--data DIR``, the files named in the table) or, where the
table gives an id and the user asks with ``--openml``, fetched from OpenML.

Preprocessing is part of a data set, is learned on the training rows only, and is the same for
every method (``SCALINGS``): pixels are divided by their largest value, tables in mixed units
are standardised, counts become log(1 + count), and columns that share a unit stay as they are.

Splits: 80 % of the rows, drawn by the seed, are for training; MNIST keeps its own 60000/10000.
A data set with ``max_train_rows`` is cut to that many training rows and half as many test
rows, drawn by the seed, so that five seeds at six ``latent_dim`` s stay affordable
(only donors: 20000 + 10000 of 619326 rows); ``--full`` lifts the cap.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn import datasets as bundled
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

LATENT_DIMS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Source:
    """Where rows may come from besides scikit-learn: a folder, OpenML, both or neither."""

    directory: str | None = None
    openml: bool = False


@dataclass(frozen=True)
class Dataset:
    """One line of the table: exactly one of ``load`` and ``file``, and what holds for its rows.

    ``labelled`` says that y holds classes; targets of regressions are not used.
    """

    scaling: str
    load: Callable | None = None
    file: str | None = None
    openml_id: int | None = None
    labelled: bool = True
    dtype: str = "float64"
    max_train_rows: int | None = None


def add_source(parser: ArgumentParser) -> None:
    """Add the options that say where rows may come from; only a person gives them."""
    parser.add_argument("--data", metavar="DIR", help="folder with the files of data sets")
    parser.add_argument("--openml", action="store_true", help="fetch what --data lacks")


def source_of(options: Namespace) -> Source:
    """Return what these options say."""
    return Source(options.data, options.openml)


class Table(NamedTuple):
    """Rows before the split; the first ``n_fixed_train`` are the training rows if it is set."""

    X: np.ndarray | sparse.csr_matrix
    y: np.ndarray | None
    n_fixed_train: int | None = None


class Split(NamedTuple):
    """Scaled training and test rows; labels are None where there are no classes."""

    X_train: np.ndarray | sparse.csr_matrix
    X_test: np.ndarray | sparse.csr_matrix
    y_train: np.ndarray | None
    y_test: np.ndarray | None


def available(source: Source) -> list[str]:
    """Return the names of the data sets that can be read from this source."""
    return [name for name, dataset in DATASETS.items() if _origin(dataset, source)]


@lru_cache(maxsize=1)
def read(name: str, source: Source) -> Table:
    """Return the rows of a data set, as they are stored."""
    dataset = DATASETS[name]
    origin = _origin(dataset, source)
    if origin is None:
        raise FileNotFoundError(
            f"data set {name!r} needs the file {dataset.file} in the folder given by --data"
            + (", or --openml and a network" if dataset.openml_id else "")
        )
    table = ORIGINS[origin](dataset, source)
    return table._replace(y=_classes(table.y) if dataset.labelled else None)


@lru_cache(maxsize=2)
def split(name: str, source: Source, seed: int, max_train_rows: int | None = None) -> Split:
    """Return scaled training and test rows of a data set for one seed; not to be written to."""
    dataset, table = DATASETS[name], read(name, source)
    train, test = _split_rows(table, seed)
    if max_train_rows is not None:
        train, test = train[:max_train_rows], test[: max(1, max_train_rows // 2)]
    X_train, X_test = (table.X[rows].astype(dataset.dtype) for rows in (train, test))
    y_train, y_test = (None if table.y is None else table.y[rows] for rows in (train, test))
    return Split(*SCALINGS[dataset.scaling](X_train, X_test), y_train, y_test)


def fitting_dims(X, latent_dims: Iterable[int] = LATENT_DIMS) -> list[int]:
    """Return the ``latent_dims`` that lie strictly below the rank of the centred rows.

    At the rank PCA is exact, and a ratio to its error means nothing.
    """
    limit = rank(X)
    return [k for k in latent_dims if k < limit]


def rank(X) -> int:
    """Return how many directions hold more than 1e-10 of the variance of the rows.

    Up to 256 columns or rows it is exact; above, where no ``latent_dim`` of the benchmark comes
    near it, it is the bound min(n - 1, number of columns that vary).
    """
    if sparse.issparse(X):
        varying = len(np.unique(X.indices))
        return min(X.shape[0] - 1, varying)
    bound = min(len(X) - 1, int(np.sum(X.max(axis=0) > X.min(axis=0))))
    if bound > 256:
        return bound
    centred = X - X.mean(axis=0, dtype="float64")
    gram = centred.T @ centred if X.shape[1] <= len(X) else centred @ centred.T
    return int(np.sum(np.linalg.eigvalsh(gram) > 1e-10 * np.trace(gram)))


def _origin(dataset, source):
    """Return the name in ORIGINS that can serve this data set, None if there is none."""
    if dataset.load is not None:
        return "scikit-learn"
    if source.directory and (Path(source.directory) / dataset.file).is_file():
        return "file"
    return "openml" if source.openml and dataset.openml_id else None


def _from_scikit_learn(dataset, source):
    return Table(*dataset.load(return_X_y=True))


def _from_file(dataset, source):
    path = Path(source.directory) / dataset.file
    if dataset.file.endswith(".sparse.npz"):
        labels = path.with_name(dataset.file.replace(".sparse.npz", ".labels.npy"))
        return Table(sparse.load_npz(path).tocsr(), _plain_labels(labels))
    with np.load(path) as arrays:
        if "X_train" not in arrays:
            return Table(arrays["X"], arrays["y"])
        X = np.concatenate([arrays["X_train"], arrays["X_test"]])
        y = np.concatenate([arrays["y_train"], arrays["y_test"]])
        return Table(X, y, n_fixed_train=len(arrays["X_train"]))


def _from_openml(dataset, source):
    X, y = bundled.fetch_openml(
        data_id=dataset.openml_id, return_X_y=True, as_frame=False, parser="auto"
    )
    return Table(X, y, n_fixed_train=60000 if dataset.file == "mnist.npz" else None)


def _plain_labels(path):
    """Return labels, None where there are none or only pickled ones, which may run code."""
    try:
        return np.load(path, allow_pickle=False)
    except (FileNotFoundError, ValueError):
        return None


def _classes(y):
    return None if y is None else np.unique(y, return_inverse=True)[1]


def _split_rows(table, seed):
    if table.n_fixed_train is None:
        return train_test_split(np.arange(table.X.shape[0]), test_size=0.2, random_state=seed)
    rng = np.random.default_rng(seed)
    n_rows = table.X.shape[0]
    return (
        rng.permutation(table.n_fixed_train),
        table.n_fixed_train + rng.permutation(n_rows - table.n_fixed_train),
    )


def _as_given(X_train, X_test):
    return X_train, X_test


def _divided_by(largest):
    return lambda X_train, X_test: (X_train / largest, X_test / largest)


def _standardised(X_train, X_test):
    scaler = StandardScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test)


def _log_counts(X_train, X_test):
    return X_train.log1p(), X_test.log1p()


SCALINGS = {
    "as given": _as_given,
    "pixels / 255": _divided_by(255),
    "pixels / 16": _divided_by(16),
    "standardised": _standardised,
    "log(1 + count)": _log_counts,
}

ORIGINS = {"scikit-learn": _from_scikit_learn, "file": _from_file, "openml": _from_openml}

DATASETS = {
    "iris": Dataset("as given", bundled.load_iris),
    "wine": Dataset("standardised", bundled.load_wine),
    "breast_cancer": Dataset("standardised", bundled.load_breast_cancer),
    "diabetes": Dataset("as given", bundled.load_diabetes, labelled=False),
    "linnerud": Dataset("standardised", bundled.load_linnerud, labelled=False),
    "digits": Dataset("pixels / 16", bundled.load_digits),
    "mnist": Dataset("pixels / 255", file="mnist.npz", openml_id=554, dtype="float32"),
    "cifar10": Dataset("pixels / 255", file="cifar10.npz", openml_id=40926, dtype="float32"),
    "usps": Dataset("pixels / 255", file="usps.npz", dtype="float32"),
    "coil20": Dataset("pixels / 255", file="coil20.npz", dtype="float32"),
    "isolet": Dataset("as given", file="isolet.npz", openml_id=300),
    "spoken_digits": Dataset("as given", file="spoken_digits.npz", dtype="float32"),
    "elevators": Dataset("standardised", file="elevators.npz", openml_id=216, labelled=False),
    "pol": Dataset("standardised", file="pol.npz", openml_id=201, labelled=False),
    "bike": Dataset("standardised", file="bike.npz", labelled=False),
    "donors": Dataset("standardised", file="donors.npz", max_train_rows=20000),
    "tox171": Dataset("standardised", file="tox171.npz"),
    "news20_w100": Dataset("as given", file="news20_w100.npz"),
    "basehock": Dataset("log(1 + count)", file="basehock.sparse.npz"),
    "sc_celseq2": Dataset("log(1 + count)", file="sc_celseq2.sparse.npz"),
}
