"""Drawings of a report as inline SVG, in colours that follow the page's light or dark."""

import io
import re
import warnings
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from skvae.amounts import counted
from skvae.colors import GREY, INK, OURS, PALE, THEIRS
from skvae.displays.latent import LatentDisplay
from skvae.displays.style import tidy
from skvae.extents import Ends
from skvae.report.dates import date_text
from skvae.report.markup import Markup, text

# Colours of the drawings, and the names that the style sheet has for them.
_NAMED = {
    INK: "--ink", GREY: "--grey", PALE: "--pale", OURS: "--ours", THEIRS: "--theirs",
    "#ffffff": "--page",
}  # fmt: skip
_SETTINGS: Any = {
    "text.parse_math": False,  # a name may hold dollars
    "svg.fonttype": "none",
    "svg.hashsalt": "skvae",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.unicode_minus": True,
}
_WIDTH = 4.4  # inches, about those of a phone
_LONGEST = 26  # letters of a name
_MOST_BINS, _MOST_LEVELS = 24, 8
_FARTHEST = 1.5  # share of the error of guessing up to which dots are drawn in their place


def short(name: object, longest: int = _LONGEST) -> str:
    """A name that fits in a drawing."""
    own = " ".join(str(name).split())
    if len(own) <= longest:
        return own
    last = longest // 3  # names often differ at their ends
    return f"{own[: longest - 1 - last]}…{own[-last:]}"


class Draughtsman:
    """Makes drawings, each with names of its own for its parts."""

    def __init__(self) -> None:
        self._numbers = count()

    def map(
        self, plane: np.ndarray, color: pd.Series | None, axes: Sequence[str], ends: Sequence[Ends]
    ) -> Markup:
        """Rows in the plane of two codes, coloured by a column, between the ends of two axes."""
        with _own_settings():
            shown, ax = _panel(_WIDTH, 3.7)
            y = None
            if color is not None:
                y = color.reset_index(drop=True)
                if y.dtype.kind not in "fM":
                    y = y.map(lambda v: short(_word(v), 18), na_action="ignore").astype(object)
                y.name = short(color.name)
            ax.set(xlim=ends[0], ylim=ends[1])  # before names find their places
            LatentDisplay(codes=plane, y=y).plot(ax=ax, s=14)
            ax.set(xlabel=axes[0], ylabel=axes[1])
            label = f"map of {counted(len(plane), 'row')} in the plane of {axes[0]} and {axes[1]}"
            return self._svg(shown, label)

    def dots(self, shares: pd.DataFrame, names: dict[str, str], label: str) -> Markup:
        """Of each column a line with a dot for each of several shares; 1 is a guess."""
        colors = dict(zip(names, (OURS, THEIRS), strict=False))
        with _own_settings():
            shown, ax = _panel(_WIDTH, 0.9 + 0.24 * len(shares))
            places = np.arange(len(shares))
            clipped = shares[list(names)].clip(upper=_FARTHEST)
            ax.hlines(places, clipped.min(axis=1), clipped.max(axis=1), color=PALE, linewidth=2)
            for own, color in colors.items():
                values = clipped[own].to_numpy()
                marker = "o" if own == next(iter(names)) else "D"
                ax.scatter(values, places, color=color, s=26, marker=marker, zorder=3,
                           label=names[own])  # fmt: skip
            ax.axvline(1, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
            ax.set_yticks(places, [short(name, 24) for name in shares.index])
            ax.set(
                ylim=(len(shares) - 0.4, -0.6), xlim=(-0.03, max(1.06, clipped.max().max() + 0.06))
            )
            ax.set_xlabel("share of the error of a guess")
            ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, frameon=False,
                      fontsize="small", borderpad=0.2, handletextpad=0.2)  # fmt: skip
            return self._svg(shown, label)

    def marginal(self, real: pd.Series, drawn: pd.Series, start: float | None = None) -> Markup:
        """The distribution of a column: of real rows filled, of drawn rows as a line or dots.

        Numbers of days are drawn as dates, where it is known what day they count from.
        """
        with _own_settings():
            shown, ax = _panel(2.3, 1.7)
            ax.set_title(short(real.name, 22), fontsize="small")
            if real.dtype == float:
                _histogram(ax, real.dropna().to_numpy(), drawn.dropna().to_numpy(float))
                ax.xaxis.set_major_formatter(lambda value, _: _tick(value, start))
            else:
                _levels(ax, real.dropna().map(_word), drawn.dropna().map(_word))
            ax.tick_params(labelsize="x-small")
            return self._svg(shown, f"distribution of {short(real.name)}, real and drawn")

    def pairs(self, strengths: np.ndarray, names: Sequence[str], title: str) -> Markup:
        """How strongly columns go together, as a map of squares."""
        with _own_settings():
            side = min(_WIDTH, 1.9 + 0.14 * len(names))
            shown, ax = _panel(side, side)
            shades = _shades(OURS)
            ax.pcolormesh(strengths, cmap=shades, vmin=0, vmax=1, edgecolors=PALE, linewidth=0.3)
            ax.set_title(title, fontsize="small")
            ax.invert_yaxis()
            ax.set_aspect("equal")
            size = "x-small"
            places = np.arange(len(names)) + 0.5
            words = [short(name, 16) for name in names]
            ax.set_xticks(places, words, rotation=90, fontsize=size)
            ax.set_yticks(places, words, fontsize=size)
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
            return self._svg(shown, title)

    def effects(self, effects: pd.Series, title: str) -> Markup:
        """What a code does to columns, as bars to the left and to the right."""
        with _own_settings():
            shown, ax = _panel(_WIDTH, 0.9 + 0.24 * len(effects))
            places = np.arange(len(effects))
            colors = [OURS if value >= 0 else THEIRS for value in effects]
            ax.barh(places, effects, color=colors, height=0.7)
            ax.axvline(0, color=GREY, linewidth=1)
            ax.set_yticks(places, [short(name) for name in effects.index])
            ax.invert_yaxis()
            ax.set_title(title, fontsize="small")
            ax.set_xlabel("change (standard deviations)", fontsize="small")
            return self._svg(shown, title)

    def _svg(self, shown: Any, label: str) -> Markup:
        data = io.StringIO()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph", UserWarning)  # which the browser has
            shown.savefig(data, format="svg", transparent=True, metadata={"Date": None})
        svg = data.getvalue()
        svg = svg[svg.index("<svg") :]
        prefix = f"d{next(self._numbers)}-"
        svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}\1"', svg)
        svg = re.sub(r'(url\(|href=")#', rf"\1#{prefix}", svg)
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        for color, name in _NAMED.items():
            svg = re.sub(rf"(fill|stroke|stop-color): ?{color}", rf"\1: var({name})", svg)
        width = shown.get_figwidth() * 96
        svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
        own = f'<svg role="img" aria-label="{text(label)}" style="width:{width:.0f}px"'
        return Markup(svg.replace("<svg", own, 1))


