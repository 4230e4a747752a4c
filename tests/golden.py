"""What fits answer, to the bit: recorded before a change of the code, compared after it.

    python -m tests.golden record golden.npz
    python -m tests.golden check golden.npz

Bits are those of one machine and one set of packages, so the file is not kept: it is recorded on
the machine on which the change is made. Where bits differ, the table says by how much.
"""

import argparse
import hashlib
import sys
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.datasets import load_digits

import skvae
from skvae import MLP, Limits, VAETransformer

TINY = MLP(hidden_layer_sizes=(32,))
N_ROWS, N_PASSES = 600, 12


def digits() -> np.ndarray:
    return load_digits().data[:N_ROWS]


def with_gaps() -> np.ndarray:
    X = digits()[:, 10:40].copy()
    X[np.random.RandomState(1).random_sample(X.shape) < 0.1] = np.nan
    return X


def mixed(n_rows: int = N_ROWS) -> pd.DataFrame:
    """Numbers, counts, booleans, text and an order, with gaps, that depend on two factors."""
    rng = np.random.RandomState(0)
    z = rng.standard_normal((n_rows, 2))
    levels = np.digitize(z[:, 1] + 0.3 * rng.standard_normal(n_rows), [-1.0, 0.0, 1.2])
    frame = pd.DataFrame(
        {
            "height": 170 + 8 * z[:, 0] + rng.standard_normal(n_rows),
            "curve": z[:, 0] ** 2 + 0.1 * rng.standard_normal(n_rows),
            "visits": rng.poisson(np.exp(0.8 * z[:, 1])),
            "member": z[:, 0] + 0.5 * rng.standard_normal(n_rows) > 0.4,
            "city": np.array(["Bern", "Oslo", "Rome", "Wien"], dtype=object)[levels],
            "size": pd.Categorical.from_codes(np.clip(levels, 0, 2), ["s", "m", "l"], ordered=True),
            "constant": 3.0,
        }
    )
    frame.loc[rng.random_sample(n_rows) < 0.1, "height"] = np.nan
    frame.loc[rng.random_sample(n_rows) < 0.1, "city"] = None
    return frame


def counts() -> sparse.csr_array:
    rng = np.random.RandomState(2)
    rate = np.exp(rng.standard_normal((N_ROWS, 2)) @ rng.standard_normal((2, 20)) - 1)
    return sparse.csr_array(rng.poisson(rate).astype(float))


def units_apart() -> np.ndarray:
    rng = np.random.RandomState(3)
    X = np.exp(rng.standard_normal((N_ROWS, 2)) @ rng.standard_normal((2, 8)))
    return X * np.logspace(-3, 3, 8)


def unit_interval() -> np.ndarray:
    return digits()[:, 18:30] / 16.0


def weights() -> np.ndarray:
    return 0.1 + np.random.RandomState(4).random_sample(N_ROWS)


DATA: dict[str, Callable] = {
    "digits": digits,
    "single": lambda: digits().astype(np.float32),
    "frame": lambda: pd.DataFrame(digits(), columns=[f"p{n}" for n in range(64)]),
    "sparse": lambda: sparse.csr_array(digits()),
    "wide": lambda: digits()[:40],
    "gaps": with_gaps,
    "mixed": mixed,
    "counts": counts,
    "units": units_apart,
    "interval": unit_interval,
    "all digits": lambda: load_digits().data,
    "all mixed": lambda: mixed(1500),
    "binary": lambda: np.round(unit_interval()),
}

