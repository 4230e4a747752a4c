"""Where rows lie in the plane of two codes, or along one."""

import numpy as np

from skvae.colors import GREY, INK, OURS, PALE, classes_of, colors_of
from skvae.data.times import times_of
from skvae.displays.display import Display
from skvae.displays.source import checked_units, split_pipeline
from skvae.displays.style import halo
from skvae.model.priors import Normal


class LatentDisplay(Display):
    """Scatter plot of two codes, or of one against the score, with the prior behind it.

    Ellipses mark 1, 2 and 3 standard deviations of the prior around its mean, and so do lines of
    one code. Rows far outside of them are unlike the rows that `sample` draws. A prior that is not
    normal has none.

    Parameters
    ----------
    codes : array-like of shape (n_samples, 2) or (n_samples, 1)
        Two codes of each row, or one, as `transform` returns them.
    y : array-like of shape (n_samples,), default=None
        Classes, numbers, or dates and times that set the colours. Text, booleans and up to ten
        different whole numbers are classes; other numbers and dates have a colour scale. Of more
        than ten classes the eight largest have colours of their own. Dates and times are those of
        numpy, pandas, polars or Python.
    units : tuple of int, default=(0, 1)
        Positions of the codes, for the labels of the axes.
    prior_mean, prior_scale : array-like of shape (2,) or (1,), default=None
        Mean and standard deviation of the prior, in the units of the codes. None draws no
        ellipses.
    scores : array-like of shape (n_samples,), default=None
        Log-likelihood of each row in nats, as `score_samples` returns it. One code is drawn against
        it, and needs it.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    axes_ : list of matplotlib Axes
        A list of these axes alone.
    figure_ : matplotlib Figure
        The figure.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import LatentDisplay, VAETransformer
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VAETransformer(2, max_iter=0).fit(X)
    >>> LatentDisplay.from_estimator(vae, X, y).ax_.get_xlabel()
    'code 0'
    """

    def __init__(
        self, *, codes, y=None, units=(0, 1), prior_mean=None, prior_scale=None, scores=None
    ):
        self.codes = codes
        self.y = y
        self.units = units
        self.prior_mean = prior_mean
        self.prior_scale = prior_scale
        self.scores = scores

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, units=None, ax=None, **kwargs):
        """Draw two codes of rows, or one against their score.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted estimator, or a fitted Pipeline that ends in one.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            Classes, numbers, or dates and times that set the colours.
        units : tuple of int, default=None
            Positions of two codes, or of one. None takes the first two, or the only one.
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : LatentDisplay
            The display, already drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If `estimator` is neither a VAETransformer nor a Pipeline that ends in one.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `units` are neither two different codes nor one, or y and X differ in length.
        """
        before, vae = split_pipeline(estimator)
        units = range(min(vae.latent_dim_, 2)) if units is None else units
        units = checked_units(units, vae.latent_dim_)
        if len(units) > 2 or len(set(units)) < len(units):
            raise ValueError(f"units={tuple(units)} must be one code or two different ones.")
        X = before(X)
        codes = np.asarray(vae.transform(X))[:, units]
        if y is not None and len(y) != len(codes):
            raise ValueError(f"y has {len(y)} values, but X has {len(codes)} rows.")
        means = np.asarray(vae.encode(X)[0])[:, units]
        lines = [_line(mean, code) for mean, code in zip(means.T, codes.T, strict=True)]
        scale, mean = np.transpose(lines)
        prior = {"prior_mean": mean, "prior_scale": scale} if _has_normal_prior(vae) else {}
        scores = vae.score_samples(X) if len(units) == 1 else None
        display = cls(codes=codes, y=y, units=tuple(units), scores=scores, **prior)
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **scatter_kw):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **scatter_kw : dict
            Passed to `Axes.scatter`.

        Returns
        -------
        self : LatentDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is one code and no `scores`.
        """
        codes = self._plane()
        ax = self._open(ax, (5.6, 4.6))
        size = float(np.clip(4000 / max(len(codes), 1), 7, 26))
        options = {"s": size, "alpha": 0.8, "linewidths": 0, "zorder": 2} | scatter_kw
        if self.prior_scale is not None:
            self._draw_prior(ax)
        if self.y is None:
            ax.scatter(*codes.T, **{"color": OURS} | options)
        elif (times := times_of(self.y)) is not None:
            self._draw_dates(ax, codes, times, options)
        elif (classes := classes_of(self.y)) is not None:
            self._draw_classes(ax, codes, classes, options)
        else:
            self._draw_numbers(ax, codes, np.asarray(self.y, float), options)
        upwards = "score, nats" if self._is_single else f"code {self.units[1]}"
        ax.set(xlabel=f"code {self.units[0]}", ylabel=upwards)
        return self

    @property
    def _is_single(self):
        return np.shape(self.codes)[1] == 1

    def _plane(self):
        """Where rows lie, shape (n, 2)."""
        if not self._is_single:
            return np.asarray(self.codes)
        if self.scores is None:
            raise ValueError("one code is drawn against the score of rows: give scores.")
        return np.column_stack([self.codes, self.scores])

    def _draw_prior(self, ax):
        mean, scale = np.asarray(self.prior_mean, float), np.asarray(self.prior_scale, float)
        draw = self._draw_lines if self._is_single else self._draw_rings
        draw(ax, mean, scale)
        ax.autoscale_view()

    def _draw_lines(self, ax, mean, scale):
        for radius in (1, 2, 3):
            for end in (-radius, radius):
                place = mean[0] + end * np.abs(scale[0])
                ax.axvline(place, color=GREY, linewidth=0.8, zorder=1)
            _name_radius(ax, radius, (place, 1.0), ax.get_xaxis_transform())

    def _draw_rings(self, ax, mean, scale):
        from matplotlib.patches import Ellipse

        for radius in (1, 2, 3):
            width, height = 2 * radius * np.abs(scale)
            ring = Ellipse(
                (mean[0], mean[1]),
                width,
                height,
                fill=False,
                edgecolor=GREY,
                linewidth=0.8,
                zorder=1,
            )
            ax.add_patch(ring)
            # Where the ring is highest there are few rows.
            _name_radius(ax, radius, (mean[0], mean[1] + height / 2), "data")

    def _draw_classes(self, ax, codes, classes, options):
        colors = colors_of(classes)
        names = list(colors)
        # One collection in the order of the rows: no class lies on top of another as a whole.
        ax.scatter(*codes.T, **{"c": [colors[name] for name in classes]} | options)
        centres = np.array([np.median(codes[classes == name], axis=0) for name in names])
        if _are_apart(ax, centres, max(len(str(name)) for name in names)):
            for name, centre in zip(names, centres, strict=True):
                _name_class(ax, name, centre, colors[name])
        else:
            _legend(ax, colors)

    def _draw_dates(self, ax, codes, times, options):
        from matplotlib.dates import AutoDateFormatter, AutoDateLocator, date2num

        bar = self._draw_numbers(ax, codes, date2num(times), options)
        locator = AutoDateLocator()
        bar.ax.yaxis.set_major_locator(locator)
        bar.ax.yaxis.set_major_formatter(AutoDateFormatter(locator))

    def _draw_numbers(self, ax, codes, values, options):
        y = np.ma.masked_invalid(values)
        ax.scatter(*codes[y.mask].T, **options | {"color": PALE}) if y.mask.any() else None
        points = ax.scatter(*codes[~y.mask].T, c=y[~y.mask], **{"cmap": "viridis"} | options)
        bar = self.figure_.colorbar(points, ax=ax, pad=0.02)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
        bar.set_label(str(getattr(self.y, "name", None) or "y"))
        return bar


def _name_radius(ax, radius, place, coordinates):
    """Say how many standard deviations are marked; the word prior is said once."""
    text = "prior, 1 sd" if radius == 1 else f"{radius} sd"
    ax.annotate(text, place, (0, 1), coordinates, fontsize="x-small", color=INK,
                textcoords="offset points", ha="center", va="bottom", path_effects=halo(),
                zorder=3)  # fmt: skip


def _line(x, y):
    """Slope and intercept of y over x, which are in line; 0 and the mean if x is constant."""
    variance = x.var()
    slope = np.mean((x - x.mean()) * (y - y.mean())) / variance if variance else 0.0
    return slope, y.mean() - slope * x.mean()


def _has_normal_prior(vae):
    return isinstance(vae.prior_, Normal)


def _are_apart(ax, centres, n_letters):
    """Whether names written at these points would not lie on one another."""
    places = ax.transAxes.inverted().transform(ax.transData.transform(centres))
    dx, dy = np.abs(places[:, None] - places[None]).transpose(2, 0, 1)
    return ((dx > 0.03 + 0.016 * n_letters) | (dy > 0.06))[~np.eye(len(places), dtype=bool)].all()


def _name_class(ax, name, centre, color):
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": color, "alpha": 0.9}
    ax.annotate(str(name), centre, ha="center", va="center", fontsize="small", bbox=box, zorder=4)


def _legend(ax, colors):
    from matplotlib.lines import Line2D

    dots = [
        Line2D([], [], color=c, marker="o", linestyle="", markersize=5) for c in colors.values()
    ]
    ax.legend(dots, [str(name) for name in colors], loc="center left", bbox_to_anchor=(1, 0.5),
              frameon=False, fontsize="small", handletextpad=0.1)  # fmt: skip
