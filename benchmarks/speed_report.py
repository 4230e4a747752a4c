"""Speed report: the lines of ``python -m benchmarks speed`` -> tables and figures.

For a peer on a case and a seed two things are told. ``seconds to match`` is the time of our
quickest fit whose held-out R2 is at or above the peer's, over the peer's time: below 1 we are
faster to the same result, inf says that no fit of ours got there. ``our R2 at its time`` is that
of our best fit that took no longer than the peer; None says that even one pass takes longer.

Seeds are averaged: ratios and seconds geometrically, R2 plainly. Lines of other numbers of rows
than those of ``speed.CASES`` are for trying things out and do not count.
"""

import re
from itertools import pairwise, product
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from benchmarks.figures import ACCENT, GREY, INK, STYLE, plain_log_ticks
from benchmarks.peers import PEERS
from benchmarks.speed import CASES, OURS, Lines
from benchmarks.speed_bars import PREFIX, slope

COLUMNS = ["case", "peer", "seed", "seconds", "r2", "to_match", "at_time"]
ROUNDING = 1e-6  # of R2, by which PCA and a fit that kept it may differ
N_PANELS_PER_ROW = 2
# Where a label may go, in points from its dot: the nearest that is free is taken.
ANGLES = np.deg2rad([0, 180, 30, -30, 150, -150, 90, -90, 60, -60, 120, -120])
DISTANCES = (7, 13, 20, 28, 38, 50)
FARTHEST = 13  # of these, beyond which a line leads from label to dot
AXES = {"n": "training rows", "d": "columns"}


class Dot(NamedTuple):
    """A labelled point of a panel."""

    x: float
    y: float
    text: str
    color: str


