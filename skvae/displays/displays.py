"""Displays of a fitted VAETransformer, in the manner of scikit-learn's.

Each takes what it draws, or computes that with `from_estimator` by public methods alone. `plot`
draws in one axes, or within its frame where a display has several panels, and returns self:
`ax_` is the axes given or made, `axes_` those drawn in, `figure_` theirs. matplotlib is imported
when a display is made from an estimator or drawn, not before.
To add one: a class here with `__init__`, `from_estimator` and `plot`, a row in DISPLAYS.
"""

from math import ceil, prod
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from skvae.data.containers import is_frame
from skvae.estimator import VAETransformer
from skvae.model.priors import Normal
from skvae.training.schedules import check_count

INK, GREY, PALE = "#202124", "#80868b", "#d0d3d7"
OURS, THEIRS = "#1f6fb4", "#d9731a"  # a blue and an orange that colour-blind eyes tell apart
# Ten colours chosen for colour-blind eyes (Petroff, 2021), the greys last.
PALETTE = ("#3f90da", "#e76300", "#832db6", "#b9ac70", "#bd1f01", "#ffa90e", "#92dadd", "#a96b59",
           "#717581", "#94a4a2")  # fmt: skip
BESIDE = {"other": PALE, "missing": INK}  # what is no class
N_LARGEST = 8  # classes that are told apart where there are more than colours
MANY_COLUMNS = 16  # more names than these do not fit under an axis
LONG_NAME = 18  # letters of a column's name that are written
MAX_UNITS = 8  # that a traversal shows unless told otherwise
N_DRAWS = 500  # that stand for the data in a traversal without any
VISIBLE = 20  # bounds are drawn down to this multiple of what separates the upper three quarters
_LABEL: dict[str, Any] = {"fontsize": "small", "color": INK, "textcoords": "offset points"}
UNALIKE = 10  # columns whose spreads differ by more than this factor are drawn standardized


class _Display:
    """Where a display draws."""

    ax_: Any
    axes_: list[Any]
    figure_: Any

    def _open(self, ax, figsize):
        """Take the axes given, or make a figure."""
        if ax is None:
            ax = _pyplot().subplots(figsize=figsize, layout="constrained")[1]
        self.ax_, self.figure_, self.axes_ = ax, ax.figure, [ax]
        _tidy(ax)
        return ax

    def _divide(self, n_rows, n_columns=1, **layout):
        """Put panels in the place of the axes, which stay as their invisible frame."""
        place = self.ax_.get_subplotspec()
        if place is None:
            raise ValueError(
                f"{type(self).__name__} has several panels and divides the place of ax in a grid, "
                "but this ax has none; make it with plt.subplots or figure.add_subplot."
            )
        self.ax_.set_axis_off()
        grid = place.subgridspec(n_rows, n_columns, **layout)
        cells = [grid[row, column] for row in range(n_rows) for column in range(n_columns)]
        self.axes_ = [self.figure_.add_subplot(cell) for cell in cells]
        for panel in self.axes_:
            _tidy(panel)
        return self.axes_

    def _finish_lines(self, n_used, n_columns, value_name):
        """Give panels of lines one axis of values, said at the left; remove those left over."""
        for panel in self.axes_[n_used:]:
            panel.remove()
        self.axes_ = self.axes_[:n_used]
        limits = np.array([panel.get_ylim() for panel in self.axes_])
        for n, panel in enumerate(self.axes_):
            panel.set_ylim(limits[:, 0].min(), limits[:, 1].max())
            is_left, is_lowest = n % n_columns == 0, n + n_columns >= n_used
            panel.tick_params(labelleft=is_left, labelbottom=is_lowest)
            panel.set_ylabel(value_name if is_left else "", fontsize="small")
            if not is_lowest:
                panel.set_xlabel("")


