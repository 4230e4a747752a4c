"""What codes do to columns: a heat map, or arrows in the plane of two codes."""

import numpy as np

from skvae.colors import GREY, INK, OURS, PALE, THEIRS
from skvae.displays.display import Display
from skvae.displays.source import checked_units, split_pipeline
from skvae.displays.style import halo
from skvae.explorer.loadings import scaled_loadings
from skvae.training.schedules import check_count

N_DRAWS = 1000  # that stand for the data where there are none
KINDS = ("heatmap", "biplot")
LONGEST = 24  # characters of a name


class LoadingsDisplay(Display):
    """Effect of each code on the cells, on one scale for all cells.

    Parameters
    ----------
    loadings : array-like of shape (n_codes, n_cells)
        Change of each cell, in its standard deviations, per standard deviation of the code.
    names : list of str
        Names of the cells.
    units : sequence of int
        Positions of the codes.
    kind : {"heatmap", "biplot"}, default="heatmap"
        A heat map of codes by cells, or an arrow for each cell in the plane of two codes.

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
    >>> from skvae import LoadingsDisplay, VAETransformer
    >>> X = load_iris(as_frame=True).data
    >>> vae = VAETransformer(2, max_iter=0).fit(X)
    >>> LoadingsDisplay.from_estimator(vae, X).names[0]
    'sepal length (cm)'
    """

    def __init__(self, *, loadings, names, units, kind="heatmap"):
        self.loadings = loadings
        self.names = names
        self.units = units
        self.kind = kind

    @classmethod
    def from_estimator(
        cls, estimator, X=None, *, units=None, kind="heatmap", n_cells=20, ax=None, **kwargs
    ):
        """Draw the loadings of a fitted model.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted estimator, or a fitted Pipeline that ends in one.
        X : array-like or DataFrame of shape (n_samples, n_features), default=None
            Rows for the standard deviations. Loadings are means over the first 1000 of them. None
            takes 1000 draws from the model.
        units : sequence of int, default=None
            Positions of the codes, two for a biplot. None takes all codes for a heat map and the
            first two for a biplot.
        kind : {"heatmap", "biplot"}, default="heatmap"
            A heat map of codes by cells, or an arrow for each cell in the plane of two codes.
        n_cells : int, default=20
            Largest number of cells; those with the largest loadings are drawn. A column with levels
            has one cell for each level.
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : LoadingsDisplay
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
            If `units`, `kind` or `n_cells` is invalid, or a biplot has not two different codes.
        """
        check_count("n_cells", n_cells)
        before, vae = split_pipeline(estimator)
        _check_kind(kind)
        units = _units_of(kind, units, vae.latent_dim_)
        X = vae.sample(N_DRAWS, random_state=0) if X is None else before(X)
        frame = scaled_loadings(vae, X)
        loadings = frame.to_numpy()[units]
        # In the order of the columns, those that the codes move most.
        strongest = np.sort(np.argsort(-np.abs(loadings).max(0), kind="stable")[:n_cells])
        names = [frame.columns[cell] for cell in strongest]
        display = cls(loadings=loadings[:, strongest], names=names, units=units, kind=kind)
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the display.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `Axes.pcolormesh` for a heat map, to `Axes.scatter` for a biplot.

        Returns
        -------
        self : LoadingsDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `kind` is invalid, or a biplot has not two codes.
        """
        _check_kind(self.kind)
        loadings = np.asarray(self.loadings, float)
        names = [_short(name) for name in self.names]
        if self.kind == "heatmap":
            self._draw_heatmap(ax, loadings, names, kwargs)
        else:
            self._draw_biplot(ax, loadings, names, kwargs)
        return self

    def _draw_heatmap(self, ax, loadings, names, options):
        n_codes, n_cells = loadings.shape
        ax = self._open(ax, (2.6 + 0.45 * max(n_codes, 5), 1.1 + 0.24 * n_cells))
        most = np.abs(loadings).max(initial=0.0) or 1.0
        options = {"cmap": _diverging(), "vmin": -most, "vmax": most, "linewidth": 1.0} | options
        # Cells of vectors, not a picture of pixels: crisp at any size, in SVG and PDF.
        mesh = ax.pcolormesh(loadings.T, edgecolor="white", **options)
        ax.set_yticks(np.arange(n_cells) + 0.5, names, fontsize="small")
        for label in ax.get_yticklabels():
            label.set_parse_math(False)
        ax.set_xticks(np.arange(n_codes) + 0.5, [str(unit) for unit in self.units])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.invert_yaxis()
        ax.set_xlabel("code")
        bar = self.figure_.colorbar(mesh, ax=ax, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize="small")
        bar.set_label("sd of the column per sd of the code", fontsize="small")

    def _draw_biplot(self, ax, loadings, names, options):
        if len(loadings) != 2:
            raise ValueError(f"a biplot needs two codes, not {len(loadings)}.")
        ax = self._open(ax, (5.6, 4.6))
        for tip in loadings.T:
            ax.plot([0, tip[0]], [0, tip[1]], color=GREY, linewidth=0.8, zorder=1)
        ax.scatter(*loadings, **{"color": OURS, "s": 22, "zorder": 2} | options)
        for side in (ax.axhline, ax.axvline):
            side(0, color=PALE, linewidth=0.8, zorder=0)
        limits = np.array([2.4, 1.2]) * np.abs(loadings).max(1, initial=0.0)  # names lie across
        limits[limits == 0] = 1.0
        ax.set(xlim=(-limits[0], limits[0]), ylim=(-limits[1], limits[1]))
        ax.locator_params(nbins=5)
        ax.set_xlabel(f"on code {self.units[0]}")
        ax.set_ylabel(f"on code {self.units[1]}")
        self._name_tips(ax, loadings, names)

    def _name_tips(self, ax, loadings, names):
        """Write names beside their tips, the longest arrows first, where no other name lies."""
        places = ax.transAxes.inverted().transform(ax.transData.transform(loadings.T))
        taken: list[tuple[float, float, float]] = []
        for cell in np.argsort(-np.abs(loadings).max(0), kind="stable"):
            right = loadings[0, cell] >= 0
            width = 0.016 * len(names[cell])
            x, y = places[cell] + [0.018 if right else -0.018, 0.0]
            left = x if right else x - width
            free = (y + shift for shift in (0, 0.045, -0.045, 0.09, -0.09, 0.135, -0.135))
            up = next((each for each in free if not _overlaps(left, each, width, taken)), None)
            if up is None:  # which a reader finds in the heat map
                continue
            taken.append((left, up, width))
            side = "left" if right else "right"
            ax.text(x, up, names[cell], transform=ax.transAxes, ha=side, va="center", color=INK,
                    fontsize="small", path_effects=halo(), zorder=3, parse_math=False)  # fmt: skip


def _overlaps(left, up, width, taken):
    return any(
        left < other + wide and other < left + width and abs(up - high) < 0.04
        for other, high, wide in taken
    )


def _check_kind(kind):
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} must be one of {', '.join(map(repr, KINDS))}.")


def _units_of(kind, units, latent_dim):
    if kind == "heatmap":
        return checked_units(range(latent_dim) if units is None else units, latent_dim)
    units = checked_units(range(min(2, latent_dim)) if units is None else units, latent_dim)
    if len(units) != 2 or units[0] == units[1]:
        raise ValueError(f"units={tuple(units)} must be two different codes for a biplot.")
    return units


def _short(name):
    line = " ".join(str(name).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _diverging():
    """From blue over white to orange, which colour-blind eyes tell apart."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("loadings", [OURS, "#ffffff", THEIRS])
