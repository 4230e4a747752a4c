"""Experiments behind the defaults: one choice changed at a time, paired over data sets and seeds.

A variant changes arguments of the estimator, or constants of a module of skvae ("module.NAME").
Every variant sees the same rows and seeds as the default; the table gives the geometric mean of
held-out squared error relative to PCA, and of its ratio to the default's with the number of
trials won, the mean gain of log-likelihood over PCA, and relative seconds.
"""

import importlib
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm

from benchmarks import datasets
from benchmarks.metrics import squared_error
from skvae import MLP, AdamW, Elbo, VAETransformer

CASES = (
    ("iris", 2), ("wine", 2), ("diabetes", 4), ("breast_cancer", 4), ("digits", 8),
    ("isolet", 8), ("usps", 16), ("bike", 8), ("elevators", 4), ("pol", 8),
    ("donors", 4), ("mnist", 16), ("coil20", 64), ("mnist", 2), ("spoken_digits", 16),
)  # fmt: skip


def run(
    names: list[str],
    seeds: list[int],
    max_rows: int,
    source: datasets.Source,
    path: Path,
    only: list[str] | None = None,
) -> None:
    """Run experiments by name, append a JSON line per fit and print a table for each.

    On all the data sets that there are, or on those named alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = only or datasets.available(source)
    cases = [case for case in CASES if case[0] in wanted]
    for name in names:
        results = {"default": {}} | {variant: {} for variant in EXPERIMENTS[name]}
        tasks = [(*case, seed, max_rows) for case in cases for seed in seeds]
        with path.open("a") as lines:
            for task in tqdm(tasks, desc=name):
                for variant in results:
                    result = measure(*task, EXPERIMENTS[name].get(variant, {}), source)
                    results[variant][task] = result
                    record = {"experiment": name, "variant": variant, "task": task} | result
                    lines.write(json.dumps(record) + "\n")
                    lines.flush()
        print(f"\n{name}\n{table(results)}")


def measure(dataset: str, latent_dim: int, seed: int, max_rows: int, changes: dict, source) -> dict:
    """Fit one variant; errors and likelihoods on held-out rows."""
    split = datasets.split(dataset, source, seed, max_rows)
    pca = PCA(latent_dim).fit(split.X_train)
    arguments = {key: value for key, value in changes.items() if "." not in key}
    with changed({key: value for key, value in changes.items() if "." in key}):
        model = VAETransformer(latent_dim, random_state=seed, **arguments)
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(split.X_train)
        seconds = time.perf_counter() - start
        return {
            "ratio": squared_error(model, split.X_test) / squared_error(pca, split.X_test),
            "gain": model.score(split.X_test) - pca.score(split.X_test),
            "seconds": seconds,
            "kept": model.kept_,
            "n_iter": model.n_iter_,
        }


@contextmanager
def changed(constants: dict) -> Iterator[None]:
    """Constants of skvae's modules, or entries of its tables, set to other values for a while."""
    before = []
    try:
        for key, value in constants.items():
            module, *path, name = key.split(".")
            owner = reduce(_get, path, importlib.import_module(f"skvae.{module}"))
            before.append((owner, name, _get(owner, name)))
            _set(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            _set(owner, name, value)


def _get(owner, name):
    return owner[name] if isinstance(owner, dict) else getattr(owner, name)


def _set(owner, name, value):
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)


def table(results: dict[str, dict]) -> str:
    """Markdown table of the variants."""
    lines = [
        "| variant | MSE / PCA's | worst | relative to default | better / worse "
        "| nats over PCA, median | time |",
        "|---|---|---|---|---|---|---|",
    ]
    default = results["default"]
    for variant, trials in results.items():
        ratio = np.array([trials[task]["ratio"] for task in trials])
        base = np.array([default[task]["ratio"] for task in trials])
        gain = np.median([trials[task]["gain"] for task in trials])
        seconds = np.array([trials[task]["seconds"] / default[task]["seconds"] for task in trials])
        lines.append(
            f"| {variant} | {_geometric_mean(ratio):.4f} | {ratio.max():.3f} "
            f"| {_geometric_mean(ratio / base):.4f} "
            f"| {(ratio < base).sum()} / {(ratio > base).sum()} | {gain:.2f} "
            f"| {_geometric_mean(seconds):.2f} |"
        )
    return "\n".join(lines)


def _geometric_mean(values):
    return float(np.exp(np.log(values).mean()))


