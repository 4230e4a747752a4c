"""What a fit tells in the attributes of an estimator, in the units of the data."""

from typing import Any

import numpy as np

from skvae._sklearn import in_dtype, like, to_numpy
from skvae.data.reading import Reading
from skvae.fitted.model import FittedModel
from skvae.training.history import history_of
from skvae.training.record import Record

Curves = tuple[list[float], list[float], Any]  # losses, bounds and evaluations of fits before


def learned(
    reading: Reading,
    model: FittedModel,
    record: Record,
    pca_score: float,
    curves: Curves,
    n_samples: int,
) -> dict[str, Any]:
    """What a fit has learned, by the names of attributes."""
    dtype = np.dtype(to_numpy(reading.checked).dtype)
    found: dict[str, Any] = {}
    for name, values in constants(model).items():
        own = in_dtype(values, dtype)
        found[name] = like(reading.checked, own) if own.ndim else own[()]
    return {
        **found,
        **course(record, curves, model.start.code_unit),
        "latent_dim_": model.latent_dim,
        "n_samples_": n_samples,
        "kept_": model.kept,
        "start_weight_": model.reported_start_weight,
        "pca_score_": pca_score,
        "prior_": model.prior,
        "n_active_": int(model.use.is_active.sum()),
        "device_": model.device,
        "_dtype": dtype,
        "_model": model,
    }


def constants(model: FittedModel) -> dict[str, np.ndarray | float]:
    """Numbers of the columns and of the codes, by the names of their attributes."""
    use, padding = model.use, np.zeros(model.latent_dim - model.start.latent_dim)
    return {
        "mean_": model.mean,
        "scale_": model.scale,
        "noise_variance_": model.noise_variances,
        "explained_variance_ratio_": np.concatenate([use.explained_variance_ratio, padding]),
        "kl_per_dim_": np.concatenate([use.kl, padding]),
    }


def course(record: Record, before: Curves, code_unit: float) -> dict[str, Any]:
    """The course of a training that went on from others, by the names of its attributes."""
    of_training, of_held_out = record.log_jacobians
    losses = before[0] + [float(loss) - of_training for loss in record.losses]
    bounds, agreement = zip(*record.restarts, strict=True) if record.restarts else ([], [])
    return {
        "loss_curve_": losses,
        "validation_scores_": before[1] + [bound + of_held_out for bound in record.bounds],
        "history_": history_of(before, record.history, of_held_out, code_unit),
        "restarts_": {
            "bound": np.array(bounds, dtype=float) + of_held_out,
            "agreement": np.array(agreement, dtype=float),
        },
        "n_iter_": len(losses),
        "converged_": record.converged,
    }
