"""Strategy report: the lines of ``python -m benchmarks strategies`` -> a table and a figure.

A strategy and the default that was fitted to the same rows with the same seed make a pair. Two
figures are compared, both so that more is better: held-out log-likelihood in nats per column, and
the logarithm of the default's held-out squared error over the strategy's.

On a data set a strategy wins by a figure if the mean difference over the seeds exceeds its own
standard error and a level below which nobody would care (``LEVELS``); it loses by the same rule;
all else is a tie. A single seed has no error of its own and must exceed that level four times,
which is more than the default differs from itself at equal time. The verdict counts data sets: more
wins than losses by more than a quarter of them in one figure, and not the reverse in the other,
helps. Lines of other numbers of rows than those of ``strategies.CASES`` are for trying things out
and do not count.
"""

from collections import Counter
from collections.abc import Iterable

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.figures import ACCENT, GREY, INK, STYLE
from benchmarks.strategies import CASES, DEFAULT, STRATEGIES

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

Lines = dict[tuple, dict]  # key of strategies.Task -> line of a results file


def pairs(lines: Lines) -> pd.DataFrame:
    """Return a row per fit beside a default: differences, seconds over the default's."""
    fits = {
        key: line for key, line in lines.items() if "error" not in line and _counts(line["task"])
    }
    rows = [
        {"strategy": strategy, "dataset": task[0], "seed": task[2]}
        | _differences(line, fits[DEFAULT, *task])
        for (strategy, *task), line in fits.items()
        if strategy != DEFAULT and (DEFAULT, *task) in fits
    ]
    columns = ["strategy", "dataset", "seed", *LEVELS, "accuracy", "seconds"]
    return pd.DataFrame(rows, columns=columns)


def outcome(differences: Iterable[float], level: float) -> str:
    """Return "win", "tie" or "loss": what paired differences on a data set come to."""
    values = np.asarray(list(differences), dtype="float64")
    if not len(values):
        return "tie"
    least = ALONE * level
    if len(values) > 1:
        least = max(level, values.std(ddof=1) / np.sqrt(len(values)))
    return "win" if values.mean() > least else "loss" if values.mean() < -least else "tie"


def verdict(counts: Iterable[Counter]) -> str:
    """Return the word for the outcomes by each figure."""
    leads = [(count["win"] - count["loss"]) / max(1, count.total()) for count in counts]
    helps, hurts = max(leads) > MARGIN, min(leads) < -MARGIN
    if helps and hurts:
        return "trades"
    return "helps" if helps else "hurts" if hurts else "no difference"


def summary(lines: Lines) -> pd.DataFrame:
    """Return the table: one row per strategy that has a fit beside a default or has failed."""
    found, failed = pairs(lines), _failed(lines)
    rows = []
    for group, members in STRATEGIES.items():
        for name in members:
            part = found[found["strategy"] == name]
            if len(part) or failed[name]:
                rows.append({"": group, "strategy": name} | _row(part, failed[name]))
    return pd.DataFrame(rows)


def failures(lines: Lines) -> pd.DataFrame:
    """Return the fits that raised an error, with its text."""
    rows = [
        {"strategy": key[0], "data set": key[1], "seed": key[3], "error": line["error"]}
        for key, line in lines.items()
        if "error" in line and _counts(line["task"])
    ]
    return pd.DataFrame(rows, columns=["strategy", "data set", "seed", "error"])


@matplotlib.rc_context(STYLE)
def figure(lines: Lines) -> Figure:
    """Return the picture: mean gains with their intervals over data sets, by group."""
    found = pairs(lines)
    places, headings, end = _places(found)
    drawn = Figure(figsize=(9.6, 1.1 + 0.19 * end), layout="constrained")
    panels = drawn.subplots(1, 2, sharey=True)
    for axes, figure in zip(panels, LEVELS, strict=True):
        _panel(axes, found, figure, places)
    panels[0].set_yticks([*places.values()], [*places])
    panels[0].set_ylim(end - 0.3, -0.8)
    for heading, place in headings.items():
        panels[0].text(-0.02, place, heading, weight="bold", ha="right", va="center",
                       transform=panels[0].get_yaxis_transform())  # fmt: skip
    drawn.suptitle(
        "Every strategy against the default at equal time: data sets, their mean, 95 % interval",
        x=0.01, ha="left", fontsize=10, weight="bold",
    )  # fmt: skip
    return drawn


