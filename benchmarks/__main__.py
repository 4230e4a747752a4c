"""Command line of the benchmark; ``python -m benchmarks --help`` lists what there is."""

import argparse
import sys
from pathlib import Path

from benchmarks import (
    bars,
    experiments,
    published,
    report,
    speed,
    speed_bars,
    strategies,
    tables,
    trials,
)
from benchmarks.datasets import DATASETS, LATENT_DIMS, Source, available
from benchmarks.frames import FRAMES
from benchmarks.measures import MEASURES
from benchmarks.methods import METHODS
from benchmarks.metrics import DEFAULT_METRICS, METRICS
from benchmarks.peers import PEERS

RESULTS = Path("benchmarks") / "results"


def main(arguments: list[str]) -> None:
    """Run the command that the arguments name; without one, run trials."""
    if not arguments or arguments[0] not in {*COMMANDS, "-h", "--help"}:
        arguments = ["trials", *arguments]
    options = _parser().parse_args(arguments)
    try:
        COMMANDS[options.command](options)
    except FileNotFoundError as error:
        raise SystemExit(f"python -m benchmarks: {error}") from None


def run_trials(options) -> None:
    """Run every data set with every method, at every latent_dim and seed."""
    source = _source(options)
    names = options.datasets or available(source)
    tasks = trials.plan(
        names,
        options.methods,
        options.latent_dims,
        options.seeds,
        source,
        max_train_rows=options.max_train_rows,
        full=options.full,
    )
    trials.run(tasks, tuple(options.metrics), options.output)
    print(f"results: {options.output}")


def write_report(options) -> None:
    """Fill the tables of README.md and docs/ from results files, and draw their figures."""
    for path in report.write(options.results, options.root):
        print(path)


def run_bars(options) -> None:
    """Measure the single figures and print each beside its bar."""
    for measured in bars.run(options.only, _source(options), options.output):
        print(measured)


def run_experiments(options) -> None:
    """Change one default at a time and compare, paired over data sets and seeds."""
    experiments.run(
        options.only,
        options.seeds,
        options.max_train_rows,
        _source(options),
        options.output,
        options.datasets,
    )


def run_tables(options) -> None:
    """Measure skvae and its peers on tables of mixed types with missing cells, and on counts."""
    try:
        tables.check_methods(options.only, options.methods)
    except ValueError as error:
        raise SystemExit(f"python -m benchmarks tables: {error}") from None
    tasks = tables.plan(
        options.only,
        options.seeds,
        options.data,
        datasets=options.datasets,
        methods=options.methods,
        max_rows=options.max_rows,
    )
    tables.run(tasks, options.output)
    print(f"results: {options.output}")


def run_strategies(options) -> None:
    """Compare every choice of training with the default, at equal wall time."""
    source = _source(options)
    names = options.datasets or strategies.available(source)
    try:
        names = strategies.part_of(names, options.part)
    except ValueError as error:
        raise SystemExit(f"python -m benchmarks strategies: {error}") from None
    chosen = strategies.names(options.only)
    tasks = strategies.plan(chosen, names, options.seeds, source, options.max_train_rows)
    strategies.run(tasks, options.output)
    print(f"results: {options.output}")


def run_speed(options) -> None:
    """Time VAETransformer beside its peers, and measure the single figures of speed."""
    source = _source(options)
    names, figures = _chosen(options.only)
    if names:
        tasks = speed.plan(_cases(options, source), options.seeds, source, options.max_train_rows)
        speed.run(tasks, names, options.output)
    if figures:
        path = options.output.with_name(f"{options.output.stem}_figures.jsonl")
        settings = speed_bars.Settings(options.folder)
        for measured in speed_bars.run(figures, source, path, settings):
            print(measured)


def run_published(options) -> None:
    """Measure what papers report, in their setting, and print each figure beside theirs."""
    settings = published.Settings(options.passes, tuple(options.seeds))
    for measured in published.run(options.only, _source(options), options.output, settings):
        print(measured)


COMMANDS = {
    "trials": run_trials,
    "report": write_report,
    "bars": run_bars,
    "experiments": run_experiments,
    "tables": run_tables,
    "strategies": run_strategies,
    "speed": run_speed,
    "published": run_published,
}


SPEED_GROUPS = ["peers", "figures"]


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Without a command, trials are run: python -m benchmarks --datasets iris.",
    )
    commands = parser.add_subparsers(dest="command")
    _add_trials(commands.add_parser("trials", help=run_trials.__doc__))
    _add_report(commands.add_parser("report", help=write_report.__doc__))
    _add_bars(commands.add_parser("bars", help=run_bars.__doc__))
    _add_experiments(commands.add_parser("experiments", help=run_experiments.__doc__))
    _add_tables(commands.add_parser("tables", help=run_tables.__doc__))
    _add_strategies(commands.add_parser("strategies", help=run_strategies.__doc__))
    _add_speed(commands.add_parser("speed", help=run_speed.__doc__))
    _add_published(commands.add_parser("published", help=run_published.__doc__))
    return parser


