"""Rows and models of tables that tests of fitted models share."""

import numpy as np

from skvae.fitting.fit import fit_model
from tests.samples import options
from tests.tables import table

N, D, Q = 200, 5, 2
UNITS = np.array([1.0, 100.0, 1e-2, 7.0, 20.0])
KINDS = {
    "gaussian": "gaussian",
    "gaussian_diag": "gaussian_diag",
    "both": {0: "gaussian", 3: "gaussian"},
}
MIXED = {
    0: "bernoulli",
    1: "categorical",
    2: "ordinal",
    3: "poisson",
    4: "student_t",
    5: "lognormal",
}


def gaps(X, share=0.3, seed=0):
    """Cells missing at random; of the first rows none, of the sixth all."""
    missing = np.random.RandomState(seed).uniform(size=X.shape) < share
    missing[:5], missing[5] = False, True
    return np.where(missing, np.nan, X)


def fitted(X, likelihood, **changes):
    chosen = options(**{"latent_dim": Q, "max_iter": 0} | changes)
    return fit_model(table(X, likelihood), None, chosen)[0]


def mixed_rows(n=N, seed=0):
    """Columns of six kinds that follow two numbers, one of them not linearly."""
    rng = np.random.RandomState(seed)
    z = rng.standard_normal((n, 2))
    return np.column_stack(
        [
            (z[:, 0] + 0.5 * rng.logistic(size=n) > 0) * 1.0,
            np.digitize(z[:, 1] + 0.2 * rng.standard_normal(n), [-1, 0, 1]),
            np.digitize(z[:, 0] - z[:, 1], [-1, 1]),
            rng.poisson(np.exp(z[:, 1])),
            z[:, 0] + 0.2 * rng.standard_t(4, n),
            np.exp(z[:, 0] * z[:, 1] + 0.1 * rng.standard_normal(n)),
            2 * z[:, 0] ** 2 + 0.1 * rng.standard_normal(n),
        ]
    )


def drawn_from(model, n_samples, seed=0):
    """Rows that a model draws, in double precision."""
    return model.sample(n_samples, np.random.RandomState(seed), np.dtype(np.float64))


def normal_of(start):
    """Mean, loadings and noise variances in the user's units."""
    d, q = start.n_features, start.latent_dim
    mean, loadings, noise = np.zeros(d), np.zeros((d, q)), np.zeros(d)
    first = 0
    for part in start.parts:
        own = slice(first, first + len(part.columns))
        first = own.stop
        center, scale = part.constants["center"], part.constants["scale"]
        mean[part.columns] = center + scale * start.factors.center[own]
        loadings[part.columns] = scale[:, None] * start.factors.loadings[own]
        noise[part.columns] = scale**2 * start.factors.noise[own]
    return mean, loadings, noise
