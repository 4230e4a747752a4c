"""What a model keeps of rows, beside PCA."""

from math import ceil
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from skvae.colors import INK, OURS, THEIRS
from skvae.displays.display import Display
from skvae.displays.images import as_images, draw_mosaic, figure_size
from skvae.displays.lines import MANY_COLUMNS, finish, name_columns, room_for_names, units_of_lines
from skvae.displays.source import (
    column_names,
    complete,
    fitted_pca,
    mean_squared_error,
    reconstructions,
    split_pipeline,
)
from skvae.displays.style import note
from skvae.training.schedules import check_count


class ReconstructionDisplay(Display):
    """Rows beside their reconstructions by models with the same number of codes.

    Parameters
    ----------
    rows : array-like of shape (n_rows, n_features)
        Original rows.
    reconstructions : dict of str to array-like of shape (n_rows, n_features)
        Reconstructions by the name of the model. Lines show at most two models.
    errors : dict of str to float, default=None
        Mean squared error by the name of the model, for the labels of images. None computes it
        from `rows`.
    image_shape : tuple of int, default=None
        Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w), in pixels. None draws lines
        over columns.
    names : list of str, default=None
        Names of the columns.
    value_name : str, default="value"
        Label of the axis of values.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The given or new axes. With lines, the panels take its place.
    axes_ : list of matplotlib Axes
        The axes with images, or one panel of lines for each row.
    figure_ : matplotlib Figure
        The figure.

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
        """Draw some rows beside their reconstructions by the model and by PCA.

        Parameters
        ----------
        estimator : VAETransformer or Pipeline
            Fitted estimator, or a fitted Pipeline that ends in one. Rows are shown as
            they enter the VAETransformer.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows of numbers. Some are drawn at random to be shown. The errors of images are means
            over all rows.
        n_rows : int, default=8
            Number of rows to show.
        image_shape : tuple of int, default=None
            Shape of a row as an image: (h, w), (h, w, 3) or (3, h, w), in pixels. None draws lines
            over columns, which are standardized if their spreads differ widely.
        pca : transformer, default=None
            Model to compare with, fitted to the input of the VAETransformer. None fits
            `sklearn.decomposition.PCA` to X itself, with as many components as codes. That favours
            PCA if X is not the training set.
        random_state : int, RandomState instance or None, default=None
            Determines which rows are shown.
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        display : ReconstructionDisplay
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
            If X has missing cells or columns that are not numbers, or `n_rows` or `image_shape` is
            invalid.
        """
        before, vae = split_pipeline(estimator)
        X = before(X)
        rows = complete(X, cls.__name__)
        pca = fitted_pca(rows, vae.latent_dim_) if pca is None else pca
        made = reconstructions(vae, X, pca, rows, cls.__name__)
        errors = {name: mean_squared_error(table, rows) for name, table in made.items()}
        centre, scale, value_name = units_of_lines(rows, image_shape)
        check_count("n_rows", n_rows)
        n_rows = min(n_rows, len(rows))
        chosen = np.sort(check_random_state(random_state).permutation(len(rows))[:n_rows])
        display = cls(
            rows=(rows[chosen] - centre) / scale,
            reconstructions={
                name: (table[chosen] - centre) / scale for name, table in made.items()
            },
            errors=errors,
            image_shape=image_shape,
            names=column_names(vae),
            value_name=value_name,
        )
        return display.plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the rows and their reconstructions.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw in. None makes a figure.
        **kwargs : dict
            Passed to `Axes.imshow` for images, to `Axes.plot` for the lines of reconstructions.

        Returns
        -------
        self : ReconstructionDisplay
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
        tables = {"original": rows} | self.reconstructions
        images = as_images(np.stack([*tables.values()]), self.image_shape)
        self._open(ax, figure_size(images))
        # The originals set the range of grey: reconstructions beyond it are cut.
        centres = draw_mosaic(self.ax_, images, (rows.min(), rows.max()), kwargs)
        errors = self.errors or {
            n: mean_squared_error(t, rows) for n, t in self.reconstructions.items()
        }
        labels = [f"{n}\nMSE {errors[n]:.3g}" if n in errors else n for n in tables]
        self.ax_.set_yticks(centres[0], labels)
        return self

    def _draw_lines(self, ax, rows, kwargs):
        n_columns = min(4, len(rows))
        n_lines = ceil(len(rows) / n_columns)
        room = room_for_names(self.names, rows.shape[1], len(rows) % n_columns > 0)
        self._open(ax, (1.2 + 1.9 * n_columns, 0.5 + 1.3 * n_lines + room))
        panels = self._divide(n_lines, n_columns)
        for n, (panel, row) in enumerate(zip(panels, rows, strict=False)):
            self._draw_row(panel, row, n, kwargs)
        self.axes_ = finish(panels, len(rows), n_columns, self.value_name)

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
            note(panel, side, 1.02, text, color=look["color"], ha="right" if side else "left")
        name_columns(panel, len(row), self.names)
