"""Changes of the package that its tests must notice, each applied to a copy and tested.

    python -m tests.mutants [--workers N] [MODULE ...]

tests/mutations/ has a file per module, in the folder of its package; MODULE is its path there, as
"model/vae". An entry is a name, the text, and what takes its place:

    # the generator ignores the seed
    - .manual_seed(options.seed)
    + .manual_seed(0)

A line that begins with "@" names the tests of the entries below it; without, they are those of the
module's own file. A text has to be found once in its module.
"""

import argparse
import ast
import gc
import importlib
import inspect
import multiprocessing
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import wait
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
TIMEOUT = 900  # seconds of a mutant's tests, some of which never end
LIBRARIES = (
    *("skvae", "pytest", "_pytest.doctest", "hypothesis", "pandas", "polars"),
    *("pyarrow", "scipy.stats", "sklearn.utils.estimator_checks", "sklearn.mixture"),
    *("sklearn.pipeline", "sklearn.linear_model", "matplotlib.pyplot", "torch.testing"),
)
# What is imported before cannot be rewritten, and need not be.
REWRITING = "ignore::pytest.PytestAssertRewriteWarning"
OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-W", REWRITING)
KILLED = (1, 2)  # exit codes of pytest: tests failed, or could not be read


class Mutant(NamedTuple):
    """A change of one module, and the tests that have to notice it."""

    module: str
    name: str
    original: str
    mutated: str
    tests: tuple[str, ...]

    def apply(self, root: Path) -> None:
        """Change the copy of the package in a folder."""
        path = root / "skvae" / f"{self.module}.py"
        path.write_text(path.read_text().replace(self.original, self.mutated))

    def words(self) -> set[str]:
        """Names of the function and the class that it changes, and the words of its own name."""
        text = (ROOT / "skvae" / f"{self.module}.py").read_text()
        line = text[: text.index(self.original)].count("\n") + 1
        around = [
            node.name
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            and node.lineno <= line <= (node.end_lineno or line)
        ]
        return {name for name in (*around, *self.name.split()) if len(name) > 3}


class LikeliestFirst:
    """Orders tests by how many of some words they hold, so that most runs end soon."""

    def __init__(self, words: set[str]) -> None:
        self.words = words

    def pytest_collection_modifyitems(self, items: list) -> None:
        items.sort(key=self._without)

    def _without(self, item) -> int:
        text = item.name + (inspect.getsource(item.function) if hasattr(item, "function") else "")
        found = set(re.findall(r"[^\W_]+|\w+", text))
        return -len(self.words & found)


def modules() -> list[str]:
    """Modules that have entries, by their paths in the package."""
    folder = ROOT / "tests" / "mutations"
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.txt"))


def read(module: str) -> list[Mutant]:
    """Entries of a module's file."""
    path = Path("tests", module)
    tests: tuple[str, ...] = (f"{path.parent}/test_{path.name.removeprefix('_')}.py",)
    mutants: list[Mutant] = []
    for line in (ROOT / "tests" / "mutations" / f"{module}.txt").read_text().splitlines():
        kind, text = line[:1], line[2:]
        if kind == "@":
            tests = tuple(shlex.split(text))
        elif kind == "#":
            mutants.append(Mutant(module, text, "", "", tests))
        elif kind in ("-", "+"):
            field = "original" if kind == "-" else "mutated"
            before = getattr(mutants[-1], field)
            value = f"{before}\n{text}" if before else text
            mutants[-1] = mutants[-1]._replace(**{field: value})
    return mutants


def stale(mutants: list[Mutant]) -> list[str]:
    """What is said of the entries that fit their module no longer."""
    found = []
    for mutant in mutants:
        path = ROOT / "skvae" / f"{mutant.module}.py"
        text = path.read_text() if path.exists() else ""
        n = text.count(mutant.original) if mutant.original else 0
        if n != 1 or mutant.original == mutant.mutated:
            found.append(f"{mutant.module}: {mutant.name}: its text is there {n} times")
    return found


def test(mutant: Mutant | None, tests: tuple[str, ...], log: Path) -> None:
    """Run tests on a copy, in a process that ends with pytest's exit code."""
    with log.open("w") as output, tempfile.TemporaryDirectory() as folder:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        copy = Path(folder)
        for name in ("skvae", "tests"):
            shutil.copytree(ROOT / name, copy / name)  # with what is compiled, and its times
        for path in ROOT.iterdir():
            if not (copy / path.name).exists() and not path.name.startswith("."):
                (copy / path.name).symlink_to(path)
        if mutant is not None:
            mutant.apply(copy)
        for name in [n for n in sys.modules if n.split(".")[0] in ("skvae", "tests")]:
            del sys.modules[name]
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        plugins = [] if mutant is None else [LikeliestFirst(mutant.words())]
        try:
            code = int(pytest.main([*OPTIONS, *tests], plugins))
        except BaseException:  # which is no failed test
            traceback.print_exc()
            code = int(pytest.ExitCode.INTERNAL_ERROR)
    os._exit(code)


def run(jobs: list[tuple[Mutant | None, tuple[str, ...]]], n_workers: int, logs: Path):
    """Yield every job with its exit code, None where it did not end, and its log."""
    context = multiprocessing.get_context("fork")
    waiting, running = list(enumerate(jobs)), {}
    while waiting or running:
        while waiting and len(running) < n_workers:
            number, (mutant, tests) = waiting.pop(0)
            log = logs / f"{number}.log"
            process = context.Process(target=test, args=(mutant, tests, log))
            process.start()
            running[process.sentinel] = process, mutant, tests, log, time.monotonic()
        ended = wait(list(running), timeout=1.0)
        for sentinel, (process, mutant, tests, log, began) in list(running.items()):
            is_late = time.monotonic() - began > TIMEOUT
            if sentinel in ended or is_late:
                process.kill()
                process.join()
                del running[sentinel]
                yield mutant, tests, None if is_late else process.exitcode, log


def load() -> None:
    """Import what tests import, once for all processes."""
    os.environ["SCIPY_ARRAY_API"] = "1"  # as tests/conftest.py
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="of the package; all unless named")
    parser.add_argument("--only", default="", help="part of the names of mutants")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--logs", type=Path, default=Path(tempfile.gettempdir()) / "mutants")
    parser.add_argument("--unchecked", action="store_true", help="tests are known to pass")
    chosen = parser.parse_args()
    mutants = [
        mutant
        for module in chosen.modules or modules()
        for mutant in read(module)
        if chosen.only in mutant.name
    ]
    if old := stale(mutants):
        print("\n".join(old))
        return 2
    load()
    chosen.logs.mkdir(parents=True, exist_ok=True)
    if not chosen.unchecked:
        whole = [(None, tests) for tests in dict.fromkeys(m.tests for m in mutants)]
        for _, tests, code, log in run(whole, chosen.workers, chosen.logs):
            if code != 0:
                print(f"without any change, {' '.join(tests)} fails: {log}")
                return 2
    survived = []
    jobs = [(mutant, mutant.tests) for mutant in mutants]
    for mutant, _, code, log in run(jobs, chosen.workers, chosen.logs):
        is_killed = code is None or code in KILLED
        word = "killed" if is_killed else f"SURVIVED ({log})"
        print(f"{word}: {mutant.module}: {mutant.name}", flush=True)
        if not is_killed:
            survived.append(mutant)
    print(f"{len(mutants) - len(survived)} of {len(mutants)} killed")
    return min(1, len(survived))


if __name__ == "__main__":
    sys.exit(main())
