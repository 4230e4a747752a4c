"""Displays of a fitted estimator, as scikit-learn has them.

A display takes its data directly, or computes them in `from_estimator` with public methods of the
estimator. `plot` draws and returns self. Displays with several panels put them in the place of the
given axes. `ax_` is the given or new axes, `axes_` the list of the axes drawn in, and `figure_`
their figure. matplotlib is imported only when a display is drawn or made from an estimator.
To add a display: a module with a final class of `Display`, and a row in DISPLAYS.
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
