"""Measures: what is asked of a method on a table of mixed types, or of counts.

The table ``MEASURES`` ends the module: name -> ``Measure``, with the function of a
``TableTask`` that returns an ``Outcome``, the data sets it makes sense on, the methods
compared, and the figures that the report shows. Errors and scores are always of cells or rows
that the method has not seen, except where rows have nothing to be fitted to (``counts``,
``speed``). Seconds are those of the fit, and of the filling where cells are filled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, adjusted_rand_score, f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks import frames
from benchmarks.costs import fit_seconds, peak_growth_mb
from benchmarks.fidelity import closeness, distributions
from benchmarks.frames import is_number
from benchmarks.imputers import IMPUTERS
from benchmarks.marginals import Marginals
from benchmarks.runner import Outcome
from skvae import Categorical, GaussianDiag, VAETransformer

# What skvae is told about data whose type cannot be seen from its columns.
LIKELIHOODS = {"news20_w100": "bernoulli"}

# The arguments of VAETransformer behind a method's name.
SKVAE = {
    "skvae": {},
    "skvae_linear": {"max_iter": 0},
    "skvae_mean": {},
    "skvae_trees": {},
    "skvae_aggregate": {"prior": "aggregate"},
    "skvae_iwae": {"prior": "aggregate", "objective": "iwae"},
    "skvae_shared_noise": {},
    "skvae_column_weights": {"max_iter": 0},
    "skvae_negative_binomial": {"likelihood": "negative_binomial"},
    "skvae_poisson": {"likelihood": "poisson"},
}

# The likelihood of all columns of numbers, and of levels, behind a method's name.
OF_NUMBERS = {
    "skvae_aggregate": "empirical",
    "skvae_iwae": "empirical",
    "skvae_shared_noise": GaussianDiag(start_noise="shared"),
}
OF_LEVELS = {"skvae_column_weights": Categorical(weight="columns")}

# How its imputed means are refined, behind a method's name; "auto" behind the others.
REFINEMENTS = {"skvae_trees": "trees", "skvae_mean": None}

# Codes of loans are to tell good grades from others; the rate of interest follows the grade.
LEAKS_OF_GRADE = ["grade", "sub_grade", "interest_rate"]


class Figure(NamedTuple):
    """How the report shows a metric: which of several seeds is the worst, and decimals."""

    worst: str  # "min" or "max"
    decimals: int


@dataclass(frozen=True)
class Measure:
    """One line of the table; ``missing`` are percentages of cells to hide, by data set."""

    run: Callable[[Any], Outcome]
    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    figures: dict[str, Figure]
    latent_dim: int = 8
    missing: dict[str, tuple[int, ...]] | None = None


def likelihood(task) -> Outcome:
    """Return the mean log-likelihood of held-out rows, in nats and the units of the data.

    Columns with a single value are left out: their density is whatever one says it is.
    """
    X = task.rows().X
    if isinstance(X, pd.DataFrame):
        X = X.loc[:, X.nunique() > 1]
    train, test = halves(frames.Rows(X), task.seed)
    model = Marginals() if task.base == "marginals" else _skvae(task)
    seconds = fit_seconds(model, train.X)
    return Outcome(
        {"log_likelihood": float(np.mean(model.score_samples(test.X))), "seconds": seconds}, model
    )


def imputation(task) -> Outcome:
    """Return the errors of filled cells, by column and then averaged over columns.

    Of a column of numbers it is the root of the mean squared error over the deviation of the
    complete column (``nrmse``), of categories the part that is wrong (``error_rate``);
    ``error`` averages over all columns. ``mse`` is the mean over hidden cells of numbers, in
    squared deviations, as MIWAE states it.
    """
    complete = task.rows().X
    hidden = frames.hidden_cells(task.dataset, complete, task.missing, task.seed, task.directory)
    holes = frames.with_holes(complete, hidden)
    model = None if task.base in IMPUTERS else _skvae(task)
    start = perf_counter()
    if model is None:
        filled = IMPUTERS[task.base](holes, task.seed)
    else:
        filled = model.fit(holes).impute(holes, refine=REFINEMENTS.get(task.base, "auto"))
    seconds = perf_counter() - start
    return Outcome(imputation_errors(complete, filled, hidden) | {"seconds": seconds}, model)


def imputation_errors(complete, filled, hidden) -> dict[str, float]:
    """Return the errors over hidden cells; None for a kind of column that there is not."""
    errors, squares = {True: [], False: []}, []
    for n, (name, column) in enumerate(complete.items()):
        cells, guesses, number = column[hidden[:, n]], filled[name][hidden[:, n]], is_number(column)
        if column.nunique() < 2 or not len(cells):
            continue
        if number:
            squares.append(np.square((guesses - cells).astype("float64") / column.std(ddof=0)))
            errors[True].append(np.sqrt(squares[-1].mean()))
        else:
            errors[False].append(np.mean(guesses.astype(str) != cells.astype(str)))
    return {
        "error": _mean(errors[True] + errors[False]),
        "nrmse": _mean(errors[True]),
        "error_rate": _mean(errors[False]),
        "mse": _mean(np.concatenate(squares)) if squares else None,
    }


def synthesis(task) -> Outcome:
    """Return how like real rows sampled ones are.

    A classifier trained on them is scored on real rows; distributions are compared with those of
    the training rows; and distances to the closest training row with those of held-out rows.
    """
    train, test = halves(task.rows(), task.seed)
    model = Marginals() if task.base == "marginals" else _skvae(task, train.X)
    seconds = fit_seconds(model, train.X)
    sampled = model.sample(len(train.X), random_state=task.seed)
    real = _scores_on_real_rows(task.dataset, task.directory, task.max_rows, task.seed)
    scores = _classified(sampled, test.X, _levels(task.rows().X))
    relative = {f"{name}_of_real": scores[name] / real[name] for name in scores}
    near = closeness(sampled, train.X)
    near |= {f"real_{name}": far for name, far in closeness(test.X, train.X).items()}
    return Outcome(
        scores
        | relative
        | {f"real_{name}": real[name] for name in real}
        | distributions(train.X, sampled)
        | near
        | {"seconds": seconds},
        model,
    )


@lru_cache(maxsize=1)
def _scores_on_real_rows(dataset, directory, max_rows, seed):
    rows = frames.read(dataset, directory, max_rows, seed)
    train, test = halves(rows, seed)
    return _classified(train.X, test.X, _levels(rows.X))


def _levels(frame):
    """Return the categories of every column that holds some, the same for train and test."""
    categories = [name for name in frame if not is_number(frame[name])]
    return {name: sorted(frame[name].dropna().unique()) for name in categories}


def _classified(train, test, levels, target="income", positive=">50K"):
    """Return the scores on test rows of boosted trees fitted on the training rows."""
    features = {name: pd.CategoricalDtype(levels[name]) for name in levels if name != target}
    wanted = train[target] == positive
    if wanted.nunique() < 2:
        predicted = np.full(len(test), wanted.iloc[0])
    else:
        trees = HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)
        trees.fit(train.drop(columns=target).astype(features), wanted)
        predicted = trees.predict(test.drop(columns=target).astype(features))
    actual = test[target] == positive
    return {
        "f1": float(f1_score(actual, predicted)),
        "accuracy": float(accuracy_score(actual, predicted)),
    }


def codes(task) -> Outcome:
    """Return what a linear classifier reads from the codes of held-out rows."""
    rows = TARGETS[task.dataset](task.rows().X)
    train, test = halves(rows, task.seed)
    model = (
        pca_of_mixed(train.X, task.latent_dim, task.seed)
        if task.base == "pca"
        else _skvae(task, train.X)
    )
    seconds = fit_seconds(model, train.X)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    classifier.fit(model.transform(train.X), train.y)
    Z = model.transform(test.X)
    return Outcome(
        {
            "accuracy": float(classifier.score(Z, test.y)),
            "auc": float(roc_auc_score(test.y, classifier.predict_proba(Z)[:, 1])),
            "seconds": seconds,
        },
        model,
    )


def pca_of_mixed(X, latent_dim: int, seed: int):
    """Return PCA as one runs it on mixed columns: holes filled, numbers standardised, one-hot."""
    numbers = [name for name in X if is_number(X[name])]
    categories = [name for name in X if name not in numbers]
    encoder = OneHotEncoder(handle_unknown="ignore", max_categories=50, sparse_output=False)
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), encoder), categories),
    )
    return make_pipeline(columns, PCA(latent_dim, random_state=seed))


def counts(task) -> Outcome:
    """Return how far clusters of the codes are the classes: the adjusted Rand index."""
    rows = task.rows()
    model = _model_of_counts(task)
    start = perf_counter()
    Z = model.fit(rows.X).transform(rows.X)
    seconds = perf_counter() - start
    clusters = KMeans(len(np.unique(rows.y)), n_init=20, random_state=0).fit_predict(Z)
    metrics = {"adjusted_rand": float(adjusted_rand_score(rows.y, clusters)), "seconds": seconds}
    return Outcome(metrics | {"peak_memory_mb": peak_growth_mb(_fit_of_counts, task)}, model)


def _model_of_counts(task):
    return PCAOfCounts(task.latent_dim, task.seed) if task.base == "pca" else _skvae(task)


def _fit_of_counts(task):
    """Return the fit whose memory is measured, with its rows read."""
    X, model = task.rows().X, _model_of_counts(task)
    return lambda: model.fit(X)


class PCAOfCounts:
    """PCA as one runs it on counts: rows brought to the median total, log(1 + count)."""

    def __init__(self, latent_dim, seed):
        self.pca = PCA(latent_dim, random_state=seed)

    def fit(self, X):
        self.total_ = np.median(self._totals(X))
        self.pca.fit(self._logs(X))
        return self

    def transform(self, X):
        return self.pca.transform(self._logs(X))

    def _logs(self, X):
        return np.log1p(X.toarray() * (self.total_ / np.maximum(self._totals(X), 1)))

    def _totals(self, X):
        return np.asarray(X.sum(axis=1, dtype="float64")).reshape(-1, 1)


def speed(task) -> Outcome:
    """Return the seconds of a fit on all rows."""
    X, model = task.rows().X, _skvae(task)
    return Outcome({"seconds": fit_seconds(model, X)}, model)


def _skvae(task, X=None):
    parameters = dict(SKVAE[task.base])
    for likelihoods, are_numbers in ((OF_NUMBERS, True), (OF_LEVELS, False)):
        if task.base in likelihoods:
            own = [name for name in X if is_number(X[name]) == are_numbers]
            parameters["likelihood"] = dict.fromkeys(own, likelihoods[task.base])
    if task.dataset in LIKELIHOODS:
        parameters["likelihood"] = LIKELIHOODS[task.dataset]
    return VAETransformer(task.latent_dim, random_state=task.seed, **parameters)


def halves(rows, seed):
    """Return 80 % of the rows, drawn by the seed, and the others."""
    positions = np.arange(rows.X.shape[0])
    train, test = train_test_split(positions, test_size=0.2, random_state=seed)
    return frames.take(rows, train), frames.take(rows, test)


def _mean(values):
    return float(np.mean(values)) if len(values) else None


def _income(frame):
    return frames.Rows(frame.drop(columns="income"), (frame["income"] == ">50K").to_numpy())


def _good_grade(frame):
    y = frame["grade"].isin(["A", "B"]).to_numpy()
    return frames.Rows(frame.drop(columns=LEAKS_OF_GRADE), y)


TARGETS = {"adult": _income, "loans": _good_grade}

SECONDS = Figure("max", 1)

MEASURES = {
    "likelihood": Measure(
        likelihood,
        ("adult", "loans", "hivae_wine", "hivae_spam", "news20_w100"),
        ("skvae", "skvae_linear", "marginals"),
        {"log_likelihood": Figure("min", 2), "seconds": SECONDS},
    ),
    "imputation": Measure(
        imputation,
        ("hivae_wine", "hivae_spam", "breast_cancer", "adult", "loans"),
        ("skvae", "skvae_trees", "skvae_mean", "skvae_linear", *IMPUTERS),
        {
            "error": Figure("max", 4),
            "nrmse": Figure("max", 4),
            "error_rate": Figure("max", 4),
            "mse": Figure("max", 4),
            "seconds": SECONDS,
        },
        latent_dim=10,
        missing={
            "hivae_wine": (10, 30, 50),
            "hivae_spam": (10, 30, 50),
            "breast_cancer": (50,),
            "adult": (30,),
            "loans": (30,),
        },
    ),
    "synthesis": Measure(
        synthesis,
        ("adult",),
        ("skvae_8", "skvae_16", "skvae_aggregate_16", "skvae_iwae_16", "marginals"),
        {
            "f1": Figure("min", 3),
            "f1_of_real": Figure("min", 3),
            "accuracy": Figure("min", 3),
            "accuracy_of_real": Figure("min", 3),
            "ks": Figure("max", 3),
            "ks_worst": Figure("max", 3),
            "tv": Figure("max", 3),
            "tv_worst": Figure("max", 3),
            "correlation_difference": Figure("max", 3),
            "closest_1": Figure("min", 3),
            "real_closest_1": Figure("min", 3),
            "closest_50": Figure("min", 3),
            "real_closest_50": Figure("min", 3),
            "copies": Figure("max", 4),
            "real_copies": Figure("max", 4),
            "seconds": SECONDS,
        },
    ),
    "codes": Measure(
        codes,
        ("adult", "loans"),
        ("skvae", "skvae_shared_noise", "skvae_linear", "skvae_column_weights", "pca"),
        {"accuracy": Figure("min", 4), "auc": Figure("min", 4), "seconds": SECONDS},
    ),
    "counts": Measure(
        counts,
        ("sc_celseq2", "basehock"),
        ("skvae_negative_binomial", "skvae_poisson", "pca"),
        {
            "adjusted_rand": Figure("min", 3),
            "seconds": SECONDS,
            "peak_memory_mb": Figure("max", 0),
        },
        latent_dim=10,
    ),
    "speed": Measure(
        speed,
        ("adult", "loans"),
        ("skvae", "skvae_linear"),
        {"seconds": SECONDS},
    ),
}
