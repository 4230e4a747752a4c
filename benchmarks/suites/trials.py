"""Trials: one method on one data set at one ``latent_dim`` and seed, held to PCA."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

from benchmarks import datasets, methods
from benchmarks.datasets import DATASETS, LATENT_DIMS, Source
from benchmarks.methods import METHODS
from benchmarks.metrics import METRICS, Evaluation, baseline
from benchmarks.runner import Outcome, Suite, Table, Task
from benchmarks.suites import trials_table


@dataclass(frozen=True)
class Trial(Task):
    """What identifies a trial."""

    dataset: str
    method: str
    latent_dim: int
    seed: int
    max_train_rows: int | None = None
    source: Source = field(default_factory=Source, compare=False)

    suite = "trials"

    def split(self) -> datasets.Split:
        """Return the rows of this trial, scaled."""
        return datasets.split(self.dataset, self.source, self.seed, self.max_train_rows)

    def measure(self) -> Outcome:
        split = self.split()
        model, seconds = methods.fit(self.method, split.X_train, self.latent_dim, self.seed)
        pca = baseline(self.dataset, self.source, self.seed, self.max_train_rows, self.latent_dim)
        n_restored = METHODS[self.method].n_restored(self.latent_dim)
        evaluation = Evaluation(split, model, pca, seconds, n_restored)
        figures = {name: metric(evaluation) for name, metric in METRICS.items()}
        figures |= {"n_train": split.X_train.shape[0], "n_features": split.X_train.shape[1]}
        return Outcome(figures | {"scaling": DATASETS[self.dataset].scaling}, model)


def plan(
    names: Iterable[str],
    method_names: Iterable[str],
    latent_dims: Iterable[int],
    seeds: Iterable[int],
    source: Source,
    *,
    max_train_rows: int | None = None,
    full: bool = False,
) -> list[Trial]:
    """Return the trials that make sense: the method takes such rows, latent_dim fits."""
    seeds, tasks = list(seeds), []
    for name in names:
        cap = None if full else max_train_rows or DATASETS[name].max_train_rows
        # Every seed has as many rows; the first one decides for all.
        X = datasets.split(name, source, seeds[0], cap).X_train
        accepting = [method for method in method_names if METHODS[method].accepts(X)]
        fitting = datasets.fitting_dims(X, latent_dims)
        tasks += [
            Trial(name, method, latent_dim, seed, cap, source)
            for seed, latent_dim, method in product(seeds, fitting, accepting)
        ]
    return tasks


def _add_options(parser):
    add = parser.add_argument
    names = ", ".join(DATASETS)
    add("--datasets", nargs="+", choices=DATASETS, metavar="NAME", help=f"of {names}")
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add("--latent-dims", nargs="+", type=int, default=list(LATENT_DIMS))
    add("--seeds", nargs="+", type=int, default=list(range(5)))
    add("--max-train-rows", type=int, help="cap the training rows of every data set")
    add("--full", action="store_true", help="lift the caps that data sets have")
    datasets.add_source(parser)


def _plan(options):
    source = datasets.source_of(options)
    return plan(
        options.datasets or datasets.available(source),
        options.methods,
        options.latent_dims,
        options.seeds,
        source,
        max_train_rows=options.max_train_rows,
        full=options.full,
    )


SUITE = Suite(
    help="run every data set with every method, at every latent_dim and seed",
    add_options=_add_options,
    plan=_plan,
    tables={"trials": Table(trials_table.collect, trials_table.KEY)},
    fragments=trials_table.FRAGMENTS,
    pictures=trials_table.PICTURES,
)
