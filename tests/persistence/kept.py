"""What is asked of an estimator and of the one that a file gives back."""

import re

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.base import clone

import skvae

N_ASKED = 12  # rows
_PLACE = re.compile(" at 0x[0-9A-F]+")


def loaded(vae, path):
    """The estimator after it has been in a file."""
    vae.save(path)
    return skvae.load(path)


def bits(value):
    """All of a value that can be seen, bit by bit."""
    if isinstance(value, dict):
        return {key: bits(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [bits(item) for item in value]
    if hasattr(value, "to_pandas"):
        return type(value), str(getattr(value, "schema", "")), bits(value.to_pandas())
    if isinstance(value, pd.DataFrame):
        seen = value.columns.tolist(), value.index.tolist(), list(value.dtypes)
        return repr(seen), [bits(own.to_numpy()) for _, own in value.items()]
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    return type(value), _PLACE.sub("", repr(value))


def answers(vae, X):
    """All that an estimator says."""
    rows = X[:N_ASKED]
    codes = vae.transform(rows)
    found = {
        "codes": codes,
        "posterior": vae.encode(rows),
        "rows": vae.inverse_transform(codes),
        "decoded": vae.decode(codes),
        "scores": vae.score_samples(rows),
        "sample": vae.sample(10, random_state=3),
        "names": vae.get_feature_names_out(),
        "repr": repr(vae),
        "params": list(vae.get_params().items()),
        "clone": list(clone(vae).get_params().items()),
        "learned": {
            name: value
            for name, value in vars(vae).items()
            if name.endswith("_") and name != "prior_"
        },
        "prior": repr(vae.prior_),
        "filled": None if sparse.issparse(rows) else vae.impute(rows),
        "drawn": None if sparse.issparse(rows) else vae.impute(rows, n_draws=2, random_state=0),
        "loadings": vae.loadings(),
    }
    return {name: bits(value) for name, value in found.items()}


def assert_same(found, vae, X):
    """Bit by bit."""
    before, after = answers(vae, X), answers(found, X)
    for name, value in before.items():
        assert after[name] == value, name
    assert vars(found).keys() == vars(vae).keys()
