"""Experiments behind the defaults: one choice changed at a time, paired over data sets and seeds.

A variant changes options of the estimator, or its limits, by the names of the fields of
``skvae.Limits``. Every variant sees the same rows and seeds as the default; the table gives the
geometric mean of held-out squared error relative to PCA, and of its ratio to the default's with
the number of trials won, the mean gain of log-likelihood over PCA, and relative seconds.

The file of figures has a row per variant, and keeps those of experiments that are gone from
``EXPERIMENTS`` because what they changed is no option any more.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from benchmarks import datasets
from benchmarks.averages import geometric_mean
from benchmarks.costs import fit_seconds
from benchmarks.datasets import Source
from benchmarks.metrics import squared_error
from benchmarks.runner import Line, Outcome, Shown, Suite, Table, Task
from skvae import MLP, AdamW, Elbo, Limits, VAETransformer

DEFAULT = "default"
KEY = ("experiment", "variant")

CASES = (
    ("iris", 2), ("wine", 2), ("diabetes", 4), ("breast_cancer", 4), ("digits", 8),
    ("isolet", 8), ("usps", 16), ("bike", 8), ("elevators", 4), ("pol", 8),
    ("donors", 4), ("mnist", 16), ("coil20", 64), ("mnist", 2), ("spoken_digits", 16),
)  # fmt: skip


class Variant(NamedTuple):
    """Options of VAETransformer, and fields of its limits that are changed."""

    options: dict[str, Any] = {}
    limits: dict[str, Any] = {}

    def estimator(self, latent_dim: int, seed: int) -> VAETransformer:
        """Return what a trial fits."""
        limited = type("Limited", (VAETransformer,), {"limits": Limits(**self.limits)})
        return limited(latent_dim, random_state=seed, **self.options)


@dataclass(frozen=True)
class ExperimentTask(Task):
    """A variant of an experiment on one data set at one seed."""

    experiment: str
    variant: str
    dataset: str
    latent_dim: int
    seed: int
    max_train_rows: int
    source: Source = field(default_factory=Source, compare=False)

    suite = "experiments"

    def measure(self) -> Outcome:
        split = datasets.split(self.dataset, self.source, self.seed, self.max_train_rows)
        pca = PCA(self.latent_dim).fit(split.X_train)
        variant = EXPERIMENTS[self.experiment].get(self.variant, Variant())
        model = variant.estimator(self.latent_dim, self.seed)
        seconds = fit_seconds(model, split.X_train)
        ratio = squared_error(model, split.X_test) / squared_error(pca, split.X_test)
        gain = model.score(split.X_test) - pca.score(split.X_test)
        return Outcome({"ratio": ratio, "gain": gain, "seconds": seconds}, model)


def plan(options) -> list[ExperimentTask]:
    """Return the trials of experiments, on all the data sets that there are or those named."""
    source = datasets.source_of(options)
    wanted = options.datasets or datasets.available(source)
    cases = [case for case in CASES if case[0] in wanted]
    return [
        ExperimentTask(name, variant, *case, seed, options.max_train_rows, source)
        for name in options.only
        for case, seed in product(cases, options.seeds)
        for variant in (DEFAULT, *EXPERIMENTS[name])
    ]


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per variant, of the tasks that the default has done as well."""
    found: dict[str, dict[str, dict[tuple, Line]]] = {}
    for line in lines:
        if line["suite"] == "experiments" and "figures" in line:
            task = dict(line["task"])
            variants = found.setdefault(task.pop("experiment"), {DEFAULT: {}})
            trials = variants.setdefault(task.pop("variant"), {})
            trials[tuple(task.values())] = line["figures"]
    rows = [
        {"experiment": experiment, "variant": variant} | _against(variants[DEFAULT], trials)
        for experiment, variants in found.items()
        for variant, trials in variants.items()
        if set(trials) & set(variants[DEFAULT])
    ]
    return pd.DataFrame(rows)


def _against(default, trials):
    tasks = [task for task in trials if task in default]
    ratios = np.array([trials[task]["ratio"] for task in tasks])
    base = np.array([default[task]["ratio"] for task in tasks])
    seconds = [trials[task]["seconds"] / default[task]["seconds"] for task in tasks]
    return {
        "ratio": geometric_mean(ratios),
        "worst": ratios.max(),
        "relative": geometric_mean(ratios / base),
        "better": int((ratios < base).sum()),
        "worse": int((ratios > base).sum()),
        "gain": np.median([trials[task]["gain"] for task in tasks]),
        "seconds": geometric_mean(seconds),
    }


def table(rows: pd.DataFrame) -> str:
    """Return the variants of an experiment as markdown."""
    lines = [
        "| variant | MSE / PCA's | worst | relative to default | better / worse "
        "| nats over PCA, median | time |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.variant} | {row.ratio:.4f} | {row.worst:.3f} | {row.relative:.4f} "
        f"| {row.better} / {row.worse} | {row.gain:.2f} | {row.seconds:.2f} |"
        for row in rows.itertuples()
    ]
    return "\n".join(lines)


def text(rows: pd.DataFrame) -> str:
    """Return the tables of all experiments."""
    found = rows.groupby("experiment", sort=False)
    return "\n\n".join(f"### {name}\n\n{table(part)}" for name, part in found)


