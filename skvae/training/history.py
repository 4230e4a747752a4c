"""What a training leaves to be read: evaluations on the held-out rows, in the user's units.

An evaluation is a dict of numbers. Inside they count from the beginning of a fit and are in scaled
units; outside they count on from those of the fits before.
"""

from collections.abc import Iterable

import numpy as np

Evaluation = dict[str, float]
# Loss of every pass, held-out bounds, evaluations: what a fit that goes on adds to.
Curves = tuple[list[float], list[float], list[Evaluation]]

_COLUMNS = (
    "step", "n_pass", "bound", "reconstruction", "kl", "gradient_norm", "learning_rate",
    "weight_decay", "noise", "temperature", "proposals", "accepted", "seconds",
)  # fmt: skip


def history_of(
    curves: Curves, looks: Iterable[Evaluation], log_jacobian: float, scale: float
) -> dict[str, np.ndarray]:
    """Evaluations of the fits before and of this one, by column.

    A density gains log_jacobian in the user's units, of which a scaled unit is as many as scale.
    """
    losses, _, before = curves
    seconds = before[-1]["seconds"] if before else 0.0
    after = [
        _in_users_units(evaluation, log_jacobian, scale)
        | {"n_pass": evaluation["n_pass"] + len(losses), "seconds": evaluation["seconds"] + seconds}
        for evaluation in looks
    ]
    return {
        name: np.array([evaluation.get(name, np.nan) for evaluation in [*before, *after]])
        for name in _COLUMNS
    }


def evaluations_of(history: dict[str, np.ndarray]) -> list[Evaluation]:
    """The evaluations that a history holds by column."""
    rows = zip(*history.values(), strict=True)
    return [dict(zip(history, row, strict=True)) for row in rows]


def _in_users_units(evaluation: Evaluation, log_jacobian: float, scale: float) -> Evaluation:
    return evaluation | {
        "bound": evaluation["bound"] + log_jacobian,
        "reconstruction": evaluation["reconstruction"] + log_jacobian,
        "noise": evaluation["noise"] * scale**2,
    }
