"""Rows that are images: their shape, and what is black and white."""

from math import prod
from typing import Any

import numpy as np

from skvae.explorer.table import column_names, levels_of, values_of


def checked_shape(image_shape: Any, n_values: int) -> tuple[int, ...]:
    """The shape of a row as an image: (h, w), (h, w, 3) or (3, h, w); a ValueError if none."""
    if not np.iterable(image_shape):
        raise ValueError(f"image_shape={image_shape!r} must be (h, w), (h, w, 3) or (3, h, w).")
    shape = tuple(image_shape)
    is_last = len(shape) == 3 and shape[2] in (1, 3)
    if len(shape) not in (2, 3) or (len(shape) == 3 and not is_last and shape[0] not in (1, 3)):
        raise ValueError(f"image_shape={shape} must be (h, w), (h, w, 3) or (3, h, w).")
    if prod(shape) != n_values:
        raise ValueError(f"image_shape={shape} has {prod(shape)} values, but a row has {n_values}.")
    return shape


def picture_of(estimator: Any, X: Any, image_shape: Any) -> dict[str, Any] | None:
    """How the page draws rows as images, or None; `low` is black and `high` white."""
    if image_shape is None:
        return None
    shape = checked_shape(image_shape, estimator.n_features_in_)
    for name, levels in zip(column_names(estimator), levels_of(estimator), strict=True):
        if any(isinstance(level, str) for level in levels):
            raise ValueError(
                f"image_shape={shape} needs rows of numbers, but {name!r} holds text: leave "
                "image_shape out."
            )
    values = values_of(estimator, X)
    is_first = len(shape) == 3 and shape[2] not in (1, 3)
    height, width = shape[1:] if is_first else shape[:2]
    return {
        "height": int(height),
        "width": int(width),
        "n_colors": 1 if len(shape) == 2 else int(shape[0] if is_first else shape[2]),
        "colors_first": is_first,
        "low": float(np.nanmin(values)),
        "high": float(np.nanmax(values)),
    }
