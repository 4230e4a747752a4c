"""Pictures of a fitted estimator, by its public methods alone."""

from skvae.displays.displays import (
    LatentDisplay,
    LatentUsageDisplay,
    LossCurveDisplay,
    ReconstructionDisplay,
    TraversalDisplay,
)

__all__ = [
    "LatentDisplay",
    "LatentUsageDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "TraversalDisplay",
]