EXPERIMENTS: dict[str, dict[str, dict]] = {
    "start": {"random": {"init": "random"}},
    "width": {
        "64": {"architecture": MLP(hidden_layer_sizes=(64, 64))},
        "128": {"architecture": MLP(hidden_layer_sizes=(128, 128))},
        "256": {"architecture": MLP(hidden_layer_sizes=(256, 256))},
        "512": {"architecture": MLP(hidden_layer_sizes=(512, 512))},
        "three layers": {"architecture": MLP(hidden_layer_sizes=(256, 256, 256))},
    },
    "warm-up of short trainings": {
        "4 passes": {"max_iter": 4},
        "4 passes, 50 steps": {"max_iter": 4, "training.WARM_UP_SHARE": 1.0},
        "4 passes, a fifth": {"max_iter": 4, "training.WARM_UP_SHARE": 0.2},
        "4 passes, a twentieth": {"max_iter": 4, "training.WARM_UP_SHARE": 0.05},
        "12 passes": {"max_iter": 12},
        "12 passes, 50 steps": {"max_iter": 12, "training.WARM_UP_SHARE": 1.0},
        "12 passes, a twentieth": {"max_iter": 12, "training.WARM_UP_SHARE": 0.05},
    },
    "batch of short trainings": {
        "4 passes": {"max_iter": 4},
        "4 passes, no smaller": {"max_iter": 4, "fitting.MIN_STEPS": 0},
        "8 passes": {"max_iter": 8},
        "8 passes, no smaller": {"max_iter": 8, "fitting.MIN_STEPS": 0},
        "16 passes, no smaller": {"max_iter": 16, "fitting.MIN_STEPS": 0},
    },
    "few cells": {
        "128": {"networks.AUTO_SIZES.few cells": (128, 128)},
        "256": {"networks.AUTO_SIZES.few cells": (256, 256)},
    },
    "more than a few cells": {
        "64": {"networks.FEW_CELLS": 100_000},
        "128": {"networks.FEW_CELLS": 100_000, "networks.AUTO_SIZES.few cells": (128, 128)},
    },
    "activation": {
        "relu": {"architecture": MLP(activation="relu")},
        "gelu": {"architecture": MLP(activation="gelu")},
    },
    "learning rate": {
        "0.001": {"optimizer": AdamW(learning_rate=1e-3)},
        "0.002": {"optimizer": AdamW(learning_rate=2e-3)},
        "0.008": {"optimizer": AdamW(learning_rate=8e-3)},
    },
    "linear path": {
        "frozen": {"vae.LINEAR_RATE": 0.0},
        "full rate": {"vae.LINEAR_RATE": 1.0},
    },
    "point codes": {
        "none": {"objective": Elbo(point_share=0.0)},
        "an eighth of the rows": {"objective": Elbo(point_share=0.125)},
        "half of the rows": {"objective": Elbo(point_share=0.5)},
        "weight of 1": {"objective.POINT_WEIGHT": 1.0},
    },
    "units": {"left where training put them": {"vae.VAE.follow_prior": lambda vae, rows: None}},
    "batch": {
        "never larger": {"training.ENLARGEMENT": 1},
        "256": {"batch_size": 256},
        "512": {"batch_size": 512},
    },
    "decay": {
        "none": {"optimizer": AdamW(weight_decay=1e-4)},
        "up to 3": {"optimizers.WEIGHT_DECAYS": (1e-4, 0.05, 0.2, 0.8, 3.0)},
        "1 throughout": {"optimizer": AdamW(weight_decay=1.0)},
        "overfitting at (0.5, 0.03)": {"training.OVERFIT": (0.5, 0.03)},
    },
    "averaging": {
        "none": {"optimizer": AdamW(averaging=0.0)},
        "0.998": {"optimizer": AdamW(averaging=0.998)},
    },
    "patience": {
        "2 looks": {"training.PATIENCE": 2},
        "4 looks": {"training.PATIENCE": 4},
    },
    "least steps": {"50": {"training.MIN_STEPS": 50}, "100": {"training.MIN_STEPS": 100}},
    "fall": {
        "of 1": {"training.FALL_SHARE": 1.0},
        "to its end": {"training.FALL_PATIENCE": 10**9},
    },
    "noise": {"0.02": {"training.NOISE_RATE": 0.02}, "0.5": {"training.NOISE_RATE": 0.5}},
    "bend": {"3": {"vae._BEND": 3.0}, "1000": {"vae._BEND": 1000.0}},
    "steps": {
        "a quarter": {"fitting._FLOPS": 0.75e12, "fitting._STEPS": (400, 1500)},
        "four times": {"fitting._FLOPS": 12e12, "fitting._STEPS": (6000, 24000)},
    },
    "precision": {name: {"precision": name} for name in ("float32", "bfloat16", "float64")},
    "acceptance": {
        "0 standard errors": {"held_out.N_STANDARD_ERRORS": 0.0},
        "1 standard error": {"held_out.N_STANDARD_ERRORS": 1.0},
        "2 standard errors": {"held_out.N_STANDARD_ERRORS": 2.0},
    },
    "tail": {
        "0.02 throughout": {"fitting.COARSE_TAIL": 0.02},
        "0.1 past the first": {"fitting.COARSE_TAIL": 0.1},
        "0.2 past the first": {"fitting.COARSE_TAIL": 0.2},
        "0.05 throughout": {"linear._FIRST_DIRECTIONS": 1},
    },
    "tail of many rows": {"0.1": {"fitting.COARSE_TAIL": 0.1}},
    "layers of few scores": {
        "(256, 256)": {"networks.AUTO_SIZES.few scores, many rows": (256, 256)},
        "(128, 128, 128)": {"networks.AUTO_SIZES.few scores, many rows": (128, 128, 128)},
        "(256, 256, 512)": {"networks.AUTO_SIZES.few scores, many rows": (256, 256, 512)},
    },
    "layers of many scores": {
        "(512, 512)": {"networks.AUTO_SIZES.many scores": (512, 512)},
        "(256, 256)": {"networks.AUTO_SIZES.many scores": (256, 256)},
        "(256, 256, 256)": {"networks.AUTO_SIZES.many scores": (256, 256, 256)},
        "(256, 256, 256, 512)": {"networks.AUTO_SIZES.many scores": (256, 256, 256, 512)},
    },
}
