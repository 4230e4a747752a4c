"""Where a fit stands: what its trainings have left so far, and the state of the one that runs.

A fit takes its trainings (restarts, other splits, the last passes) one after another in
an order that data, parameters and seed decide. So a place in that row, what the trainings before it
have left, and the state of the one at it say where a fit stands: all else is found again. Nothing
of a training depends on when its state is noted.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from skvae.training.evaluation import DivergenceError
from skvae.training.saved import Saved
from skvae.training.state import TrainingState

_PAUSE = 1.0  # seconds between two notes in memory, at least,
_PAUSES = 200  # and times what a note takes


class Standing(NamedTuple):
    """Where a fit stands."""

    ended: list[Saved]  # what trainings have left, in their order
    running: Saved | None  # the state of the one after them


class Checkpoint:
    """Where a fit stands, noted on the way.

    Parameters
    ----------
    keep : callable or None, default=None
        Keeps a `Standing`, such as in a file; without it nothing is noted.
    every : float, default=inf
        Seconds from one time that it is called to the next.
    found : Standing or None, default=None
        Where the same fit stood when it was interrupted.
    agreed : callable, default=bool
        Whether it is noted, given that the time is due here: several processes do as one says.
    """

    def __init__(
        self,
        keep: Callable[[Standing], None] | None = None,
        every: float = math.inf,
        found: Standing | None = None,
        agreed: Callable[[bool], bool] = bool,
    ) -> None:
        self.keep, self.every, self.agreed = keep, every, agreed
        self._ended = [] if found is None else list(found.ended)
        self._running = None if found is None else found.running
        self._n_found, self._place = len(self._ended), 0
        self._is_new = False  # what was noted is not kept yet
        self._kept = self._next_note = time.perf_counter()

    @contextmanager
    def training(self, state: TrainingState) -> Iterator[bool]:
        """The next training, from where it stood: whether it had ended.

        Raises
        ------
        DivergenceError
            If it ended so.
        ValueError
            If what was kept is of another training.
        """
        place, self._place = self._place, self._place + 1
        if place < self._n_found:
            _recall(self._ended[place], state)
            yield True
            return
        if self._running is not None and place == self._n_found:
            state.load_state(self._running)
        state.watch = self.note
        try:
            yield False
        except DivergenceError as error:
            self._end(({"generator": state.generator_state()}, {"diverged": str(error)}))
            raise
        if state.record.interrupted:
            self.flush()
        else:
            self._end(state.to_outcome())

    def _end(self, outcome: Saved) -> None:
        self._ended.append(outcome)
        self._running, self._is_new = None, True
        self._keep_if_due()

    def note(self, state: TrainingState) -> None:
        """Note where a training stands; keep it, where that is due."""
        if self.keep is None:
            return
        began = time.perf_counter()
        if not self.agreed(began >= self._next_note or self._is_due):
            return
        self._running, self._is_new = state.to_state(), True
        self._next_note = began + max(_PAUSE, _PAUSES * (time.perf_counter() - began))
        self._keep_if_due()

    @property
    def _is_due(self) -> bool:
        return time.perf_counter() - self._kept >= self.every

    def _keep_if_due(self) -> None:
        if self._is_due:
            self.flush()

    def flush(self) -> None:
        """Keep what was noted since the last time."""
        if self.keep is None or not self._is_new:
            return
        self._is_new = False
        self.keep(Standing(self._ended, self._running))
        self._kept = time.perf_counter()


def _recall(outcome: Saved, state: TrainingState) -> None:
    """Let a training be as it was when it had ended."""
    arrays, values = outcome
    if "diverged" in values:
        state.set_generator(arrays["generator"])
        raise DivergenceError(values["diverged"])
    state.load_outcome(outcome)
