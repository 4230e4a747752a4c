"""What every display has: the axes that it draws in."""

from abc import ABC, abstractmethod
from typing import Any, Self

from skvae.displays.style import pyplot, tidy


class Display(ABC):
    """Base class of displays. Options hold the data, and `plot` draws them."""

    ax_: Any  # a matplotlib Axes, where to draw
    axes_: list[Any]  # those drawn in
    figure_: Any

    @classmethod
    @abstractmethod
    def from_estimator(cls, estimator: Any, *args: Any, **kwargs: Any) -> Self:
        """Compute the data with public methods of the estimator, and draw them."""

    @abstractmethod
    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw in the given axes or in a new figure."""

    def _open(self, ax: Any, figsize: tuple[float, float]) -> Any:
        """Take the axes given, or make a figure."""
        if ax is None:
            ax = pyplot().subplots(figsize=figsize, layout="constrained")[1]
        self.ax_, self.figure_, self.axes_ = ax, ax.figure, [ax]
        tidy(ax)
        return ax

    def _divide(self, n_rows: int, n_columns: int = 1, **layout: Any) -> list[Any]:
        """Put panels in the place of the axes, which stay as their invisible frame."""
        place = self.ax_.get_subplotspec()
        if place is None:
            raise ValueError(
                f"{type(self).__name__} has several panels, which take the place of ax in a grid, "
                "but ax is not part of a grid; make it with plt.subplots or figure.add_subplot."
            )
        self.ax_.set_axis_off()
        grid = place.subgridspec(n_rows, n_columns, **layout)
        cells = [grid[row, column] for row in range(n_rows) for column in range(n_columns)]
        self.axes_ = [self.figure_.add_subplot(cell) for cell in cells]
        for panel in self.axes_:
            tidy(panel)
        return self.axes_