# Data, options, how it is fitted.
SETTINGS: dict[str, tuple[str, dict, str]] = {
    "dense": ("digits", {}, "fit"),
    "single precision rows": ("single", {}, "fit"),
    "numeric frame": ("frame", {}, "fit"),
    "sparse": ("sparse", {}, "fit"),
    "wide": ("wide", {"max_iter": 60}, "fit"),
    "gaps": ("gaps", {"max_iter": 40}, "fit"),
    "mixed": ("mixed", {}, "fit"),
    "weights": ("digits", {}, "weights"),
    "weights, mixed": ("mixed", {}, "weights"),
    "linear start": ("digits", {"max_iter": 0}, "fit"),
    "linear start, mixed": ("mixed", {"max_iter": 0}, "fit"),
    "double precision": ("digits", {"precision": "float64"}, "fit"),
    "half precision": ("digits", {"precision": "bfloat16"}, "fit"),
    "random start": ("digits", {"init": "random", "max_iter": 40}, "fit"),
    "convolutions": ("digits", {"architecture": "conv", "max_iter": 8}, "fit"),
    "linear architecture": ("digits", {"architecture": "linear"}, "fit"),
    "dropout": ("digits", {"architecture": MLP(hidden_layer_sizes=(32,), dropout=0.1)}, "fit"),
    "batch normalization": (
        "digits", {"architecture": MLP(hidden_layer_sizes=(32,), normalization="batch")}, "fit",
    ),
    **{f"objective {name}": ("digits", {"objective": name}, "fit")
       for name in ("iwae", "tc", "mmd", "autoencoder", "denoising")},
    **{f"objective {name}, mixed": ("mixed", {"objective": name}, "fit")
       for name in ("iwae", "tc", "mmd", "autoencoder", "denoising")},
    **{f"prior {name}": ("digits", {"prior": name}, "fit")
       for name in ("mixture", "vamp", "ex_post")},
    **{f"prior {name}, mixed": ("mixed", {"prior": name}, "fit")
       for name in ("mixture", "vamp", "ex_post")},
    **{f"annealing {name}": ("digits", {"annealing": name, "max_iter": 40}, "fit")
       for name in ("metropolis", "langevin", "randomwalk")},
    **{f"schedule {name}": ("digits", {"kl_schedule": name}, "fit")
       for name in ("linear", "sigmoid", "cyclical")},
    **{f"optimizer {name}": ("digits", {"optimizer": name, "max_iter": 30}, "fit")
       for name in ("adam", "sgd", "rmsprop", "muon")},
    "likelihood poisson": ("counts", {"likelihood": "poisson"}, "fit"),
    "likelihood negative_binomial": ("counts", {"likelihood": "negative_binomial"}, "fit"),
    "likelihood lognormal": ("units", {"likelihood": "lognormal", "max_iter": 40}, "fit"),
    "likelihood student_t": ("units", {"likelihood": "student_t"}, "fit"),
    "likelihood gaussian_diag": ("units", {"likelihood": "gaussian_diag"}, "fit"),
    "likelihood continuous_bernoulli": (
        "interval", {"likelihood": "continuous_bernoulli", "max_iter": 40}, "fit",
    ),
    "likelihood bernoulli": ("binary", {"likelihood": "bernoulli", "max_iter": 40}, "fit"),
    "restarts": ("digits", {"n_init": 2}, "fit"),
    "warm start": ("digits", {"warm_start": True}, "twice"),
    "warm start, mixed": ("mixed", {"warm_start": True}, "twice"),
    "batches": ("all digits", {}, "batches"),
    "batches, mixed": ("all mixed", {}, "batches"),
    "batches after a fit": ("all digits", {}, "fit, then batches"),
    "chosen number of codes": ("digits", {"latent_dim": "auto", "max_iter": 60}, "fit"),
    "share of the variance": ("digits", {"latent_dim": 0.6, "max_iter": 40}, "fit"),
    "whitened": ("digits", {"whiten": True}, "fit"),
    "streamed": ("digits", {}, "streamed fit"),
    "streamed, mixed": ("mixed", {}, "streamed fit"),
    "fixed number of passes": ("digits", {"early_stopping": False}, "fit"),
}  # fmt: skip


class Streamed(VAETransformer):
    """Makes its rows when they are asked for, as of matrices that are too large to be held."""

    limits = Limits(held_bytes=0)


