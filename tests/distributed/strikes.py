"""Signals and cut links at a moment that counts what a process tells others, not seconds.

However fast a machine is, such a moment comes in every fit: the first time that processes wait for
each other has the number 1.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time

from skvae.team import Team

_ANSWERING = Team.answering

CUT = "CUT"
LINK = "skvae0"  # in a namespace of its own (`links`)


class Strike:
    """Strikes this process some seconds after it has begun to tell something for the n-th time.

    By a signal, or by a link of the process's network that goes down.
    """

    def __init__(self, moment=0, name="SIGKILL", delay=0.0, note=None):
        self.moment, self.name, self.delay = moment, name, delay
        self.note, self.n_told = note, 0
        self.thread = threading.Thread(target=self._strike, daemon=True)

    def arm(self):
        """Count from now on, in this process."""

        @contextlib.contextmanager
        def answering(team):
            self.n_told += 1
            if self.n_told == self.moment:
                self.thread.start()
            with _ANSWERING(team):
                yield

        Team.answering = answering
        return self

    def _strike(self):
        time.sleep(self.delay)
        if self.note is not None:
            self.note.write_text(f"{time.time()}")
        if self.name == CUT:
            subprocess.run(["ip", "link", "set", LINK, "down"], check=True)
        else:
            os.kill(os.getpid(), getattr(signal, self.name))

    def wait(self):
        """Wait for it, where the fit was faster."""
        Team.answering = _ANSWERING
        if self.thread.ident is not None:
            self.thread.join()


_ARMED = []


def arm_here(moment=0, delay=0.0):
    """Arm a strike where others ask for it, as in a worker of Dask; without a moment count only."""
    _ARMED[:] = [Strike(moment, "SIGKILL", delay).arm()]


def told_here():
    """How often the process has told something since."""
    return _ARMED[0].n_told
