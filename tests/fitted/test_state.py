"""A fitted model as arrays and JSON values: what comes back answers the same, to the bit."""

import io
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from torch import nn

from skvae import VAETransformer
from skvae.data.column import Column
from skvae.fitted.model import FittedModel
from skvae.fitted.state import KEPT, KeptState, from_state, to_state
from skvae.likelihoods import LIKELIHOODS
from skvae.model.networks import ARCHITECTURES
from skvae.model.priors import PRIORS
from tests.golden import fitted
from tests.samples import fit_quietly


def written_and_read(state):
    """A state after it has been a text of JSON and a file of arrays that holds no pickles."""
    file = io.BytesIO()
    np.savez(file, **state.arrays)
    file.seek(0)
    tree = json.loads(json.dumps(state.tree, allow_nan=False))
    return KeptState(tree, dict(np.load(file, allow_pickle=False)))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "setting",
    ["dense", "single precision rows", "sparse", "wide", "gaps", "mixed", "convolutions",
     "prior vamp", "prior ex_post", "likelihood poisson", "likelihood student_t",
     "objective autoencoder, mixed", "batches"],
)  # fmt: skip
def test_what_comes_back_answers_the_same(setting):
    vae, X = fitted(setting)
    model = vae._model
    found = FittedModel.from_state(written_and_read(model.to_state()))
    rows = vae._check_rows(X, "transform").values
    for whiten in (False, True):
        assert_array_equal(found.codes(rows, whiten), model.codes(rows, whiten))
    assert_array_equal(found.log_prob(rows[:50]), model.log_prob(rows[:50]))
    assert_array_equal(
        *(
            each.sample(20, np.random.RandomState(0), np.dtype(np.float64))
            for each in (found, model)
        )
    )
    assert found.kept == model.kept
    assert_array_equal(found.noise_variances, model.noise_variances)


@pytest.mark.parametrize("container", ["pandas", "polars", "numpy"])
def test_columns_come_back_with_their_dtypes_and_levels(container):
    frame = pd.DataFrame(
        {
            "number": np.arange(40.0),
            "whole": pd.array([*range(39), None], dtype="Int64"),
            "text": ["a", "b"] * 20,
            "order": pd.Categorical(["s", "m"] * 20, ["s", "m", "l"], ordered=True),
            "yes": [True, False] * 20,
        }
    )
    X = {"pandas": frame, "polars": pl.from_pandas(frame), "numpy": frame[["number"]].to_numpy()}
    vae = VAETransformer(1, max_iter=0).fit(X[container])
    columns = from_state(written_and_read(to_state(vae._columns)))
    assert repr(columns) == repr(vae._columns)
    codes = vae.transform(X[container])
    before = vae.inverse_transform(codes)
    vae._columns = columns
    after = vae.inverse_transform(codes)
    if container == "pandas":
        pd.testing.assert_frame_equal(before, after)
    else:
        assert (np.asarray(before) == np.asarray(after)).all()


def test_a_table_of_names_holds_all_that_can_be_chosen():
    for table in (ARCHITECTURES, LIKELIHOODS, PRIORS):
        assert set(table.values()) <= set(KEPT.values())
    assert len(KEPT) == len(set(KEPT.values()))


@pytest.mark.parametrize(
    "value",
    [None, True, "text", 3, -2.5, float("inf"), (1, [2.0, "x"]), {"a": 1, 2: (3,)}, b"\x00\xff",
     np.float32(0.1), np.int8(3), np.dtype("<f4"), Column("x", "number")],
)  # fmt: skip
def test_values_come_back_as_they_were(value):
    found = from_state(written_and_read(to_state(value)))
    assert type(found) is type(value)
    assert found == value


def test_numbers_that_are_none_come_back():
    found = from_state(written_and_read(to_state([float("nan"), np.float64("nan")])))
    assert np.isnan(found).all()


def test_arrays_keep_dtype_and_shape():
    arrays = (np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((0, 2), np.float32))
    for before, after in zip(arrays, from_state(written_and_read(to_state(arrays))), strict=True):
        assert_array_equal(before, after, strict=True)
    objects = np.array([["a", None], [1, 2.5]], dtype=object)
    assert_array_equal(from_state(written_and_read(to_state(objects))), objects, strict=True)


def own_network(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 32), nn.SiLU(), nn.Linear(32, n_out))


def test_a_function_cannot_be_kept(curve):
    vae = VAETransformer(2, architecture=own_network, batch_size=8, max_iter=5, random_state=0)
    fit_quietly(vae, curve)
    assert vae.kept_ > 0
    with pytest.raises(TypeError, match=r"own_network.* a file cannot contain"):
        vae._model.to_state()


@pytest.mark.parametrize("tree", [{"type": "Popen", "parts": {}}, {"type": "eval"}, {"run": 1}])
def test_what_is_not_kept_is_not_made(tree):
    with pytest.raises(ValueError, match=r"not among|nothing that is kept"):
        from_state(KeptState(tree, {}))
