"""Groups of processes that fit together: forked, or started as people start them."""

import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from tests.processes import at_once

ROOT = Path(__file__).parents[2]


def grouped(size, work, *given):
    """What the processes of a group return of the same work, in their order."""
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder, "meeting").as_uri()
        return at_once(*((_member, meeting, rank, size, work, given) for rank in range(size)))


def _member(meeting, rank, size, work, given):
    dist.init_process_group("gloo", meeting, timedelta(seconds=120), rank=rank, world_size=size)
    try:
        return work(*given)
    finally:
        dist.destroy_process_group()


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
