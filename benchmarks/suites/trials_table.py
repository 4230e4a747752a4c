"""What trials come to: a table of methods, one of data sets, and the promise held to PCA.

Ratios and differences are always against PCA fitted on the same training rows, so tables of
methods that ran on different data sets remain comparable with PCA, and every table says how
many trials it sums up. Seeds are averaged within a cell, geometrically for ratios.
"""

import pandas as pd

from benchmarks import figures
from benchmarks.averages import geometric_mean
from benchmarks.markdown import environments, failures, markdown, number
from benchmarks.runner import Line, Shown, row_of

KEY = ("dataset", "method", "latent_dim", "seed", "max_train_rows")
COLUMNS = [
    *(*KEY, "n_train", "n_features", "scaling", "mse_ratio", "log_likelihood_gain"),
    *("row_guarantee", "knn1", "linear_probe", "fit_seconds", "environment", "failure"),
]

OURS = "VAETransformer's on these"  # trials: some methods have fewer

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
    "tutorial_loop": "plain VAE",
    "umap": "UMAP",
}


def collect(lines: list[Line]) -> pd.DataFrame:
    """Return a row per trial, failed ones with a text in ``failure``."""
    rows = [row_of(line) for line in lines if line["suite"] == "trials"]
    return pd.DataFrame(rows, columns=COLUMNS).round({"fit_seconds": 3})


def methods_table(trials: pd.DataFrame) -> pd.DataFrame:
    """Return one row per method: error and likelihood against PCA, accuracy, time."""
    trials = _with_ours(_with_pca(trials))
    there = set(trials["method"])
    return pd.DataFrame(
        [_method_row(name, trials[trials["method"] == name]) for name in LABELS if name in there]
    )


