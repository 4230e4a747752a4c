"""How training goes on: rate, weight decay, size of the batches, and when it ends.

By default the learning rate warms up, stays while the held-out bound of the averaged weights
rises, then falls to zero from the best state so far. On the way the controller sets weight decay
against overfitting and larger batches against standstill. docs/theory.md has the experiments
behind the numbers.
"""

import math
from typing import Any

import torch

from skvae.limits import Limits
from skvae.training.config import Budget, TrainingConfig
from skvae.training.record import Record
from skvae.training.sampler import steps_of_pass

# What changes on the way, beside the fall.
_POSITION = (
    "batch_size", "last_pass", "max_passes", "total_passes", "decay_level", "n_drops",
    "n_looks_before", "share", "has_settled",
)  # fmt: skip


class Controller:
    """How training goes on, by the evaluations on the held-out rows, and when it ends.

    Overfitting calls for weight decay. Where the bound has settled without, the
    noise of the gradient holds it back: batches grow. Once it settles again the rate falls to zero,
    or by a step, as the schedule has it. Other schedules have a fixed course, to the last pass.
    """

    def __init__(self, budget: Budget, config: TrainingConfig, n_rows: int, n_inputs: int) -> None:
        self.budget, self.n_rows, self.n_inputs = budget, n_rows, n_inputs
        self.limits = limits = config.limits
        self.batch_size = min(budget.batch_size, n_rows)
        growth = limits.enlargement if budget.may_grow else 1
        self.largest_batch = min(growth * self.batch_size, n_rows // 2)
        self.early_stopping = budget.early_stopping
        self.last_pass = budget.max_passes
        self.max_passes: float = budget.max_passes  # that shares of the budget refer to
        self.total_passes = budget.total_passes
        n_steps = budget.max_passes * self.pass_steps
        self.warm_up = max(1, min(limits.warm_up_steps, round(limits.warm_up_share * n_steps)))
        self.config, self.course = config, config.optimizer.course()
        self.full_rate = config.optimizer.full_rate(budget.auto_rate)
        self.weight_decays = config.optimizer.decay_levels(limits.weight_decays)
        self.decay_level = 0
        self.n_drops = 0
        self.n_looks_before = 0  # those before the last change say nothing of its effect
        self.share = 0.0  # of the passes that are done
        self.fall_steps: range | None = None
        self.has_settled = False

    def to_state(self) -> dict[str, Any]:
        """Where it stands, as JSON values."""
        fall = None if self.fall_steps is None else [self.fall_steps.start, self.fall_steps.stop]
        return {
            "budget": self.budget._asdict(),
            "n_rows": self.n_rows,
            "n_inputs": self.n_inputs,
            "position": {name: getattr(self, name) for name in _POSITION},
            "fall_steps": fall,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where it stood.

        Raises
        ------
        ValueError
            If it led another training, or stood where none can.
        """
        own, position = self.to_state(), state["position"]
        if any(state[name] != own[name] for name in ("budget", "n_rows", "n_inputs")):
            raise ValueError("it was led by another controller.")
        is_possible = 1 <= position["batch_size"] <= max(self.batch_size, self.largest_batch)
        if not (is_possible and position["last_pass"] <= self.budget.max_passes):
            raise ValueError("no training can stand there.")
        for name in _POSITION:
            setattr(self, name, position[name])
        fall = state["fall_steps"]
        self.fall_steps = None if fall is None else range(*fall)

    @property
    def pass_steps(self) -> int:
        return steps_of_pass(self.n_rows, self.batch_size, self.limits.pass_rows)

    @property
    def check_passes(self) -> int:
        """Passes from one evaluation on the held-out rows to the next."""
        return max(1, round(self.limits.check_steps / self.pass_steps))

    @property
    def weight_decay(self) -> float:
        return self.weight_decays[self.decay_level]

    @property
    def kl_weight(self) -> float:
        return self.config.beta * self.config.kl_schedule.factor(self.share)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rate = self.full_rate
        if self.fall_steps:
            return rate * (1.0 - (step - self.fall_steps.start) / len(self.fall_steps))
        if self.n_drops:
            rate *= self.course.drops[self.n_drops - 1]
        return rate * self.course.factor(self.share) * min(1.0, (step + 1) / self.warm_up)

    def is_due(self, n_passes: int) -> bool:
        return n_passes % self.check_passes == 0 or n_passes == self.last_pass

    def adapt(self, record: Record, step: int, best_pass: int) -> bool:
        """Change what the last evaluation calls for; whether to return to the best weights."""
        if self.fall_steps is not None:
            if self.early_stopping and self._falls_in_vain(record.bounds):
                self.last_pass = record.n_passes
                self.has_settled = True
            return False
        n_looks, last_level = len(record.bounds) - 1, len(self.weight_decays) - 1
        if self.decay_level < last_level and overfits(
            record, self.check_passes, self.n_inputs, self.limits
        ):
            self.decay_level += 1
            self.n_looks_before = n_looks
        if self.share < self.config.kl_schedule.end:
            self.n_looks_before = n_looks
        if not self.course.waits:
            return False
        if self._must_fall(record):
            self.n_looks_before = n_looks
            self.fall(record.n_passes, self.last_pass, step)
            return True
        if not (
            (self.early_stopping or self._can_drop)
            and step >= self._least_steps
            and n_looks - self.n_looks_before >= self.budget.patience
            and has_settled(record.bounds, self.budget.patience, self.limits)
        ):
            return False
        self.n_looks_before = n_looks
        self._settle(record, step, best_pass)
        return True

    @property
    def _least_steps(self) -> int:
        """Steps before the bound can have settled.

        While nothing overfits, weights may still be on their way from the linear start.
        """
        is_calm = self.decay_level == 0 and len(self.weight_decays) > 1
        return self.limits.min_calm_steps if is_calm else self.limits.min_steps

    @property
    def _can_drop(self) -> bool:
        """Whether the rate has a step left to fall by."""
        return self.n_drops < len(self.course.drops)

    def _must_fall(self, record: Record) -> bool:
        """Whether the passes that are left are just those that a fall takes."""
        if self.course.drops:
            return False
        next_look = record.n_passes + self.check_passes
        return next_look + self.fall_length(next_look) > self.last_pass

    def _falls_in_vain(self, bounds: list[float]) -> bool:
        """Whether the last evaluations, all of them at a falling rate, gained nothing at all."""
        n_looks = len(bounds) - 1 - self.n_looks_before
        patience = self.limits.fall_patience
        before, recent = bounds[1:-patience], bounds[-patience:]
        return n_looks >= patience and max(recent) <= max(before)

    def _settle(self, record: Record, step: int, best_pass: int) -> None:
        """Do what comes next once the bound has settled."""
        if self.decay_level == 0 and self.batch_size < self.largest_batch:
            self.batch_size = self.largest_batch
        elif self._can_drop:
            self.n_drops += 1
        else:
            self.has_settled = True
            length = self.fall_length(best_pass)
            self.fall(record.n_passes, min(self.last_pass, record.n_passes + length), step)

    def is_flat(self, record: Record) -> bool:
        """Whether a training of a set length ended where the bound had stopped to rise."""
        must_run = not (self.course.waits and self.early_stopping)
        return must_run and has_settled(record.bounds, self.budget.patience, self.limits)

    def fall_length(self, n_passes: int) -> int:
        """Passes that the fall takes after so many passes at the full rate."""
        if self.course.drops:
            return 0
        return math.ceil(self.limits.fall_share * n_passes + self.warm_up / self.pass_steps)

    def begin_fall(self, weight_decay: float) -> None:
        """Let the rate fall from the first pass on, with the KL in full, and this decay at most."""
        self.share = 1.0  # of schedules, which have run
        before = self.weight_decays.index(weight_decay)
        self.decay_level = min(before, self.limits.last_decay_level)
        self.fall(0, self.last_pass, 0)

    def fall(self, n_passes: int, last_pass: int, step: int) -> None:
        """Let the learning rate fall to zero from here to the last pass."""
        self.last_pass = last_pass
        self.fall_steps = range(step, step + (last_pass - n_passes) * self.pass_steps)


def overfits(record: Record, check_passes: int, n_inputs: int, limits: Limits) -> bool:
    """Whether the training bound exceeds the held-out one by much of what was gained."""
    training = -torch.stack(record.losses[-check_passes:]).mean().item()
    first, last = record.bounds[1], record.bounds[-1]
    allowed = limits.overfit_share * abs(last - first) + limits.overfit_nats * n_inputs
    return training - last > allowed


def has_settled(bounds: list[float], patience: int, limits: Limits) -> bool:
    """Whether the last evaluations raised the best bound by less than a share of what was gained.

    The first bound, the linear start's own, may be far off on rows far out: it does not count.
    """
    before, recent = bounds[1:-patience], bounds[-patience:]
    if not before:
        return False
    return max(recent) <= max(before) + limits.tolerance * (max(before) - min(before))
