"""Imputers: ways to fill the holes of a table besides ``VAETransformer.impute``.

The table ``IMPUTERS`` ends the module: name -> ``fill(frame, seed)``, which returns the frame
with every missing cell filled, dtypes kept. All of them see the same numbers: columns of
numbers standardised by their observed cells, categories as codes in falling frequency. Of a
column with more than 50 levels the 50 most frequent are told apart; the others share a code,
which is filled as the most frequent of them.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

# Importing it is scikit-learn's condition for importing IterativeImputer.
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import BayesianRidge

from benchmarks.frames import is_number

N_LEVELS = 50
# Distances grow with the square of the rows: the neighbours are looked for among this many.
N_ROWS_OF_KNN = 10000


class Coded:
    """A frame as a matrix of floats, NaN where a cell is missing, and the way back."""

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame
        self.is_category = np.array([not is_number(frame[name]) for name in frame])
        self.matrix = np.empty(frame.shape)
        self.levels, self.scales = {}, {}
        for n, category in enumerate(self.is_category):
            encode = self._encode_levels if category else self._encode_numbers
            self.matrix[:, n] = encode(n, frame.iloc[:, n])
        self.missing = np.isnan(self.matrix)

    def _encode_levels(self, n, column):
        levels = column.value_counts().index[: N_LEVELS + 1]
        ranks = pd.Series(np.arange(len(levels)), index=levels.astype(object))
        codes = column.astype(object).map(ranks).to_numpy(dtype="float64", na_value=np.nan)
        self.levels[n] = ranks.index
        # A level beyond the last is known to be observed and shares its code.
        return np.where(column.notna() & np.isnan(codes), N_LEVELS, codes)

    def _encode_numbers(self, n, column):
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        mean, deviation = np.nanmean(values), np.nanstd(values)
        self.scales[n] = mean, deviation if deviation > 0 else 1.0
        return (values - mean) / self.scales[n][1]

    def filled(self, matrix: np.ndarray) -> pd.DataFrame:
        """Return the frame with its missing cells as the matrix has them."""
        columns = {}
        for n, name in enumerate(self.frame):
            column, missing = self.frame[name].copy(), self.missing[:, n]
            if missing.any():
                column[missing] = self._decode(n, matrix[missing, n])
            columns[name] = column.astype(self.frame[name].dtype)
        return pd.DataFrame(columns)

    def _decode(self, n, values):
        if self.is_category[n]:
            return self.levels[n][values.astype(int)].to_numpy()
        mean, deviation = self.scales[n]
        return values * deviation + mean

    def start(self) -> np.ndarray:
        """Return the matrix with means and most frequent levels, which are all zeros."""
        return np.where(self.missing, 0.0, self.matrix)

    def one_hot(self, drop_first: bool = False) -> np.ndarray:
        """Return the matrix with a column of zeros and ones for every level, or all but one."""
        return np.hstack([self._block(n, drop_first) for n in range(self.matrix.shape[1])])

    def _block(self, n, drop_first):
        codes = self.matrix[:, [n]]
        if not self.is_category[n]:
            return codes
        levels = (codes == np.arange(drop_first, len(self.levels[n]))).astype("float64")
        return np.where(np.isnan(codes), np.nan, levels)

    def filled_from_one_hot(self, matrix: np.ndarray, drop_first: bool = False) -> pd.DataFrame:
        """Return the filled frame; of a category the level with the largest value."""
        n_columns = self.matrix.shape[1]
        widths = [self._block(n, drop_first).shape[1] for n in range(n_columns)]
        blocks = np.split(matrix, np.cumsum(widths)[:-1], axis=1)
        return self.filled(
            np.column_stack([self._value(n, blocks[n], drop_first) for n in range(n_columns)])
        )

    def _value(self, n, block, drop_first):
        if not self.is_category[n]:
            return block[:, 0]
        if drop_first:
            block = np.column_stack([1 - block.sum(axis=1), block])
        return block.argmax(axis=1)


class MissForest:
    """missForest (Stekhoven and Buehlmann, 2012) with extremely randomised trees.

    Columns in rising number of missing cells; each is predicted from all others, rounds are
    repeated until the filled cells change more than in the round before, in numbers and in
    categories both, and the round before is what counts. Candidates for a split, leaf sizes,
    number of trees and of rounds are those of the R package.
    """

    def __init__(self, seed: int, n_estimators: int = 100, max_rounds: int = 10):
        self.seed = seed
        self.n_estimators = n_estimators
        self.max_rounds = max_rounds

    def fill(self, coded: Coded) -> np.ndarray:
        """Return the matrix of a coded frame, filled."""
        X, changes = coded.start(), None
        for _ in range(self.max_rounds):
            previous, X = X, self._round(X, coded)
            before, changes = changes, _changes(previous, X, coded)
            if before is not None and np.all(changes >= before):
                return previous
        return X

    def _round(self, X, coded):
        X = X.copy()
        n_missing = coded.missing.sum(axis=0)
        for n in np.argsort(n_missing, kind="stable"):
            missing, others = coded.missing[:, n], np.arange(X.shape[1]) != n
            if 0 < n_missing[n] < len(X):
                trees = self._trees(coded.is_category[n])
                trees.fit(X[np.ix_(~missing, others)], X[~missing, n])
                X[missing, n] = trees.predict(X[np.ix_(missing, others)])
        return X

    def _trees(self, category):
        options = {"max_features": "sqrt", "random_state": self.seed}
        if category:
            return ExtraTreesClassifier(self.n_estimators, **options)
        return ExtraTreesRegressor(self.n_estimators, min_samples_split=6, **options)


def _changes(previous, X, coded):
    """Return how much a round has changed the numbers, and the categories, if there are any."""
    changes = []
    numbers, categories = (coded.missing & kind for kind in (~coded.is_category, coded.is_category))
    if numbers.any():
        values = X[:, ~coded.is_category]
        changes.append(np.square(X - previous)[numbers].sum() / np.square(values).sum())
    if categories.any():
        changes.append(np.mean((previous != X)[categories]))
    return np.array(changes)


def _mean_mode(frame, seed):
    coded = Coded(frame)
    return coded.filled(coded.start())


def _knn(frame, seed):
    coded = Coded(frame)
    X = coded.one_hot()
    rows = np.random.default_rng(seed).permutation(len(X))[:N_ROWS_OF_KNN]
    # A level that none of these rows has would otherwise lose its column.
    imputer = KNNImputer(n_neighbors=5, keep_empty_features=True).fit(X[rows])
    return coded.filled_from_one_hot(imputer.transform(X))


def _iterative_bayesian_ridge(frame, seed):
    coded = Coded(frame)
    imputer = IterativeImputer(BayesianRidge(), random_state=seed, keep_empty_features=True)
    # With all levels, each would be predicted from the starting values of the others.
    X = imputer.fit_transform(coded.one_hot(drop_first=True))
    return coded.filled_from_one_hot(X, drop_first=True)


def _missforest(frame, seed):
    coded = Coded(frame)
    return coded.filled(MissForest(seed).fill(coded))


IMPUTERS: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    "mean_mode": _mean_mode,
    "knn": _knn,
    "iterative_bayesian_ridge": _iterative_bayesian_ridge,
    "missforest": _missforest,
}
