"""How far a training is, and who is told of it: a progress bar, or whoever else follows a fit."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from tqdm.auto import tqdm

TRAINING, SPLIT, LAST_PASSES = "training", "training of a split", "last passes"


class Progress(NamedTuple):
    """State of a training at the end of a pass.

    Parameters
    ----------
    n_passes : int
        Number of passes over the rows so far.
    last_pass : int
        Number of the last pass, as currently planned.
    loss : float
        Minus the bound of the rows of the last pass, nats per row.
    bounds : list of float
        Bounds of the held-out rows, one per evaluation, nats per row. The first is that of the
        linear start.
    seconds : float
        Duration of the training so far, seconds.
    """

    n_passes: int
    last_pass: int
    loss: float
    bounds: list[float]
    seconds: float

    @property
    def bound(self) -> float:
        """Best bound so far, nats per row."""
        return max(self.bounds)

    @property
    def gain(self) -> float:
        """Best bound minus that of the linear start, nats per row."""
        return self.bound - self.bounds[0]


class Follower(ABC):
    """Who is told of the trainings of a fit and of their passes, and may end them."""

    @abstractmethod
    def begin_training(self, name: str, most_passes: int | None) -> None:
        """A training begins, of so many passes at most where that is known."""

    @abstractmethod
    def begin_pass(self) -> None:
        """A pass begins."""

    @abstractmethod
    def end_pass(self, progress: Progress, outcome: Callable[[], Any] | None) -> bool:
        """Whether the training shall end with this pass.

        `outcome` makes the model that fit would then leave, and its record; None where that is not
        known yet.
        """

    @abstractmethod
    def end_training(self) -> bool:
        """Whether no other training shall follow this one."""


class Bar(Follower):
    """The progress bar of `verbose=1`."""

    def __init__(self, bar: tqdm) -> None:
        self.bar = bar
        self.is_shown = False

    def begin_training(self, name: str, most_passes: int | None) -> None:
        self.is_shown = name == TRAINING

    def begin_pass(self) -> None:
        pass

    def end_pass(self, progress: Progress, outcome: Callable[[], Any] | None) -> bool:
        if self.is_shown:
            self.bar.total = progress.last_pass
            text = f"bound {progress.bound:.2f}, over PCA {progress.gain:+.2f} nats"
            self.bar.set_postfix_str(text, False)
            self.bar.update(progress.n_passes - self.bar.n)
        return False

    def end_training(self) -> bool:
        return False


class Followers(Follower):
    """Several, who are told in turn."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self.followers = followers

    def begin_training(self, name: str, most_passes: int | None) -> None:
        for each in self.followers:
            each.begin_training(name, most_passes)

    def begin_pass(self) -> None:
        for each in self.followers:
            each.begin_pass()

    def end_pass(self, progress: Progress, outcome: Callable[[], Any] | None) -> bool:
        said = [each.end_pass(progress, outcome) for each in self.followers]
        return any(said)

    def end_training(self) -> bool:
        said = [each.end_training() for each in self.followers]
        return any(said)


@contextmanager
def progress_bar(verbose: int) -> Iterator[list[Follower]]:
    """Who moves the bar; nobody where nothing is shown."""
    if not verbose:
        yield []
        return
    with tqdm(desc="VAETransformer", unit="pass", total=None) as bar:
        yield [Bar(bar)]
