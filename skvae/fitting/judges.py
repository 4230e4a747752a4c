"""Rows that are held out from training, to judge it: of one split, or of several in turn."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from skvae.fitting.options import Options
from skvae.fitting.rows import start_vae
from skvae.model.rows import Rows
from skvae.start.base import LinearStart
from skvae.training.evaluation import Evaluator


def split(
    n_rows: int, fraction: float | None, rng: np.random.RandomState, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Indices of held-out and of training rows."""
    if fraction is None:
        n_held_out = min(max(n_rows // 10, min(200, n_rows // 5)), 20_000)
    else:
        n_held_out = min(max(round(fraction * n_rows), 2), n_rows - 2)
    order = torch.from_numpy(rng.permutation(n_rows)).to(device)
    return order[:n_held_out], order[n_held_out:]


def other_splits(
    held_out: Tensor, training: Tensor, n_splits: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Held-out and training rows of the splits beside a first one, as many rows in each."""
    size = len(held_out)
    for first in range(0, min((n_splits - 1) * size, len(training) - size + 1), size):
        before, own, after = training.tensor_split([first, first + size])
        yield own, torch.cat([before, after, held_out])


def evaluator_of(
    start: LinearStart, rows: Rows, held_out: Tensor, training: Tensor, options: Options
) -> Evaluator:
    """What evaluates models on held-out rows, and knows some of the training's."""
    generator = options.generator()
    seen = rows.take(training[: options.limits.seen_rows]).drawn(generator)
    judging = rows.take(held_out).drawn(generator)
    return Evaluator.of(judging, seen, start_vae(start, options), generator, options.config)