class LossCurveDisplay(_Display):
    """The held-out bound of a fit against the passes over the rows, and its parts.

    Parameters
    ----------
    n_pass : array-like of shape (n_looks,)
        Passes over the rows at each look at the held-out rows; the first is the linear start.
    bound : array-like of shape (n_looks,)
        Held-out evidence lower bound, nats per row. What is not finite is left out.
    reconstruction, kl : array-like of shape (n_looks,), default=None
        Its parts, nats per row: of the trained model alone, where the bound is of that and PCA.
    learning_rate : array-like of shape (n_looks,), default=None
        Step size of the optimizer.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes given, or made: the frame of the panels.
    axes_ : list of matplotlib Axes
        Panels: the bound, its parts, the learning rate.
    figure_ : matplotlib Figure
        Where they are.

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
            Fitted; of a Pipeline, the last step.
        X : Ignored
            Present for API consistency.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : LossCurveDisplay
            What was drawn.
        """
        history = _split(estimator)[1].history_
        names = ("n_pass", "bound", "reconstruction", "kl", "learning_rate")
        return cls(**{name: history[name] for name in names}).plot(ax, **kwargs)

    def plot(self, ax=None, *, learning_rate=False, **line_kw):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        learning_rate : bool, default=False
            Whether a strip below shows the learning rate.
        **line_kw : dict
            Passed to `Axes.plot` for every line.

        Returns
        -------
        self : LossCurveDisplay
            The display.
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
        text = f"PCA {_signed(value)}"
        if not low <= value <= high:
            _note(panel, 0.99, 0.03, f"{text}, outside of the picture", ha="right")
        elif panel is self.axes_[0]:
            panel.annotate(text, (1, value), (-2, 3), ha="right", va="bottom",
                           xycoords=panel.get_yaxis_transform(), **_LABEL)  # fmt: skip

    def _draw_best(self, panel, n_pass, bounds):
        best = int(np.argmax(bounds))
        place = n_pass[best], bounds[best]
        panel.plot(*place, "o", color=OURS, markersize=4.5, label="best")
        is_late = place[0] > (n_pass[0] + n_pass[-1]) / 2
        panel.annotate(f"best {_signed(place[1])}", place, (0, 5), va="bottom",
                       ha="right" if is_late else "left",
                       **_LABEL | {"color": OURS})  # fmt: skip


