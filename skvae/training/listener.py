"""Who hears of every pass of a training, where it is done."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skvae.training.evaluation import Evaluator
    from skvae.training.state import TrainingState


class Stop(KeyboardInterrupt):
    """A training shall end, as it would by Ctrl-C, and that is how it is meant to."""


class Listener(ABC):
    """Hears of every pass of a training, and may end it."""

    @abstractmethod
    def begin_training(self, most_passes: int | None) -> None:
        """A training begins, of so many passes at most where that is known."""

    @abstractmethod
    def begin_pass(self) -> None:
        """A pass begins."""

    @abstractmethod
    def end_pass(self, state: "TrainingState", evaluator: "Evaluator | None") -> bool:
        """Whether the training shall end here.

        Without an evaluator it is not known what it would leave.
        """

    @abstractmethod
    def end_training(self) -> bool:
        """Whether no other training of the fit shall follow this one."""


class Nobody(Listener):
    """Hears nothing, and ends nothing."""

    def begin_training(self, most_passes: int | None) -> None:
        pass

    def begin_pass(self) -> None:
        pass

    def end_pass(self, state: "TrainingState", evaluator: "Evaluator | None") -> bool:
        return False

    def end_training(self) -> bool:
        return False


NOBODY = Nobody()
