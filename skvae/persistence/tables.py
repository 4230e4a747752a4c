"""What files can hold: types of parts, and attributes of estimators, by name."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skvae.data.columns import Columns
from skvae.data.reservoir import Reservoir
from skvae.fitted.model import FittedModel
from skvae.fitted.state import KEPT
from skvae.fitting.online import Networks, Online
from skvae.limits import Limits
from skvae.model.priors import Prior
from skvae.registry import REGISTRY
from skvae.start.moments import Moments
from skvae.start.streams import MatrixStream, TableStream
from skvae.training.annealing import ANNEALING
from skvae.training.objective import OBJECTIVES
from skvae.training.optimizers import OPTIMIZERS
from skvae.training.schedules import KL_SCHEDULES, RATE_SCHEDULES

_COMPONENTS: tuple[type[BaseEstimator], ...] = (
    *OBJECTIVES.values(),
    *OPTIMIZERS.values(),
    *ANNEALING.values(),
    *KL_SCHEDULES.values(),
    *RATE_SCHEDULES.values(),
)

# What every fit leaves in an estimator, with its types: what a person can read, and the rest.
LEARNED: dict[str, Any] = {
    "latent_dim_": int,
    "n_features_in_": int,
    "n_samples_": int,
    "n_iter_": int,
    "loss_curve_": list[float],
    "validation_scores_": list[float],
    "history_": dict[str, np.ndarray],
    "restarts_": dict[str, np.ndarray],
    "kept_": float,
    "start_weight_": float,
    "converged_": bool | np.bool_,
    "pca_score_": float,
    "mean_": np.ndarray,
    "scale_": np.ndarray | np.floating,
    "noise_variance_": np.ndarray | np.floating,
    "explained_variance_ratio_": np.ndarray,
    "kl_per_dim_": np.ndarray,
    "prior_": Prior,
    "n_active_": int,
    "device_": str,
}
PRIVATE: dict[str, Any] = {
    "_model": FittedModel,
    "_online": Online | None,
    "_seed": int,
    "_left": dict[str, np.ndarray] | None,
    "_dtype": np.dtype,
    "_columns": Columns,
    "_began": dict,
}
# What may be there besides.
OPTIONAL: dict[str, Any] = {
    "feature_names_in_": np.ndarray,
    "_sklearn_output_config": dict[str, str],
    "limits": Limits,
}

# All that a file can hold beside plain values, by name.
KINDS: dict[str, type] = KEPT | {
    kept.__name__: kept
    for kept in (
        *(FittedModel, Limits, MatrixStream, Moments, Networks, Online, Reservoir, TableStream),
        *_COMPONENTS,
    )
}

REGISTRY.reserve(KINDS)

#: Types to pass to `skops.io.load` as `trusted`, so that it loads a fitted `VAETransformer`.
SKOPS_TRUSTED_TYPES: list[str] = sorted(
    [
        "numpy.dtype",
        "skvae.estimator.VAETransformer",
        *(f"{kept.__module__}.{kept.__qualname__}" for kept in KINDS.values()),
    ]
)