class LatentDisplay(_Display):
    """Rows in the plane of two codes, with the prior behind them.

    The ellipses are where posterior means are 1, 2 and 3 standard deviations of the prior away
    from its mean. Rows far outside of them are unlike what `sample` draws. A learned prior, which
    is no normal, has no ellipses.

    Parameters
    ----------
    codes : array-like of shape (n_samples, 2)
        Two codes of rows, as `transform` returns them.
    y : array-like of shape (n_samples,), default=None
        What colours the rows: classes, if text, booleans or at most ten whole numbers, of which
        the eight largest are told apart where there are more than ten; otherwise numbers.
    units : tuple of int, default=(0, 1)
        Positions of the two codes, for the names of the axes.
    prior_mean, prior_scale : array-like of shape (2,), default=None
        Mean and standard deviation of the prior on the scale of the codes; None draws none.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes given, or made.
    axes_ : list of matplotlib Axes
        The same one.
    figure_ : matplotlib Figure
        Where it is.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import LatentDisplay, VAETransformer
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VAETransformer(2, max_iter=0).fit(X)
    >>> LatentDisplay.from_estimator(vae, X, y).ax_.get_xlabel()
    'code 0'
    """

    def __init__(self, *, codes, y=None, units=(0, 1), prior_mean=None, prior_scale=None):
        self.codes = codes
        self.y = y
        self.units = units
        self.prior_mean = prior_mean
        self.prior_scale = prior_scale

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, units=(0, 1), ax=None, **kwargs):
        """Draw the codes of rows.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted; a Pipeline that ends in a VAETransformer.
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : array-like of shape (n_samples,), default=None
            What colours the rows.
        units : tuple of int, default=(0, 1)
            Positions of the two codes.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : LatentDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If `units` are not two different codes.
        """
        before, vae = _split(estimator)
        units = _checked_units(units, vae.latent_dim_)
        if len(units) != 2 or units[0] == units[1]:
            raise ValueError(f"units={tuple(units)} must be two different codes.")
        X = before(X)
        codes = np.asarray(vae.transform(X))[:, units]
        if y is not None and len(y) != len(codes):
            raise ValueError(f"y has {len(y)} values, but X has {len(codes)} rows.")
        means = np.asarray(vae.encode(X)[0])[:, units]
        lines = [_line(mean, code) for mean, code in zip(means.T, codes.T, strict=True)]
        scale, mean = np.transpose(lines)
        prior = {"prior_mean": mean, "prior_scale": scale} if _has_normal_prior(vae) else {}
        display = cls(codes=codes, y=y, units=tuple(units), **prior)
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **scatter_kw):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **scatter_kw : dict
            Passed to `Axes.scatter`.

        Returns
        -------
        self : LatentDisplay
            The display.
        """
        ax = self._open(ax, (5.6, 4.6))
        codes = np.asarray(self.codes)
        size = float(np.clip(4000 / max(len(codes), 1), 7, 26))
        options = {"s": size, "alpha": 0.8, "linewidths": 0, "zorder": 2} | scatter_kw
        if self.prior_scale is not None:
            self._draw_prior(ax)
        if self.y is None:
            ax.scatter(*codes.T, **{"color": OURS} | options)
        elif (classes := _classes(self.y)) is not None:
            self._draw_classes(ax, codes, classes, options)
        else:
            self._draw_numbers(ax, codes, options)
        ax.set(xlabel=f"code {self.units[0]}", ylabel=f"code {self.units[1]}")
        return self

    def _draw_prior(self, ax):
        from matplotlib.patches import Ellipse

        mean, scale = np.asarray(self.prior_mean, float), np.asarray(self.prior_scale, float)
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
            # Where the ring is highest there are few rows; the words are said once.
            text = "prior, 1 sd" if radius == 1 else f"{radius} sd"
            ax.annotate(text, (mean[0], mean[1] + height / 2), (0, 1), fontsize="x-small",
                        color=INK, textcoords="offset points", ha="center", va="bottom",
                        path_effects=_halo(), zorder=3)  # fmt: skip
        ax.autoscale_view()

    def _draw_classes(self, ax, codes, classes, options):
        names = sorted(classes.unique(), key=_place)
        colors = dict(zip((n for n in names if n not in BESIDE), PALETTE, strict=False))
        colors |= {name: BESIDE[name] for name in names if name in BESIDE}
        # One collection in the order of the rows: no class lies on top of another as a whole.
        ax.scatter(*codes.T, **{"c": [colors[name] for name in classes]} | options)
        centres = np.array([np.median(codes[classes == name], axis=0) for name in names])
        if _are_apart(ax, centres, max(len(str(name)) for name in names)):
            for name, centre in zip(names, centres, strict=True):
                _name_class(ax, name, centre, colors[name])
        else:
            _legend(ax, colors)

    def _draw_numbers(self, ax, codes, options):
        y = np.ma.masked_invalid(np.asarray(self.y, float))
        ax.scatter(*codes[y.mask].T, **options | {"color": PALE}) if y.mask.any() else None
        points = ax.scatter(*codes[~y.mask].T, c=y[~y.mask], **{"cmap": "viridis"} | options)
        bar = self.figure_.colorbar(points, ax=ax, pad=0.02)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1)
        bar.set_label(str(getattr(self.y, "name", None) or "y"))


class ReconstructionDisplay(_Display):
    """Rows, and what two models of the same number of codes make of them.

    Parameters
    ----------
    rows : array-like of shape (n_rows, n_features)
        Rows as they are.
    reconstructions : dict of str to array-like of shape (n_rows, n_features)
        By the name of the model, at most two.
    errors : dict of str to float, default=None
        Mean squared error by the name of the model, which images show; None takes it from the
        rows shown.
    image_shape : tuple of int, default=None
        Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w). None draws lines over columns.
    names : list of str, default=None
        Names of the columns.
    value_name : str, default="value"
        Name of the axis of values.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes given, or made; of lines, the frame of the panels.
    axes_ : list of matplotlib Axes
        The axes drawn in: one of images, one per row of lines.
    figure_ : matplotlib Figure
        Where they are.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import ReconstructionDisplay, VAETransformer
    >>> X = load_iris().data
    >>> vae = VAETransformer(2, max_iter=0).fit(X)
    >>> len(ReconstructionDisplay.from_estimator(vae, X, n_rows=4, random_state=0).axes_)
    4
    """

    def __init__(
        self,
        *,
        rows,
        reconstructions,
        errors=None,
        image_shape=None,
        names=None,
        value_name="value",
    ):
        self.rows = rows
        self.reconstructions = reconstructions
        self.errors = errors
        self.image_shape = image_shape
        self.names = names
        self.value_name = value_name

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        *,
        n_rows=8,
        image_shape=None,
        pca=None,
        random_state=None,
        ax=None,
        **kwargs,
    ):
        """Draw some rows beside their reconstructions.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted; a Pipeline that ends in a VAETransformer. Rows are shown as they enter it.
        X : array-like of shape (n_samples, n_features)
            Rows of numbers, from which those to show are drawn. Errors of images are means over
            all of them.
        n_rows : int, default=8
            Number of rows to show.
        image_shape : tuple of int, default=None
            Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w). None draws lines over
            columns, standardized if their spreads are far apart.
        pca : transformer, default=None
            What to compare with, fitted to what enters the VAETransformer. None fits
            `sklearn.decomposition.PCA` with as many components as there are codes to X itself,
            which flatters PCA where X is not what the estimator was fitted to.
        random_state : int, RandomState instance or None, default=None
            Decides which rows are shown.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : ReconstructionDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If the columns are not all numbers, or cells are missing.
        """
        before, vae = _split(estimator)
        X = before(X)
        rows = _complete(X, cls.__name__)
        pca = _fitted_pca(rows, vae.latent_dim_) if pca is None else pca
        tables = {
            "original": rows,
            "VAE": _reconstruction(vae, X),
            "PCA": _numbers(pca.inverse_transform(pca.transform(rows)), cls.__name__),
        }
        errors = {name: _error(tables[name], rows) for name in ("VAE", "PCA")}
        centre, scale, value_name = _units_of_lines(rows, image_shape)
        check_count("n_rows", n_rows)
        n_rows = min(n_rows, len(rows))
        chosen = np.sort(check_random_state(random_state).permutation(len(rows))[:n_rows])
        shown = {name: (table[chosen] - centre) / scale for name, table in tables.items()}
        display = cls(
            rows=shown.pop("original"),
            reconstructions=shown,
            errors=errors,
            image_shape=image_shape,
            names=_column_names(vae),
            value_name=value_name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed to `Axes.imshow` for images, else to `Axes.plot` for the reconstructions.

        Returns
        -------
        self : ReconstructionDisplay
            The display.
        """
        rows = np.asarray(self.rows)
        if self.image_shape is None:
            self._draw_lines(ax, rows, kwargs)
            return self
        tables = {"original": rows} | self.reconstructions
        images = _as_images(np.stack([*tables.values()]), self.image_shape)
        self._open(ax, _figsize(images))
        # The originals set the range of grey: reconstructions beyond it are cut.
        centres = _draw_mosaic(self.ax_, images, (rows.min(), rows.max()), kwargs)
        errors = self.errors or {n: _error(t, rows) for n, t in self.reconstructions.items()}
        labels = [f"{n}\nMSE {errors[n]:.3g}" if n in errors else n for n in tables]
        self.ax_.set_yticks(centres[0], labels)
        return self

    def _draw_lines(self, ax, rows, kwargs):
        n_columns = min(4, len(rows))
        n_lines = ceil(len(rows) / n_columns)
        room = _room_for_names(self.names, rows.shape[1], len(rows) % n_columns > 0)
        self._open(ax, (1.2 + 1.9 * n_columns, 0.5 + 1.3 * n_lines + room))
        panels = self._divide(n_lines, n_columns)
        for n, (panel, row) in enumerate(zip(panels, rows, strict=False)):
            self._draw_row(panel, row, n, kwargs)
        self._finish_lines(len(rows), n_columns, self.value_name)

    def _draw_row(self, panel, row, n, kwargs):
        x = np.arange(len(row))
        few = len(row) <= MANY_COLUMNS
        mark = {"marker": "o", "markersize": 3} if few else {}
        panel.plot(x, row, color=INK, linewidth=1, alpha=0.75, label="original", **mark)
        # Dashes, because the two are one line where PCA was kept.
        looks: tuple[dict[str, Any], ...] = (
            {"color": OURS, "linewidth": 2.2},
            {"color": THEIRS, "linewidth": 1.2, "linestyle": (0, (3, 2))},
        )
        for side, ((name, table), look) in enumerate(
            zip(self.reconstructions.items(), looks, strict=False)
        ):
            own = np.asarray(table)[n]
            panel.plot(x, own, **{"label": name} | look | kwargs)
            # Beside its colour, the error tells which line is whose: there is no legend.
            text = f"{name} {np.mean(np.square(own - row)):.2g}"
            _note(panel, side, 1.02, text, color=look["color"], ha="right" if side else "left")
        _name_columns(panel, len(row), self.names)


