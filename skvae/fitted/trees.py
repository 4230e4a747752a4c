"""Extremely randomised trees of a column, as far as they hold for rows that are left out."""

import numpy as np

from skvae.fitted.regression import Lesson, Regression, Scale, share_of

_N_TREES = 30  # of each forest
_N_JUDGED = 10  # trees that are judged, of each
_N_LEFT_OUT = 1000  # rows that judge them, at most; a fifth of fewer
_LEAST_RESIDUALS = 3  # rows of a leaf
_LEAST_VALUES = 1
_CHOICE = "sqrt"  # of how many features a split chooses from
_DOUBT = 2.0  # the model knows its own rows: what is left of others is more, and told by more
_GRID = 2.0**-16  # of features: rounding decides no split
_STEP = 2.0**-32  # of targets in units of the farthest: it may be far from all others
_FARTHEST = 1e30  # feature, in single precision
_NODE_BYTES = 64


class Trees(Regression):
    """Two forests of extremely randomised trees (Geurts, Ernst and Wehenkel, 2006), in the mean.

    One knows what the model expects of a cell, and predicts what is left. The model has learnt from
    the rows that it stores, and expects their cells too well; so the other predicts the cell from
    what is known of all others. What they say is shrunk by what some of their trees explain of rows
    that they have not seen.
    """

    def __init__(self, lesson: Lesson, seed: int) -> None:
        self._scale, self._others = Scale(lesson.features), ~lesson.is_own
        x, n_judging = self._seen(lesson.features), min(len(lesson.features) // 5, _N_LEFT_OUT)
        judging, others = slice(n_judging), slice(n_judging, None)
        self._grow(x, lesson, others, _N_JUDGED, seed)
        said = self._said(x[judging], lesson.expected[judging])
        share = share_of(lesson.residuals[judging], said, lesson.weight[judging])
        self._share = min(_DOUBT * share, 1.0)
        if self._share > 0.0:
            self._grow(x, lesson, slice(None), _N_TREES, seed)

    @classmethod
    def fit(cls, lesson: Lesson, seed: int) -> "Trees":
        return cls(lesson, seed)

    def predict(self, features: np.ndarray, expected: np.ndarray) -> np.ndarray:
        if self._share == 0.0:
            return np.zeros_like(expected)
        return self._share * self._said(self._seen(features), expected)

    @property
    def n_bytes(self) -> int:
        return self._residuals.n_bytes + self._values.n_bytes

    def _grow(self, x: np.ndarray, lesson: Lesson, rows: slice, n_trees: int, seed: int) -> None:
        """Both forests, by some of the rows."""
        x, grown = x[rows], (n_trees, seed, lesson.weight[rows])
        self._residuals = Forest(x, lesson.residuals[rows], _LEAST_RESIDUALS, *grown)
        self._values = Forest(x[:, self._others], lesson.observed[rows], _LEAST_VALUES, *grown)

    def _said(self, x: np.ndarray, expected: np.ndarray) -> np.ndarray:
        values = self._values.predict(x[:, self._others])
        return 0.5 * (self._residuals.predict(x) + values - expected)

    def _seen(self, features: np.ndarray) -> np.ndarray:
        rounded = np.rint(self._scale(features) / _GRID) * _GRID
        return np.clip(rounded, -_FARTHEST, _FARTHEST).astype(np.float32)


class Forest:
    """Extremely randomised trees of targets that may have any unit and offset."""

    def __init__(
        self,
        x: np.ndarray,
        targets: np.ndarray,
        least_rows: int,
        n_trees: int,
        seed: int,
        weight: np.ndarray,
    ) -> None:
        from sklearn.ensemble import ExtraTreesRegressor  # which takes as long as all of skvae

        # A light row would have a leaf of its own as a heavy one has: so few of the light ones are
        # taken, each as heavy as the mean.
        least = weight.mean()
        taken = np.random.RandomState(seed).uniform(size=len(x)) * least < weight
        x, targets, weight = x[taken], targets[taken], np.maximum(weight[taken], least)
        self._center = targets.mean(0)
        size = np.abs(targets - self._center).max()
        self._size = size if size > 0 else 1.0
        y = np.rint((targets - self._center) / self._size / _STEP) * _STEP
        self._trees = ExtraTreesRegressor(
            n_trees,
            min_samples_leaf=least_rows,
            max_features=_CHOICE,
            random_state=seed,
        ).fit(x, y if y.shape[1] > 1 else y[:, 0], weight)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Targets of other rows, shape (n, k)."""
        return self._center + self._size * self._trees.predict(x).reshape(len(x), -1)

    @property
    def n_bytes(self) -> int:
        """Memory that they take, about."""
        n_nodes = sum(tree.tree_.node_count for tree in self._trees.estimators_)
        return n_nodes * (_NODE_BYTES + 8 * len(self._center))
