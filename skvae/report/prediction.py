"""How well a target is predicted from codes, by a simple model and cross-validation."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae.amounts import counted

N_FOLDS = 5
MOST_CLASSES = 20
MOST_NUMBERS = 10  # whole numbers that are taken as classes
FEWEST_ROWS = 20


@dataclass(frozen=True, eq=False)
class Prediction:
    """What came of it.

    Parameters
    ----------
    target : str
        The column.
    reason : str
        Why there is no prediction, else empty.
    told : str
        What was predicted, how and of how many rows.
    scores : DataFrame
        Mean and standard deviation over folds of each measure, by what it is predicted from.
    """

    target: str
    reason: str = ""
    told: str = ""
    scores: pd.DataFrame = field(default_factory=pd.DataFrame)


def predict(target: pd.Series, features: dict[str, np.ndarray], seed: int) -> Prediction:
    """Predict a target from each of several sets of features, on the same folds."""
    name = str(target.name)
    rows = target.notna().to_numpy(copy=True)
    y: Any = target[rows].to_numpy(object)
    is_number = target.dtype == float and not _are_classes(target[rows])
    lacking = f" {_rows_of(~rows)} without a target take no part in this." if not rows.all() else ""
    if not is_number:
        y = y.astype(str)
        counts = Counter(y)
        few = {level for level, n in counts.items() if n < N_FOLDS}
        if len(counts) - len(few) > MOST_CLASSES:
            return Prediction(
                name, f"it has {len(counts)} classes, and at most {MOST_CLASSES} are predicted"
            )
        if len(few) >= len(counts) - 1:
            return Prediction(name, _few_classes(len(counts), len(few)))
        kept = ~np.isin(y, list(few))
        if few:
            lacking += (
                f" {_rows_of(~kept)} of classes with fewer than {N_FOLDS} rows take no part in "
                "this."
            )
        rows[rows] = kept
        y = y[kept]
    else:
        y = y.astype(float)
    if len(y) < FEWEST_ROWS:
        return Prediction(name, f"{len(y)} rows have it, and {FEWEST_ROWS} are needed")
    if len(set(y)) < 2:
        return Prediction(name, "it is the same in all rows that are used")
    features = {what: X[rows] for what, X in features.items()}
    found = _numbers(y, features, seed) if is_number else _classes(y, features, seed)
    told = f"{'numbers' if is_number else f'{len(set(y))} classes'} in {len(y):,} rows.{lacking}"
    return Prediction(name, told=told, scores=found)


def _rows_of(which: np.ndarray) -> str:
    return counted(int(which.sum()), "row")


def _few_classes(n_classes: int, n_few: int) -> str:
    """Why classes cannot be predicted of which at most one has enough rows."""
    if n_classes == 1:
        return "it is the same in all rows that are used"
    own = "all" if n_few == n_classes else "all but one"
    return f"{own} of its {n_classes} classes have fewer than {N_FOLDS} rows"


def _are_classes(target: pd.Series) -> bool:
    return target.nunique() <= MOST_NUMBERS and bool((target % 1 == 0).all())


def _classes(y: np.ndarray, features: dict[str, np.ndarray], seed: int) -> pd.DataFrame:
    measures = {"accuracy": "accuracy"}
    if len(set(y)) == 2:
        measures["area under the ROC curve"] = "roc_auc"
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    return _scores(model, DummyClassifier(), measures, folds, y, features)


def _numbers(y: np.ndarray, features: dict[str, np.ndarray], seed: int) -> pd.DataFrame:
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 7)))
    folds = KFold(N_FOLDS, shuffle=True, random_state=seed)
    return _scores(model, DummyRegressor(), {"R2": "r2"}, folds, y, features)


def _scores(
    model: Any, guess: Any, measures: dict, folds: Any, y: np.ndarray, features: dict
) -> pd.DataFrame:
    lines = {}
    everything = {**features, "nothing: a guess": np.zeros((len(y), 1))}
    for what, X in everything.items():
        own = guess if what.startswith("nothing") else model
        found = cross_validate(own, X, y, cv=folds, scoring=measures)
        lines[what] = {
            (name, stat): float(getattr(found[f"test_{name}"], stat)())
            for name in measures
            for stat in ("mean", "std")
        }
    return pd.DataFrame(lines).T