def pairs(lines: Lines) -> pd.DataFrame:
    """Return a row per fit of a peer beside ours: its figures, our time and R2 against them."""
    fits = _counted(lines)
    ours: dict[tuple, list[dict]] = {}
    for line in fits:
        if line["method"] == OURS:
            ours.setdefault((line["case"], line["seed"]), []).append(line)
    rows = [
        {name: line[name] for name in ("case", "seed", "seconds", "r2")}
        | {"peer": line["method"]}
        | compared(line, ours[line["case"], line["seed"]])
        for line in fits
        if line["method"] in PEERS and (line["case"], line["seed"]) in ours
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def compared(peer: dict, ours: list[dict]) -> dict[str, float | None]:
    """Return our time to the peer's R2 over its own, and our best R2 within its time."""
    matching = [fit["seconds"] for fit in ours if fit["r2"] >= peer["r2"] - ROUNDING]
    in_time = [fit["r2"] for fit in ours if fit["seconds"] <= peer["seconds"]]
    return {
        "to_match": min(matching, default=float("inf")) / peer["seconds"],
        "at_time": max(in_time, default=None),
    }


def summary(lines: Lines) -> pd.DataFrame:
    """Return a row per peer over all cases: how often and how fast it is matched."""
    cells = _cells(pairs(lines))
    rows = []
    for name in (name for name in PEERS if name in set(cells["peer"])):
        part = cells[cells["peer"] == name]
        gains = (part["at_time"] - part["r2"]).dropna()
        rows.append(
            {
                "peer": name,
                "": "neural" if PEERS[name].is_neural else "",
                "cases": len(part),
                "matched": int(np.isfinite(part["to_match"]).sum()),
                "seconds to match / its seconds: median": f"{part['to_match'].median():.3g}",
                "worst": f"{part['to_match'].max():.3g}",
                "one pass takes no longer": len(gains),
                "our R2 at its time - its: median": f"{gains.median():+.3f}" if len(gains) else "",
                "lowest": f"{gains.min():+.3f}" if len(gains) else "",
            }
        )
    return pd.DataFrame(rows)


def cases(lines: Lines) -> pd.DataFrame:
    """Return a row per case and method: seconds, R2, and for peers what ours has to say to them."""
    own, theirs = _cells(_own(lines)), _cells(pairs(lines))
    rows = []
    for case in CASES:
        part = own[own["case"] == case]
        rows += [_row(cell) for cell in part.to_dict("records")]
        part = theirs[theirs["case"] == case].set_index("peer", drop=False)
        rows += [_row(part.loc[name].to_dict()) for name in PEERS if name in part.index]
    return pd.DataFrame(rows)


def failures(lines: Lines) -> pd.DataFrame:
    """Return the fits that raised an error, with its text."""
    names = ["case", "method", "passes", "seed", "error"]
    rows = [
        {name: line[name] for name in names}
        for line in lines.values()
        if "error" in line and _counts(line)
    ]
    return pd.DataFrame(rows, columns=names).fillna("")


def growths(bars: pd.DataFrame) -> dict[str, dict[str, dict[int, float]]]:
    """Return the times of growing tables: "n" or "d" -> curve -> size -> seconds."""
    found: dict[str, dict[str, dict[int, float]]] = {}
    for line in bars.to_dict("records"):
        match = re.fullmatch(f"{PREFIX}(.+), ([nd]) = (\\d+)", line["bar"])
        if match:
            curve, axis, size = match.groups()
            found.setdefault(axis, {}).setdefault(curve, {})[int(size)] = line["value"]
    return found


@matplotlib.rc_context(STYLE)
def figure(lines: Lines) -> Figure:
    """Return the picture: held-out R2 against seconds, a panel per case."""
    fits = _counted(lines)
    there = {line["case"] for line in fits if line["method"] == OURS}
    names = [case for case in CASES if case in there]
    n_rows = -(-len(names) // N_PANELS_PER_ROW)
    drawn = Figure(figsize=(9.6, 0.5 + 3.1 * n_rows), layout="constrained")
    panels = drawn.subplots(n_rows, N_PANELS_PER_ROW, squeeze=False).ravel()
    dots = [
        _panel(axes, name, [line for line in fits if line["case"] == name])
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
    for axes, found in zip(panels, dots, strict=False):
        _label(axes, found)
    return drawn


@matplotlib.rc_context(STYLE)
def growth_figure(bars: pd.DataFrame) -> Figure:
    """Return the picture: seconds against rows and against columns, with fitted powers."""
    found = growths(bars)
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
        axes.set_ylabel("seconds")
        axes.set_ylim(top=3 * axes.get_ylim()[1])  # room for the legend
        axes.legend(loc="upper left", labelcolor="linecolor", handlelength=0)
    return drawn


def _counts(line):
    case = CASES.get(line["case"])
    return case is not None and case.max_train_rows == line["max_train_rows"]


def _counted(lines):
    return [line for line in lines.values() if "error" not in line and _counts(line)]


def _own(lines):
    """Return our default fits as rows of ``pairs``."""
    rows = [
        {name: line[name] for name in ("case", "seed", "seconds", "r2")} | {"peer": OURS}
        for line in _counted(lines)
        if line["method"] == OURS and line["passes"] is None
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _cells(found):
    """Return a row per case and peer, averaged over seeds."""
    rows = [
        {
            "case": case,
            "peer": peer,
            "seeds": len(part),
            "seconds": _geometric_mean(part["seconds"]),
            "r2": part["r2"].mean(),
            "to_match": _geometric_mean(part["to_match"]),
            # Of some seeds alone it would be that of the slow ones.
            "at_time": part["at_time"].astype("float64").mean(skipna=False),
        }
        for (case, peer), part in found.groupby(["case", "peer"], sort=False)
    ]
    names = ["case", "peer", "seeds", "seconds", "r2", "to_match", "at_time"]
    return pd.DataFrame(rows, columns=names)


def _row(cell):
    ours = cell["peer"] == OURS
    in_time = "one pass takes longer" if np.isnan(cell["at_time"]) else f"{cell['at_time']:.3f}"
    return {
        "case": cell["case"],
        "method": cell["peer"],
        "seeds": cell["seeds"],
        "seconds": f"{cell['seconds']:.3g}",
        "R2": f"{cell['r2']:.3f}",
        "seconds to match / its seconds": "" if ours else f"{cell['to_match']:.3g}",
        "our R2 at its time": "" if ours else in_time,
    }


def _geometric_mean(values):
    return float(np.exp(np.mean(np.log(values.astype("float64").to_numpy()))))


def _panel(axes, case, fits):
    """Draw a case and return the dots that are to be labelled."""
    ours, theirs = _course(fits), _theirs(fits)
    floor = max(
        min(y for _, y in [*ours.values(), *theirs.values()]),
        min(0.0, *(y for _, y in ours.values())),
    )
    axes.plot(*zip(*ours.values(), strict=True), "o-", color=ACCENT, markersize=4, linewidth=1.4)
    dots = [Dot(*place, _passes(passes), ACCENT) for passes, place in _ends(ours)]
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
    rows = f"{fits[0]['n_train']:,} x {fits[0]['n_features']}"
    axes.set_title(f"{CASES[case].dataset}, {rows}, {fits[0]['latent_dim']} codes")
    return dots


def _course(fits):
    """Return seconds and R2 of our fits, by passes; those of the default come last."""
    passes = {fit["passes"] for fit in fits if fit["method"] == OURS}
    return {
        n: _mean([fit for fit in fits if fit["method"] == OURS and fit["passes"] == n])
        for n in sorted(passes, key=lambda n: float("inf") if n is None else n)
    }


def _theirs(fits):
    names = [name for name in PEERS if any(fit["method"] == name for fit in fits)]
    return {name: _mean([fit for fit in fits if fit["method"] == name]) for name in names}


def _mean(fits):
    seconds = _geometric_mean(pd.Series([fit["seconds"] for fit in fits]))
    return seconds, float(np.mean([fit["r2"] for fit in fits]))


def _ends(ours):
    """Return the first and the last of our fits."""
    items = list(ours.items())
    return items[:1] + items[1:][-1:]


def _passes(passes):
    return OURS if passes is None else f"{passes} pass{'es' * (passes != 1)}"


def _label(axes, dots):
    """Write the labels where they cover neither dots nor lines nor each other."""
    taken = [box for line in axes.lines for box in _boxes(axes, line)]
    for dot in sorted(dots, key=lambda dot: dot.x):
        taken.append(_place(axes, dot, taken))


def _place(axes, dot, taken):
    """Write a label inside the panel, at the nearest free place or the least taken one.

    Returns its box, in pixels.
    """
    places = []
    for distance, angle in product(DISTANCES, ANGLES):
        text = _write(axes, dot, distance, angle)  # its box is known once it is there
        box = text.get_window_extent()
        text.remove()
        n_covered = sum(box.overlaps(other) for other in taken)
        is_outside = axes.bbox.count_contains(box.corners()) < 4
        places.append((is_outside, n_covered, distance, angle, box))
        if not (is_outside or n_covered):
            break
    *_, distance, angle, box = min(places, key=lambda place: place[:3])
    _write(axes, dot, distance, angle, has_line=distance > FARTHEST)
    return box


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
