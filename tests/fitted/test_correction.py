"""What all refinements of imputed means have to hold, on columns of every kind."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import spearmanr

from skvae import Limits, VAETransformer
from skvae.fitted.conditional import impute
from skvae.fitted.correction import REFINEMENTS, Correction
from skvae.fitted.model import FittedModel
from skvae.fitted.regression import Regression
from skvae.fitted.stored_rows import StoredRows
from tests.fitted.models import MIXED, drawn_from, fitted, gaps, mixed_rows
from tests.fitted.test_state import written_and_read
from tests.samples import curve, gaussian

N = 500
NAMES = [name for name in REFINEMENTS if name != "auto"]


def storing(model, X, weight=None):
    """The model with rows."""
    return replace(model, stored=StoredRows.of(X, weight, 0, Limits()))


@pytest.fixture(scope="module")
def mixed():
    """A linear model of six kinds of columns, which stores its rows."""
    X = gaps(mixed_rows(N), 0.1)
    return storing(fitted(X, MIXED), X)


@pytest.fixture(scope="module")
def linear():
    """A linear model of numbers that follow a curve, which stores its rows."""
    X = curve(N, 5, noise=0.05)
    return storing(fitted(X, "gaussian", latent_dim=1), X)


def one_hidden(X):
    """Rows of which one cell each is hidden, and where."""
    place = np.arange(len(X)), np.random.RandomState(0).randint(X.shape[1], size=len(X))
    holed = X.copy()
    holed[place] = np.nan
    return holed, place


def hidden_error(model, X, refine):
    """Mean squared error of cells that are hidden one a row."""
    holed, place = one_hidden(X)
    return np.square(model.impute(holed, refine) - X)[place].mean()


def test_auto_is_one_of_the_others():
    assert REFINEMENTS["auto"] in {REFINEMENTS[name] for name in NAMES}


@pytest.mark.parametrize("refine", NAMES)
def test_what_a_model_misses_is_learnt_from_rows(linear, refine):
    X = curve(300, 5, noise=0.05, seed=1)
    assert hidden_error(linear, X, refine) < 0.7 * hidden_error(linear, X, None)


@pytest.mark.parametrize("refine", NAMES)
def test_where_a_model_misses_nothing_little_changes(refine):
    X, others = gaussian(N, 5), gaussian(1000, 5)[N:]
    model = storing(fitted(X, "gaussian", latent_dim=2), X)
    assert hidden_error(model, others, refine) < 1.05 * hidden_error(model, others, None)


@pytest.mark.parametrize("refine", NAMES)
def test_imputed_cells_are_what_the_columns_hold(mixed, refine):
    X = gaps(mixed_rows(200, seed=1))
    filled = mixed.impute(X, refine)
    assert np.isfinite(filled).all()
    assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    assert set(filled[:, 0]) <= {0.0, 1.0}
    assert set(filled[:, 1]) <= {0.0, 1.0, 2.0, 3.0}
    assert set(filled[:, 2]) <= {0.0, 1.0, 2.0}
    assert (filled[:, [3, 5]] >= 0).all()
    assert (filled != mixed.impute(X, None)).any(0).sum() >= 4


@pytest.mark.parametrize("refine", NAMES)
def test_a_row_has_one_answer_whatever_rows_are_beside_it(mixed, refine):
    X = gaps(mixed_rows(60, seed=4), 0.25)
    whole = mixed.impute(X, refine)
    size = np.abs(whole).max(0) + 1e-9
    for rows in (np.random.RandomState(0).permutation(60), np.arange(0, 60, 7), np.array([5])):
        assert_allclose(mixed.impute(X[rows], refine) / size, whole[rows] / size, atol=1e-7)
    few = replace(mixed, batch_cells=60 * 1040)
    assert_allclose(few.impute(X, refine) / size, whole / size, atol=1e-7)


@pytest.mark.parametrize("refine", NAMES)
def test_units_of_columns_do_not_matter(refine):
    X, others = curve(N, 5, noise=0.05), gaps(curve(100, 5, noise=0.05, seed=1))
    scale, offset = np.array([1.0, 1e3, 1e-2, 7.0, 1.0]), np.array([0.0, 5e3, -1.0, 1e2, 0.0])
    ours, theirs = (
        storing(fitted(rows, "gaussian_diag", latent_dim=1), rows)
        for rows in (X, offset + scale * X)
    )
    expected = ours.impute(others, refine)
    found = (theirs.impute(offset + scale * others, refine) - offset) / scale
    # Rounding may move a row over the edge of a leaf.
    near = np.isclose(found, expected, rtol=0, atol=1e-5)
    assert near.mean() > (0.98 if refine == "trees" else 1 - 1e-9)


@pytest.mark.parametrize("refine", NAMES)
def test_what_comes_back_corrects_the_same(mixed, refine):
    X = gaps(mixed_rows(50, seed=5))
    expected = mixed.impute(X, refine)
    for again in (
        pickle.loads(pickle.dumps(mixed)),
        FittedModel.from_state(written_and_read(mixed.to_state())),
    ):
        assert_array_equal(again.impute(X, refine), expected)


def recording(lessons):
    """A regression that says nothing, and keeps the lessons it was given."""

    class Recording(Regression):
        n_bytes = 10

        @classmethod
        def fit(cls, lesson, seed):
            lessons.append(lesson)
            return cls()

        def predict(self, features, expected):
            return np.zeros_like(expected)

    return Recording


@pytest.mark.parametrize("most_bytes", [0, 25, 1000])
def test_a_column_is_learnt_once_for_all_rows(mixed, most_bytes):
    """However many parts rows come in, and columns there is room for."""
    lessons = []
    few = replace(mixed, batch_cells=60 * 1040)
    correction = Correction(few, mixed.stored, recording(lessons), most_bytes)
    X = gaps(mixed_rows(200, seed=1))
    assert_allclose(impute(few, X, correction), mixed.impute(X, None), rtol=1e-12)
    assert len(lessons) == X.shape[1]
    impute(few, X, correction)
    n_kept = min(most_bytes // 10, X.shape[1])
    assert len(lessons) == 2 * X.shape[1] - n_kept


@pytest.mark.parametrize("refine", NAMES)
def test_what_there_is_no_room_for_corrects_the_same(mixed, refine):
    X = gaps(mixed_rows(50, seed=5))
    without = Correction(mixed, mixed.stored, REFINEMENTS[refine], most_bytes=0)
    assert_array_equal(impute(mixed, X, without), mixed.impute(X, refine))


def test_features_of_the_column_itself_are_what_is_expected_of_it(mixed):
    lessons = []
    correction = Correction(mixed, mixed.stored, recording(lessons))
    impute(mixed, gaps(mixed_rows(50, seed=5)), correction)
    for lesson in lessons:
        own = lesson.features[:, lesson.is_own]
        if own.shape[1] == 1:  # it may be a logarithm, or logits
            assert abs(spearmanr(own[:, 0], lesson.expected[:, -1]).statistic) > 1 - 1e-6
            continue
        told = np.column_stack([lesson.expected, np.ones(len(own))])
        left = own - told @ np.linalg.lstsq(told, own, rcond=None)[0]
        assert np.abs(left).max() < 1e-6 * np.abs(own).max()
    n_owners = sum(lesson.is_own.astype(int) for lesson in lessons)
    q = mixed.latent_dim
    assert_array_equal(n_owners, np.repeat([1, 0], [len(n_owners) - q, q]))


def test_without_rows_it_is_the_mean(mixed):
    X = gaps(mixed_rows(50, seed=5))
    assert_array_equal(replace(mixed, stored=None).impute(X), mixed.impute(X, None))


def test_few_rows_say_nothing(linear):
    few = storing(linear, curve(99, 5))
    X = gaps(curve(50, 5, seed=1))
    assert_array_equal(few.impute(X), few.impute(X, None))


def test_rows_count_by_their_weights():
    X, wrong = curve(2 * N, 5, noise=0.05), np.arange(2 * N) % 2 == 0
    model = fitted(X, "gaussian", latent_dim=1)
    mirrored = np.where(wrong[:, None], 2 * X.mean(0) - X, X)
    others = curve(200, 5, noise=0.05, seed=1)
    weighted = storing(model, mirrored, np.where(wrong, 1e-6, 1.0))
    clean, even = storing(model, X[~wrong]), storing(model, mirrored)
    errors = [hidden_error(each, others, "auto") for each in (weighted, clean, even)]
    assert abs(errors[0] - errors[1]) < 0.2 * abs(errors[2] - errors[1])


def test_draws_are_the_models_own(mixed):
    """Their spread holds what rows would explain: moved by that, they would spread too far."""
    X = gaps(mixed_rows(30, seed=5))
    ours, theirs = (
        model.draw_missing(X, 2, np.random.RandomState(0))
        for model in (mixed, replace(mixed, stored=None))
    )
    assert_array_equal(ours, theirs)


def test_draws_have_the_spread_of_hidden_cells(linear):
    """Between them and around their mean, which rows alone could tell better."""
    X = curve(400, 5, noise=0.05, seed=2)
    holed, place = one_hidden(X)
    drawn = np.array(linear.draw_missing(holed, 20, np.random.RandomState(0)))[:, *place]
    spread, error = drawn.var(0, ddof=1).mean(), np.square(X[place] - drawn.mean(0)).mean()
    assert 0.7 < spread / error < 1.4
    assert hidden_error(linear, X, "auto") < 0.7 * spread


# The rows


def test_of_rows_no_more_are_stored_than_limits_say():
    X = curve(300, 5)
    stored = StoredRows.of(X, None, 0, Limits(stored_rows=40))
    assert stored.values.shape == (40, 5)
    assert StoredRows.of(X, None, 0, Limits(stored_cells=100)).values.shape == (20, 5)
    assert StoredRows.of(X, None, 0, Limits()).values.shape == X.shape
    assert {*map(tuple, stored.values)} <= {*map(tuple, X)}
    again = StoredRows.of(X, np.arange(300.0), 0, Limits(stored_rows=40))
    assert_array_equal(again.values, stored.values)
    assert_array_equal(X[again.weight.astype(int)], again.values)


def estimator(**changes):
    return VAETransformer(**{"latent_dim": 1, "max_iter": 0, "random_state": 0} | changes)


def test_an_estimator_stores_rows_unless_it_may_not():
    X = curve(N, 5, noise=0.05)
    holed = gaps(X)
    vae = estimator().fit(X)
    assert {*map(tuple, vae._model.stored.values)} == {*map(tuple, X)}
    mean = vae.impute(holed, refine=None)
    assert not np.allclose(vae.impute(holed), mean)
    without = estimator(store_rows=False).fit(X)
    assert without._model.stored is None
    assert_array_equal(without.impute(holed), mean)
    with pytest.raises(ValueError, match=r"refine='trees' needs stored .* store_rows=True"):
        without.impute(holed, refine="trees")


def test_an_estimator_refuses_what_is_no_refinement():
    vae = estimator().fit(curve(N, 5))
    for wrong in ("forest", 3, ["trees"]):
        with pytest.raises(ValueError, match=r"refine=.* must be one of 'auto', 'neighbours'"):
            vae.impute(gaps(curve(20, 5)), refine=wrong)
    with pytest.raises(ValueError, match="leave one of them out"):
        vae.impute(gaps(curve(20, 5)), n_draws=2, refine="neighbours")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_keep_their_dtype(dtype):
    X = curve(N, 5, noise=0.05).astype(dtype)
    holed = gaps(X).astype(dtype)
    filled = estimator().fit(X).impute(holed)
    assert filled.dtype == dtype
    there = ~np.isnan(holed)
    assert_array_equal(filled[there], holed[there])


def test_rows_of_a_stream_are_its_sample():
    X = curve(N, 5, noise=0.05)
    vae = estimator()
    for part in np.split(X, 5):
        vae.partial_fit(part)
    assert {*map(tuple, vae._model.stored.values)} == {*map(tuple, X)}
    after = estimator().fit(X).partial_fit(curve(50, 5, seed=9))
    assert {*map(tuple, after._model.stored.values)} == {*map(tuple, X)}
    assert estimator(store_rows=False).partial_fit(X)._model.stored is None


def test_samples_hold_no_stored_row(mixed):
    drawn, stored = drawn_from(mixed, 200), mixed.stored.values
    assert not {*map(tuple, drawn)} & {*map(tuple, stored)}
