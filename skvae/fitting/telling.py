"""Telling who follows a fit of its trainings, in the units of the data."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from skvae.data.batches import Values
from skvae.model.vae import VAE
from skvae.start.base import LinearStart
from skvae.team import Team
from skvae.training.evaluation import Evaluator
from skvae.training.listener import NOBODY, Listener
from skvae.training.loop import as_stopped
from skvae.training.progress import Follower, Progress
from skvae.training.record import Record
from skvae.training.state import TrainingState

Finish = Callable[[VAE, Record], Any]  # the model of a fit that ends with a training


class Telling(Listener):
    """Tells a follower of a training.

    Parameters
    ----------
    follower : Follower
        Who is told.
    name : str
        Of the training.
    jacobians : tuple of float
        What mean log-densities gain in the user's units: of the training rows, of those held out.
    finish : callable or None
        Makes the model that fit leaves where it ends with a training.
    """

    def __init__(
        self, follower: Follower, name: str, jacobians: tuple[float, ...], finish: Finish | None
    ) -> None:
        self.follower, self.name = follower, name
        self.jacobians, self.finish = jacobians, finish

    def begin_training(self, most_passes: int | None) -> None:
        self.follower.begin_training(self.name, most_passes)

    def begin_pass(self) -> None:
        self.follower.begin_pass()

    def end_pass(self, state: TrainingState, evaluator: Evaluator | None) -> bool:
        record, (of_training, of_held_out) = state.record, self.jacobians
        progress = Progress(
            record.n_passes,
            max(record.n_passes, state.controller.last_pass),
            float(record.losses[-1]) - of_training,
            [bound + of_held_out for bound in record.bounds],
            record.seconds,
        )
        outcome = None
        if self.finish is not None and evaluator is not None:
            outcome = partial(_outcome, self.finish, state, evaluator)
        return self.follower.end_pass(progress, outcome)

    def end_training(self) -> bool:
        return self.follower.end_training()


class FirstOfTeam(Follower):
    """Who follows in the first of several processes: what that says holds for all of them."""

    def __init__(self, own: Follower, team: Team) -> None:
        self.own, self.team = own, team

    def begin_training(self, name: str, most_passes: int | None) -> None:
        self.own.begin_training(name, most_passes)

    def begin_pass(self) -> None:
        self.own.begin_pass()

    def end_pass(self, progress: Progress, outcome: Callable[[], Any] | None) -> bool:
        return self._agreed(lambda: self.own.end_pass(progress, outcome))

    def end_training(self) -> bool:
        return self._agreed(self.own.end_training)

    def _agreed(self, said: Callable[[], bool]) -> bool:
        return self.team.first(self.team.all_do(said))


def listener_of(follower: Follower | None, name: str, jacobians: tuple[float, ...]) -> Listener:
    """Who hears for a follower, where there is one, of a training that fit cannot end with."""
    return NOBODY if follower is None else Telling(follower, name, jacobians, None)


def mean_jacobians(
    start: LinearStart, values: Values, weight: np.ndarray | None, *parts: Tensor
) -> tuple[float, ...]:
    """What mean log-densities of parts of the rows gain in the user's units, nats."""
    gain = start.representation.log_jacobian(values)
    rows = [part.numpy(force=True) for part in parts]
    return tuple(
        float(np.average(gain[own], weights=None if weight is None else weight[own]))
        for own in rows
    )


def _outcome(finish: Finish, state: TrainingState, evaluator: Evaluator) -> Any:
    return finish(*as_stopped(state, evaluator))
