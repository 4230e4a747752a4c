"""Pictures of a fitted estimator, in the manner of scikit-learn's displays.

Each takes what it draws, or computes that with `from_estimator` by public methods alone. `plot`
draws in one axes, or within its frame where a display has several panels, and returns self:
`ax_` is the axes given or made, `axes_` those drawn in, `figure_` theirs. matplotlib is imported
when a display is made from an estimator or drawn, not before.
To add one: a module with a final class of `Display`, and a row in DISPLAYS.
"""

from skvae.displays.display import Display
from skvae.displays.latent import LatentDisplay
from skvae.displays.latent_usage import LatentUsageDisplay
from skvae.displays.loadings import LoadingsDisplay
from skvae.displays.loss_curve import LossCurveDisplay
from skvae.displays.reconstruction import ReconstructionDisplay
from skvae.displays.traversal import TraversalDisplay

__all__ = [
    "DISPLAYS",
    "Display",
    "LatentDisplay",
    "LatentUsageDisplay",
    "LoadingsDisplay",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "TraversalDisplay",
]

DISPLAYS: dict[str, type[Display]] = {
    "loss_curve": LossCurveDisplay,
    "latent": LatentDisplay,
    "reconstruction": ReconstructionDisplay,
    "traversal": TraversalDisplay,
    "latent_usage": LatentUsageDisplay,
    "loadings": LoadingsDisplay,
}
