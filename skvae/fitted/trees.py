"""Extremely randomised trees of residuals, as far as they hold for rows that are left out."""

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor

from skvae.fitted.regression import Regression

_N_TREES = 30
_N_JUDGED = 10  # trees that are judged
_N_LEFT_OUT = 1000  # rows that judge them, at most; a fifth of fewer
_MIN_LEAF_ROWS = 3
_SHARE_OF_FEATURES = 1 / 3  # that a split chooses from
_DOUBT = 2.0  # the model knows its own rows: what is left of others is more, and told by more
_FARTHEST = 1e30  # feature: they see single precision


class Trees(Regression):
    """Extremely randomised trees (Geurts, Ernst and Wehenkel, 2006).

    What they say is shrunk by what some of them explain of rows that they have not seen.
    """

    def __init__(self, trees: ExtraTreesRegressor | None, share: float, n_targets: int) -> None:
        self._trees, self._share, self._n_targets = trees, share, n_targets

    @classmethod
    def fit(
        cls, features: np.ndarray, residuals: np.ndarray, weight: np.ndarray | None, seed: int
    ) -> "Trees":
        weight = np.ones(len(features)) if weight is None else weight
        share = _trusted(features, residuals, weight, seed)
        trees = _grown(_N_TREES, features, residuals, weight, seed) if share > 0 else None
        return cls(trees, share, residuals.shape[1])

    def predict(self, features: np.ndarray) -> np.ndarray:
        if self._trees is None:
            return np.zeros((len(features), self._n_targets))
        return self._share * _predicted(self._trees, features)


def _trusted(features: np.ndarray, residuals: np.ndarray, weight: np.ndarray, seed: int) -> float:
    """Share of what trees say that is to be believed."""
    n_judging = min(len(features) // 5, _N_LEFT_OUT)
    judging, others = slice(n_judging), slice(n_judging, None)
    trees = _grown(_N_JUDGED, features[others], residuals[others], weight[others], seed)
    told, said = residuals[judging], _predicted(trees, features[judging])
    own = weight[judging, None]
    explained, size = (own * told * said).sum(), (own * said**2).sum()
    return float(np.clip(_DOUBT * explained / size, 0.0, 1.0)) if size > 0 else 0.0


def _grown(
    n_trees: int, features: np.ndarray, residuals: np.ndarray, weight: np.ndarray, seed: int
) -> ExtraTreesRegressor:
    trees = ExtraTreesRegressor(
        n_trees,
        min_samples_leaf=_MIN_LEAF_ROWS,
        max_features=_SHARE_OF_FEATURES,
        random_state=seed,
    )
    return trees.fit(
        _near(features), residuals if residuals.shape[1] > 1 else residuals[:, 0], weight
    )


def _predicted(trees: ExtraTreesRegressor, features: np.ndarray) -> np.ndarray:
    return trees.predict(_near(features)).reshape(len(features), -1)


def _near(features: np.ndarray) -> np.ndarray:
    return np.clip(features, -_FARTHEST, _FARTHEST)
