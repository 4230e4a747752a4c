"""Curves of a fitted model: by the number of codes, and by passes of the training."""

from typing import Any

import numpy as np
import torch

from skvae.data.batches import Values
from skvae.data.columns import has_missing
from skvae.explorer.table import levels_of, values_of
from skvae.export.questions import exported

MOST_ROWS = 1000  # that curves are averaged over


def by_codes(estimator: Any, X: Any, values: Values, codes: np.ndarray) -> dict[str, Any]:
    """Error and likelihood where only the first codes are told, the others at their mean.

    Parameters
    ----------
    estimator : VAETransformer
        Fitted.
    X : array-like of shape (n, d)
        Rows.
    values : ndarray or sparse matrix of shape (n, d)
        The same as they were read.
    codes : ndarray of shape (n, latent_dim_)
        Their codes.

    Returns
    -------
    curves : dict of list
        For 0, 1, ..., latent_dim_ codes: `unexplained`, share of the variance of the numbers;
        `wrong`, share of the cells with levels whose likeliest level is another; `likelihood`,
        log p(row | these codes), nats per row. None where there are no such columns.
    """
    told = values_of(estimator, X)
    has_levels = np.array([len(levels) > 0 for levels in levels_of(estimator)])
    mean, found = codes.mean(0), []
    for n in range(codes.shape[1] + 1):
        partial = np.where(np.arange(codes.shape[1]) < n, codes, mean)
        made = values_of(estimator, estimator.inverse_transform(partial))
        found.append(
            {
                "unexplained": _unexplained(told, made, ~has_levels, np.ndim(estimator.scale_) > 0),
                "wrong": _wrong(told[:, has_levels], made[:, has_levels]),
                "likelihood": _likelihood(estimator, values, partial),
            }
        )
    return {key: [each[key] for each in found] for key in found[0]}


def training(estimator: Any) -> dict[str, Any]:
    """The course of the training, as `history_` tells it."""
    return {
        name: np.asarray(values, dtype=np.float64).tolist()
        for name, values in estimator.history_.items()
    }


def _unexplained(
    told: np.ndarray, made: np.ndarray, which: np.ndarray, is_by_column: bool
) -> float | None:
    """Squared error over variance: of all cells together, as in PCA, or the mean over columns."""
    told, made = told[:, which], made[:, which]
    is_there = ~np.isnan(told)
    count = is_there.sum(0)
    safe = np.where(is_there, told, 0.0)
    mean = safe.sum(0) / np.maximum(count, 1)
    variance = np.where(is_there, np.square(told - mean), 0.0).sum(0)
    error = np.where(is_there, np.square(told - made), 0.0).sum(0)
    varies = variance > 0
    if not varies.any():
        return None
    if is_by_column:
        return float((error[varies] / variance[varies]).mean())
    return float(error.sum() / variance.sum())


def _wrong(told: np.ndarray, made: np.ndarray) -> float | None:
    is_there = ~np.isnan(told)
    return float((told != made)[is_there].mean()) if is_there.any() else None


@torch.inference_mode()
def _likelihood(estimator: Any, values: Values, codes: np.ndarray) -> float:
    """Mean of log p(x | codes), nats per row in the user's units."""
    own = exported(estimator)
    model = own.model.of_cells() if has_missing(values) else own.model
    vae, unit = model.module(torch.float64), model.unit(own.whiten)
    units = np.zeros((len(codes), vae.latent_dim))
    units[:, model.order] = codes[:, : len(unit)] / unit
    decoded = vae.decode(torch.as_tensor(units, device=model.device))
    rows = model.representation.whole_rows(values, model.device)
    log_prob = vae.log_likelihood(rows, decoded).numpy(force=True)
    return float((log_prob + model.representation.log_jacobian(values)).mean())
