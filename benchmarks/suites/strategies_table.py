"""What strategies come to: a table and a picture.

A strategy and the default that was fitted to the same rows with the same seed make a pair. Two
figures are compared, both so that more is better: held-out log-likelihood in nats per column, and
the logarithm of the default's held-out squared error over the strategy's. The file of figures has
a row per strategy and data set: means over the seeds and their standard errors.

On a data set a strategy wins by a figure if the mean difference over the seeds exceeds its own
standard error and a level below which nobody would care (``LEVELS``); it loses by the same rule;
all else is a tie. A single seed has no error of its own and must exceed that level four times,
which is more than the default differs from itself at equal time. The verdict counts data sets: more
wins than losses by more than a quarter of them in one figure, and not the reverse in the other,
helps. Lines of other numbers of rows than those of ``CASES`` are for trying things out and do not
count.
"""

from collections import Counter
from collections.abc import Iterable

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks.averages import half_interval, standard_error
from benchmarks.figures import ACCENT, GREY, INK, STYLE
from benchmarks.markdown import failures, markdown, number
from benchmarks.runner import Line
from benchmarks.suites.choices import CASES, DEFAULT, STRATEGIES

# Nats per column, and half a per cent of squared error.
LEVELS = {"likelihood": 0.001, "error": 0.005}
ALONE = 4  # levels that a single seed has to exceed
MARGIN = 0.25  # of the data sets, by which wins have to outnumber losses
AXES = {
    "likelihood": "nats per column more than the default",
    "error": "squared error less than the default's, log ratio",
}
HARM = "#b3402a"
COLORS = {"helps": ACCENT, "hurts": HARM}

KEY = ("strategy", "dataset")
COLUMNS = [
    *(*KEY, "seeds", "likelihood", "likelihood_se", "error", "error_se", "accuracy"),
    *("log_seconds", "failed", "failure"),
]


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per strategy and data set: mean differences to the default, and their errors."""
    fits = [line for line in lines if line["suite"] == "strategies" and _counts(line["task"])]
    defaults = {_rows(line): line for line in fits if line["task"]["strategy"] == DEFAULT}
    cells: dict[tuple, list[Line]] = {}
    for line in fits:
        if line["task"]["strategy"] != DEFAULT:
            cells.setdefault(tuple(line["task"][name] for name in KEY), []).append(line)
    rows = [dict(zip(KEY, key, strict=True)) | _cell(part, defaults) for key, part in cells.items()]
    return pd.DataFrame([row for row in rows if row["seeds"] or row["failed"]], columns=COLUMNS)


def _cell(lines, defaults):
    """Return the means over the seeds of a strategy on a data set."""
    failed = [line["error"] for line in lines if "error" in line]
    pairs = pd.DataFrame(
        [
            _differences(line["figures"], defaults[_rows(line)]["figures"])
            for line in lines
            if "figures" in line and "figures" in defaults.get(_rows(line), {})
        ],
        columns=["likelihood", "error", "accuracy", "log_seconds"],
    )
    errors = {f"{name}_se": standard_error(pairs[name]) for name in LEVELS}
    return {"seeds": len(pairs)} | pairs.mean().to_dict() | errors | {
        "failed": len(failed), "failure": failed[0] if failed else None
    }  # fmt: skip


def _differences(ours, theirs):
    gain = ours["log_likelihood_gain"] - theirs["log_likelihood_gain"]
    has_classes = None not in (ours["knn5"], theirs["knn5"])
    return {
        "likelihood": gain / ours["n_features"],
        "error": np.log(theirs["mse_ratio"] / ours["mse_ratio"]),
        "accuracy": ours["knn5"] - theirs["knn5"] if has_classes else np.nan,
        "log_seconds": np.log(ours["fit_seconds"] / theirs["fit_seconds"]),
    }


def _counts(task):
    case = CASES.get(task["dataset"])
    return case == (task["latent_dim"], task["max_train_rows"])


def _rows(line):
    return line["task"]["dataset"], line["task"]["seed"]


def outcome(mean: float, error: float, level: float) -> str:
    """Return "win", "tie" or "loss": what a mean difference with its standard error comes to."""
    least = ALONE * level if np.isnan(error) else max(level, error)
    return "win" if mean > least else "loss" if mean < -least else "tie"


def verdict(counts: Iterable[Counter]) -> str:
    """Return the word for the outcomes by each figure."""
    leads = [(count["win"] - count["loss"]) / max(1, count.total()) for count in counts]
    helps, hurts = max(leads) > MARGIN, min(leads) < -MARGIN
    if helps and hurts:
        return "trades"
    return "helps" if helps else "hurts" if hurts else "no difference"


def summary(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the table: one row per strategy that has a fit beside a default or has failed."""
    there = set(cells["strategy"])
    return pd.DataFrame(
        [
            {"strategy": name, "verdict": "", "part": group}
            | _row(cells[cells["strategy"] == name])
            for group, members in STRATEGIES.items()
            for name in members
            if name in there
        ]
    )


