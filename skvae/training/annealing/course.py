"""Where an annealing stands, as arrays and as JSON values."""

from typing import Protocol

import numpy as np

from skvae.training.annealing.best import Best
from skvae.training.annealing.passes import Passes
from skvae.training.saved import Saved, joined


class Chain(Protocol):
    """States of which each follows from the one before, by chance."""

    def to_state(self) -> Saved:
        """Where it stands."""


def course_of(
    affordable: tuple[int, int], before: np.ndarray, passes: Passes, best: Best, chain: Chain
) -> Saved:
    """All that an annealing needs to go on, beside the state of its training.

    affordable is what passes were left for when it began, before the state of the generator then.
    """
    parts = {"passes": passes.to_state(), "best": best.to_state(), "chain": chain.to_state()}
    arrays, values = joined(parts)
    return arrays | {"before": before}, values | {"affordable": list(affordable)}
