"""What holds of every table and every model: sameness of answers, round trips, schemas."""

import copy
import pickle
import threading

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.base import clone

from skvae.data.input import Input
from skvae.data.schema import Schema
from tests.generated import (
    FITTED,
    LEVELS,
    NUMBERS,
    WITHOUT_A_FIT,
    as_array,
    assert_close,
    estimators,
    fitted,
    matrices,
    seeds,
    tables,
    to_polars,
    to_pyarrow,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LINEAR = estimators(may_train=False)


def answers(vae, X):
    """What a fitted model says of rows, as arrays."""
    return vae.transform(X), vae.score_samples(X), *vae.encode(X)


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert_array_equal(np.asarray(a), np.asarray(b))


# What is said of a row depends on its cells alone.


@FITTED
@given(tables(), estimators(), seeds)
def test_a_row_alone_is_as_in_a_batch(table, vae, seed):
    fitted(vae, table)
    rows = np.random.RandomState(seed).permutation(len(table))[:3]
    together = answers(vae, table)
    for row in rows:
        for alone, whole in zip(answers(vae, table.iloc[[row]]), together, strict=True):
            assert_close(alone[0], whole[row], 1e-9)


@FITTED
@given(tables(), estimators(), seeds)
def test_answers_follow_the_order_of_rows(table, vae, seed):
    fitted(vae, table)
    order = np.random.RandomState(seed).permutation(len(table))
    for moved, there in zip(answers(vae, table.iloc[order]), answers(vae, table), strict=True):
        assert_close(moved, there[order], 1e-9)


@FITTED
@given(matrices(gaps=(0.0, 0.2)), LINEAR, seeds)
def test_the_order_of_rows_in_fit_does_not_matter(table, vae, seed):
    # Of tables with levels the heads see draws from the posterior of each row, which differ.
    order = np.random.RandomState(seed).permutation(len(table))
    scores = [fitted(clone(vae), rows).score_samples(table) for rows in (table, table.iloc[order])]
    assert_close(*scores, 1e-4)


@FITTED
@given(matrices(gaps=(0.0, 0.2)), LINEAR, seeds)
def test_the_order_of_columns_does_not_matter(table, vae, seed):
    order = np.random.RandomState(seed).permutation(table.shape[1])
    moved = table.iloc[:, order]
    scores = [fitted(clone(vae), rows).score_samples(rows) for rows in (table, moved)]
    assert_close(*scores, 1e-4)


@FITTED
@given(tables(), estimators())
def test_names_do_not_matter(table, vae):
    renamed = table.set_axis([f"other {j}" for j in range(table.shape[1])], axis=1)
    assert_same(*(answers(fitted(clone(vae), rows), rows) for rows in (table, renamed)))


@FITTED
@given(tables(("number", "boolean", "text", "ordered")), estimators())
def test_the_library_of_a_frame_does_not_matter(table, vae):
    scores = [
        fitted(clone(vae), rows).score_samples(rows)
        for rows in (table, to_polars(table), to_pyarrow(table))
    ]
    assert_close(scores[1], scores[0], 1e-9)
    assert_close(scores[2], scores[0], 1e-9)


@FITTED
@given(matrices(gaps=(0.0, 0.2)), estimators())
def test_a_frame_of_numbers_is_its_array(table, vae):
    array = as_array(table)
    others = [array, np.asfortranarray(array), array.tolist()]
    if not np.isnan(array).any():
        others.append(sparse.csr_array(array))
    expected = answers(fitted(clone(vae), table), table)
    for rows in others:
        for ours, theirs in zip(answers(fitted(clone(vae), rows), rows), expected, strict=True):
            assert_close(ours, theirs, 1e-5)


@FITTED
@given(tables(("whole",), n_columns=(2, 4)), estimators())
def test_the_width_of_integers_does_not_matter(table, vae):
    scores = [
        fitted(clone(vae), rows).score_samples(rows)
        for rows in (table, table.astype("float64"), table.astype("Int16"))
    ]
    assert_close(scores[1], scores[0], 1e-9)
    assert_close(scores[2], scores[0], 1e-9)


@FITTED
@given(matrices(), LINEAR)
def test_single_precision_loses_only_its_digits(table, vae):
    single = table.astype(np.float32)
    double = single.astype(np.float64)
    scores = [fitted(clone(vae), rows).score_samples(rows) for rows in (single, double)]
    spread = double.to_numpy().std(0).max()
    assume(spread > 1e-3 * np.abs(double.to_numpy()).max())
    assert scores[0].dtype == np.float32
    assert_close(*scores, 1e-3)


# Units.


@FITTED
@given(
    matrices(gaps=(0.0, 0.2)), LINEAR,
    st.sampled_from([0.0, 1.0, -1e4]), st.sampled_from([1e-6, 0.37, 1.0, 1e9]),
)  # fmt: skip
def test_a_common_offset_and_scale_move_scores_by_a_constant(table, vae, offset, scale):
    moved = scale * (table + offset * table.std().max())
    ours, theirs = (fitted(clone(vae), rows).score_samples(rows) for rows in (table, moved))
    n_observed = table.notna().sum(axis=1).to_numpy()
    assert_close(theirs + n_observed * np.log(scale), ours, 1e-4)


@FITTED
@given(tables(("number", "boolean", "text")), LINEAR, seeds)
def test_columns_of_tables_have_units_of_their_own(table, vae, seed):
    rng, moved = (
        np.random.RandomState(seed),
        table.assign(level=["a", "b"] * (len(table) // 2) + ["a"] * (len(table) % 2)),
    )
    table = moved.copy()
    change = np.zeros(len(table))
    for name in table.columns[table.dtypes == np.float64]:
        factor = 10.0 ** rng.uniform(-6, 6)
        moved[name] = factor * (table[name] + rng.uniform(-100, 100) * table[name].std())
        change += table[name].notna() * np.log(factor)
    ours, theirs = (fitted(clone(vae), rows).score_samples(rows) for rows in (table, moved))
    assert_close(theirs + change, ours, 1e-4)


# Columns and rows that say nothing.


@FITTED
@given(tables(), LINEAR, st.sampled_from([0.0, 1000.0, "a", True]))
def test_a_constant_column_changes_nothing(table, vae, cell):
    table = table.assign(level=["a", "b", "b"] + ["a"] * (len(table) - 3))
    wider = table.assign(same=cell)
    scores = [fitted(clone(vae), rows).score_samples(rows) for rows in (table, wider)]
    assert_close(*scores, 1e-2)


@FITTED
@given(tables(("category", "number"), n_columns=(2, 4)), LINEAR)
def test_unused_levels_change_nothing(table, vae):
    wider = table.copy()
    for name in table.columns[table.dtypes == "category"]:
        wider[name] = table[name].cat.add_categories(["never", "nor this"])
    scores = [fitted(clone(vae), rows).score_samples(rows) for rows in (table, wider)]
    assert_close(*scores, 1e-2)


@FITTED
@given(matrices(), LINEAR, seeds)
def test_whole_weights_are_repeated_rows_in_the_start(table, vae, seed):
    weight = np.random.RandomState(seed).randint(0, 3, len(table))
    assume((weight > 0).sum() > table.shape[1] + 2)
    repeated = table.loc[table.index.repeat(weight)]
    weighted = fitted(clone(vae), table, sample_weight=weight)
    ours, theirs = weighted, fitted(clone(vae), repeated)
    assert_close(ours.mean_, theirs.mean_, 1e-9)
    assert_close(ours.explained_variance_ratio_, theirs.explained_variance_ratio_, 0.1)


@FITTED
@given(tables(), estimators(), st.sampled_from([0.5, 1e-9, 1e12]))
def test_the_unit_of_weights_does_not_matter(table, vae, unit):
    weight = np.linspace(1, 2, len(table))
    ours = fitted(clone(vae), table, sample_weight=weight).score_samples(table)
    theirs = fitted(clone(vae), table, sample_weight=unit * weight).score_samples(table)
    assert_close(theirs, ours, 1e-4)


# The same again.


@FITTED
@given(tables(), estimators())
def test_copies_answer_alike(table, vae):
    fitted(vae, table)
    for other in (pickle.loads(pickle.dumps(vae)), copy.deepcopy(vae), fitted(clone(vae), table)):
        assert_same(answers(other, table), answers(vae, table))
        pd.testing.assert_frame_equal(
            pd.DataFrame(other.sample(5, random_state=0)),
            pd.DataFrame(vae.sample(5, random_state=0)),
        )


@FITTED
@given(tables(), estimators())
def test_other_threads_change_nothing(table, vae):
    expected = answers(fitted(clone(vae), table), table)
    done = threading.Event()

    def draw():
        while not done.wait(1e-4):
            torch.rand(3)
            np.random.rand(3)  # noqa: NPY002

    other = threading.Thread(target=draw)
    other.start()
    try:
        assert_same(answers(fitted(clone(vae), table), table), expected)
    finally:
        done.set()
        other.join()


# The schema.


@WITHOUT_A_FIT
@given(tables())
def test_tables_come_back_from_their_values(table):
    for frame in (table, to_polars(table), to_pyarrow(table)):
        schema = Schema.of(Input.of(frame))
        values, unseen = schema.encode(Input.of(frame))
        assert not unseen
        assert schema.decode(values).equals(frame)
        assert_array_equal(schema.encode(Input.of(schema.decode(values)))[0], values)


@WITHOUT_A_FIT
@given(tables(), seeds)
def test_rows_of_a_table_come_back_in_any_number(table, seed):
    schema = Schema.of(Input.of(table))
    rows = np.random.RandomState(seed).randint(0, len(table), seed % 4)
    part = table.iloc[rows]
    values, _ = schema.encode(Input.of(part))
    pd.testing.assert_frame_equal(schema.decode(values, index=part.index), part)


def assert_schema(rows, table):
    """Same names, dtypes, levels; of dtypes that cannot hold a missing cell, none."""
    assert list(rows.columns) == list(table.columns)
    assert rows.dtypes.to_list() == table.dtypes.to_list()
    assert not rows.isna().any(axis=None)
    for name in table:
        if table[name].dtype == object:
            assert set(rows[name]) <= set(table[name].dropna())


@FITTED
@given(tables(), estimators())
def test_what_is_drawn_and_decoded_has_the_schema(table, vae):
    fitted(vae, table.assign(level=["a", "b"] + ["a"] * (len(table) - 2)))
    drawn = vae.sample(7, random_state=0)
    decoded = vae.inverse_transform(vae.transform(table.assign(level="b")))
    for rows in (drawn, decoded):
        assert_schema(rows.drop(columns="level"), table)


@FITTED
@given(tables(gaps=(0.2, 0.6)), estimators(), st.sampled_from([None, 1, 3]), seeds)
def test_observed_cells_survive_to_the_bit(table, vae, n_draws, seed):
    table.index = np.random.RandomState(seed).permutation(len(table)) + 5
    fitted(vae, table)
    filled = vae.impute(table, n_draws=n_draws, random_state=0)
    for rows in [filled] if n_draws is None else filled:
        assert_schema(rows, table)
        pd.testing.assert_frame_equal(rows.where(table.notna()), table.where(table.notna()))


@FITTED
@given(tables((*NUMBERS, "boolean", *LEVELS), gaps=(0.3,)), estimators())
def test_every_library_gets_its_own_frame_back(table, vae):
    for frame in (to_polars(table), to_pyarrow(table)):
        filled = fitted(clone(vae), frame).impute(frame)
        assert type(filled) is type(frame)
        assert filled.schema == frame.schema
        assert not to_pandas_missing(filled).any(axis=None)


def to_pandas_missing(frame):
    return frame.to_pandas().isna()
