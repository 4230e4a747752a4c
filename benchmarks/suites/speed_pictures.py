"""Pictures of speed: R2 against seconds for every case, and seconds against rows and columns."""

import re
from itertools import pairwise, product
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from benchmarks.averages import geometric_mean
from benchmarks.figures import ACCENT, GREY, INK, STYLE, plain_log_ticks
from benchmarks.peers import PEERS
from benchmarks.suites.speed_figures import slope

N_PANELS_PER_ROW = 2
# Where a label may go, in points from its dot: the nearest that is free is taken.
ANGLES = np.deg2rad([0, 180, 30, -30, 150, -150, 90, -90, 60, -60, 120, -120])
DISTANCES = (7, 13, 20, 28, 38, 50)
FARTHEST = 7  # of these, beyond which a line leads from label to dot
AXES = {"n": "training rows", "d": "columns"}
TITLES = {"n": "Seconds of a fit, by its rows", "d": "Seconds of a fit, by its columns"}


class Dot(NamedTuple):
    """A labelled point of a panel."""

    x: float
    y: float
    text: str
    color: str


@matplotlib.rc_context(STYLE)
def fits(found: pd.DataFrame, titles: dict[str, str], ours: str) -> Figure:
    """Return the picture: held-out R2 against seconds, a panel per case that ours was fitted to."""
    there = set(found.loc[found["method"] == ours, "case"])
    names = [case for case in titles if case in there]
    n_rows = -(-len(names) // N_PANELS_PER_ROW)
    drawn = Figure(figsize=(9.6, 0.5 + 3.1 * n_rows), layout="constrained")
    panels = drawn.subplots(n_rows, N_PANELS_PER_ROW, squeeze=False).ravel()
    dots = [
        _panel(axes, titles[name], found[found["case"] == name], ours)
        for axes, name in zip(panels, names, strict=False)
    ]
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    drawn.suptitle(
        "Held-out R2 against seconds of fit: VAETransformer by passes, and its peers",
        x=0.01, ha="left", fontsize=10, weight="bold",
    )  # fmt: skip
    FigureCanvasAgg(drawn).draw()  # only then is it known where things are
    drawn.set_layout_engine("none")
    for axes, labels in zip(panels, dots, strict=False):
        _label(axes, labels)
    return drawn


def growths(figures: pd.DataFrame) -> dict[str, dict[str, dict[int, float]]]:
    """Return the times of growing tables: "n" or "d" -> curve -> size -> seconds."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for line in figures.to_dict("records"):
        match = re.fullmatch("(.+), ([nd]) = (\\d+)", line["bar"])
        if match:
            curve, axis, size = match.groups()
            found.setdefault(axis, {}).setdefault(curve, {})[int(size)] = line["value"]
    return found


@matplotlib.rc_context(STYLE)
def growth(figures: pd.DataFrame) -> Figure:
    """Return the picture: seconds against rows and against columns, with fitted powers."""
    found = growths(figures)
    drawn = Figure(figsize=(0.4 + 4.6 * len(found), 3.3), layout="constrained")
    panels = drawn.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, curves) in zip(panels, found.items(), strict=True):
        for (curve, seconds), color in zip(curves.items(), (ACCENT, GREY), strict=False):
            _curve(axes, curve, dict(sorted(seconds.items())), color)
        axes.set_xscale("log")
        axes.set_yscale("log")
        plain_log_ticks(axes.yaxis)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel(AXES[name])
        axes.set_title(TITLES[name])
        axes.set_ylabel("seconds")
        axes.set_ylim(top=3 * axes.get_ylim()[1])  # room for the legend
        axes.legend(loc="upper left", labelcolor="linecolor", handlelength=0)
    return drawn


def _panel(axes, title, found, ours):
    """Draw a case and return the dots that are to be labelled."""
    course, theirs = _course(found[found["method"] == ours]), _theirs(found)
    floor = max(
        min(y for _, y in [*course.values(), *theirs.values()]),
        min(0.0, *(y for _, y in course.values())),
    )
    axes.plot(*zip(*course.values(), strict=True), "o-", color=ACCENT, markersize=4, linewidth=1.4)
    ends = dict.fromkeys([min(course), max(course)])
    dots = [Dot(*course[n], ours if n == np.inf else _passes(n), ACCENT) for n in ends]
    for name, (x, y) in theirs.items():
        is_below = y < floor
        color = INK if PEERS[name].is_neural else GREY
        y, text = (floor, f"{name} ({y:.2f})") if is_below else (y, name)
        axes.plot(x, y, "v" if is_below else "o", color=color, markersize=5)
        dots.append(Dot(x, y, text, color))
    axes.set_xscale("log")
    axes.margins(x=0.14, y=0.18)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("seconds")
    axes.set_ylabel("held-out R2")
    first = found.iloc[0]
    rows = f"{first.n_train:,.0f} x {first.n_features:.0f}"
    axes.set_title(f"{title}, {rows}, {first.latent_dim:.0f} codes")
    return dots


def _course(ours):
    """Return seconds and R2 of our fits, by passes; those of the default, at inf, come last."""
    passes = ours["passes"].fillna(np.inf)
    return {n: _mean(part) for n, part in ours.groupby(passes)}


def _theirs(found):
    there = {name: found[found["method"] == name] for name in PEERS}
    return {name: _mean(part) for name, part in there.items() if len(part)}


def _mean(part):
    return geometric_mean(part["seconds"]), float(part["r2"].mean())


def _passes(n):
    return f"{n:.0f} pass{'es' * (n != 1)}"


def _label(axes, dots):
    """Write the labels where they cover neither dots nor lines nor each other."""
    taken = [box for line in axes.lines for box in _boxes(axes, line)]
    places = axes.transData.transform([(dot.x, dot.y) for dot in dots])
    for n in np.argsort([dot.x for dot in dots]):
        others = np.delete(places, n, axis=0)
        taken.append(_place(axes, dots[n], taken, others))


def _place(axes, dot, taken, others):
    """Write a label inside the panel, at the nearest free place or the least taken one.

    A place that is as near to another dot as to its own is taken only where there is no better.

    Returns its box, in pixels.
    """
    places = []
    for distance, angle in product(DISTANCES, ANGLES):
        text = _write(axes, dot, distance, angle)  # its box is known once it is there
        box = text.get_window_extent()
        text.remove()
        n_covered = sum(box.overlaps(other) for other in taken)
        is_outside = axes.bbox.count_contains(box.corners()) < 4
        own = axes.transData.transform((dot.x, dot.y))
        is_unclear = _distance(box, others).min(initial=np.inf) <= _distance(box, own[None])[0]
        places.append((is_outside, n_covered, is_unclear, distance, angle, box))
        if not (is_outside or n_covered or is_unclear):
            break
    *_, distance, angle, box = min(places, key=lambda place: place[:4])
    _write(axes, dot, distance, angle, has_line=distance > FARTHEST)
    return box


def _distance(box, places):
    """Return how far places lie from a box, in pixels."""
    low, high = np.array([box.x0, box.y0]), np.array([box.x1, box.y1])
    return np.linalg.norm(places - places.clip(low, high), axis=1)


def _write(axes, dot, distance, angle, has_line=False):
    x, y = np.cos(angle), np.sin(angle)
    arrow: dict[str, Any] = {"arrowstyle": "-", "color": GREY, "linewidth": 0.6, "shrinkB": 3}
    return axes.annotate(
        dot.text,
        (dot.x, dot.y),
        (distance * x, distance * y),
        textcoords="offset points",
        ha="left" if x > 0.3 else "right" if x < -0.3 else "center",
        va="bottom" if y > 0.3 else "top" if y < -0.3 else "center",
        color=dot.color,
        fontsize=8,
        arrowprops=arrow if has_line else None,
    )


def _boxes(axes, line):
    """Return boxes, in pixels, that cover a line and its dots."""
    places = axes.transData.transform(line.get_xydata())
    steps = np.linspace(0, 1, 30)[:, None]
    between = [a + steps * (b - a) for a, b in pairwise(places)]
    return [Bbox.from_bounds(x - 4, y - 4, 8, 8) for x, y in np.concatenate([places, *between])]


def _curve(axes, name, seconds, color):
    """Draw times against sizes, with the power that fits them."""
    sizes, times = np.array([*seconds]), np.array([*seconds.values()])
    axes.plot(sizes, times, "o", color=color, markersize=5, zorder=3)
    if len(sizes) > 1:
        power = slope(seconds)
        middle = np.exp(np.log(times).mean() + power * (np.log(sizes) - np.log(sizes).mean()))
        name = f"{name}: power {power:.2f}"
        axes.plot(sizes, middle, color=color, linewidth=1.2, label=name)
