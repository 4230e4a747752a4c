"""Strategies: every choice of training beside the default, at equal wall time.

For a data set and a seed the default is fitted first, to its own end. Each strategy then gets as
many passes as fit into the seconds that the default took: two short fits of the strategy itself,
on the same rows, say what a pass costs (``Pace``). It may end sooner where it settles. Seconds are
those of the processor: with one thread they are wall time, but for what neighbours take.

The strategies are in ``choices``; what the lines come to is told in ``strategies_table``.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from time import process_time
from typing import NamedTuple

import skvae
from benchmarks import datasets
from benchmarks.costs import fit_seconds
from benchmarks.datasets import Source
from benchmarks.metrics import METRICS, Evaluation, baseline
from benchmarks.runner import Line, Outcome, Shown, Suite, Table, Task
from benchmarks.suites import strategies_table
from benchmarks.suites.choices import CASES, DEFAULT, STRATEGIES, arguments_of, names

FIGURES = ("log_likelihood_gain", "mse_ratio", "knn5", "fit_seconds")
CALIBRATION = (2, 22)  # passes of the two fits that say what a pass costs


class Pace(NamedTuple):
    """Seconds that a fit takes whatever its length, and those that every pass adds."""

    fixed: float
    per_pass: float

    @classmethod
    def of(cls, seconds: dict[int, float]) -> "Pace":
        """Return the pace that two fits of different length show."""
        (few, short), (many, long) = sorted(seconds.items())
        # Noise of the clock may not make passes look free.
        per_pass = max((long - short) / (many - few), 0.2 * long / many)
        return cls(max(0.0, short - few * per_pass), per_pass)

    def n_passes(self, seconds: float) -> int:
        """Return how many passes fit into the time, 1 at least."""
        return max(1, int((seconds - self.fixed) / self.per_pass))


@dataclass(frozen=True)
class Fit(Task):
    """What identifies a fit; a strategy may take ``limit`` seconds, the default ends by itself."""

    strategy: str
    dataset: str
    latent_dim: int
    seed: int
    max_train_rows: int
    limit: float | None = field(default=None, compare=False)
    source: Source = field(default_factory=Source, compare=False)

    suite = "strategies"

    def measure(self) -> Outcome:
        if self.strategy != DEFAULT and self.limit is None:
            raise ValueError("the default failed, so there is no time to equal")
        # The default's pace is measured all the same: the first fit pays for what torch sets up.
        pace = pace_of(self.strategy, self.dataset, self.max_train_rows, self.source)
        more = {} if self.limit is None else {"max_iter": pace.n_passes(self.limit)}
        model, seconds = self.fitted(**more)
        pca = baseline(self.dataset, self.source, self.seed, self.max_train_rows, self.latent_dim)
        evaluation = Evaluation(self.split(), model, pca, seconds)
        figures = {name: METRICS[name](evaluation) for name in FIGURES}
        figures |= {"n_features": evaluation.split.X_train.shape[1], "max_iter": model.max_iter}
        return Outcome(figures, model)

    def split(self) -> datasets.Split:
        """Return the rows of this fit, scaled."""
        return datasets.split(self.dataset, self.source, self.seed, self.max_train_rows)

    def fitted(self, **more) -> tuple[skvae.VAETransformer, float]:
        """Return the strategy fitted on the rows, with more arguments, and its seconds."""
        arguments = {"random_state": self.seed} | arguments_of(self.strategy) | more
        model = skvae.VAETransformer(self.latent_dim, **arguments)
        return model, fit_seconds(model, self.split().X_train, process_time)


@cache
def pace_of(strategy: str, dataset: str, max_train_rows: int, source: Source) -> Pace:
    """Return what a fit of a strategy costs on the first seed's rows of a data set."""
    fit = Fit(strategy, dataset, CASES[dataset].latent_dim, 0, max_train_rows, source=source)
    n_passes = (CALIBRATION[0], *CALIBRATION)  # the first pays for what is loaded once: it goes
    seconds = [fit.fitted(max_iter=n, early_stopping=False)[1] for n in n_passes]
    return Pace.of(dict(zip(CALIBRATION, seconds[1:], strict=True)))


def plan(
    strategies: Iterable[str],
    names: Iterable[str],
    seeds: Iterable[int],
    source: Source,
    max_train_rows: int | None = None,
) -> Generator[Fit, Line, None]:
    """Yield the fits, seed by seed; on every data set the default comes first and sets the time."""
    strategies = [name for name in strategies if name != DEFAULT]
    for seed, dataset in product(seeds, list(names)):
        case = CASES[dataset]
        rows = (dataset, case.latent_dim, seed, max_train_rows or case.max_train_rows)
        default = yield Fit(DEFAULT, *rows, source=source)
        limit = default.get("figures", {}).get("fit_seconds")
        for name in strategies:
            yield Fit(name, *rows, limit, source)


def _add_options(parser):
    add = parser.add_argument
    known = [*STRATEGIES, *names()]
    groups = f"strategies, or groups of them: {', '.join(known)}"
    add("--only", nargs="+", choices=known, metavar="NAME", help=groups)
    cases = list(CASES)
    add("--datasets", nargs="+", choices=cases, metavar="NAME", help=f"of {', '.join(cases)}")
    add("--seeds", nargs="+", type=int, default=list(range(5)))
    add("--max-train-rows", type=int, help="for trying out: the report leaves such lines out")
    datasets.add_source(parser)


def _plan(options):
    source = datasets.source_of(options)
    there = [name for name in CASES if name in datasets.available(source)]
    chosen = options.datasets or there
    return plan(names(options.only), chosen, options.seeds, source, options.max_train_rows)


SUITE = Suite(
    help="compare every choice of training with the default, at equal wall time",
    add_options=_add_options,
    plan=_plan,
    tables={"strategies": Table(strategies_table.collect, strategies_table.KEY)},
    fragments={"benchmark-strategies": Shown(strategies_table.text, ("strategies",))},
    pictures={"strategies.png": Shown(strategies_table.figure, ("strategies",))},
)
