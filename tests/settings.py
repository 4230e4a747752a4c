"""Runs the tests under settings of the processor, threads, order and load: a row of a table each.

python -m tests.settings [--workers N] isa [FILE ...]
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import NamedTuple

import torch

# Whose results hang on how numbers are rounded.
SENSITIVE = [
    *("tests/fitted", "tests/fitting", "tests/likelihoods", "tests/model", "tests/start"),
    *("tests/training", "tests/test_composition.py", "tests/test_diagnosis.py"),
    *("tests/test_estimator.py", "tests/test_inputs.py", "tests/test_tables.py"),
]
ATEN = {"default": "sse2", "avx2": "avx2", "avx512": "avx512_f"}
ONEDNN = {"AVX2": "avx2", "AVX512_CORE": "avx512_bw", "AVX512_CORE_BF16": "avx512_bf16"}
COUNTS = ("passed", "failed", "error", "skipped")


class Setting(NamedTuple):
    """Under what the tests run."""

    name: str
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()
    needs: str = "sse2"  # of the processor
    is_busy: bool = False


def isa() -> list[Setting]:
    """Instructions that kernels are held to, and how many threads share a product."""
    held = [("ATEN_CPU_CAPABILITY", value, needs) for value, needs in ATEN.items()]
    held += [("ONEDNN_MAX_CPU_ISA", value, needs) for value, needs in ONEDNN.items()]
    found = []
    for (name, value, needs), threads in product([*held, ("", "", "sse2")], "12"):
        environment = {"OMP_NUM_THREADS": threads} | ({name: value} if name else {})
        label = f"{name}={value}" if name else "as it is"
        found.append(Setting(f"{label}, threads: {threads}", environment, needs=needs))
    return found + [
        Setting(f"other sums, seed {seed}", {}, ("--rounding", str(seed))) for seed in (1, 2)
    ]


def order() -> list[Setting]:
    """Tests in random order."""
    return [Setting(f"order, seed {seed}", {}, ("--order", str(seed))) for seed in (1, 2, 3)]


def busy() -> list[Setting]:
    """Beside a loop on every core."""
    return [Setting("busy cores", {}, is_busy=True)]


GROUPS = {"isa": isa, "order": order, "busy": busy}


@contextmanager
def load(n: int):
    """So many loops that do nothing."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(n)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def counts(setting: Setting, arguments: list[str], log: Path) -> dict[str, int]:
    """How many tests passed, failed and so on; what they printed goes to the log."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", *setting.arguments, *arguments]
    environment = {"OMP_NUM_THREADS": "1"} | dict(os.environ) | setting.environment
    with ExitStack() as stack:
        if setting.is_busy:
            stack.enter_context(load(os.cpu_count() or 1))
        with log.open("w") as output:
            status = subprocess.call(command, env=environment, stdout=output, stderr=output)
    lines = log.read_text().splitlines()
    found = dict.fromkeys(COUNTS, 0)
    for number, word in re.findall(r"(\d+) (passed|failed|error|skipped)", "".join(lines[-1:])):
        found[word] = int(number)
    if status and not (found["failed"] or found["error"]):
        found["error"] = 1  # it ended before it could count
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print("   ", line, flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="0", help="processes of a run")
    parser.add_argument("--logs", default=tempfile.gettempdir(), type=Path)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="files and options of pytest")
    chosen = parser.parse_args()
    arguments = chosen.arguments or (SENSITIVE if chosen.group == "isa" else [])
    arguments = [*arguments, "--numprocesses", chosen.workers, "--dist", "worksteal"]
    there = torch.cpu.get_capabilities()
    n_bad = 0
    print(f"processor: {there.get('cpu_name')}; logs in {chosen.logs}")
    print("| setting | " + " | ".join(COUNTS) + " |\n|---|" + "---:|" * len(COUNTS), flush=True)
    for i, setting in enumerate(GROUPS[chosen.group]()):
        if not there.get(setting.needs, False):
            print(f"| {setting.name} | not on this processor" + " |" * len(COUNTS), flush=True)
            continue
        found = counts(setting, arguments, chosen.logs / f"{chosen.group}-{i}.log")
        n_bad += found["failed"] + found["error"]
        print(f"| {setting.name} | {' | '.join(str(found[c]) for c in COUNTS)} |", flush=True)
    return min(n_bad, 1)


if __name__ == "__main__":
    sys.exit(main())
