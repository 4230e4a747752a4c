"""Command line of the benchmark; ``python -m benchmarks --help`` lists what there is."""

import argparse
import sys
from pathlib import Path

from benchmarks import report, runner
from benchmarks.suites import SUITES


def main(arguments: list[str]) -> None:
    """Run the command that the arguments name; without one, run trials."""
    if not arguments or arguments[0] not in {*SUITES, "report", "-h", "--help"}:
        arguments = ["trials", *arguments]
    options = _parser().parse_args(arguments)
    if options.command == "report":
        for path in report.write(options.results, options.root):
            print(path)
        return
    suite = SUITES[options.command]
    try:
        lines = runner.run(suite.plan(options), options.output)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"python -m benchmarks {options.command}: {error}") from None
    for line in lines:
        if "error" in line:
            print(f"failed: {line['task']}: {line['error']}")
    print(suite.show(lines) or f"results: {options.output}")


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Without a command, trials are run: python -m benchmarks --datasets iris.",
    )
    commands = parser.add_subparsers(dest="command")
    for name, suite in SUITES.items():
        command = commands.add_parser(name, help=suite.help, description=suite.help)
        suite.add_options(command)
        output = runner.RESULTS / f"{name}.jsonl"
        about = "the lines; tasks that it holds are not run again"
        command.add_argument("--output", type=Path, default=output, help=about)
    about = "fill the tables of README.md and docs/ and draw their figures"
    command = commands.add_parser("report", help=about, description=about)
    found = sorted(runner.RESULTS.glob("*.jsonl"))
    about = "files of lines to take in first; those of benchmarks/results without"
    command.add_argument("results", nargs="*", type=Path, default=found, help=about)
    command.add_argument("--root", type=Path, default=Path(), help="folder of README.md and docs/")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
