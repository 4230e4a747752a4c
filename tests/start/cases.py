"""A column of each likelihood with a head of its own, beside normal ones."""

import numpy as np

N = 300
KINDS = [
    "bernoulli",
    "categorical",
    "ordinal",
    "poisson",
    "negative_binomial",
    "continuous_bernoulli",
    "lognormal",
    "student_t",
]


def table_of(kind, z, seed=0):
    """A column of a kind before normal ones, which all follow z, shape (N, 2)."""
    rng = np.random.RandomState(seed)
    one = z @ [1.5, -1.0]
    columns = {
        "bernoulli": (one + rng.logistic(size=N) > 0) * 1.0,
        "categorical": np.digitize(one + rng.logistic(size=N), [-2, 0, 1]) * 1.0,
        "ordinal": np.digitize(one + rng.logistic(size=N), [-2, -1, 0, 1, 3]) * 1.0,
        "poisson": rng.poisson(np.exp(0.5 * one + 1)) * 1.0,
        "negative_binomial": rng.poisson(np.exp(0.5 * one) * rng.gamma(3, 1, N)) * 1.0,
        "continuous_bernoulli": 1 / (1 + np.exp(-one - rng.logistic(size=N))),
        "lognormal": np.exp(one + rng.standard_normal(N)),
        "student_t": one + rng.standard_t(3, N),
    }
    normal = z @ rng.standard_normal((2, 4)) + 0.5 * rng.standard_normal((N, 4))
    return np.column_stack([columns[kind], normal])
