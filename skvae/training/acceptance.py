"""Acceptance: how much of a training is kept in place of the linear start.

Held-out rows decide. Where rows are few, those of one split are too few to decide: then those of
several splits decide together, each by a model that was trained without them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from skvae.limits import Limits
from skvae.model.vae import VAE
from skvae.training.evaluation import Evaluator, Verdict
from skvae.training.gain import pooled


class Acceptance(NamedTuple):
    """How much of the training was kept."""

    share: float  # 0: the linear start, 1: all of the training
    start_weight: float  # of the linear start in the reported density


@dataclass
class Candidate:
    """A trained model, the rows that were held out from its training, and where it began.

    origin is the state of the linear start in its networks, None where training began elsewhere.
    """

    evaluator: Evaluator
    vae: VAE
    origin: dict[str, Tensor] | None
    trained: dict[str, Tensor] = field(init=False)
    verdicts: dict[float, Verdict] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.trained = {name: value.clone() for name, value in self.vae.state_dict().items()}

    def take(self, share: float) -> None:
        """Set weights so far from the origin to where the training ended."""
        if share == 1.0:
            self.vae.load_state_dict(self.trained)
            return
        assert self.origin is not None
        between = {k: _between(self.origin[k], w, share) for k, w in self.trained.items()}
        self.vae.load_state_dict(between)
        self.evaluator.calibrate_and_evaluate(self.vae)

    def verdict(self, share: float) -> Verdict:
        """What its held-out rows say of so much of the training."""
        if share not in self.verdicts:
            self.take(share)
            self.verdicts[share] = self.evaluator.verdict(self.vae)
        return self.verdicts[share]


@torch.no_grad()
def select(candidates: Sequence[Candidate], limits: Limits) -> Acceptance:
    """Keep as much of the first candidate's training as beats the linear start.

    Weights go back toward their origin's until the candidates' rows together gain more than their
    standard error (of what, says `vae.gain`) and become likelier; failing that, nothing is kept,
    and the weights are those of the training.
    """
    first = candidates[0]
    for share in limits.keep_shares if first.origin is not None else (1.0,):
        verdicts = [candidate.verdict(share) for candidate in candidates]
        is_better = pooled(v.judged for v in verdicts).exceeds(limits.n_standard_errors)
        if is_better and pooled(v.likelier for v in verdicts).mean > 0:
            first.take(share)
            return Acceptance(share, first.evaluator.start_weight_of(first.vae))
    first.take(1.0)
    return Acceptance(0.0, 1.0)


def is_open(candidates: Sequence[Candidate], limits: Limits) -> bool:
    """Whether rows of the splits that are left could find some of the training better.

    They could if the gain of those so far, kept up over all splits, would be a quarter of what
    is asked.
    Those of the first are known to the linear start, which they favour: they may lose a little.
    """
    asked = 0.25 * limits.n_standard_errors * math.sqrt(len(candidates) / limits.n_splits)
    if len(candidates) == 1:
        asked = -1.0
    return any(
        pooled(candidate.verdicts[share].judged for candidate in candidates).exceeds(asked)
        for share in candidates[0].verdicts
    )


def _between(origin: Tensor, trained: Tensor, share: float) -> Tensor:
    return origin.lerp(trained, share) if trained.is_floating_point() else trained
