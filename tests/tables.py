"""Tables of columns of every likelihood, and models of them, that several test modules share."""

import numpy as np
import torch
from scipy import sparse
from torch.distributions import MultivariateNormal

from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.data.units import Units
from skvae.likelihoods import LIKELIHOODS
from skvae.model.first_weights import build, start_at_zero
from skvae.model.rows import CellRows
from skvae.start.cell_representation import CellRepresentation
from skvae.start.tables import Table
from tests.samples import SMALL, with_networks

N, Q = 120, 2
NAMES = list(LIKELIHOODS)
MIXED = dict(enumerate(NAMES))
TABLES = {name: name for name in NAMES} | {"mixed": MIXED}


def column(name, one, rng):
    """Values that a likelihood takes, which follow one number per row."""
    n = len(one)
    if name in ("bernoulli", "continuous_bernoulli"):
        chance = 1 / (1 + np.exp(-2 * one))
        return chance if name != "bernoulli" else (rng.uniform(size=n) < chance) * 1.0
    if name in ("categorical", "ordinal"):
        return np.digitize(one + 0.3 * rng.standard_normal(n), [-1, 0, 1]) * 1.0
    if name in ("poisson", "negative_binomial"):
        return rng.poisson(np.exp(one)) * 1.0
    if name == "empirical":  # mostly 0, and else an amount
        return np.maximum(one + 0.3 * rng.standard_normal(n), 0.0)
    noisy = one + 0.3 * rng.standard_normal(n)
    if name == "lognormal":  # some are 0
        return np.where(noisy < -1.5, 0.0, np.exp(noisy))
    return noisy


def rows_of(likelihood, n=N, share=0.0, seed=0):
    """Columns whose likelihoods are the values of a dict, or five of one."""
    rng = np.random.RandomState(seed)
    names = [likelihood] * 5 if isinstance(likelihood, str) else list(likelihood.values())
    z = rng.standard_normal((n, Q))
    mixing = np.random.RandomState(7).standard_normal((Q, len(names)))
    X = np.column_stack([column(name, z @ m, rng) for name, m in zip(names, mixing.T, strict=True)])
    X[rng.uniform(size=X.shape) < share] = np.nan
    return X


def table(X, likelihood):
    """What fit gets of rows in the user's units."""
    columns = Columns.of(Input.of(X), likelihood)
    return table_of(columns, columns.encode(Input.of(X), "", 1) if columns.has_codes else X)


def table_of(columns, values):
    """Values, and how their columns are modelled."""
    return Table(values, columns.likelihoods, columns.n_levels)


def started(X, likelihood, latent_dim=Q, weight=None):
    """The linear start of a table."""
    return table(X, likelihood).fit_start(latent_dim, weight, np.random.RandomState(0))


def cells(X, likelihood, dtype=torch.float64):
    """Rows as models of tables take them."""
    values = table(X, likelihood).values
    return CellRows(torch.from_numpy(units_of(X, likelihood).cells(values)).to(dtype))


def units_of(X, likelihood):
    """How values of a table become cells."""
    rows = table(X.toarray() if sparse.issparse(X) else X, likelihood)
    return Units.of(rows.values, rows.likelihoods, None)


def training_rows(X, likelihood, weight=None, dtype=np.float32, n_bytes=2**29):
    """Rows as training takes them: made as needed where they are more than n_bytes."""
    representation = CellRepresentation(units_of(X, likelihood), width=0, latent_dim=Q)
    return representation.training_rows(X, weight, dtype, torch.device("cpu"), n_bytes)


def with_branches(start, zero=False, seed=0):
    """The model of a table with networks, which may add nothing."""
    sizes = start.network_sizes(SMALL)
    branches = build(SMALL, sizes, seed=seed)
    for branch, size in zip(branches, sizes, strict=True):
        if zero:
            start_at_zero(branch, size[0])
    return with_networks(start, *branches).double()


def normal(q):
    """A posterior with a root, as torch has it."""
    root = q.root * torch.exp(0.5 * q.log_variance)[:, None]
    return MultivariateNormal(q.mean, root @ root.mT)