def _add_trials(parser):
    add = parser.add_argument
    names, metrics = ", ".join(DATASETS), list(DEFAULT_METRICS)
    add("--datasets", nargs="+", choices=DATASETS, metavar="NAME", help=f"of {names}")
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add("--latent-dims", nargs="+", type=int, default=list(LATENT_DIMS))
    add("--seeds", nargs="+", type=int, default=list(range(5)))
    add(
        "--metrics",
        nargs="+",
        choices=METRICS,
        default=metrics,
        help="peak_memory_mb fits twice",
    )
    add("--max-train-rows", type=int, help="cap the training rows of every data set")
    add("--full", action="store_true", help="lift the caps that data sets have")
    add("--output", type=Path, default=RESULTS / "trials.jsonl")
    _add_source(parser)


def _add_report(parser):
    found = sorted(RESULTS.glob("*.jsonl"))
    parser.add_argument("results", nargs="*", type=Path, default=found)
    parser.add_argument("--root", type=Path, default=Path(), help="folder of README.md and docs/")


def _add_bars(parser):
    parser.add_argument("--only", nargs="+", choices=bars.BARS, default=list(bars.BARS))
    parser.add_argument("--output", type=Path, default=RESULTS / "bars.jsonl")
    _add_source(parser)


def _add_experiments(parser):
    names = list(experiments.EXPERIMENTS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    known = list(dict.fromkeys(name for name, _ in experiments.CASES))
    help = f"of {', '.join(known)}"
    parser.add_argument("--datasets", nargs="+", choices=known, metavar="NAME", help=help)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--max-train-rows", type=int, default=2000)
    parser.add_argument("--output", type=Path, default=RESULTS / "experiments.jsonl")
    _add_source(parser)


def _add_tables(parser):
    add = parser.add_argument
    names = ", ".join(FRAMES)
    add("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="NAME")
    add("--datasets", nargs="+", choices=FRAMES, metavar="NAME", help=f"of {names}")
    add("--methods", nargs="+", metavar="NAME", help="a number at the end is latent_dim: skvae_16")
    add("--seeds", nargs="+", type=int, default=list(range(5)))
    add("--max-rows", type=int, help="cap the rows of every table")
    add("--data", metavar="DIR", help="folder with the files of tables")
    add("--output", type=Path, default=RESULTS / "tables.jsonl")


def _add_strategies(parser):
    add = parser.add_argument
    known = [*strategies.STRATEGIES, *strategies.names()]
    help = f"strategies, or groups of them: {', '.join(known)}"
    add("--only", nargs="+", choices=known, metavar="NAME", help=help)
    cases = list(strategies.CASES)
    add("--datasets", nargs="+", choices=cases, metavar="NAME", help=f"of {', '.join(cases)}")
    add("--seeds", nargs="+", type=int, default=list(range(5)))
    add("--max-train-rows", type=int, help="for trying out: the report leaves such lines out")
    add("--part", default="1/1", metavar="I/N", help="every N-th data set from the I-th on")
    add("--output", type=Path, default=RESULTS / "strategies.jsonl")
    _add_source(parser)


def _add_speed(parser):
    add = parser.add_argument
    known = [*SPEED_GROUPS, *PEERS, *speed.CASES, *speed_bars.SPEED]
    help = f"peers, cases or figures, or groups of them: {', '.join(known)}"
    add("--only", nargs="+", choices=known, default=SPEED_GROUPS, metavar="NAME", help=help)
    names = sorted({case.dataset for case in speed.CASES.values()})
    add("--datasets", nargs="+", choices=names, metavar="NAME", help=f"of {', '.join(names)}")
    add("--seeds", nargs="+", type=int, default=[0])
    add("--max-train-rows", type=int, help="for trying out: the report leaves such lines out")
    add("--folder", type=Path, help="for a temporary file of 4 GB; the system's without")
    add("--output", type=Path, default=RESULTS / "speed.jsonl",
        help="of the fits; figures go beside it, to a name that ends in _figures")  # fmt: skip
    _add_source(parser)


def _chosen(only):
    """Return the peers and the figures that --only names; a case without peers is for all."""
    names = [name for name in PEERS if name in only]
    if "peers" in only or (not names and set(only) & set(speed.CASES)):
        names = [*PEERS]
    figures = [name for name in speed_bars.SPEED if name in only or "figures" in only]
    return names, figures


def _cases(options, source):
    """Return the cases that are named, by themselves or by their data set; else what is there."""
    wanted = {*options.only, *(options.datasets or [])}
    named = [name for name, case in speed.CASES.items() if wanted & {name, case.dataset}]
    return named or speed.available(source)


def _add_published(parser):
    add = parser.add_argument
    names = [name for name in published.PUBLISHED if name != "iwae_50"]
    add("--only", nargs="+", choices=published.PUBLISHED, default=names, metavar="NAME",
        help=f"of {', '.join(published.PUBLISHED)}; iwae_50 wants a GPU")  # fmt: skip
    add("--passes", type=int, help="passes over the rows; the estimator's own without")
    add("--seeds", nargs="+", type=int, default=[0], help="of the splits of images")
    add("--output", type=Path, default=RESULTS / "published.jsonl")
    _add_source(parser)


def _add_source(parser):
    parser.add_argument("--data", metavar="DIR", help="folder with the files of data sets")
    parser.add_argument("--openml", action="store_true", help="fetch what --data lacks")


def _source(options):
    return Source(options.data, options.openml)


if __name__ == "__main__":
    main(sys.argv[1:])
