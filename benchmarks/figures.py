"""Figures of the report. Each function takes trials and returns a matplotlib figure."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.averages import geometric_mean

GREY, INK, ACCENT = "#9aa0a6", "#202124", "#1f6fb4"

STYLE = {
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#e8eaed",
    "legend.frameon": False,
    "savefig.dpi": 160,
}


@matplotlib.rc_context(STYLE)
def mse_ratios(frame: pd.DataFrame) -> Figure:
    """Return held-out MSE over PCA's, a dot per data set and latent_dim."""
    figure, axes = _dots(frame, "mse_ratio", geometric_mean)
    _ratio_axis(axes)
    axes.set_title("Held-out squared error, relative to PCA")
    return figure


@matplotlib.rc_context(STYLE)
def log_likelihood_gains(frame: pd.DataFrame) -> Figure:
    """Return held-out log-likelihood minus PCA's, a dot per data set and latent_dim."""
    figure, axes = _dots(frame, "log_likelihood_gain", np.mean)
    axes.axvline(0, color=INK, linewidth=1, zorder=1)
    axes.set_xscale("symlog", linthresh=1)
    gains = frame["log_likelihood_gain"]
    axes.set_xlim(2 * min(gains.min(), -1), 2 * max(gains.max(), 1))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("nats per row more than PCA (right of the line is better)")
    axes.set_title("Held-out log-likelihood, against PCA")
    return figure


@matplotlib.rc_context(STYLE)
def overview(frame: pd.DataFrame, labels: dict[str, str]) -> Figure:
    """Return the picture of the README: a dot per trial, a row per method."""
    frame = frame[frame["mse_ratio"].notna()]
    names = [name for name in labels if name != "pca" and name in set(frame["method"])]
    figure = Figure(figsize=(7.2, 0.9 + 0.46 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for row, name in enumerate(names):
        ratios = frame.loc[frame["method"] == name, "mse_ratio"]
        _draw_trials(axes, row, ratios, ACCENT if name == "skvae" else GREY)
    axes.set_yticks(range(len(names)), [labels[name] for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    _ratio_axis(axes)
    axes.set_title("Held-out squared error of every trial, relative to PCA")
    return figure


def plain_log_ticks(axis) -> None:
    """Label a logarithmic axis with a few plain numbers instead of powers of ten."""
    decades = np.ptp(np.log10(axis.get_data_interval()))
    subs = (1, 2, 3, 5, 7) if decades < 1.5 else (1, 2, 5) if decades < 4 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def save(figure: Figure, path: Path) -> Path:
    """Write a figure and return where it is."""
    with matplotlib.rc_context(STYLE):
        figure.savefig(path)
    return path


def _dots(frame, metric, average):
    """Return a figure with a line per data set, best at the top, and a dot per latent_dim."""
    cells = frame.dropna(subset=[metric]).groupby(["dataset", "latent_dim"])[metric]
    cells = cells.agg(average).unstack()
    cells = cells.loc[cells.mean(axis=1).sort_values(ascending=metric != "mse_ratio").index]
    colors = matplotlib.colormaps["viridis_r"](np.linspace(0.12, 1, cells.shape[1]))
    figure = Figure(figsize=(7.2, 1.4 + 0.24 * len(cells)), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    for (latent_dim, values), color in zip(cells.items(), colors, strict=True):
        axes.scatter(values, cells.index, color=color, s=34, label=latent_dim, zorder=3)
    figure.legend(loc="outside right upper", title="latent_dim")
    return figure, axes


def _draw_trials(axes, row, ratios, color):
    """Draw a dot per trial, spread over the height of the row, and their geometric mean."""
    spread = np.random.default_rng(0).uniform(-0.26, 0.26, len(ratios))
    axes.scatter(ratios, row + spread, s=7, color=color, alpha=0.55, linewidths=0, zorder=3)
    mean = geometric_mean(ratios)
    axes.plot([mean, mean], [row - 0.36, row + 0.36], color=INK, linewidth=2, zorder=4)
    box = {
        "boxstyle": "round,pad=0.15",
        "facecolor": "white",
        "edgecolor": "none",
        "alpha": 0.8,
    }
    axes.annotate(f"{mean:.2f}", (mean, row), (4, 0), textcoords="offset points", va="center",
                  weight="bold", bbox=box, zorder=5)  # fmt: skip


def _ratio_axis(axes):
    axes.axvline(1, color=INK, linewidth=1, zorder=1)
    axes.set_xscale("log")
    plain_log_ticks(axes.xaxis)
    axes.set_xlabel("MSE / PCA's (log scale; left of the line is better)")
