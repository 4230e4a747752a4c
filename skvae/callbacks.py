"""Callbacks of scikit-learn: what they are told of a fit, and how they end it.

Where scikit-learn has none, before 1.9, an estimator has no `set_callbacks`, and `verbose` alone
shows how a fit goes on.
"""

from abc import ABC
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from skvae._sklearn import CallbackSupportMixin, Documented, has_callbacks
from skvae.fitting.sharing import Sharing, as_first_has, is_first
from skvae.fitting.telling import FirstOfTeam
from skvae.training.progress import Follower, Followers, Progress, progress_bar

PASS = "pass"  # what the task of a pass is called


class Rows(NamedTuple):
    """What a fit was given."""

    X: Any
    y: Any
    sample_weight: Any

    def told(self) -> dict[str, Any]:
        """What callbacks are told of it.

        What an autoencoder has to predict are its rows: without a y of the caller's they are told
        as that. A `ScoringMonitor` scores nothing where there is none.
        """
        metadata = {} if self.sample_weight is None else {"sample_weight": self.sample_weight}
        y = self.X if self.y is None else self.y
        return {"X": self.X, "y": y, "metadata": metadata}


class Callbacks(Follower):
    """The callbacks of an estimator, which follow its fit.

    Parameters
    ----------
    estimator : Watchable
        The estimator in its fit.
    rows : Rows
        What the fit was given.
    learned : callable
        Makes the attributes of a fitted estimator of a model and its record.
    """

    def __init__(
        self, estimator: "Watchable", rows: Rows, learned: Callable[..., dict[str, Any]]
    ) -> None:
        self.estimator, self.learned = estimator, learned
        self.told = {"estimator": estimator, **rows.told()}
        self.fit = estimator._init_callback_context(max_subtasks=None)
        self.fit.call_on_fit_task_begin(**self.told)
        self.training = self.one_pass = self.fit

    def begin_training(self, name: str, most_passes: int | None) -> None:
        self.training = self.fit.subcontext(task_name=name, max_subtasks=most_passes)
        self.training.call_on_fit_task_begin(**self.told)

    def begin_pass(self) -> None:
        self.one_pass = self.training.subcontext(task_name=PASS)
        self.one_pass.call_on_fit_task_begin(**self.told)

    def end_pass(self, progress: Progress, outcome: Callable[[], Any] | None) -> bool:
        self.estimator.progress_ = progress
        made = None
        if outcome is not None:

            def made() -> dict[str, Any]:
                return self.learned(*outcome())

        return self.one_pass.call_on_fit_task_end(**self.told, reconstruction_attributes=made)

    def end_training(self) -> bool:
        return self.training.call_on_fit_task_end(**self.told)

    def end(self) -> None:
        """The estimator is fitted."""
        self.fit.call_on_fit_task_end(**self.told, reconstruction_attributes={})
        self.estimator.__dict__.pop("progress_", None)


class Watchable(CallbackSupportMixin, Documented, ABC):
    """Estimator with a progress bar and callbacks that follow a fit."""

    verbose: int
    progress_: Progress  # while fit runs

    @contextmanager
    def _followed(
        self, rows: Rows, sharing: Sharing | None, learned: Callable[..., dict[str, Any]]
    ) -> Iterator[Follower | None]:
        """Who follows a fit, if anybody does; of several processes, in the first."""
        is_told, callbacks = is_first(sharing), None
        with progress_bar(self.verbose if is_told else 0) as followers:
            if is_told and has_callbacks(self):
                callbacks = Callbacks(self, rows, learned)
                followers.append(callbacks)
            may_stop = as_first_has(sharing, callbacks is not None)
            follower: Follower | None = Followers(followers) if followers or may_stop else None
            if follower is not None and sharing is not None and may_stop:
                follower = FirstOfTeam(follower, sharing.team)
            yield follower
        if callbacks is not None:
            callbacks.end()
