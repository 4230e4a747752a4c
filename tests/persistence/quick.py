"""Rows, and fits of them that take no time, which checkpoints are tested on."""

import warnings

import numpy as np
import pandas as pd

from skvae import VAETransformer
from skvae.limits import Limits
from tests.persistence.kept import bits
from tests.samples import curve

X = curve(150, 5)
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1] > 0, "c": np.where(X[:, 2] > 0, "x", "y")})


def quick(folder=None, **changes):
    own = {"latent_dim": 1, "max_iter": 6, "random_state": 0, "checkpoint_dir": folder}
    vae = VAETransformer(**own | {"checkpoint_every": 0, "architecture": "linear"} | changes)
    vae.limits = Limits(few_rows=0, check_steps=5)
    return vae


def fitted(vae, X=X, **given):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return vae.fit(X, **given)


def answers(vae, X=X):
    """All that a fit leaves, but for seconds and the folder."""
    learned = {
        name: value
        for name, value in vars(vae).items()
        if name.endswith("_") and name not in ("history_", "prior_")
    }
    history = {name: own for name, own in vae.history_.items() if name != "seconds"}
    return bits([learned, history, vae.transform(X), vae.score_samples(X), vae.impute(X)])