def _row(cells):
    fitted = cells[cells["seeds"] > 0]
    outcomes = {name: _outcomes(fitted, name) for name in LEVELS}
    seconds = np.average(fitted["log_seconds"], weights=fitted["seeds"]) if len(fitted) else np.nan
    return {
        "data sets": len(fitted),
        "likelihood: wins / ties / losses": _told(outcomes["likelihood"]),
        "nats per column": number(fitted["likelihood"].mean(), "+.4f"),
        "MSE: wins / ties / losses": _told(outcomes["error"]),
        "MSE / default's": number(np.exp(-fitted["error"].mean()), ".3f"),
        "5-NN accuracy": number(fitted["accuracy"].mean(), "+.3f"),
        "seconds / default's": number(np.exp(seconds), ".2f"),
        "failed": int(cells["failed"].sum()),
        "verdict": verdict(outcomes.values()) if len(fitted) else "",
    }


def _outcomes(cells, name):
    pairs = zip(cells[name], cells[f"{name}_se"], strict=True)
    return Counter(outcome(mean, error, LEVELS[name]) for mean, error in pairs)


def _told(count):
    return f"{count['win']} / {count['tie']} / {count['loss']}"


def text(cells: pd.DataFrame) -> str:
    """Return the table, the picture and the fits that failed."""
    picture = "\n![Every strategy against the default](images/strategies.png)\n"
    return (
        markdown(summary(cells))
        + picture
        + failures(cells, ["strategy", "dataset", "failed"], "Fits")
    )


@matplotlib.rc_context(STYLE)
def figure(cells: pd.DataFrame) -> Figure:
    """Return the picture: mean gains with their intervals over data sets, by group."""
    cells = cells[cells["seeds"] > 0]
    places, headings, end = _places(cells)
    drawn = Figure(figsize=(9.6, 1.1 + 0.19 * end), layout="constrained")
    panels = drawn.subplots(1, 2, sharey=True)
    for axes, name in zip(panels, LEVELS, strict=True):
        _panel(axes, cells, name, places)
    panels[0].set_yticks([*places.values()], [*places])
    panels[0].set_ylim(end - 0.3, -0.8)
    for heading, place in headings.items():
        panels[0].text(-0.02, place, heading, weight="bold", ha="right", va="center",
                       transform=panels[0].get_yaxis_transform())  # fmt: skip
    drawn.suptitle(
        "Every strategy against the default at equal time: data sets, their mean, 95 % interval",
        x=0.01, ha="left", fontsize=10, weight="bold",
    )  # fmt: skip
    drawn.legend(handles=_key(), loc="outside lower center", ncols=3)
    return drawn


def _key():
    """Return what the key shows: colours, kinds of dots, and the band."""
    means = {"helps": COLORS["helps"], "hurts": COLORS["hurts"], "neither": INK}
    line = {"marker": "o", "markersize": 5, "linewidth": 1.6}
    kinds = [
        Line2D([], [], color=color, label=f"mean and interval: {name}", **line)
        for name, color in means.items()
    ]
    dot = Line2D([], [], color=GREY, marker="o", markersize=3, linewidth=0, label="a data set")
    band = Patch(color="#e8eaed", label="too small a difference to matter")
    return [*kinds, dot, band]


def _places(cells):
    """Return the height of every strategy and of every group's heading, and the lowest."""
    places, headings, height = {}, {}, 0.0
    gains = cells.groupby("strategy")["likelihood"].mean().sort_values(ascending=False)
    for group, members in STRATEGIES.items():
        names = [name for name in gains.index if name in members]
        if names:
            headings[group] = height
            places |= {name: height + 1 + n for n, name in enumerate(names)}
            height += len(names) + 1.4
    return places, headings, height


def _panel(axes, cells, name, places):
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.axvspan(-LEVELS[name], LEVELS[name], color="#e8eaed", zorder=0)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xscale("symlog", linthresh=0.01)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(AXES[name])
    for strategy, place in places.items():
        part = cells[cells["strategy"] == strategy].sort_values("dataset")
        color = COLORS.get(verdict([_outcomes(part, name)]), INK)
        _strategy(axes, place, part[name].to_numpy(), color)


def _strategy(axes, place, values, color):
    """Draw a dot per data set, their mean and its interval."""
    axes.scatter(values, np.full(len(values), place), s=11, color=GREY, linewidths=0, zorder=3.5)
    mean = values.mean()
    if len(values) > 1:
        half = half_interval(values)
        axes.plot([mean - half, mean + half], [place] * 2, color=color, linewidth=1.6, zorder=3)
    axes.scatter([mean], [place], s=24, color=color, zorder=4)
