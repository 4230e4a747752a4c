"""What holds of every failure: its kind, its words, and that it leaves nothing half done."""

import datetime
import fractions

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skvae import VAETransformer
from skvae.training.objective import Elbo
from tests.generated import (
    FITTED,
    TINY,
    WITHOUT_A_FIT,
    as_array,
    estimators,
    fitted,
    matrices,
    seeds,
    tables,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

QUESTIONS = ("transform", "encode", "score_samples", "score", "impute", "loadings", "diagnostics")
BAD_CELLS = [
    np.inf, -np.inf, b"bytes", [1, 2], {"a": 1}, 1j, object(),
    datetime.date(2020, 1, 1), pd.Timestamp("2020-01-01"),
]  # fmt: skip
NONSENSE = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=4),
    st.binary(max_size=2),
    st.lists(st.integers(), max_size=2), st.just({"a": None}),
    st.sampled_from([fractions.Fraction(1, 3), np.float32(0.5), np.array([1, 2]), dict, len, Elbo]),
)  # fmt: skip


def is_unfitted(vae):
    """Whether an estimator is as its constructor leaves it."""
    return set(vars(vae)) == set(vae.get_params(deep=False))


# The kind and the words.


@WITHOUT_A_FIT
@given(tables(gaps=(0.0,)), st.sampled_from(BAD_CELLS), seeds)
def test_a_cell_that_cannot_be_is_refused_by_its_column(table, cell, seed):
    rng = np.random.RandomState(seed)
    name = table.columns[rng.randint(table.shape[1])]
    assume(not isinstance(cell, float) or table[name].dtype.kind in "fi")
    rows = table.astype({name: object})
    rows[name] = pd.Series([*rows[name][:-1], cell], dtype=object)
    if isinstance(cell, float):
        rows[name] = rows[name].astype(np.float64)
    vae = VAETransformer(max_iter=0, architecture=TINY)
    with pytest.raises((ValueError, TypeError)) as caught:
        vae.fit(rows)
    assert name in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert is_unfitted(vae)


@WITHOUT_A_FIT
@given(st.sampled_from(sorted(VAETransformer().get_params(deep=False))), NONSENSE)
def test_an_option_that_cannot_be_is_refused_by_its_name(name, value):
    vae = VAETransformer(max_iter=0, architecture=TINY).set_params(**{name: value})
    if name == "max_iter":
        assume(not isinstance(value, int) or value <= 1)
    try:
        fitted(vae, np.random.RandomState(0).standard_normal((8, 3)))
    except (ValueError, TypeError) as error:
        assert name in str(error)  # noqa: PT017
        assert is_unfitted(vae)


@FITTED
@given(tables(), estimators(), st.sampled_from(QUESTIONS), seeds)
def test_rows_of_other_columns_are_refused(table, vae, question, seed):
    with pytest.raises(NotFittedError, match="not fitted"):
        getattr(vae, question)(table)
    fitted(vae, table)
    name = table.columns[seed % table.shape[1]]
    for rows in (table.rename(columns={name: "new"}), table.assign(new=1.0)):
        with pytest.raises(ValueError, match="new"):
            getattr(vae, question)(rows)
    with pytest.raises(ValueError, match=r"feature|column|empty"):
        getattr(vae, question)(table.drop(columns=name))


@FITTED
@given(matrices(), estimators(), st.integers(1, 4), st.integers(1, 4))
def test_shapes_that_cannot_be_are_refused(table, vae, n_rows, n_columns):
    fitted(vae, table)
    assume(n_columns != table.shape[1])
    array = np.zeros((n_rows, n_columns))
    for question in QUESTIONS:
        with pytest.raises(ValueError, match="feature"):
            getattr(vae, question)(array)
        with pytest.raises(ValueError, match=r"1D|shape|dim"):
            getattr(vae, question)(array[0])
        with pytest.raises(ValueError, match=r"0 sample"):
            getattr(vae, question)(as_array(table)[:0])
    with pytest.raises(ValueError, match="codes"):
        vae.inverse_transform(np.zeros((2, vae.latent_dim + 1)))


@WITHOUT_A_FIT
@given(
    matrices(),
    st.sampled_from([-1.0, np.nan, np.inf, "a", None, [1.0]]),
    st.sampled_from(["cell", "all", "shorter", "longer"]),
)
def test_weights_that_cannot_be_are_refused(table, value, where):
    n = len(table)
    weight = [value] * n if where == "all" else [1.0] * (n - 1) + [value]
    weight = {"shorter": [1.0] * (n - 1), "longer": [1.0] * (n + 1)}.get(where, weight)
    vae = VAETransformer(max_iter=0, architecture=TINY)
    with pytest.raises((ValueError, TypeError), match=r"(?i)sample_weight|weight"):
        vae.fit(table, sample_weight=weight)
    assert is_unfitted(vae)


# Nothing half done.


class Failing(Elbo):
    """An objective that works so many times."""

    left = 0

    def __call__(self, *args, **kwargs):
        type(self).left -= 1
        if type(self).left < 0:
            raise LookupError("the objective gave up")
        return super().__call__(*args, **kwargs)


class Unreadable:
    """Weights that cannot be read."""

    def __array__(self, *args, **kwargs):
        raise LookupError("the weights cannot be read")


def architecture_that_fails(n_in, n_out):
    raise LookupError("the architecture cannot be built")


FAILURES = {
    "objective": {"objective": Failing()},
    "architecture": {"architecture": architecture_that_fails},
    "weights": {},
}


def fail(vae, table, what, method, n_calls):
    Failing.left = n_calls
    broken = vae.set_params(**{"max_iter": 2, "objective": "elbo"} | FAILURES[what])
    weight = Unreadable() if what == "weights" else None
    with pytest.raises(LookupError, match=r"cannot|gave up"):
        getattr(broken, method)(table, sample_weight=weight)


failing = given(
    # Rows enough to hold some out, and more columns than codes: there is something to train.
    matrices(n_columns=(3, 5), gaps=(0.0, 0.2), n_rows=(30, 50)),
    estimators(may_train=False, latent_dim=1),
    st.sampled_from(sorted(FAILURES)),
    st.sampled_from(["fit", "partial_fit"]), st.integers(0, 2),
)  # fmt: skip


@FITTED
@failing
def test_a_first_fit_that_fails_leaves_nothing(table, vae, what, method, n_calls):
    vae.set_params(batch_size=4)
    fail(vae, table, what, method, 0 if method == "partial_fit" else n_calls)
    assert is_unfitted(vae)
    with pytest.raises(NotFittedError):
        vae.transform(table)


@FITTED
@failing
def test_a_later_fit_that_fails_leaves_what_was(table, vae, what, method, n_calls):
    vae.set_params(batch_size=4)
    fitted(vae, table)
    before, learned = vae.score_samples(table), set(vars(vae))
    options = clone(vae).get_params(deep=False)
    fail(vae, table, what, method, 0 if method == "partial_fit" else n_calls)
    vae.set_params(**options)
    assert set(vars(vae)) == learned
    np.testing.assert_array_equal(vae.score_samples(table), before)
