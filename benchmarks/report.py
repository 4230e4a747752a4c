"""Report: results files -> the tables between the markers of the pages, and their figures.

Ratios and differences are always against PCA fitted on the same training rows, so tables of
methods that ran on different data sets remain comparable with PCA, and every table says how
many trials it sums up. Seeds are averaged within a cell, geometrically for ratios.

The table ``PAGES`` ends the module: page -> marker -> function of ``Results``. What stands
between ``<!-- marker:start -->`` and ``<!-- marker:end -->`` is replaced; where the results
have nothing to say on it, it is left alone.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks import (
    experiments,
    figures,
    speed,
    speed_bars,
    speed_report,
    strategies,
    strategy_report,
    table_report,
    tables,
    trials,
)
from benchmarks.metrics import METRICS

# What the project promises for every single trial.
LARGEST_MSE_RATIO = 1.005
LOWEST_LOG_LIKELIHOOD_GAIN = -0.1

LABELS = {
    "skvae": "VAETransformer",
    "skvae_random_init": 'VAETransformer(init="random")',
    "pca": "PCA",
    "factor_analysis": "FactorAnalysis",
    "kernel_pca": "KernelPCA",
    "nmf": "NMF",
    "plain_vae": "plain VAE",
}


class Results(NamedTuple):
    """What the results files hold, by kind of line."""

    trials: pd.DataFrame
    bars: pd.DataFrame
    experiments: dict[str, dict[str, dict]]  # name -> variant -> task -> line
    tables: list[dict]
    strategies: strategy_report.Lines
    speed: speed.Lines
    speed_bars: pd.DataFrame


def write(paths: list[Path], root: Path) -> list[Path]:
    """Fill the markers of the pages below root and draw the figures; return what was written."""
    bars = load_bars(paths)
    results = Results(
        load(paths),
        _part(bars, of_speed=False),
        load_experiments(paths),
        list(tables.read(paths).values()),
        strategies.read(paths),
        speed.read(paths),
        _part(bars, of_speed=True),
    )
    pages = [root / page for page in PAGES]
    for page, fragments in zip(pages, PAGES.values(), strict=True):
        text = page.read_text()
        for marker, fragment in fragments.items():
            text = fill(text, marker, fragment(results))
        page.write_text(text)
    folder = root / "docs" / "images"
    drawn = [
        *_draw(results.trials, folder),
        *_draw_strategies(results.strategies, folder),
        *_draw_speed(results, folder),
    ]
    return [*pages, *drawn]


def fill(text: str, marker: str, content: str | None) -> str:
    """Return a page with other content between two markers; None leaves it as it is."""
    parts = re.split(f"(<!-- {marker}:(?:start|end) -->)", text)
    if len(parts) != 5:
        raise ValueError(f"the page must hold <!-- {marker}:start --> and its end, once each")
    if content is not None:
        parts[2] = f"\n{content.strip()}\n"
    return "".join(parts)


def load(paths: list[Path]) -> pd.DataFrame:
    """Return one row per trial, metrics as columns; failed trials hold a text in ``error``."""
    records = {}
    for path in paths:
        records |= trials.read(path)
    rows = [record | record.pop("metrics") for record in records.values()]
    frame = pd.DataFrame(rows)
    # A run with few metrics leaves the others empty rather than unknown.
    missing = {"error", *METRICS} - set(frame.columns)
    return frame.assign(**dict.fromkeys(missing, np.nan))


def load_bars(paths: list[Path]) -> pd.DataFrame:
    """Return the lines that ``python -m benchmarks bars`` wrote; the last of each name."""
    frame = pd.DataFrame([line for line in _lines(paths) if "bar" in line])
    return frame.drop_duplicates("bar", keep="last") if len(frame) else frame


def load_experiments(paths: list[Path]) -> dict[str, dict[str, dict]]:
    """Return the lines that ``python -m benchmarks experiments`` wrote; the last of each task.

    A task counts once its default is there to be compared with.
    """
    found: dict[str, dict[str, dict]] = {}
    for line in _lines(paths):
        if "experiment" in line:
            variants = found.setdefault(line["experiment"], {"default": {}})
            variants.setdefault(line["variant"], {})[tuple(line["task"])] = line
    for variants in found.values():
        default = variants["default"]
        for name, tasks in variants.items():
            variants[name] = {task: line for task, line in tasks.items() if task in default}
    return found


def _part(bars, of_speed):
    """Return the bars of speed, which have a page of their own, or the others."""
    if bars.empty:
        return bars
    return bars[bars["bar"].str.startswith(speed_bars.PREFIX) == of_speed]


def _lines(paths):
    for path in paths:
        yield from map(json.loads, path.read_text().splitlines())


def methods_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method: error and likelihood against PCA, accuracy, time."""
    frame = _with_pca(frame)
    rows = [
        _method_row(method, frame[frame["method"] == method])
        for method in LABELS
        if method in set(frame["method"])
    ]
    return pd.DataFrame(rows)


