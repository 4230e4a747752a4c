"""A process that is struck by a signal at a moment that counts what it tells others, not seconds.

However fast a machine is, such a moment comes in every fit: the first time that processes wait for
each other has the number 1.
"""

import contextlib
import os
import signal
import threading
import time

from skvae.team import Team

_ANSWERING = Team.answering


class Strike:
    """Strikes this process some seconds after it has begun to tell something for the n-th time."""

    def __init__(self, moment=0, name="SIGKILL", delay=0.0, note=None):
        self.moment, self.number, self.delay = moment, getattr(signal, name), delay
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
        os.kill(os.getpid(), self.number)

    def wait(self):
        """Wait for it, where the fit was faster."""
        Team.answering = _ANSWERING
        if self.thread.ident is not None:
            self.thread.join()


def armed_in_a_worker(moment, delay):
    """Arm a strike in the process of a worker of Dask."""
    Strike(moment, "SIGKILL", delay).arm()
