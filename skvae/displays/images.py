"""Rows drawn as images, side by side in one axes."""

from typing import Any

import numpy as np

from skvae.explorer.pictures import checked_shape


def as_images(rows: np.ndarray, image_shape: Any) -> np.ndarray:
    """Rows as images, shape (..., h, w) or (..., h, w, 3)."""
    shape = checked_shape(image_shape, rows.shape[-1])
    last = len(shape) == 3 and shape[2] in (1, 3)
    images = rows.reshape(*rows.shape[:-1], *shape)
    if len(shape) == 3 and not last:
        images = np.moveaxis(images, -3, -1)
    return images[..., 0] if len(shape) == 3 and images.shape[-1] == 1 else images


def draw_mosaic(
    ax: Any, images: np.ndarray, limits: tuple[float, float], options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of shape (n_down, n_across, h, w[, 3]); return their centres down and across."""
    low, high = limits
    height, width = images.shape[2:4]
    gap = max(1, height // 12)
    is_color = images.ndim == 5
    if is_color:
        images = np.clip((images - low) / (high - low or 1.0), 0, 1)
    frame = [(0, 0), (0, 0), (0, gap), (0, gap)] + [(0, 0)] * is_color
    # What is NaN is not drawn: gaps have the colour of the page.
    framed = np.pad(images.astype(float), frame, constant_values=1.0 if is_color else np.nan)
    mosaic = np.concatenate([np.concatenate([*row], axis=1) for row in framed])[:-gap, :-gap]
    ax.imshow(mosaic, **{"cmap": "gray", "vmin": low, "vmax": high} | options)
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    n_down, n_across = images.shape[:2]
    return (
        (height - 1) / 2 + (height + gap) * np.arange(n_down),
        (width - 1) / 2 + (width + gap) * np.arange(n_across),
    )


def figure_size(images: np.ndarray) -> tuple[float, float]:
    """Inches of a figure whose images have about the same size whatever their number."""
    n_down, n_across, height, width = images.shape[:4]
    side = np.clip(6.4 / n_across, 0.5, 1.0)
    return 1.1 + side * n_across, 0.5 + side * n_down * height / width
