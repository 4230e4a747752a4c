"""What each code does to the rows."""

from math import ceil

import numpy as np

from skvae.displays.display import Display
from skvae.displays.images import as_images, draw_mosaic, figure_size
from skvae.displays.lines import finish, name_columns, room_for_names, units_of_lines
from skvae.displays.source import checked_units, column_names, numbers, split_pipeline
from skvae.displays.style import note, signed
from skvae.training.schedules import check_count

MAX_UNITS = 8  # that are shown unless told otherwise
N_DRAWS = 500  # that stand for the data where there are none


class TraversalDisplay(Display):
    """Reconstructions of a row while one code at a time changes.

    Parameters
    ----------
    rows : array-like of shape (n_units, n_steps, n_features)
        Reconstructions, for each changed code and each step.
    steps : array-like of shape (n_steps,)
        Change of the code, in its standard deviations.
    units : sequence of int
        Positions of the changed codes.
    image_shape : tuple of int, default=None
        Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w), in pixels. None draws lines
        over columns.
    names : list of str, default=None
        Names of the columns, below the lines.
    value_name : str, default="value"
        Label of the axis of values.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The given or new axes. With lines, the panels take its place.
    axes_ : list of matplotlib Axes
        The axes with images, or one panel of lines for each code.
    figure_ : matplotlib Figure
        The figure.

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
        cls,
        estimator,
        X=None,
        *,
        row=None,
        units=None,
        n_steps=7,
        image_shape=None,
        ax=None,
        **kwargs,
    ):
        """Change the codes of a row, one at a time, and draw the reconstructions.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted estimator, or a fitted Pipeline that ends in one. Rows are shown as
            the VAETransformer reconstructs them.
        X : array-like or DataFrame of shape (n_samples, n_features), default=None
            Rows for the standard deviations of the codes. None takes 500 draws from the model.
        row : int, default=None
            Position in X of the row to start from. None takes the row whose codes are nearest to
            their mean, in standard deviations. The mean itself may decode to an unusual row.
        units : sequence of int, default=None
            Positions of the codes to change. None takes the first eight at most. Codes are in
            the order of the variance that they explain.
        n_steps : int, default=7
            Number of steps from -2 to 2 standard deviations.
        image_shape : tuple of int, default=None
            Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w), in pixels. None draws lines
            over columns, which are standardized if their spreads differ widely.
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : TraversalDisplay
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
            If the columns are not all numbers, or `row`, `units`, `n_steps` or `image_shape` is
            invalid.
        """
        check_count("n_steps", n_steps)
        before, vae = split_pipeline(estimator)
        default = range(min(MAX_UNITS, vae.latent_dim_))
        units = checked_units(default if units is None else units, vae.latent_dim_)
        X = vae.sample(N_DRAWS, random_state=0) if X is None else before(X)
        given = numbers(X, cls.__name__)
        codes = np.asarray(vae.transform(X))
        steps, spread = np.linspace(-2, 2, n_steps), codes.std(0)
        first = _central(codes, spread) if row is None else _checked(row, codes)
        moved = np.tile(codes[first], (len(units), n_steps, 1))
        for n, unit in enumerate(units):
            moved[n, :, unit] += steps * spread[unit]
        rows = vae.inverse_transform(moved.reshape(-1, codes.shape[1]))
        rows = numbers(rows, cls.__name__).reshape(len(units), n_steps, -1)
        centre, scale, value_name = units_of_lines(given, image_shape)
        display = cls(
            rows=(rows - centre) / scale,
            steps=steps,
            units=units,
            image_shape=image_shape,
            names=column_names(vae),
            value_name=value_name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the reconstructions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `Axes.imshow` for images, to `Axes.plot` for lines.

        Returns
        -------
        self : TraversalDisplay
            The display.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `ax` is not part of a grid, which several panels need. Axes of `plt.subplots` are.
            Also if `image_shape` does not match the rows.
        """
        rows = np.asarray(self.rows)
        if self.image_shape is None:
            self._draw_lines(ax, rows, kwargs)
            return self
        images = as_images(rows, self.image_shape)
        self._open(ax, figure_size(images))
        down, across = draw_mosaic(self.ax_, images, (rows.min(), rows.max()), kwargs)
        self.ax_.set_yticks(down, [f"code {unit}" for unit in self.units])
        self.ax_.set_xticks(across, [signed(round(step, 2)) for step in self.steps])
        self.ax_.set_xlabel("standard deviations from the row's code")
        return self

    def _draw_lines(self, ax, rows, kwargs):
        n_columns = min(2 if len(rows) < 7 else 4, len(rows))
        n_lines = ceil(len(rows) / n_columns)
        room = room_for_names(self.names, rows.shape[2], len(rows) % n_columns > 0)
        self._open(ax, (2.2 + 2.2 * n_columns, 0.5 + 1.5 * n_lines + room))
        panels = self._divide(n_lines, n_columns)
        colors = _step_colors(self.steps)
        for n, (panel, path) in enumerate(zip(panels, rows, strict=False)):
            for row, step in zip(path, self.steps, strict=True):
                panel.plot(row, **{"color": colors.to_rgba(step), "linewidth": 1.4} | kwargs)
            note(panel, 0, 1.02, f"code {self.units[n]}")
            name_columns(panel, rows.shape[-1], self.names)
        self.axes_ = finish(panels, len(rows), n_columns, self.value_name)
        bar = self.figure_.colorbar(colors, ax=self.axes_, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize="small")
        bar.set_label("sd from the row's code", fontsize="small")


def _central(codes, spread):
    """The row whose codes are nearest to their mean."""
    return np.argmin((((codes - codes.mean(0)) / np.where(spread > 0, spread, 1)) ** 2).sum(1))


def _checked(row, codes):
    if not isinstance(row, int | np.integer) or not 0 <= row < len(codes):
        raise ValueError(f"row={row!r}; expected a position from 0 to {len(codes) - 1}.")
    return row


def _step_colors(steps):
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    # The upper end of viridis is too pale for a line on white.
    cmap = ListedColormap(colormaps["viridis"](np.linspace(0, 0.88, 256)))
    return ScalarMappable(Normalize(min(steps), max(steps)), cmap)