def datasets_table(trials: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return one row per data set: size, MSE over PCA's by latent_dim, likelihood, time."""
    trials = trials[trials["method"] == method]
    rows = []
    for name, part in trials.groupby("dataset", sort=False):
        first = part.iloc[0]
        row = {
            "data set": name,
            "training rows x columns": f"{first.n_train:.0f} x {first.n_features:.0f}",
            "scaling": first.scaling,
        }
        for latent_dim in sorted(trials["latent_dim"].unique()):
            ratios = part.loc[part["latent_dim"] == latent_dim, "mse_ratio"]
            row[f"{latent_dim}"] = number(geometric_mean(ratios), ".3f")
        gains = part["log_likelihood_gain"].dropna()
        row["nats over PCA: median"] = number(gains.median(), ".2f")
        row["worst"] = number(gains.min(), ".2f")
        row["fit: median s"] = number(part["fit_seconds"].median(), ".2f")
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(trials: pd.DataFrame, method: str = "skvae") -> str:
    """Return the sentences that hold a method to the promise of being no worse than PCA."""
    part = trials[trials["method"] == method]
    held = part["row_guarantee"].dropna().astype(bool)
    lines = [
        f"- {len(part)} trials on {part['dataset'].nunique()} data sets with "
        f"{part['seed'].nunique()} seeds; {part['failure'].notna().sum()} failed.",
        "- Held-out MSE / PCA's: " + _ratio_verdict(part.dropna(subset=["mse_ratio"])),
        "- Held-out log-likelihood minus PCA's, in nats per row: "
        + _gain_verdict(part.dropna(subset=["log_likelihood_gain"])),
        f"- The guarantee for every row held in {held.sum()} of {len(held)} trials.",
    ]
    return "\n".join(lines) + "\n"


def _ratio_verdict(part):
    ratios = part["mse_ratio"]
    worst = part.loc[ratios.idxmax()]
    return (
        f"geometric mean {geometric_mean(ratios):.3f}, "
        f"worst {worst['mse_ratio']:.4f} ({_where(worst)}); "
        f"{(ratios > LARGEST_MSE_RATIO).sum()} trials above {LARGEST_MSE_RATIO}."
    )


def _gain_verdict(part):
    gains = part["log_likelihood_gain"]
    return (
        f"median {gains.median():.2f}, "
        f"lowest {gains.min():.3f} ({_where(part.loc[gains.idxmin()])}); "
        f"{(gains < LOWEST_LOG_LIKELIHOOD_GAIN).sum()} trials below {LOWEST_LOG_LIKELIHOOD_GAIN}."
    )


def _where(trial):
    return f"{trial.dataset}, latent_dim {trial.latent_dim}, seed {trial.seed}"


def _method_row(method, part):
    ratios, gains = part["mse_ratio"].dropna(), part["log_likelihood_gain"].dropna()
    return {
        "method": LABELS[method],
        "trials": len(part),
        "seeds": part["seed"].nunique(),
        "MSE / PCA's": number(geometric_mean(ratios), ".3f"),
        OURS: number(geometric_mean(part["mse_ratio_ours"].dropna()), ".3f"),
        "worst": number(ratios.max(), ".3f"),
        f"above {LARGEST_MSE_RATIO}": int((ratios > LARGEST_MSE_RATIO).sum()),
        "nats per row over PCA: median": number(gains.median(), ".2f"),
        "lowest": number(gains.min(), ".2f"),
        "1-NN accuracy - PCA's": number(part["knn1_gain"].mean(), ".3f"),
        "linear probe - PCA's": number(part["linear_probe_gain"].mean(), ".3f"),
        "fit: median s": number(part["fit_seconds"].median(), ".2f"),
        "failed": int(part["failure"].notna().sum()),
    }


def _with(trials, method, names, suffix):
    """Return the trials with what a method has of the same rows."""
    keys = [key for key in KEY if key != "method"]
    theirs = trials.loc[trials["method"] == method, keys + names]
    return trials.merge(theirs, on=keys, how="left", suffixes=("", suffix))


def _with_ours(trials):
    return _with(trials, "skvae", ["mse_ratio"], "_ours")


def _with_pca(trials):
    """Return the trials with the differences of their accuracies to PCA's of the same rows."""
    names = ["knn1", "linear_probe"]
    joined = _with(trials.astype(dict.fromkeys(names, "float64")), "pca", names, "_pca")
    return joined.assign(**{f"{name}_gain": joined[name] - joined[f"{name}_pca"] for name in names})


def _ours(trials):
    """Return the trials of skvae that were held to PCA."""
    mine = trials[trials["method"] == "skvae"]
    return mine.dropna(subset=["mse_ratio", "log_likelihood_gain"])


def _verdict(trials):
    picture = "\n![Every trial by method](images/overview.png)\n"
    columns = ["dataset", "method", "latent_dim", "seed"]
    return verdict(trials) + picture + failures(trials, columns, "Trials")


def _datasets(trials):
    return (
        f"{markdown(datasets_table(trials, 'skvae'))}\n"
        "![Squared error relative to PCA, by data set](images/mse_ratio.png)\n\n"
        "![Log-likelihood against PCA, by data set](images/log_likelihood_gain.png)\n"
    )


def _readme(trials):
    columns = ["method", "trials", "seeds", "MSE / PCA's", OURS, "worst"]
    columns += ["nats per row over PCA: median", "1-NN accuracy - PCA's", "fit: median s"]
    return markdown(methods_table(trials)[columns])


FRAGMENTS = {
    "benchmark": Shown(_readme, ("trials",)),
    "benchmark:verdict": Shown(_verdict, ("trials",)),
    "benchmark:methods": Shown(lambda trials: markdown(methods_table(trials)), ("trials",)),
    "benchmark:datasets": Shown(_datasets, ("trials",)),
    "benchmark:environment": Shown(environments, ("environments", "trials")),
}

PICTURES = {
    "overview.png": Shown(lambda trials: figures.overview(trials, LABELS), ("trials",)),
    "mse_ratio.png": Shown(lambda trials: figures.mse_ratios(_ours(trials)), ("trials",)),
    "log_likelihood_gain.png": Shown(
        lambda trials: figures.log_likelihood_gains(_ours(trials)), ("trials",)
    ),
}
