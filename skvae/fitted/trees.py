"""Extremely randomised trees of residuals, as far as they hold for rows that are left out."""

from typing import TYPE_CHECKING

import numpy as np

from skvae.fitted.regression import Regression, Scale, share_of

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

_N_TREES = 30
_N_JUDGED = 10  # trees that are judged
_N_LEFT_OUT = 1000  # rows that judge them, at most; a fifth of fewer
_MIN_LEAF_ROWS = 3
_SHARE_OF_FEATURES = 1 / 3  # that a split chooses from
_DOUBT = 2.0  # the model knows its own rows: what is left of others is more, and told by more
_GRID = 2.0**-16  # of features and residuals: rounding decides no split
_FARTHEST = 1e30  # feature, in single precision
_NODE_BYTES = 64


class Trees(Regression):
    """Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006).

    What they say is shrunk by what some of them explain of rows that they have not seen.
    """

    def __init__(
        self, features: np.ndarray, residuals: np.ndarray, weight: np.ndarray | None, seed: int
    ) -> None:
        self._scale = Scale(features)
        self._n_targets = residuals.shape[1]
        x, y = self._seen(features), np.rint(residuals / _GRID) * _GRID
        weight = np.ones(len(x)) if weight is None else weight
        n_judging = min(len(x) // 5, _N_LEFT_OUT)
        judging, others = slice(n_judging), slice(n_judging, None)
        self._trees = _grown(_N_JUDGED, x[others], y[others], weight[others], seed)
        share = share_of(y[judging], self._said(x[judging]), weight[judging])
        self._share = min(_DOUBT * share, 1.0)
        if self._share > 0.0:
            self._trees = _grown(_N_TREES, x, y, weight, seed)

    @classmethod
    def fit(
        cls, features: np.ndarray, residuals: np.ndarray, weight: np.ndarray | None, seed: int
    ) -> "Trees":
        return cls(features, residuals, weight, seed)

    def predict(self, features: np.ndarray) -> np.ndarray:
        if self._share == 0.0:
            return np.zeros((len(features), self._n_targets))
        return self._share * self._said(self._seen(features))

    @property
    def n_bytes(self) -> int:
        n_nodes = sum(tree.tree_.node_count for tree in self._trees.estimators_)
        return n_nodes * (_NODE_BYTES + 8 * self._n_targets)

    def _seen(self, features: np.ndarray) -> np.ndarray:
        rounded = np.rint(self._scale(features) / _GRID) * _GRID
        return np.clip(rounded, -_FARTHEST, _FARTHEST).astype(np.float32)

    def _said(self, x: np.ndarray) -> np.ndarray:
        return self._trees.predict(x).reshape(len(x), -1)


def _grown(
    n_trees: int, x: np.ndarray, y: np.ndarray, weight: np.ndarray, seed: int
) -> "ExtraTreesRegressor":
    from sklearn.ensemble import ExtraTreesRegressor  # which takes as long as all of skvae

    trees = ExtraTreesRegressor(
        n_trees,
        min_samples_leaf=_MIN_LEAF_ROWS,
        max_features=_SHARE_OF_FEATURES,
        random_state=seed,
    )
    return trees.fit(x, y if y.shape[1] > 1 else y[:, 0], weight)
