"""What one process of a group does in the tests: fits its part of every case, tells what it got."""

import hashlib
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import torch
import torch.distributed as dist
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skvae import VAETransformer
from skvae.model.networks import MLP
from skvae.training.annealing import Metropolis
from tests.samples import curve

N = 400
SMALL = {"architecture": MLP(hidden_layer_sizes=(16, 16)), "max_iter": 3, "random_state": 0}


def matrix():
    return curve(N, 6)


def table(library=pd):
    X, rng = matrix(), np.random.default_rng(1)
    columns = {f"x{j}": X[:, j] for j in range(3)} | {
        "level": np.where(X[:, 0] > 0, "high", "low").astype(object),
        "whole": rng.integers(0, 9, N),
    }
    columns["x0"] = np.where(rng.random(N) < 0.2, np.nan, columns["x0"])
    columns["level"][N - 3] = "rare"  # which one process alone has
    frame = pd.DataFrame(columns).astype({"level": "str"})
    return frame if library is pd else pl.from_pandas(frame)


def categories():
    """A frame whose categories every process knows only so far as its own rows have them."""
    return table().astype({"level": "category"})


def zeros():
    X = np.maximum(matrix() - 1.0, 0.0)
    return sparse.csr_array(X)


def weights():
    return np.random.default_rng(2).uniform(0.0, 2.0, N).round(1)


# The rows of a case, its parameters, and how many cells all processes know.
CASES = {
    "matrix": (matrix, {}, 2**24),
    "matrix, a sample known": (lambda: curve(4000, 6), {}, 2500 * 6),
    "table": (table, {}, 2**24),
    "table, a sample known": (
        lambda: pd.concat([table()] * 10, ignore_index=True), {}, 2500 * 5,
    ),
    "polars": (lambda: table(pl), {}, 2**24),
    "categories": (categories, {}, 2**24),
    "sparse": (zeros, {}, 2**24),
    "iwae, vamp": (matrix, {"objective": "iwae", "prior": "vamp"}, 2**24),
    "autoencoder": (matrix, {"objective": "autoencoder"}, 2**24),
    "dropout": (matrix, {"architecture": MLP(hidden_layer_sizes=(16,), dropout=0.2)}, 2**24),
    "restarts": (matrix, {"n_init": 2, "optimizer": "muon"}, 2**24),
    "metropolis": (matrix, {"annealing": Metropolis(n_proposals=2, n_steps=5)}, 2**24),
    "float64": (lambda: matrix().astype(np.float32), {"precision": "float64"}, 2**24),
    "last passes": (matrix, {"max_iter": 30}, 2**24),
    "last passes, a sample known": (lambda: curve(4000, 6), {"max_iter": 30}, 2500 * 6),
}  # fmt: skip
# A training that ends soon and is accepted, and last passes that are kept.
SOON = {
    "check_steps": 4, "min_steps": 8, "min_calm_steps": 8, "patience": 1, "small_patience": 1,
    "tolerance": 1e9, "fall_share": 0.1, "n_standard_errors": -1e9, "last_tolerance": 1e9,
}  # fmt: skip


def of_rows(X, own):
    """Some rows of a table."""
    if isinstance(X, pd.DataFrame):
        some = X.iloc[own]
        is_category = "level" in some and isinstance(some["level"].dtype, pd.CategoricalDtype)
        if is_category:
            some = some.assign(level=some["level"].cat.remove_unused_categories())
        return some
    return X[own]


def parts(n, rank, size, layout):
    """The rows of a process: even shares, uneven ones, or none for the last."""
    if layout == "even":
        return np.array_split(np.arange(n), size)[rank]
    cuts = {"uneven": [n // 7], "one has none": [n]}[layout]
    cuts += [n] * (size - 2)
    return np.split(np.arange(n), sorted(cuts)[: size - 1])[rank]


def sha(vae):
    """A hash of all weights of a model."""
    found = hashlib.sha256()
    for name, array in sorted(vae._model.weights.items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def fitted(name, rank, size, mode, layout="even"):
    make, parameters, known_cells = CASES[name]
    X = make()
    own = parts(X.shape[0], rank, size, layout)
    vae = VAETransformer(
        latent_dim=2, distributed="auto", deterministic=mode == "det", **(SMALL | parameters)
    )
    more = SOON if name.startswith("last passes") else {}
    vae.limits = replace(VAETransformer.limits, known_cells=known_cells, few_rows=0, **more)
    weight = weights()[own] if name == "matrix" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        vae.fit(of_rows(X, own), sample_weight=weight)
    return vae, X


def told(vae, X):
    """What a test compares."""
    return {
        "sha": sha(vae),
        "score": vae.score(X),
        "kept": vae.kept_,
        "pca_score": vae.pca_score_,
        "n_samples": vae.n_samples_,
        "n_iter": vae.n_iter_,
        "n_last": vae.n_iter_ - int(vae.history_["n_pass"][-1]),
        "variances": np.asarray(vae._model.start.code_unit).tolist(),
        "losses": vae.loss_curve_,
    }


def refusal(work):
    """What an error of one process says."""
    try:
        work()
    except (ValueError, TypeError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def refusals(rank, size):
    """What processes are told that do not fit together, by the reason."""
    X, own = matrix(), parts(N, rank, size, "even")
    odd = rank == size - 1
    frame = table().iloc[own]

    def fit(rows, weight=None, limits=VAETransformer.limits, **parameters):
        vae = VAETransformer(distributed="auto", **(SMALL | parameters))
        vae.limits = limits
        return refusal(lambda: vae.fit(rows, sample_weight=weight))

    def warm(is_fitted):
        vae = VAETransformer(warm_start=True, **SMALL)
        if is_fitted:
            vae.fit(X)
        return refusal(lambda: vae.set_params(distributed="auto").fit(X[own]))

    infinite = X[own].copy()
    infinite[0, 1] = np.inf if odd else 0.0
    return {
        "parameter": fit(X[own], beta=2.0 if odd else 1.0),
        "bad parameter": fit(X[own], beta=-1.0 if odd else 1.0),
        "number of columns": fit(X[own][:, : 3 if odd else 6]),
        "names": fit(frame.rename(columns={"x1": "y"}) if odd else frame),
        "dtype": fit(frame.astype({"whole": "float64"}) if odd else frame),
        "kind": fit(X[own] if odd else frame),
        "infinite": fit(infinite),
        "seeds": fit(X[own], random_state=rank),
        "source of seeds": fit(X[own], random_state=np.random.RandomState(0) if odd else 0),
        "weights": fit(X[own], np.ones(len(own) + (1 if odd else -1))),
        "device": fit(X[own], device="nowhere" if odd else "cpu"),
        "limits": fit(X[own], limits=replace(VAETransformer.limits, patience=2 + odd)),
        "warm start": warm(is_fitted=odd),
        "nothing": fit(X[own], architecture=lambda n_in, n_out: torch.nn.Linear(n_in, n_out)),
    }


def found(mode, *names):
    """What a process of a group has of cases, by their names."""
    rank, size = dist.get_rank(), dist.get_world_size()
    answers = {}
    for name in names:
        if name == "refusals":
            answers[name] = refusals(rank, size)
            continue
        case, _, layout = name.partition("/")
        answers[name] = told(*fitted(case, rank, size, mode, layout or "even"))
    return answers