def _own_settings() -> Any:
    from matplotlib import rc_context

    return rc_context(_SETTINGS)


def _panel(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    shown = Figure(figsize=(width, height), layout="constrained")
    ax = shown.subplots()
    tidy(ax)
    return shown, ax


def _shades(color: str) -> Any:
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    clear: Any = (*to_rgba(color)[:3], 0.0)
    return LinearSegmentedColormap.from_list("shades", [clear, color])


def _histogram(ax: Any, real: np.ndarray, drawn: np.ndarray) -> None:
    low, high = np.percentile(np.concatenate([real, drawn]), [0.5, 99.5])
    edges = np.linspace(low, high if high > low else low + 1, _MOST_BINS + 1)
    if (real % 1 == 0).all() and high - low < _MOST_BINS:  # a bin for each
        edges = np.arange(np.floor(low), np.ceil(high) + 2) - 0.5
    for values, style in ((real, {"color": PALE}), (drawn, {"color": OURS, "histtype": "step"})):
        weights = np.full(len(values), 1 / max(len(values), 1))
        ax.hist(values, edges, weights=weights, linewidth=1.4, **style)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=3)


def _levels(ax: Any, real: pd.Series, drawn: pd.Series) -> None:
    shares = real.value_counts(normalize=True)
    own = drawn.value_counts(normalize=True).reindex(shares.index).fillna(0.0)
    shares, own = shares.iloc[:_MOST_LEVELS], own.iloc[:_MOST_LEVELS]
    places = np.arange(len(shares))
    ax.barh(places, shares, color=PALE, height=0.8)
    ax.scatter(own, places, color=OURS, s=16, zorder=3)
    ax.set_yticks(places, [short(level, 14) for level in shares.index])
    ax.invert_yaxis()
    ax.locator_params(axis="x", nbins=3)


def _word(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return str(value)


def _tick(value: float, start: float | None) -> str:
    """A number under an axis, in few letters; days as the month that they are in."""
    if start is not None:
        return date_text(start + value)[:7]
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * unit or (unit > 1e3 and abs(value) >= unit):
            return f"{value / unit:g}{letter}".replace("-", "\N{MINUS SIGN}")
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")
