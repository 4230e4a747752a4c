"""Two networks of this machine with a link between them, which fits cut; a table of them.

    python -m tests.distributed.links 10

Each network is a namespace of Linux, which root alone can make. In each, torchrun starts one
process. Once both have noticed that the link is cut it is mended, and they start again.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.distributed.groups import ROOT, environment
from tests.distributed.restarts import ended, tell
from tests.distributed.strikes import CUT, LINK

MOST_SECONDS = 300


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def can_be_made():
    """Whether this process may make networks."""
    try:
        with networks():
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextlib.contextmanager
def networks():
    """Names of two networks that are linked; their addresses end with 1 and 2."""
    names = [f"skvae-{os.getpid()}-{side}" for side in (1, 2)]
    with contextlib.ExitStack() as stack:
        for name in names:
            ip("netns", "add", name)
            stack.callback(ip, "netns", "delete", name)
            ip("-n", name, "link", "set", "lo", "up")
        one, two = names
        ip("link", "add", LINK, "netns", one, "type", "veth", "peer", "name", LINK, "netns", two)
        for side, name in enumerate(names, start=1):
            ip("-n", name, "address", "add", f"10.99.0.{side}/24", "dev", LINK)
            ip("-n", name, "link", "set", LINK, "up")
        yield names


def mended(names):
    for name in names:
        ip("-n", name, "link", "set", LINK, "up")


def of_side(side, name, folder, strike, restarts):
    """The command of a network's processes."""
    return [
        "ip", "netns", "exec", name,
        sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1",
        "--max-restarts", str(restarts), "--rdzv-backend", "c10d", "--rdzv-id", "fit",
        "--rdzv-endpoint", "10.99.0.1:29400", "--local-addr", f"10.99.0.{side}",
        "--rdzv-conf", f"is_host={int(side == 1)}",
        "-m", "tests.distributed.killed", str(folder), *map(str, strike),
    ]  # fmt: skip


def across(folder, *strike, restarts=3):
    """What a fit of two networks leaves whose link is cut, and mended once both have noticed."""
    folder.mkdir()
    logs = [folder / f"log-{side}" for side in (1, 2)]
    with networks() as names, contextlib.ExitStack() as stack:
        own = environment() | {"GLOO_SOCKET_IFNAME": LINK}
        begun = []
        for side, name in enumerate(names, start=1):
            log = stack.enter_context(logs[side - 1].open("w"))
            command = of_side(side, name, folder, strike, restarts)
            begun.append(subprocess.Popen(command, cwd=ROOT, env=own, stdout=log, stderr=log))
        try:
            codes = _waited_for(begun, folder, names)
        finally:
            for process in begun:
                process.terminate()
    assert codes == [0, 0], [log.read_text()[-3000:] for log in logs]
    return ended(folder, 2)


def _waited_for(begun, folder, names):
    """How the processes end, with the link mended on the way."""
    end, is_cut = time.monotonic() + MOST_SECONDS, True
    while any(process.poll() is None for process in begun):
        assert time.monotonic() < end, [path.name for path in folder.iterdir()]
        if is_cut and len(list(folder.glob("noticed-*"))) == 2:
            mended(names)
            is_cut = False
        time.sleep(0.1)
    return [process.returncode for process in begun]


def main(n_cuts):
    """Cut links at random moments, and tell of each."""
    with tempfile.TemporaryDirectory() as place:
        whole = across(Path(place, "whole"), -1, CUT, 0)
        for n in range(int(n_cuts)):
            moment = max(round(np.random.default_rng([7, n]).uniform(0.0, 0.9) * whole.n_told), 1)
            found = across(Path(place, f"{n}"), n % 2, CUT, 1, moment)
            same = "same bits" if found.shas == whole.shas else "OTHER BITS"
            tell(f"{n}: {found.said()}, at {moment} of {whole.n_told}, {same}")


if __name__ == "__main__":
    main(*sys.argv[1:])
