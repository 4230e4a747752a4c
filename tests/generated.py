"""Tables and estimators that properties are tried on: every kind of column, every container.

A table is drawn as what makes it: kinds of columns, offsets, scales, levels, gaps and a seed from
which its cells come, so that thousands of tables take seconds and a failure shrinks to few columns.
"""

import os
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from skvae import MLP, VAETransformer

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
_SHARED = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile(
    "quick", derandomize=True, database=None, phases=(Phase.explicit, Phase.generate), **_SHARED
)
settings.register_profile(
    "thorough", print_blob=True, phases=set(Phase) - {Phase.explain}, **_SHARED
)
settings.load_profile("thorough" if THOROUGH else "quick")

FITTED = settings(max_examples=1000 if THOROUGH else 5)
WITHOUT_A_FIT = settings(max_examples=10_000 if THOROUGH else 50)

TINY = MLP(hidden_layer_sizes=(8,))
NUMBERS = ("number", "whole", "single")
LEVELS = ("text", "category", "ordered")
KINDS = (*NUMBERS, "constant", "boolean", *LEVELS)
_PARTS = [
    {"objective": objective, "prior": prior}
    for objective, prior in [
        ("elbo", "normal"), ("elbo", "mixture"), ("elbo", "vamp"), ("iwae", "normal"),
        ("autoencoder", "ex_post"), ("denoising", "ex_post"), ("mmd", "normal"),
    ]
]  # fmt: skip
_GAPS = {"boolean": "boolean", "whole": "Int64"}  # pandas' dtypes that can hold missing cells
_WORDS = ("Oslo", "Rome", "Bern", "a", "", "ß", "10", "true", "None", "x y")

seeds = st.integers(0, 2**31 - 1)
offsets = st.sampled_from([0.0, 0.0, 3.0, -1e3, 1e6])
scales = st.sampled_from([1.0, 1.0, 1e-3, 250.0, 1e6])
# In a matrix all columns share a unit: sums of squares hold 16 digits, so of spreads that differ by
# a factor of 1e6 the smaller one's variance has four.
near_scales = st.sampled_from([1.0, 1.0, 0.02, 30.0])


@st.composite
def columns(draw, kind, n_rows, rng, factor):
    """A column of a kind that depends on a factor, without gaps."""
    shape = draw(st.sampled_from([np.positive, np.positive, np.square]))
    signal = draw(st.sampled_from([0.0, 0.5, 5.0])) * shape(factor) + rng.standard_normal(n_rows)
    if kind in ("number", "near", "single"):
        values = draw(offsets) + draw(near_scales if kind == "near" else scales) * signal
        return pd.Series(values.astype(np.float32 if kind == "single" else np.float64))
    if kind == "whole":
        return pd.Series(np.round(3 * signal).astype(np.int64))
    if kind == "constant":
        return pd.Series(np.full(n_rows, draw(offsets)))
    rare = draw(st.sampled_from([0.5, 0.2, 0.05]))
    if kind == "boolean":
        return pd.Series(signal > np.quantile(signal, 1 - rare))
    words = draw(st.lists(st.sampled_from(_WORDS), min_size=2, max_size=4, unique=True))
    codes = np.searchsorted(np.quantile(signal, np.linspace(rare, 0.95, len(words) - 1)), signal)
    text = pd.Series(np.array(words, dtype=object)[codes])
    if kind == "text":
        return text
    return text.astype(pd.CategoricalDtype(words, ordered=kind == "ordered"))


def with_gaps(column, kind, share, rng):
    """The column with a share of its cells missing, the first two never."""
    missing = rng.random_sample(len(column)) < share
    missing[:2] = False
    if not missing.any():
        return column
    return column.astype(_GAPS.get(kind, column.dtype)).mask(missing)


@st.composite
def tables(draw, kinds=KINDS, gaps=(0.0, 0.2), n_columns=(1, 4), n_rows=(12, 60)):
    """A pandas frame of columns of some kinds."""
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=n_columns[0], max_size=n_columns[1]))
    rng, n = np.random.RandomState(draw(seeds)), draw(st.integers(*n_rows))
    factor, share = rng.standard_normal(n), draw(st.sampled_from(gaps))
    return pd.DataFrame(
        {
            f"{kind} {j}": with_gaps(draw(columns(kind, n, rng, factor)), kind, share, rng)
            for j, kind in enumerate(chosen)
        }
    )


def matrices(gaps=(0.0,), n_columns=(2, 5), n_rows=(12, 60)):
    """A pandas frame of float64 numbers alone, in one unit."""
    return tables(("near",), gaps, n_columns, n_rows)


@st.composite
def estimators(draw, may_train=True, **fixed):
    """An estimator that is not fitted: mostly the linear start, at times a pass or two."""
    options = {
        "latent_dim": draw(st.integers(1, 3)),
        "whiten": draw(st.booleans()),
        "random_state": draw(st.integers(0, 100)),
        "max_iter": 0,
    }
    if may_train and draw(st.integers(0, 3)) == 0:
        options |= {
            "max_iter": draw(st.sampled_from([1, 2, 15])),
            "batch_size": 8,
            **draw(st.sampled_from(_PARTS)),
            "init": draw(st.sampled_from(["pca", "pca", "random"])),
        }
    return VAETransformer(architecture=TINY, **options | fixed)


def to_polars(frame):
    """The same table in polars."""
    return pl.DataFrame({name: _in_polars(column) for name, column in frame.items()})


def _in_polars(column):
    cells = [None if missing else cell for cell, missing in zip(column, column.isna(), strict=True)]
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        kind = pl.Enum(list(dtype.categories)) if dtype.ordered else pl.Categorical()
        return pl.Series(cells, dtype=pl.String).cast(kind)
    return pl.Series(cells, dtype=pl.Float32) if dtype == np.float32 else pl.Series(cells)


def to_pyarrow(frame):
    """The same table in Arrow."""
    return pa.Table.from_pandas(frame, preserve_index=False)


def fitted(estimator, X, **params):
    """The estimator, fitted; what it says of budgets, ranks and collapse is no concern here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return estimator.fit(X, **params)


def as_array(frame):
    """Cells of a frame of numbers as float64."""
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)


def assert_close(found, expected, tolerance=1e-6):
    """Equal to a share of the largest expected value."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    size = np.abs(expected).max(initial=0.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(size, 1.0))
