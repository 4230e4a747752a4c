"""The small marks that displays share."""

from typing import Any

from skvae.colors import GREY, INK

# Options of a text that stands some points beside what it is about.
LABEL: dict[str, Any] = {"fontsize": "small", "color": INK, "textcoords": "offset points"}


def pyplot() -> Any:
    """matplotlib.pyplot, which is imported when it is needed."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            "displays need matplotlib, which is not installed: pip install matplotlib"
        ) from error
    return plt


def tidy(ax: Any) -> None:
    """Leave two spines, in grey."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["bottom", "left"]].set_color(GREY)
    ax.tick_params(color=GREY, labelsize="small")


def halo() -> list[Any]:
    """A white rim around letters, so that they can be read on lines and dots."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=2.5, foreground="white")]


def note(ax: Any, x: float, y: float, text: str, **options: Any) -> None:
    """Write small text at a place in the axes, from 0 to 1."""
    options = {"fontsize": "small", "color": INK, "va": "bottom"} | options
    ax.text(x, y, text, transform=ax.transAxes, path_effects=halo(), **options)


def signed(number: float) -> str:
    """A number as text, with the sign that the ticks have."""
    return f"{number:.4g}".replace("-", "\N{MINUS SIGN}")