class TraversalDisplay(_Display):
    """What a step along each code does to the reconstruction, the others at their mean.

    Parameters
    ----------
    rows : array-like of shape (n_units, n_steps, n_features)
        Reconstructions of codes moved along one unit at a time.
    steps : array-like of shape (n_steps,)
        Distances of the moved code from its mean, in its standard deviations.
    units : sequence of int
        Positions of the codes that were moved.
    image_shape : tuple of int, default=None
        Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w). None draws lines over columns.
    names : list of str, default=None
        Names of the columns.
    value_name : str, default="value"
        Name of the axis of values.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes given, or made; of lines, the frame of the panels.
    axes_ : list of matplotlib Axes
        The axes drawn in: one of images, one per unit of lines.
    figure_ : matplotlib Figure
        Where they are.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skvae import TraversalDisplay, VAETransformer
    >>> X = load_digits().data
    >>> vae = VAETransformer(2, max_iter=0).fit(X)
    >>> TraversalDisplay.from_estimator(vae, X, image_shape=(8, 8)).rows.shape
    (2, 7, 64)
    """

    def __init__(self, *, rows, steps, units, image_shape=None, names=None, value_name="value"):
        self.rows = rows
        self.steps = steps
        self.units = units
        self.image_shape = image_shape
        self.names = names
        self.value_name = value_name

    @classmethod
    def from_estimator(
        cls, estimator, X=None, *, units=None, n_steps=7, image_shape=None, ax=None, **kwargs
    ):
        """Move along codes and draw what they decode to.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted; a Pipeline that ends in a VAETransformer. Rows are shown as they leave that.
        X : array-like of shape (n_samples, n_features), default=None
            Rows whose codes tell mean and standard deviation; None takes 500 draws from the
            model.
        units : sequence of int, default=None
            Positions of the codes to move; None takes the first eight, in order of explained
            variance.
        n_steps : int, default=7
            Number of steps from -2 to 2 standard deviations.
        image_shape : tuple of int, default=None
            Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w). None draws lines over
            columns, standardized if their spreads are far apart.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : TraversalDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If the columns are not all numbers, or a unit is not there.
        """
        check_count("n_steps", n_steps)
        before, vae = _split(estimator)
        default = range(min(MAX_UNITS, vae.latent_dim_))
        units = _checked_units(default if units is None else units, vae.latent_dim_)
        X = vae.sample(N_DRAWS, random_state=0) if X is None else before(X)
        given = _numbers(X, cls.__name__)
        codes = np.asarray(vae.transform(X))
        steps = np.linspace(-2, 2, n_steps)
        moved = np.tile(codes.mean(0), (len(units), n_steps, 1))
        for n, unit in enumerate(units):
            moved[n, :, unit] += steps * codes[:, unit].std()
        rows = vae.inverse_transform(moved.reshape(-1, codes.shape[1]))
        rows = _numbers(rows, cls.__name__).reshape(len(units), n_steps, -1)
        centre, scale, value_name = _units_of_lines(given, image_shape)
        display = cls(
            rows=(rows - centre) / scale,
            steps=steps,
            units=units,
            image_shape=image_shape,
            names=_column_names(vae),
            value_name=value_name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed to `Axes.imshow` for images, else to `Axes.plot`.

        Returns
        -------
        self : TraversalDisplay
            The display.
        """
        rows = np.asarray(self.rows)
        if self.image_shape is None:
            self._draw_lines(ax, rows, kwargs)
            return self
        images = _as_images(rows, self.image_shape)
        self._open(ax, _figsize(images))
        down, across = _draw_mosaic(self.ax_, images, (rows.min(), rows.max()), kwargs)
        self.ax_.set_yticks(down, [f"code {unit}" for unit in self.units])
        self.ax_.set_xticks(across, [_signed(round(step, 2)) for step in self.steps])
        self.ax_.set_xlabel("standard deviations from the code's mean")
        return self

    def _draw_lines(self, ax, rows, kwargs):
        n_columns = min(2 if len(rows) < 7 else 4, len(rows))
        n_lines = ceil(len(rows) / n_columns)
        room = _room_for_names(self.names, rows.shape[2], len(rows) % n_columns > 0)
        self._open(ax, (2.2 + 2.2 * n_columns, 0.5 + 1.5 * n_lines + room))
        panels = self._divide(n_lines, n_columns)
        colors = _step_colors(self.steps)
        for n, (panel, path) in enumerate(zip(panels, rows, strict=False)):
            for row, step in zip(path, self.steps, strict=True):
                panel.plot(row, **{"color": colors.to_rgba(step), "linewidth": 1.4} | kwargs)
            _note(panel, 0, 1.02, f"code {self.units[n]}")
            _name_columns(panel, rows.shape[-1], self.names)
        self._finish_lines(len(rows), n_columns, self.value_name)
        bar = self.figure_.colorbar(colors, ax=self.axes_, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize="small")
        bar.set_label("sd from the code's mean", fontsize="small")


class LatentUsageDisplay(_Display):
    """What each code holds: nats, and share of the variance against PCA's.

    Parameters
    ----------
    kl : array-like of shape (latent_dim,)
        Mean KL divergence of each code from the prior, nats per row.
    explained_variance_ratio : array-like of shape (latent_dim,)
        Share of the variance that each code adds.
    pca_explained_variance_ratio : array-like, default=None
        The same of PCA's components.
    is_active : array-like of bool of shape (latent_dim,), default=None
        Whether each code is used; None takes all.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes given, or made: the frame of the panels.
    axes_ : list of matplotlib Axes
        Panels: KL divergence, explained variance.
    figure_ : matplotlib Figure
        Where they are.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import LatentUsageDisplay, VAETransformer
    >>> X = load_iris().data
    >>> vae = VAETransformer(2, max_iter=0).fit(X)
    >>> LatentUsageDisplay.from_estimator(vae, X).is_active
    array([ True,  True])
    """

    def __init__(
        self,
        *,
        kl,
        explained_variance_ratio,
        pca_explained_variance_ratio=None,
        is_active=None,
    ):
        self.kl = kl
        self.explained_variance_ratio = explained_variance_ratio
        self.pca_explained_variance_ratio = pca_explained_variance_ratio
        self.is_active = is_active

    @classmethod
    def from_estimator(cls, estimator, X=None, *, ax=None, **kwargs):
        """Draw what a fit says of its codes.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted; a Pipeline that ends in a VAETransformer.
        X : array-like of shape (n_samples, n_features), default=None
            Rows of numbers to which PCA is fitted, best those of the fit; None leaves it out.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : LatentUsageDisplay
            What was drawn.

        Raises
        ------
        ValueError
            If X is given and its columns are not all numbers, or cells are missing, or the model
            divides each column by a scale of its own: PCA does not.
        """
        before, vae = _split(estimator)
        ratio = None
        if X is not None:
            if np.ndim(vae.scale_):
                raise ValueError(
                    "PCA's shares compare only with those of a model with one scale for all "
                    "columns (likelihood 'gaussian'); leave X out to draw the codes alone."
                )
            rows = _complete(before(X), cls.__name__)
            ratio = _fitted_pca(rows, vae.latent_dim_).explained_variance_ratio_
        kl = np.asarray(vae.kl_per_dim_)
        # A code is inactive if its posterior mean hardly varies: those of least divergence.
        is_active = np.argsort(np.argsort(-kl, kind="stable")) < vae.n_active_
        display = cls(
            kl=kl,
            explained_variance_ratio=np.asarray(vae.explained_variance_ratio_),
            pca_explained_variance_ratio=ratio,
            is_active=is_active,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **bar_kw):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        **bar_kw : dict
            Passed to `Axes.bar`.

        Returns
        -------
        self : LatentUsageDisplay
            The display.
        """
        self._open(ax, (7.2, 3.0))
        kl, ratio = np.asarray(self.kl), 100 * np.asarray(self.explained_variance_ratio)
        is_active = np.ones(len(kl), bool) if self.is_active is None else np.asarray(self.is_active)
        left, right = self._divide(1, 2, wspace=0.12)
        colors = [OURS if active else GREY for active in is_active]
        for panel, heights in ((left, kl), (right, ratio)):
            panel.bar(np.arange(len(kl)), heights, **{"color": colors, "width": 0.75} | bar_kw)
            panel.set_xlabel("code")
            panel.xaxis.get_major_locator().set_params(integer=True)
            panel.grid(axis="y", color=PALE, linewidth=0.6)
            panel.set_axisbelow(True)
            panel.axhline(0, color=GREY, linewidth=0.8)
        self._mark_inactive(left, is_active)
        left.set_ylabel("KL divergence, nats per row", fontsize="small")
        right.set_ylabel("share of variance, %", fontsize="small")
        active = f"{is_active.sum()} of {len(kl)} active"
        left.set_title(active, loc="left", fontsize="small", color=INK)
        self._draw_shares(right, ratio)
        return self

    def _mark_inactive(self, panel, is_active):
        inactive = np.flatnonzero(~is_active)
        if len(inactive) == 0:
            return
        place = panel.get_xaxis_transform()
        panel.scatter(inactive, np.full(len(inactive), 0.03), marker="x", s=16, color=INK,
                      linewidths=1, transform=place, label="inactive", zorder=4)  # fmt: skip
        _note(panel, 0.99, 0.9, "\N{MULTIPLICATION SIGN} inactive", ha="right")

    def _draw_shares(self, panel, ratio):
        """Draw PCA's spectrum and write the sums, in the colours of who has them."""
        _note(panel, 0, 1.02, f"VAE {ratio.sum():.3g}%", color=OURS)
        if self.pca_explained_variance_ratio is None:
            return
        theirs = 100 * np.asarray(self.pca_explained_variance_ratio)
        panel.plot(np.arange(len(theirs)), theirs, color=THEIRS, linewidth=1, marker="o",
                   markersize=4, label="PCA", zorder=3)  # fmt: skip
        _note(panel, 1, 1.02, f"PCA {theirs.sum():.3g}%", color=THEIRS, ha="right")


def _pyplot():
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "displays are drawn with matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return plt


def _fitted_pca(rows, latent_dim):
    """PCA of rows, with as many components as there are codes if it can have them."""
    return PCA(min(latent_dim, *rows.shape)).fit(rows)


def _split(estimator):
    """What rows go through before the VAETransformer, as a function, and that, which is fitted."""
    _pyplot()  # says that it is missing before anything is computed
    steps = None
    if isinstance(estimator, Pipeline):
        steps, estimator = estimator[:-1], estimator.steps[-1][1]
    if not isinstance(estimator, VAETransformer):
        raise TypeError(
            f"displays take a VAETransformer or a Pipeline that ends in one, and this is a "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return (lambda X: steps.transform(X) if steps else X), estimator


def _checked_units(units, latent_dim):
    if not np.iterable(units):
        raise ValueError(f"units={units!r} must be a list of positions, such as [{units!r}].")
    units = [int(unit) for unit in units]
    if not units or min(units) < 0 or max(units) >= latent_dim:
        raise ValueError(f"units={tuple(units)} must be positions from 0 to {latent_dim - 1}.")
    return units


def _numbers(rows, display):
    """Rows as a matrix of floats; a column of a frame that holds none is named."""
    if sparse.issparse(rows):
        return rows.toarray()
    if is_frame(rows):
        frame = nw.from_native(rows, eager_only=True)
        for name, dtype in frame.schema.items():
            if not (dtype.is_numeric() or dtype == nw.Boolean):
                raise ValueError(
                    f"{display} draws rows of numbers, but column {name!r} holds {dtype}; "
                    "LatentDisplay, LatentUsageDisplay and LossCurveDisplay take any table."
                )
        columns = [column.cast(nw.Float64).to_numpy() for column in frame.iter_columns()]
        return np.column_stack(columns).astype(float)
    return np.asarray(rows, dtype=float)


def _complete(rows, display):
    rows = _numbers(rows, display)
    if np.isnan(rows).any():
        raise ValueError(
            f"{display} compares with PCA, which takes no missing cells, and X has some; "
            "fill them first (impute does)."
        )
    return rows


def _reconstruction(vae, X):
    """Rows as the model has them: whole numbers are not rounded, as those of PCA are not."""
    return vae._model.reconstruct(np.asarray(vae.transform(X), dtype=float), vae.whiten)


def _column_names(vae):
    names = getattr(vae, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _error(rows, others):
    return float(np.mean(np.square(np.asarray(rows) - others)))


def _line(x, y):
    """Slope and intercept of y over x, which are in line; 0 and the mean if x is constant."""
    variance = x.var()
    slope = np.mean((x - x.mean()) * (y - y.mean())) / variance if variance else 0.0
    return slope, y.mean() - slope * x.mean()


def _has_normal_prior(vae):
    return isinstance(vae.prior_, Normal)


def _units_of_lines(rows, image_shape):
    """What to subtract, what to divide by, and what a value is then called."""
    spread = np.nanstd(rows, axis=0)
    some = spread[spread > 0]
    if image_shape is not None or len(some) == 0 or some.max() <= UNALIKE * some.min():
        return 0.0, 1.0, "value"
    return np.nanmean(rows, axis=0), np.where(spread > 0, spread, 1.0), "standardized value"


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


def _classes(y):
    """Names of classes, one per row, or None if y is numbers."""
    y = pd.Series(np.asarray(y)).infer_objects()
    numeric = pd.api.types.is_numeric_dtype(y) and not pd.api.types.is_bool_dtype(y)
    if numeric:
        present = y.dropna()
        if present.nunique() > len(PALETTE) or (present % 1 != 0).any():
            return None
        y = y.astype("Int64")
    counts = y.value_counts()
    if len(counts) > len(PALETTE):
        y = y.where(y.isna() | y.isin(counts.index[:N_LARGEST]), "other")
    return y.astype(object).where(y.notna(), "missing").reset_index(drop=True)


def _place(name):
    """A key that sorts names of classes: numbers, then text, then what is no class."""
    is_number = isinstance(name, int | np.integer) and not isinstance(name, bool)
    return name in BESIDE, not is_number, name if is_number else str(name)


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


def _step_colors(steps):
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    # The upper end of viridis is too pale for a line on white.
    cmap = ListedColormap(colormaps["viridis"](np.linspace(0, 0.88, 256)))
    return ScalarMappable(Normalize(min(steps), max(steps)), cmap)


def _as_images(rows, image_shape):
    """Rows as images, shape (..., h, w) or (..., h, w, 3)."""
    if not np.iterable(image_shape):
        raise ValueError(f"image_shape={image_shape!r} must be (h, w), (h, w, 3) or (3, h, w).")
    shape = tuple(image_shape)
    last = len(shape) == 3 and shape[2] in (1, 3)
    if len(shape) not in (2, 3) or (len(shape) == 3 and not last and shape[0] not in (1, 3)):
        raise ValueError(f"image_shape={shape} must be (h, w), (h, w, 3) or (3, h, w).")
    if prod(shape) != rows.shape[-1]:
        raise ValueError(
            f"image_shape={shape} has {prod(shape)} values, but a row has {rows.shape[-1]}."
        )
    images = rows.reshape(*rows.shape[:-1], *shape)
    if len(shape) == 3 and not last:
        images = np.moveaxis(images, -3, -1)
    return images[..., 0] if len(shape) == 3 and images.shape[-1] == 1 else images


def _draw_mosaic(ax, images, limits, kwargs):
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
    ax.imshow(mosaic, **{"cmap": "gray", "vmin": low, "vmax": high} | kwargs)
    ax.set(xticks=[], yticks=[])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    n_down, n_across = images.shape[:2]
    return (
        (height - 1) / 2 + (height + gap) * np.arange(n_down),
        (width - 1) / 2 + (width + gap) * np.arange(n_across),
    )


def _figsize(images):
    """Inches of a figure whose images have about the same size whatever their number."""
    n_down, n_across, height, width = images.shape[:4]
    side = np.clip(6.4 / n_across, 0.5, 1.0)
    return 1.1 + side * n_across, 0.5 + side * n_down * height / width


def _tidy(ax):
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["bottom", "left"]].set_color(GREY)
    ax.tick_params(color=GREY, labelsize="small")


def _halo():
    """A white rim around letters, so that they can be read on lines and dots."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.5, foreground="white")]


def _note(ax, x, y, text, **options):
    """Write small text at a place in the axes, from 0 to 1."""
    options = {"fontsize": "small", "color": INK, "va": "bottom"} | options
    ax.text(x, y, text, transform=ax.transAxes, path_effects=_halo(), **options)


def _signed(number):
    """A number as text, with the sign that the ticks have."""
    return f"{number:.4g}".replace("-", "\N{MINUS SIGN}")


def _name_columns(ax, n_columns, names):
    if names is None or n_columns > MANY_COLUMNS:
        ax.set_xlabel("column", fontsize="small")
        ax.xaxis.get_major_locator().set_params(integer=True)
        return
    short = [n if len(n) <= LONG_NAME else n[: LONG_NAME - 1] + "…" for n in names]
    ax.set_xticks(range(n_columns), short, rotation=90, fontsize="x-small")


def _room_for_names(names, n_columns, is_ragged):
    """Inches that names of columns take below panels; a last line with gaps needs them twice."""
    is_named = names is not None and n_columns <= MANY_COLUMNS
    longest = min(max(map(len, names)), LONG_NAME) if is_named else 4
    return (0.08 * longest) * (2 if is_ragged else 1)


DISPLAYS = {
    "loss_curve": LossCurveDisplay,
    "latent": LatentDisplay,
    "reconstruction": ReconstructionDisplay,
    "traversal": TraversalDisplay,
    "latent_usage": LatentUsageDisplay,
}
