"""Loadings on one scale: what a step of a code does to every column, whatever its unit."""

from typing import Any

import numpy as np

from skvae.explorer.table import named, shortened, values_of
from skvae.export.questions import exported


def scaled_loadings(estimator: Any, X: Any) -> Any:
    """Change of each cell, in its standard deviations, as a code moves by one of its own.

    Parameters
    ----------
    estimator : VAETransformer
        Fitted.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        Rows that tell standard deviations, and where derivatives are taken (of at most 1000).

    Returns
    -------
    loadings : DataFrame of shape (latent_dim_, n_cells)
        Where all columns share a scale (likelihood "gaussian"), one standard deviation stands for
        all cells. A level has that of being there or not.
    """
    import pandas as pd  # where it is needed: it takes longer to import than all of skvae

    loadings = estimator.loadings(X)
    of_codes = np.asarray(estimator.transform(X), dtype=np.float64).std(0)
    of_cells = cell_spreads(estimator, X)
    scaled = loadings.to_numpy() * of_codes[:, None] / np.where(of_cells > 0, of_cells, np.inf)
    names = [named(name) for name in loadings.columns]
    return pd.DataFrame(scaled, index=[shortened(each) for each in loadings.index], columns=names)


def cell_spreads(estimator: Any, X: Any) -> np.ndarray:
    """Standard deviations of the cells that `loadings` has, shape (n_cells,)."""
    values, found = values_of(estimator, X), []
    for own, n_levels in zip(values.T, exported(estimator).columns.n_levels, strict=True):
        own = own[~np.isnan(own)]
        if not len(own):
            found += [0.0] * max(n_levels, 1)
        elif n_levels:
            share = np.bincount(own.astype(int), minlength=n_levels)[:n_levels] / len(own)
            found += np.sqrt(share * (1 - share)).tolist()
        else:
            found.append(float(own.std()))
    spreads = np.array(found)
    return spreads if np.ndim(estimator.scale_) else np.full_like(spreads, _together(spreads))


def _together(spreads: np.ndarray) -> float:
    """One for all."""
    return float(np.sqrt(np.square(spreads).mean()))
