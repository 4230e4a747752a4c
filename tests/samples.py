"""Rows, options and fits that several test modules share."""

import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skvae.fitting import Options, fit_model
from skvae.networks import MLP
from skvae.objective import Elbo
from skvae.optimizers import AdamW
from skvae.priors import Normal
from skvae.schedules import Constant
from skvae.training import Recipe
from skvae.vae import Rows

SMALL = MLP(hidden_layer_sizes=(32, 32))
RECIPE = Recipe(Elbo(), AdamW(), Constant())


def gaussian(n_rows, n_columns, seed=0):
    """Correlated normal rows, away from the origin: data on which nothing beats PCA."""
    rng = np.random.RandomState(seed)
    mixing = rng.standard_normal((n_columns, n_columns)) * 0.8 ** np.arange(n_columns)[:, None]
    return rng.standard_normal((n_rows, n_columns)) @ mixing + rng.standard_normal(n_columns)


def factors(n_rows, n_columns, rank, noise=0.3, seed=0):
    """Rows of a factor model: `rank` strong directions and noise in every column."""
    rng = np.random.RandomState(seed)
    loadings = np.linalg.qr(rng.standard_normal((n_columns, rank)))[0] * 3
    rows = rng.standard_normal((n_rows, rank)) @ loadings.T
    return rows + noise * rng.standard_normal((n_rows, n_columns))


def curve(n_rows, n_columns=2, noise=0.1, seed=0):
    """Rows along one bent line: one code says nearly all, but not linearly."""
    rng = np.random.RandomState(seed)
    t = rng.uniform(-1, 1, n_rows)
    line = np.column_stack([2 * t, 3 * t**2 - 1, np.sin(4 * t), t**3, np.cos(3 * t)])
    turn = np.linalg.qr(np.random.RandomState(0).standard_normal((n_columns, n_columns)))[0]
    rows = np.zeros((n_rows, n_columns))
    rows[:, : line.shape[1]] = line[:, :n_columns]
    return rows @ turn + noise * rng.standard_normal(rows.shape)


def projected(start, X, weight=None):
    """Rows in the score space of a linear start, double precision."""
    return Rows(*map(torch.from_numpy, start.project(X)), weight)


def options(**changes):
    """Options of a short fit on the CPU."""
    chosen = {
        "latent_dim": 1,
        "architecture": SMALL,
        "prior": Normal(),
        "recipe": RECIPE,
        "annealing": None,
        "n_init": 1,
        "init": "pca",
        "batch_size": 32,
        "max_iter": 30,
        "early_stopping": True,
        "validation_fraction": None,
        "device": torch.device("cpu"),
        "precision": "float32",
        "seed": 0,
    }
    return Options(**chosen | changes)


def fitted(X, weight=None, previous=None, **changes):
    """Model of a short fit."""
    return fit_model(np.asarray(X), weight, options(**changes), previous)[0]


def fit_quietly(estimator, X, **kwargs):
    """Fit that may well end while the bound still rises: it is meant to be short."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, **kwargs)