def _counts(task):
    dataset, latent_dim, _, max_train_rows = task
    return CASES.get(dataset) == (latent_dim, max_train_rows)


def _failed(lines):
    return Counter(
        key[0] for key, line in lines.items() if "error" in line and _counts(line["task"])
    )


def _differences(line, default):
    ours, theirs = line["metrics"], default["metrics"]
    gain = ours["log_likelihood_gain"] - theirs["log_likelihood_gain"]
    has_classes = None not in (ours["knn5"], theirs["knn5"])
    return {
        "likelihood": gain / line["n_features"],
        "error": np.log(theirs["mse_ratio"] / ours["mse_ratio"]),
        "accuracy": ours["knn5"] - theirs["knn5"] if has_classes else np.nan,
        "seconds": ours["fit_seconds"] / theirs["fit_seconds"],
    }


def _row(part, n_failed):
    outcomes = {
        figure: Counter(outcome(values, level) for _, values in part.groupby("dataset")[figure])
        for figure, level in LEVELS.items()
    }
    means = part.groupby("dataset")[[*LEVELS, "accuracy"]].mean().mean()
    return {
        "data sets": part["dataset"].nunique(),
        "likelihood: wins / ties / losses": _told(outcomes["likelihood"]),
        "nats per column": _number(means["likelihood"], "+.4f"),
        "MSE: wins / ties / losses": _told(outcomes["error"]),
        "MSE / default's": _number(np.exp(-means["error"]), ".3f"),
        "5-NN accuracy": _number(means["accuracy"], "+.3f"),
        "seconds / default's": _number(np.exp(np.log(part["seconds"]).mean()), ".2f"),
        "failed": n_failed,
        "verdict": verdict(outcomes.values()) if len(part) else "",
    }


def _told(count):
    return f"{count['win']} / {count['tie']} / {count['loss']}"


def _number(value, shown):
    return "" if np.isnan(value) else f"{value:{shown}}"


def _places(found):
    """Return the height of every strategy and of every group's heading, and the lowest."""
    places, headings, height = {}, {}, 0.0
    there = set(found["strategy"])
    for group, members in STRATEGIES.items():
        names = [name for name in members if name in there]
        if names:
            headings[group] = height
            places |= {name: height + 1 + n for n, name in enumerate(_by_gain(found, names))}
            height += len(names) + 1.4
    return places, headings, height


def _by_gain(found, names):
    gains = found.groupby("strategy")["likelihood"].mean()
    return sorted(names, key=lambda name: -gains[name])


def _panel(axes, found, figure, places):
    level = LEVELS[figure]
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.axvspan(-level, level, color="#e8eaed", zorder=0)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xscale("symlog", linthresh=0.01)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(AXES[figure])
    for name, place in places.items():
        part = found[found["strategy"] == name].groupby("dataset")[figure]
        counts = Counter(outcome(values, level) for _, values in part)
        _strategy(axes, place, part.mean().to_numpy(), COLORS.get(verdict([counts]), INK))


def _strategy(axes, place, values, color):
    """Draw a dot per data set, their mean and its interval."""
    axes.scatter(values, np.full(len(values), place), s=11, color=GREY, linewidths=0, zorder=3.5)
    mean = values.mean()
    if len(values) > 1:
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
        axes.plot([mean - half, mean + half], [place] * 2, color=color, linewidth=1.6, zorder=3)
    axes.scatter([mean], [place], s=24, color=color, zorder=4)