def datasets_table(frame: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return one row per data set: size, MSE over PCA's by latent_dim, likelihood, time."""
    frame = frame[frame["method"] == method]
    rows = []
    for name, part in frame.groupby("dataset", sort=False):
        first = part.iloc[0]
        row = {
            "data set": name,
            "training rows x columns": f"{first.n_train} x {first.n_features}",
            "scaling": first.scaling,
        }
        for latent_dim in sorted(frame["latent_dim"].unique()):
            ratios = part.loc[part["latent_dim"] == latent_dim, "mse_ratio"]
            row[f"{latent_dim}"] = _number(_geometric_mean(ratios), 3)
        gains = part["log_likelihood_gain"].dropna()
        row["nats over PCA: median"] = _number(gains.median(), 2)
        row["worst"] = _number(gains.min(), 2)
        row["fit: median s"] = _number(part["fit_seconds"].median(), 2)
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(frame: pd.DataFrame, method: str = "skvae") -> str:
    """Return the sentences that hold a method to the promise of being no worse than PCA."""
    part = frame[frame["method"] == method]
    lines = [
        f"- {len(part)} trials on {part['dataset'].nunique()} data sets with "
        f"{part['seed'].nunique()} seeds; {part['error'].notna().sum()} failed.",
        "- Held-out MSE / PCA's: " + _ratio_verdict(part.dropna(subset=["mse_ratio"])),
        "- Held-out log-likelihood minus PCA's, in nats per row: "
        + _gain_verdict(part.dropna(subset=["log_likelihood_gain"])),
    ]
    held = part["row_guarantee"].dropna().astype(bool)
    lines.append(f"- The guarantee for every row held in {held.sum()} of {len(held)} trials.")
    return "\n".join(lines) + "\n"


def failures_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials that raised an error, with its text."""
    failed = frame[frame["error"].notna()]
    return failed[["dataset", "method", "latent_dim", "seed", "error"]]


def bars_table(bars: pd.DataFrame) -> str:
    """Return the single figures beside the bar each is held to."""
    rows = []
    for line in bars.to_dict("records"):
        limited = pd.notna(line["limit"])
        limit = f"{line['sign']} {line['limit']:.4g} {line['unit']}".strip() if limited else ""
        rows.append(
            {
                "what": line["bar"],
                "measured": f"{line['value']:.4g} {line['unit']}".strip(),
                "bar": limit,
                "": ("met" if line["met"] else "**missed**") if limited else "",
            }
        )
    return markdown(pd.DataFrame(rows))


def markdown(table: pd.DataFrame) -> str:
    """Return a table as markdown, numbers to the right."""
    lines = [
        "| " + " | ".join(table.columns) + " |",
        "|" + "|".join("---" if n == 0 else "---:" for n in range(len(table.columns))) + "|",
    ]
    cells = table.astype(str).itertuples(index=False)
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in cells)]) + "\n"


def _ratio_verdict(part):
    worst = part.loc[part["mse_ratio"].idxmax()]
    n_above = int((part["mse_ratio"] > LARGEST_MSE_RATIO).sum())
    return (
        f"geometric mean {_geometric_mean(part['mse_ratio']):.3f}, "
        f"worst {worst['mse_ratio']:.4f} ({_where(worst)}); "
        f"{n_above} trials above {LARGEST_MSE_RATIO}."
    )


def _gain_verdict(part):
    gains = part["log_likelihood_gain"]
    lowest = part.loc[gains.idxmin()]
    n_below = int((gains < LOWEST_LOG_LIKELIHOOD_GAIN).sum())
    return (
        f"median {gains.median():.2f}, "
        f"lowest {gains.min():.3f} ({_where(lowest)}); "
        f"{n_below} trials below {LOWEST_LOG_LIKELIHOOD_GAIN}."
    )


def _method_row(method, part):
    ratios, gains = part["mse_ratio"].dropna(), part["log_likelihood_gain"].dropna()
    return {
        "method": LABELS[method],
        "trials": len(part),
        "MSE / PCA's": _number(_geometric_mean(ratios), 3),
        "worst": _number(ratios.max(), 3),
        f"above {LARGEST_MSE_RATIO}": int((ratios > LARGEST_MSE_RATIO).sum()),
        "nats per row over PCA: median": _number(gains.median(), 2),
        "lowest": _number(gains.min(), 2),
        "1-NN accuracy - PCA's": _number(part["knn1_gain"].mean(), 3),
        "linear probe - PCA's": _number(part["linear_probe_gain"].mean(), 3),
        "fit: median s": _number(part["fit_seconds"].median(), 2),
        "failed": int(part["error"].notna().sum()),
    }


def _with_pca(frame):
    """Return the trials with the differences of their accuracies to PCA's of the same rows."""
    keys = ["dataset", "latent_dim", "seed", "max_train_rows"]
    names = ["knn1", "linear_probe"]
    frame = frame.assign(**{name: frame.get(name) for name in names})
    frame[names] = frame[names].astype("float64")
    pca = frame.loc[frame["method"] == "pca", keys + names]
    joined = frame.merge(pca, on=keys, how="left", suffixes=("", "_pca"))
    gains = {f"{name}_gain": joined[name] - joined[f"{name}_pca"] for name in names}
    return joined.assign(**gains)


def _verdict_fragment(results):
    if _of_skvae(results.trials).empty:
        return None
    failed = failures_table(results.trials)
    text = f"{verdict(results.trials)}\n![Every trial by method](images/overview.png)\n"
    return f"{text}\nTrials that failed:\n\n{markdown(failed)}" if len(failed) else text


def _methods_fragment(results):
    return markdown(methods_table(results.trials)) if len(results.trials) else None


def _datasets_fragment(results):
    if _of_skvae(results.trials).empty:
        return None
    return (
        f"{markdown(datasets_table(results.trials, 'skvae'))}\n"
        "![Squared error relative to PCA, by data set](images/mse_ratio.png)\n\n"
        "![Log-likelihood against PCA, by data set](images/log_likelihood_gain.png)\n"
    )


def _bars_fragment(results):
    return bars_table(results.bars) if len(results.bars) else None


def _environment_fragment(results):
    return _environments(results.trials) if len(results.trials) else None


def _experiments_fragment(results):
    tables = {
        name: experiments.table({variant: tasks for variant, tasks in variants.items() if tasks})
        for name, variants in results.experiments.items()
        if variants["default"]
    }
    return "\n\n".join(f"### {name}\n\n{table}" for name, table in tables.items()) or None


def _tables_fragment(results):
    found = table_report.summaries(results.tables)
    parts = [f"### {name.capitalize()}\n\n{markdown(table)}" for name, table in found.items()]
    failed = table_report.failures(results.tables)
    if len(failed):
        parts.append(f"Runs that failed:\n\n{markdown(failed)}")
    return "\n".join(parts) or None


def _strategies_fragment(results):
    table = strategy_report.summary(results.strategies)
    if table.empty:
        return None
    parts = [markdown(table)]
    if len(strategy_report.pairs(results.strategies)):
        parts.append("![Every strategy against the default](images/strategies.png)\n")
    failed = strategy_report.failures(results.strategies)
    if len(failed):
        parts.append(f"Fits that failed:\n\n{markdown(failed)}")
    return "\n".join(parts)


def _speed_peers_fragment(results):
    table = speed_report.summary(results.speed)
    if table.empty:
        return None
    return f"{markdown(table)}\n![Held-out R2 against seconds of fit](images/speed.png)\n"


def _speed_cases_fragment(results):
    table = speed_report.cases(results.speed)
    if table.empty:
        return None
    failed = speed_report.failures(results.speed)
    text = markdown(table)
    return f"{text}\nFits that failed:\n\n{markdown(failed)}" if len(failed) else text


def _speed_bars_fragment(results):
    if results.speed_bars.empty:
        return None
    names = results.speed_bars["bar"].str.removeprefix(speed_bars.PREFIX)
    text = bars_table(results.speed_bars.assign(bar=names))
    if not speed_report.growths(results.speed_bars):
        return text
    return f"{text}\n![Seconds against rows and columns](images/growth.png)\n"


def _speed_environment_fragment(results):
    lines = [line for line in results.speed.values() if "seconds" in line]
    lines += results.speed_bars.to_dict("records")
    return _environments(pd.DataFrame(lines)) if lines else None


def _readme_fragment(results):
    return markdown(_readme_table(results.trials)) if len(results.trials) else None


def _of_skvae(frame):
    """Return the trials of skvae that were measured against PCA."""
    if frame.empty:
        return frame
    return frame[frame["method"] == "skvae"].dropna(subset=["mse_ratio", "log_likelihood_gain"])


def _draw(frame, folder):
    mine = _of_skvae(frame)
    if mine.empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [
        figures.save(figures.overview(frame, LABELS), folder / "overview.png"),
        figures.save(figures.mse_ratios(mine), folder / "mse_ratio.png"),
        figures.save(figures.log_likelihood_gains(mine), folder / "log_likelihood_gain.png"),
    ]


def _draw_strategies(lines, folder):
    if strategy_report.pairs(lines).empty:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [figures.save(strategy_report.figure(lines), folder / "strategies.png")]


def _draw_speed(results, folder):
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    if len(speed_report.pairs(results.speed)):
        drawn.append(figures.save(speed_report.figure(results.speed), folder / "speed.png"))
    if speed_report.growths(results.speed_bars):
        growth = speed_report.growth_figure(results.speed_bars)
        drawn.append(figures.save(growth, folder / "growth.png"))
    return drawn


def _environments(frame):
    """Return the versions and thread counts behind the trials, a line for each that occurs."""
    lines = {
        ", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; {threads} thread{'s' * (threads > 1)}"
        for versions, threads in zip(frame["versions"], frame["threads"], strict=True)
    }
    return "".join(f"- {line}\n" for line in sorted(lines))


def _readme_table(frame):
    columns = ["method", "trials", "MSE / PCA's", "worst", "nats per row over PCA: median"]
    return methods_table(frame)[[*columns, "1-NN accuracy - PCA's", "fit: median s"]]


def _geometric_mean(values):
    values = np.asarray(values.dropna(), dtype="float64")
    return float(np.exp(np.mean(np.log(values)))) if len(values) else float("nan")


def _number(value, decimals):
    return "" if value is None or np.isnan(value) else f"{value:.{decimals}f}"


def _where(trial):
    return f"{trial.dataset}, latent_dim {trial.latent_dim}, seed {trial.seed}"


PAGES: dict[str, dict[str, Callable[[Results], str | None]]] = {
    "README.md": {"benchmark": _readme_fragment},
    "docs/benchmarks.md": {
        "benchmark:verdict": _verdict_fragment,
        "benchmark:methods": _methods_fragment,
        "benchmark:datasets": _datasets_fragment,
        "benchmark:bars": _bars_fragment,
        "benchmark:environment": _environment_fragment,
        "benchmark-tables": _tables_fragment,
    },
    "docs/speed.md": {
        "benchmark-speed:peers": _speed_peers_fragment,
        "benchmark-speed:cases": _speed_cases_fragment,
        "benchmark-speed:figures": _speed_bars_fragment,
        "benchmark-speed:environment": _speed_environment_fragment,
    },
    "docs/strategies.md": {"benchmark-strategies": _strategies_fragment},
    "docs/theory.md": {"benchmark:experiments": _experiments_fragment},
}
