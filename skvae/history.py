"""What a training leaves to be read: looks at the held-out rows, in the user's units.

A look is a dict of numbers. Inside they count from the beginning of a fit and are in scaled units;
outside they count on from those of the fits before.
"""

from collections.abc import Iterable

import numpy as np

Look = dict[str, float]
# Loss of every pass, held-out bounds, looks: what a fit that goes on adds to.
Curves = tuple[list[float], list[float], list[Look]]

_COLUMNS = (
    "step", "n_pass", "bound", "reconstruction", "kl", "gradient_norm", "learning_rate", "noise",
    "temperature", "proposals", "accepted", "seconds",
)  # fmt: skip


def history_of(
    curves: Curves, looks: Iterable[Look], log_jacobian: float, scale: float
) -> dict[str, np.ndarray]:
    """Looks of the fits before and of this one, by column.

    A density gains log_jacobian in the user's units, of which a scaled unit is as many as scale.
    """
    losses, _, before = curves
    seconds = before[-1]["seconds"] if before else 0.0
    after = [
        _in_users_units(look, log_jacobian, scale)
        | {"n_pass": look["n_pass"] + len(losses), "seconds": look["seconds"] + seconds}
        for look in looks
    ]
    return {
        name: np.array([look.get(name, np.nan) for look in [*before, *after]]) for name in _COLUMNS
    }


def looks_of(history: dict[str, np.ndarray]) -> list[Look]:
    """The looks that a history holds by column."""
    rows = zip(*history.values(), strict=True)
    return [dict(zip(history, row, strict=True)) for row in rows]


def _in_users_units(look: Look, log_jacobian: float, scale: float) -> Look:
    return look | {
        "bound": look["bound"] + log_jacobian,
        "reconstruction": look["reconstruction"] + log_jacobian,
        "noise": look["noise"] * scale**2,
    }
