"""How a training went."""

import numpy as np

from skvae.colors import GREY, INK, OURS, PALE
from skvae.displays.display import Display
from skvae.displays.source import split_pipeline
from skvae.displays.style import LABEL, note, signed

VISIBLE = 20  # bounds are drawn down to this multiple of what separates the upper three quarters


class LossCurveDisplay(Display):
    """Held-out bound and its parts against the passes over the rows.

    Parameters
    ----------
    n_pass : array-like of shape (n_evaluations,)
        Number of passes at each evaluation. The first evaluation is that of the linear start.
    bound : array-like of shape (n_evaluations,)
        Evidence lower bound of the held-out rows, nats per row. Values that are not finite are
        left out.
    reconstruction, kl : array-like of shape (n_evaluations,), default=None
        Parts of the bound, nats per row. They are those of the trained model alone, while `bound`
        includes the linear start.
    learning_rate : array-like of shape (n_evaluations,), default=None
        Learning rate of the optimizer.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The given or new axes; the panels take its place.
    axes_ : list of matplotlib Axes
        The panels: the bound, its parts, the learning rate.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from skvae import LossCurveDisplay
    >>> display = LossCurveDisplay(n_pass=[0, 1, 2], bound=[-9.0, -7.5, -7.0])
    >>> display.plot().axes_[0].get_title(loc="left")
    'Held-out evidence lower bound, nats per row'
    """

    def __init__(self, *, n_pass, bound, reconstruction=None, kl=None, learning_rate=None):
        self.n_pass = n_pass
        self.bound = bound
        self.reconstruction = reconstruction
        self.kl = kl
        self.learning_rate = learning_rate

    @classmethod
    def from_estimator(cls, estimator, X=None, *, ax=None, **kwargs):
        """Draw the history of a fit.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted estimator, or a fitted Pipeline that ends in one.
        X : Ignored
            Present for API consistency.
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : LossCurveDisplay
            The display, already drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is neither a VAETransformer nor a Pipeline that ends in one.
        NotFittedError
            If the estimator is not fitted.
        """
        history = split_pipeline(estimator)[1].history_
        names = ("n_pass", "bound", "reconstruction", "kl", "learning_rate")
        return cls(**{name: history[name] for name in names}).plot(ax, **kwargs)

    def plot(self, ax=None, *, learning_rate=False, **line_kw):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        learning_rate : bool, default=False
            Whether to draw the learning rate in a panel of its own.
        **line_kw : dict
            Passed to `Axes.plot` for each line.

        Returns
        -------
        self : LossCurveDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is not part of a grid, which several panels need. Axes of `plt.subplots` are.
        """
        curves = {
            "Held-out evidence lower bound, nats per row": self.bound,
            "Reconstruction: log p(x|z), nats per row": self.reconstruction,
            "KL divergence from the prior, nats per row": self.kl,
            "Learning rate": self.learning_rate if learning_rate else None,
        }
        curves = {title: values for title, values in curves.items() if values is not None}
        n_strips = len(curves) - 1
        self._open(ax, (6.4, 3.2 + 1.1 * n_strips))
        panels = self._divide(n_strips + 1, height_ratios=[2.6] + [1] * n_strips, hspace=0.08)
        for panel, (title, values) in zip(panels, curves.items(), strict=True):
            self._draw_curve(panel, title, values, line_kw)
        for panel in panels[:-1]:
            panel.tick_params(labelbottom=False)
        panels[-1].set_xlabel("passes over the rows")
        panels[-1].xaxis.get_major_locator().set_params(integer=True)
        return self

    def _draw_curve(self, panel, title, values, line_kw):
        n_pass, finite = _finite(self.n_pass, values)
        panel.plot(n_pass, finite, **{"color": OURS, "linewidth": 1.8} | line_kw)
        panel.set_title(title, loc="left", fontsize="small", color=INK)
        if panel is not self.axes_[0]:
            panel.sharex(self.axes_[0])
        if title == "Learning rate":
            panel.set_yscale("log")
            panel.minorticks_off()
            return
        panel.grid(axis="y", color=PALE, linewidth=0.6)
        if len(finite) == 0:
            return
        panel.set_ylim(_readable(finite))
        if np.isfinite(values[0]):
            self._draw_start(panel, values[0])
        if panel is self.axes_[0] and finite.max() > finite[0]:
            self._draw_best(panel, n_pass, finite)

    def _draw_start(self, panel, value):
        """Draw the level of PCA, and say what it is of the bound."""
        panel.axhline(value, color=GREY, linestyle="--", linewidth=1.2, zorder=1, label="PCA")
        low, high = panel.get_ylim()
        text = f"PCA {signed(value)}"
        if not low <= value <= high:
            note(panel, 0.99, 0.03, f"{text}, outside of the picture", ha="right")
        elif panel is self.axes_[0]:
            panel.annotate(text, (1, value), (-2, 3), ha="right", va="bottom",
                           xycoords=panel.get_yaxis_transform(), **LABEL)  # fmt: skip

    def _draw_best(self, panel, n_pass, bounds):
        best = int(np.argmax(bounds))
        place = n_pass[best], bounds[best]
        panel.plot(*place, "o", color=OURS, markersize=4.5, label="best")
        is_late = place[0] > (n_pass[0] + n_pass[-1]) / 2
        panel.annotate(f"best {signed(place[1])}", place, (0, 5), va="bottom",
                       ha="right" if is_late else "left",
                       **LABEL | {"color": OURS})  # fmt: skip


def _finite(x, y):
    x, y = np.asarray(x, float), np.asarray(y, float)
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def _readable(values):
    """Limits that show nearly all: one value may lie orders of magnitude below the others."""
    high = values.max()
    typical = high - np.quantile(values, 0.25)
    low = values[values >= high - VISIBLE * typical].min() if typical else values.min()
    margin = 0.07 * (high - low) or 0.5
    return low - margin, high + 3 * margin  # with room for a label above
