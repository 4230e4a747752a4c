"""What holds of every density: it is one, it keeps the guarantee, and numbers stay numbers."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from sklearn.base import clone

from skvae import VAETransformer
from tests.generated import (
    FITTED,
    LEVELS,
    as_array,
    assert_close,
    estimators,
    fitted,
    matrices,
    seeds,
    tables,
)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LINEAR = estimators(may_train=False)
N_DRAWS = 500  # by which the bound is the density but for a few hundredths


def without(table, name):
    """The table with no cell of a column."""
    rows = table.astype({name: "Int64" if table[name].dtype.kind == "i" else table[name].dtype})
    if rows[name].dtype == bool:
        rows[name] = rows[name].astype("boolean")
    rows[name] = pd.Series([None] * len(rows), index=rows.index).astype(rows[name].dtype)
    return rows


@FITTED
@given(tables(), estimators(), st.sampled_from([1.0, 1.0, 30.0, 1e4]))
def test_no_row_scores_less_than_the_start_by_more_than_its_weight(table, vae, far):
    start = fitted(clone(vae).set_params(max_iter=0), table)
    fitted(vae, table)
    rows = table.copy()
    for name in table.columns[table.dtypes == np.float64]:
        rows[name] = table[name].mean() + far * (table[name] - table[name].mean())
    least = start.score_samples(rows) + np.log(vae.start_weight_)
    assert (vae.score_samples(rows) >= least - 1e-6 * (1 + np.abs(least))).all()


@FITTED
@given(matrices(gaps=(0.0, 0.2)), LINEAR, seeds)
def test_the_density_of_one_free_number_is_one(table, vae, seed):
    # A density of numbers is in closed form before training: the sum over a grid has to be exact.
    vae.set_params(latent_dim=1)
    fitted(vae, table)
    rng = np.random.RandomState(seed)
    j, row = rng.randint(table.shape[1]), as_array(table)[[rng.randint(len(table))]]
    free = row.copy()
    free[0, j] = np.nan
    noise = np.sqrt(np.broadcast_to(vae.noise_variance_, table.shape[1])[j])
    width = 12 * (np.nanstd(as_array(table)[:, j]) + noise)
    assume(width < 1e4 * noise)
    offsets = np.arange(-width, width, noise / 3)
    cells = np.repeat(free, len(offsets), axis=0)
    cells[:, j] = vae.impute(free)[0, j] + offsets
    total = np.exp(vae.score_samples(cells) - vae.score_samples(free)).sum() * noise / 3
    assert total == pytest.approx(1, abs=1e-3)


def shares_of_levels(vae, table, name, n_draws):
    """Probabilities of the levels of a column given the other cells of some rows, (n, levels)."""
    rows = table.iloc[:3]
    free = without(rows, name)
    alone = vae.score_samples(free, n_draws=n_draws)
    levels = [False, True]
    if isinstance(rows[name].dtype, pd.CategoricalDtype):
        levels = list(rows[name].cat.categories)
    elif rows[name].dtype == object or rows[name].dtype == "str":
        levels = sorted(table[name].dropna().unique())
    scores = []
    for level in levels:
        full = free.copy()
        full[name] = pd.Series([level] * len(rows), index=rows.index).astype(rows[name].dtype)
        scores.append(vae.score_samples(full, n_draws=n_draws))
    return np.exp(np.stack(scores, 1) - alone[:, None])


# 500 draws find 0.85 of the probability of "Oslo" alone, which two rows of 27 have.
WITH_A_RARE_LEVEL = pd.DataFrame(
    {
        "boolean": pd.array([{"1": True, "0": False, "-": None}[c] for c in
                             "11-01-000-10100-1101-110101"], dtype="boolean"),
        "ordered": pd.Categorical(
            [{"o": "Oslo", "r": "Rome", "b": "Bern", "a": "a", "-": None}[c] for c in
             "ora-aaaaaaba-abaoarbb---r--"],
            ["a", "Rome", "Bern", "Oslo"], ordered=True,
        ),
    }
)  # fmt: skip


@FITTED
@given(tables(("boolean", *LEVELS, "number"), n_columns=(2, 3), n_rows=(20, 40)), LINEAR, seeds)
@example(WITH_A_RARE_LEVEL, VAETransformer(1, max_iter=0, random_state=69), 4916)
def test_the_shares_of_levels_of_a_free_cell_sum_to_one(table, vae, seed):
    names = [name for name in table if table[name].dtype != np.float64]
    assume(names)
    name = names[seed % len(names)]
    fitted(vae.set_params(latent_dim=1), table)
    away = np.abs(shares_of_levels(vae, table, name, N_DRAWS).sum(1) - 1)
    if (away > 0.1).any():  # a bound is the density where draws are many enough
        away = np.abs(shares_of_levels(vae, table, name, 8 * N_DRAWS).sum(1) - 1)
    # Levels that fit has not seen have a share of at most 0.5 / (n + 1).
    assert (away < 0.1).all()


@FITTED
@given(tables(("boolean", *LEVELS), n_columns=(1, 3)), LINEAR)
def test_more_cells_are_never_likelier_than_fewer(table, vae):
    fitted(vae, table)
    table, name = table.iloc[:5], table.columns[0]
    all_of_them = vae.score_samples(table, n_draws=N_DRAWS)
    others = vae.score_samples(without(table, name), n_draws=N_DRAWS)
    assert (all_of_them <= others + 0.1).all()
    assert (all_of_them <= 0.1).all()


@FITTED
@given(tables(), estimators())
def test_a_row_without_cells_is_certain(table, vae):
    fitted(vae, table)
    rows = table.iloc[:2]
    for name in table:
        rows = without(rows, name)
    assert_close(vae.score_samples(rows, n_draws=N_DRAWS), 0.0, 0.1)
    assert np.isfinite(vae.transform(rows)).all()


@FITTED
@given(tables(("boolean", *LEVELS), gaps=(0.0,), n_columns=(1, 2), n_rows=(30, 60)), LINEAR)
def test_levels_are_drawn_as_often_as_they_are(table, vae):
    fitted(vae, table)
    drawn = vae.sample(4000, random_state=0)
    for name in table:
        for level in table[name].unique():
            share, ours = (table[name] == level).mean(), (drawn[name] == level).mean()
            # A sample of 4000 is off by 0.03 in four standard deviations at most; the start
            # smooths counts by half a row.
            assert ours == pytest.approx(share, abs=0.03 + 2 / len(table))


# Numbers that are hard to hold.


@FITTED
@given(
    matrices(gaps=(0.0, 0.2)), estimators(),
    st.sampled_from([1e-200, 1e-60, 1e-5, 1e5, 1e60, 1e150]),
    st.sampled_from(["auto", "gaussian_diag", "student_t"]),
)  # fmt: skip
def test_numbers_of_any_size_are_numbers_again(table, vae, size, likelihood):
    # All RuntimeWarnings are errors here.
    rows = (table - table.mean()) / table.std() * size
    fitted(vae.set_params(likelihood=likelihood), rows)
    codes = vae.transform(rows)
    for found in (codes, vae.score_samples(rows), vae.inverse_transform(codes), vae.impute(rows)):
        assert np.isfinite(np.asarray(found)).all()
    assert np.isfinite(vae.sample(5, random_state=0)).all()
    assert np.ptp(codes) > 0


@FITTED
@given(matrices(gaps=(0.0, 0.2)), estimators(), st.sampled_from([1e20, 1e100, -1e300]))
def test_a_cell_far_out_leaves_the_other_rows_alone(table, vae, cell):
    fitted(vae, table)
    rows = table.copy()
    rows.iloc[3, 0] = cell
    others = np.arange(len(table)) != 3
    for found, expected in ((vae.transform(rows), vae.transform(table)),
                            (vae.score_samples(rows), vae.score_samples(table))):  # fmt: skip
        assert not np.isnan(found).any()
        assert_close(found[others], expected[others], 1e-9)


@FITTED
@given(matrices(), estimators(), seeds)
def test_given_cells_are_kept(table, vae, seed):
    fitted(vae, table)
    row = table.iloc[seed % len(table)]
    name = table.columns[seed % table.shape[1]]
    drawn = vae.sample(4, random_state=0, given={name: row[name]})
    drawn = pd.DataFrame(np.asarray(drawn), columns=table.columns)
    assert_array_equal(drawn[name], row[name])
    assert np.isfinite(drawn).all(axis=None)