def fitted(name: str) -> tuple[VAETransformer, object]:
    """An estimator fitted in one of the settings, and its rows."""
    data, options, how = SETTINGS[name]
    X = DATA[data]()
    defaults = {"latent_dim": 3, "architecture": TINY, "max_iter": N_PASSES, "random_state": 0}
    vae = (Streamed if "streamed" in how else VAETransformer)(**defaults | options)
    if "fit" in how or how in ("weights", "twice"):
        vae.fit(X, sample_weight=weights() if how == "weights" else None)
    if how == "twice":
        vae.fit(X)
    if "batches" in how:
        for rows in np.array_split(np.arange(X.shape[0]), 8):
            vae.partial_fit(X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows])
    return vae, X


def answers(name: str) -> Iterator[tuple[str, np.ndarray]]:
    """All that an estimator says, in arrays by name."""
    vae, X = fitted(name)
    for attribute, value in sorted(vars(vae).items()):
        # Seconds are no answer; a restart of one is nothing but the bound.
        if attribute.endswith("_") and attribute not in ("history_", "restarts_", "prior_"):
            array = np.asarray(value)
            yield attribute, array.astype(str) if array.dtype.kind == "O" else array
    yield "codes", vae.transform(X)
    yield "codes of some rows", vae.transform(X[:7])
    yield "posterior", np.concatenate(vae.encode(X), 1)
    yield "rows", cells(vae.inverse_transform(vae.transform(X)))
    yield "scores", vae.score_samples(X)
    yield "sample", cells(vae.sample(50, random_state=0))
    yield "loadings", cells(vae.loadings())
    found = vae.diagnostics(X)
    yield "diagnostics", np.concatenate([np.ravel(value) for value in found.values()])
    if not sparse.issparse(X):
        holed = X.copy()
        if isinstance(holed, pd.DataFrame):
            holed.iloc[::3, 0] = np.nan
        else:
            holed[::3, 0] = np.nan
        yield "imputed", cells(vae.impute(holed))
        yield "drawn", cells(vae.impute(holed[:50], n_draws=2, random_state=0)[1])
        yield "codes with gaps", vae.transform(holed)
        yield "scores with gaps", vae.score_samples(holed)


def cells(table) -> np.ndarray:
    """A table as numbers: levels as their codes."""
    if not isinstance(table, pd.DataFrame):
        return np.asarray(table)
    columns = [
        column if column.dtype.kind in "iufb" else pd.factorize(column, sort=True)[0]
        for _, column in table.items()
    ]
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def all_answers(chosen: list[str]) -> dict[str, np.ndarray]:
    found = {}
    for name in chosen:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for answer, array in answers(name):
                found[f"{name}: {answer}"] = array
        print(f"{name:34} kept {found[f'{name}: kept_']}", flush=True)
    return found


def digest(array: np.ndarray) -> str:
    """Of dtype, shape and bits, where not a number is one."""
    return hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()


def difference(before: np.ndarray, after: np.ndarray) -> str:
    """How far arrays are apart, relative to the largest number."""
    if before.shape != after.shape or before.dtype.kind not in "iufb":
        return f"{before.dtype}{before.shape} before, {after.dtype}{after.shape} after"
    size = max(float(np.nanmax(np.abs(before), initial=0.0)), 1e-300)
    apart = np.abs(before.astype(float) - after.astype(float))
    dtypes = "" if before.dtype == after.dtype else f", {before.dtype} before, {after.dtype} after"
    return f"differs by up to {np.nanmax(apart, initial=0.0) / size:.1e} of the largest{dtypes}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["record", "check"])
    parser.add_argument("file")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"skvae {skvae.__version__}, torch {torch.__version__}, numpy {np.__version__}")
    found = all_answers(given.settings)
    if given.task == "record":
        np.savez(given.file, **found)
        return 0
    with np.load(given.file) as before:
        known = {key: before[key] for key in found if key in before}
    for key in found.keys() - known.keys():
        print(f"{key}: was not recorded")
    differing = [key for key in known if digest(known[key]) != digest(found[key])]
    for key in differing:
        print(f"{key}: {difference(known[key], found[key])}")
    print(f"{len(known) - len(differing)} of {len(known)} answers are the same to the bit")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
