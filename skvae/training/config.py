"""What a training is asked for: what it makes small and how, and for how long."""

import math
from typing import NamedTuple

from skvae.limits import Limits
from skvae.training.objective import Objective
from skvae.training.optimizer import Optimizer
from skvae.training.schedules import Schedule


class Budget(NamedTuple):
    """How long to train, and by what steps."""

    batch_size: int
    may_grow: bool  # the batch, once the bound has settled
    max_passes: int
    early_stopping: bool
    total_passes: float = math.inf  # those of annealing included
    auto_rate: float = Limits.learning_rate  # where the optimizer's is left to "auto"
    patience: int = Limits.patience


class TrainingConfig(NamedTuple):
    """What to make small, how, and within which limits."""

    objective: Objective
    optimizer: Optimizer
    kl_schedule: Schedule
    beta: float = 1.0
    limits: Limits = Limits()
    refinement: int = 0  # steps by which the codes of held-out rows are refined
