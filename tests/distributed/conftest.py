"""Groups of processes that fit together, started as people start them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def started(size, module, *arguments, restarts=0):
    """The command of a group of processes of this machine."""
    return [
        sys.executable, "-m", "torch.distributed.run", "--standalone",
        "--nproc-per-node", str(size), "--max-restarts", str(restarts),
        "-m", module, *map(str, arguments),
    ]  # fmt: skip


def environment():
    """Of a group: processes that start again do not look for those that are gone."""
    return os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }


@pytest.fixture(scope="session")
def together(tmp_path_factory):
    """What the processes of groups tell of cases, a list in the order of the processes."""

    def run(size, mode, *names):
        folder = tmp_path_factory.mktemp("together")
        command = started(size, "tests.distributed.together", folder, mode, *names)
        done = subprocess.run(
            command, env=environment(), cwd=ROOT, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr[-3000:]
        paths = [folder / f"{size}-{mode}-{rank}.json" for rank in range(size)]
        return [json.loads(path.read_text()) for path in paths]

    return run
