"""Frames: tables of mixed types and counts as their files hold them, and holes made in them.

The table ``FRAMES`` ends the module: name -> function of the data folder (``--data DIR``) and
the file that must be there. Nothing is scaled, encoded or filled: that is a method's business.
Text stays text, numbers stay numbers, missing cells stay missing.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.lib import format as npy
from scipy import sparse
from sklearn.datasets import load_breast_cancer

# MIWAE's (Mattei and Frellsen, 2019) seed of the holes in breast cancer is that of seed 0.
FIRST_SEED_OF_MIWAE = 1234


class Rows(NamedTuple):
    """A table, and the classes of its rows where they are not a column of it."""

    X: pd.DataFrame | np.ndarray | sparse.csr_matrix
    y: np.ndarray | None = None


@dataclass(frozen=True)
class Frame:
    """One line of the table; without a file the rows come with scikit-learn."""

    load: Callable[[Path], Rows]
    file: str | None = None


def available(directory: str | None) -> list[str]:
    """Return the names of the tables that can be read from this folder."""
    return [name for name in FRAMES if _is_there(name, directory)]


def read(name: str, directory: str | None, max_rows: int | None = None, seed: int = 0) -> Rows:
    """Return a table, or ``max_rows`` of its rows drawn by the seed."""
    rows = _read(name, directory)
    if max_rows is None or max_rows >= rows.X.shape[0]:
        return rows
    kept = np.random.default_rng(seed).permutation(rows.X.shape[0])[:max_rows]
    return take(rows, kept)


def take(rows: Rows, positions: np.ndarray) -> Rows:
    """Return some of the rows."""
    X = rows.X.iloc[positions] if isinstance(rows.X, pd.DataFrame) else rows.X[positions]
    return Rows(X, None if rows.y is None else rows.y[positions])


def with_holes(frame: pd.DataFrame, hidden: np.ndarray) -> pd.DataFrame:
    """Return a copy of a frame in which the hidden cells are missing."""
    return frame.mask(hidden)


def hidden_cells(
    name: str, frame: pd.DataFrame, percent: int, seed: int, directory: str | None
) -> np.ndarray:
    """Return which observed cells are to be hidden, (n_rows, n_columns).

    HI-VAE's tables have files for it, of which a seed takes one; elsewhere the seed draws the
    cells: every observed cell alike, but for breast cancer exactly half of all, as MIWAE did.
    """
    if (mask := _mask_file(name, percent, seed, directory)) is not None:
        hidden = np.zeros(_read(name, directory).X.shape, dtype=bool)
        rows, columns = np.loadtxt(mask, delimiter=",", dtype=int, unpack=True) - 1
        hidden[rows, columns] = True
        return hidden[frame.index]  # of capped rows the index still has the number
    if name == "breast_cancer":
        generator = np.random.RandomState(FIRST_SEED_OF_MIWAE + seed)
        hidden = np.zeros(frame.size, dtype=bool)
        hidden[generator.choice(frame.size, frame.size * percent // 100, replace=False)] = True
        return hidden.reshape(frame.shape)
    drawn = np.random.default_rng(seed).random(frame.shape) < percent / 100
    return drawn & frame.notna().to_numpy()


def has_holes(name: str, percent: int, seed: int, directory: str | None) -> bool:
    """Return whether cells can be hidden: HI-VAE's tables have two masks of each percentage."""
    mask = _mask_file(name, percent, seed, directory)
    return mask is None or mask.is_file()


def is_number(column: pd.Series) -> bool:
    """Return whether a column holds numbers; booleans are two categories."""
    dtype = column.dtype
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


@lru_cache(maxsize=1)
def _read(name, directory):
    if not _is_there(name, directory):
        file = FRAMES[name].file
        raise FileNotFoundError(f"table {name!r} needs {file} in the folder given by --data")
    return FRAMES[name].load(Path(directory or ""))


def _is_there(name, directory):
    file = FRAMES[name].file
    return file is None or (directory is not None and (Path(directory) / file).is_file())


def _mask_file(name, percent, seed, directory):
    if not name.startswith("hivae"):
        return None
    return Path(directory) / name / f"Missing{percent}_{seed + 1}.csv"


def _csv(file):
    return lambda folder: Rows(pd.read_csv(folder / file))


def _hivae(name):
    """Return the reader of one of HI-VAE's tables, which states the types of its columns."""

    def load(folder):
        values = pd.read_csv(folder / name / "data.csv", header=None)
        types = pd.read_csv(folder / name / "data_types.csv")["type"]
        values.columns = [f"x{n}" for n in range(values.shape[1])]
        typed = zip(values.items(), types, strict=True)
        return Rows(pd.DataFrame({key: HIVAE_TYPES[kind](column) for (key, column), kind in typed}))

    return load


def _labels(column):
    return column.astype(int).astype(str).astype("category")


def _ordered_labels(column):
    values = column.astype(int)
    order = [str(value) for value in sorted(values.unique())]
    return values.astype(str).astype(pd.CategoricalDtype(order, ordered=True))


HIVAE_TYPES = {
    "real": lambda column: column.astype("float64"),
    "pos": lambda column: column.astype("float64"),
    "count": lambda column: column.astype("int64"),
    "cat": _labels,
    "ordinal": _ordered_labels,
}


def _breast_cancer(folder):
    """Return the measurements with mean zero and deviation one, as MIWAE's experiment has them."""
    X = load_breast_cancer(as_frame=True).data
    return Rows((X - X.mean()) / X.std(ddof=0))


def _words(folder):
    with np.load(folder / "news20_w100.npz") as arrays:
        return Rows(arrays["X"], arrays["y"])


def _counts(name):
    def load(folder):
        X = sparse.load_npz(folder / f"{name}.sparse.npz").tocsr()
        return Rows(X, _stored_labels(folder / f"{name}.labels.npy"))

    return load


class _ArraysOnly(pickle.Unpickler):
    """Reads pickled arrays of text and nothing else: a pickle could run any code."""

    ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype")} | {
        (f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")
    }

    def find_class(self, module, name):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"labels may not hold {module}.{name}")
        return super().find_class(module, name)


def _stored_labels(path):
    with path.open("rb") as file:
        npy.read_magic(file)
        _, _, dtype = npy.read_array_header_1_0(file)
        if dtype.hasobject:
            return _ArraysOnly(file).load().astype(str)
    return np.load(path, allow_pickle=False)


FRAMES = {
    "adult": Frame(_csv("adult.csv.gz"), "adult.csv.gz"),
    "loans": Frame(_csv("loans.csv.gz"), "loans.csv.gz"),
    "hivae_wine": Frame(_hivae("hivae_wine"), "hivae_wine/data.csv"),
    "hivae_spam": Frame(_hivae("hivae_spam"), "hivae_spam/data.csv"),
    "breast_cancer": Frame(_breast_cancer),
    "news20_w100": Frame(_words, "news20_w100.npz"),
    "sc_celseq2": Frame(_counts("sc_celseq2"), "sc_celseq2.sparse.npz"),
    "basehock": Frame(_counts("basehock"), "basehock.sparse.npz"),
}
