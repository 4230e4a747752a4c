"""How many codes a model has, by what a person gives for `latent_dim`."""

from numbers import Integral

import numpy as np

from skvae.heads import features_of
from skvae.linear import choose_latent_dim, latent_dim_of_share
from skvae.mixed import Table


def latent_dim_of(choice, X, weight: np.ndarray | None, seed: int) -> int:
    """The number given; as many as there can be; that of a share of the variance, or "auto".

    The last two are of the linear start: of a matrix, or of the features of a table.
    """
    if isinstance(choice, Integral):
        return int(choice)
    if choice is None:
        return min(X.shape)
    rows = features_of(X, weight) if isinstance(X, Table) else X
    rng = np.random.RandomState(seed)
    if isinstance(choice, str):
        return choose_latent_dim(rows, weight, rng)
    return latent_dim_of_share(rows, float(choice), weight, rng)
