"""Networks of the nonlinear branches: architectures, and the table of their names."""

from skvae.model.networks.bodies import (
    ACTIVATIONS,
    ARCHITECTURES,
    AUTO_SIZES,
    MLP,
    NORMALIZATIONS,
    Architecture,
    Conv,
    Dropout,
    Linear,
    Residual,
    auto_sizes,
    counted_products,
    draw_with,
    evaluating,
)

__all__ = [
    "ACTIVATIONS",
    "ARCHITECTURES",
    "AUTO_SIZES",
    "MLP",
    "NORMALIZATIONS",
    "Architecture",
    "Conv",
    "Dropout",
    "Linear",
    "Residual",
    "auto_sizes",
    "counted_products",
    "draw_with",
    "evaluating",
]