def _layers(*sizes: int) -> Variant:
    return Variant({"architecture": MLP(hidden_layer_sizes=sizes)})


def _options(**options) -> Variant:
    return Variant(options)


def _limits(**limits) -> Variant:
    return Variant(limits=limits)


def _short(passes: int, **limits) -> Variant:
    return Variant({"max_iter": passes}, limits)


EXPERIMENTS: dict[str, dict[str, Variant]] = {
    "start": {"random": _options(init="random")},
    "width": {
        "64": _layers(64, 64),
        "128": _layers(128, 128),
        "256": _layers(256, 256),
        "512": _layers(512, 512),
        "three layers": _layers(256, 256, 256),
    },
    "warm-up of short trainings": {
        "4 passes": _short(4),
        "4 passes, 50 steps": _short(4, warm_up_share=1.0),
        "4 passes, a fifth": _short(4, warm_up_share=0.2),
        "4 passes, a twentieth": _short(4, warm_up_share=0.05),
        "12 passes": _short(12),
        "12 passes, 50 steps": _short(12, warm_up_share=1.0),
        "12 passes, a twentieth": _short(12, warm_up_share=0.05),
    },
    "batch of short trainings": {
        "4 passes": _short(4),
        "4 passes, no smaller": _short(4, min_steps=0),
        "8 passes": _short(8),
        "8 passes, no smaller": _short(8, min_steps=0),
        "16 passes, no smaller": _short(16, min_steps=0),
    },
    # Of matrices of fewer than 4000 cells, and of up to 100000.
    "few cells": {"128": _layers(128, 128), "256": _layers(256, 256)},
    "more than a few cells": {"64": _layers(64, 64), "128": _layers(128, 128)},
    "activation": {name: _options(architecture=MLP(activation=name)) for name in ("relu", "gelu")},
    "learning rate": {
        f"{rate:g}": _options(optimizer=AdamW(learning_rate=rate)) for rate in (1e-3, 2e-3, 8e-3)
    },
    "point codes": {
        "none": _options(objective=Elbo(point_share=0.0)),
        "an eighth of the rows": _options(objective=Elbo(point_share=0.125)),
        "half of the rows": _options(objective=Elbo(point_share=0.5)),
    },
    "batch": {
        "never larger": _limits(enlargement=1),
        "256": _options(batch_size=256),
        "512": _options(batch_size=512),
    },
    "decay": {
        "none": _options(optimizer=AdamW(weight_decay=1e-4)),
        "up to 3": _limits(weight_decays=(1e-4, 0.05, 0.2, 0.8, 3.0)),
        "1 throughout": _options(optimizer=AdamW(weight_decay=1.0)),
        "overfitting at (0.5, 0.03)": _limits(overfit_share=0.5, overfit_nats=0.03),
    },
    "averaging": {
        "none": _options(optimizer=AdamW(averaging=0.0)),
        "0.998": _options(optimizer=AdamW(averaging=0.998)),
    },
    "patience": {f"{n} evaluations": _limits(patience=n, small_patience=n) for n in (2, 4)},
    "least steps": {f"{n}": _limits(min_steps=n) for n in (50, 100)},
    "fall": {"of 1": _limits(fall_share=1.0), "to its end": _limits(fall_patience=10**9)},
    "noise": {f"{rate}": _limits(noise_rate=rate) for rate in (0.02, 0.5)},
    "steps": {
        "a quarter": _limits(flops=0.75e12, steps=(400, 1500)),
        "four times": _limits(flops=12e12, steps=(6000, 24000)),
    },
    "precision": {name: _options(precision=name) for name in ("float32", "bfloat16", "float64")},
    "acceptance": {
        "0 standard errors": _limits(n_standard_errors=0.0),
        "1 standard error": _limits(n_standard_errors=1.0),
        "2 standard errors": _limits(n_standard_errors=2.0),
    },
    "tail": {
        "0.02 throughout": _limits(coarse_tail=0.02),
        "0.1 past the first": _limits(coarse_tail=0.1),
        "0.2 past the first": _limits(coarse_tail=0.2),
        "0.05 throughout": _limits(first_directions=1),
    },
    "tail of many rows": {"0.1": _limits(coarse_tail=0.1)},
    "layers of few scores": {
        f"{sizes}": _layers(*sizes) for sizes in ((256, 256), (128, 128, 128), (256, 256, 512))
    },
    "layers of many scores": {
        f"{sizes}": _layers(*sizes)
        for sizes in ((512, 512), (256, 256), (256, 256, 256), (256, 256, 256, 512))
    },
}


def _add_options(parser):
    names = list(EXPERIMENTS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    known = list(dict.fromkeys(name for name, _ in CASES))
    there = f"of {', '.join(known)}"
    parser.add_argument("--datasets", nargs="+", choices=known, metavar="NAME", help=there)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max-train-rows", type=int, default=2000)
    datasets.add_source(parser)


SUITE = Suite(
    help="change one default at a time and compare, paired over data sets and seeds",
    add_options=_add_options,
    plan=plan,
    tables={"experiments": Table(collect, KEY)},
    fragments={"benchmark:experiments": Shown(text, ("experiments",))},
    show=lambda lines: text(collect(lines)) if lines else "",
)
