"""A change of the user's units changes answers by that change alone; what never varies, nothing."""

import pickle
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skvae import MLP, VAETransformer
from skvae.data.units import Units
from skvae.likelihoods import Gaussian, GaussianDiag, LogNormal, moments, resolution, varies
from tests.samples import factors

N = 160
SCALES = [1e-300, 1e-150, 1e-3, 1e40, 1e150]
OFFSETS = [1.6e9, -1e12]
NORMAL = ["gaussian", "gaussian_diag", "student_t"]


def numbers(n=N, seed=0):
    """Columns in one unit, that follow two numbers and noise."""
    rng = np.random.default_rng(seed)
    t, s = rng.uniform(-2, 2, n), rng.uniform(-1, 1, n)
    rows = np.column_stack([t, t**2, np.sin(2 * t) + s, t * s])
    return rows + 0.05 * rng.normal(size=rows.shape)


def holed(X, seed=1):
    """Some cells missing, of no row all and of the first rows none."""
    missing = np.random.default_rng(seed).uniform(size=X.shape) < 0.15
    missing[:, -1] = missing[:3] = False
    return np.where(missing, np.nan, X)


def linear(likelihood="auto", **changes):
    chosen = {"max_iter": 0, "random_state": 0} | changes
    return VAETransformer(2, likelihood=likelihood, **chosen)


def quietly(vae, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return vae.fit(*args, **kwargs)


def n_observed(X):
    return (~np.isnan(X)).sum(1)


def asked(vae, X):
    """Codes, scores, rows filled and rows drawn."""
    return vae.transform(X), vae.score_samples(X), vae.impute(X), vae.sample(20, random_state=0)


@cache
def answers_as_they_are(likelihood):
    """Those of the rows in their own units, with which many others are compared."""
    X = holed(numbers())
    return asked(linear(likelihood).fit(X), X)


def assert_same_but_for_units(likelihood, a, b, *, atol=2e-4, code_unit=1.0):
    """Of a X + b; tolerances are those of a likelihood found by steps."""
    X = holed(numbers())
    codes, scores, filled, drawn = answers_as_they_are(likelihood)
    Z = a * X + b
    found = asked(linear(likelihood).fit(Z), Z)
    size = np.abs(codes).max()
    assert_allclose(found[0] / code_unit / size, codes / size, atol=atol)
    assert_allclose(found[1] + n_observed(X) * np.log(a), scores, rtol=atol, atol=atol)
    assert_allclose((found[2] - b) / a, filled, atol=atol * np.nanmax(np.abs(X)))
    assert_allclose((found[3] - b) / a, drawn, atol=20 * atol)


@pytest.mark.parametrize("a", SCALES)
@pytest.mark.parametrize("likelihood", ["auto", *NORMAL])
def test_the_unit_of_a_table_changes_nothing(likelihood, a):
    unit = a if likelihood == "gaussian" else 1.0  # of which codes are scores, as PCA's are
    assert_same_but_for_units(likelihood, a, 0.0, code_unit=unit)


@pytest.mark.parametrize("b", OFFSETS)
@pytest.mark.parametrize("likelihood", ["auto", *NORMAL])
def test_the_offset_of_a_table_changes_nothing(likelihood, b):
    rounding = 10 * np.finfo(float).eps * abs(b)
    assert_same_but_for_units(likelihood, 1.0, b, atol=max(2e-4, 10 * rounding))


@pytest.mark.parametrize("a", SCALES)
def test_the_unit_of_positive_amounts_changes_nothing(a):
    X = holed(np.exp(numbers()))
    ours, theirs = (linear("lognormal").fit(Z) for Z in (X, a * X))
    assert_allclose(theirs.transform(a * X), ours.transform(X), atol=1e-3)
    gain = n_observed(X) * np.log(a)
    assert_allclose(theirs.score_samples(a * X) + gain, ours.score_samples(X), atol=1e-3)
    assert_allclose(theirs.impute(a * X) / a, ours.impute(X), rtol=1e-3)


@pytest.mark.parametrize("a", [*SCALES, 1e-310])
def test_the_unit_of_a_complete_matrix_changes_nothing(a):
    X = numbers()
    ours, theirs = (linear().fit(Z) for Z in (X, a * X))
    assert_allclose(theirs.transform(a * X) / a, ours.transform(X), atol=1e-6)
    gain = X.shape[1] * np.log(a)
    assert_allclose(theirs.score_samples(a * X) + gain, ours.score_samples(X), atol=1e-6)
    assert_allclose(theirs.inverse_transform(theirs.transform(a * X)) / a,
                    ours.inverse_transform(ours.transform(X)), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("a", [1e-310, 1e-316])
@pytest.mark.parametrize("likelihood", ["auto", *NORMAL])
def test_denormal_numbers_keep_what_digits_they_have(likelihood, a):
    X = holed(numbers())
    theirs = linear(likelihood).fit(a * X)
    found = theirs.score_samples(a * X) + n_observed(X) * np.log(a)
    assert_allclose(found, answers_as_they_are(likelihood)[1], atol=1e-2)
    assert np.isfinite(theirs.sample(50, random_state=0)).all()


def test_every_column_of_a_frame_has_a_unit_of_its_own():
    X = numbers()
    frame = pd.DataFrame(holed(X), columns=list("abcd"))
    frame["e"] = np.where(X[:, 0] > 0, "high", "low")
    a, b = np.array([1e-150, 3.0, 1e9, 1e120]), np.array([0.0, 1.6e9, 1e14, 0.0])
    moved = frame.copy()
    moved[list("abcd")] = frame[list("abcd")] * a + b
    ours, theirs = linear().fit(frame), linear().fit(moved)
    assert_allclose(theirs.transform(moved), ours.transform(frame), atol=1e-4)
    gain = (frame[list("abcd")].notna() * np.log(a)).sum(axis=1)
    assert_allclose(theirs.score_samples(moved) + gain, ours.score_samples(frame), atol=1e-3)
    filled = (theirs.impute(moved)[list("abcd")] - b) / a
    assert_allclose(filled, ours.impute(frame)[list("abcd")], atol=1e-4)
    assert_allclose(theirs.noise_variance_[1:3] / a[1:3] ** 2, ours.noise_variance_[1:3], rtol=1e-3)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.6e9), (1e-60, 0.0), (1e40, 0.0), (2.0**60, 0.0)])
def test_training_does_not_know_the_unit(a, b):
    X = holed(numbers())
    ours, theirs = (
        quietly(linear(architecture=MLP(hidden_layer_sizes=(16,)), max_iter=6), Z)
        for Z in (X, a * X + b)
    )
    codes = ours.transform(X)
    assert_allclose(theirs.transform(a * X + b), codes, atol=5e-3 * np.abs(codes).max())
    jacobian = np.log(a) * n_observed(X)
    assert_allclose(theirs.score_samples(a * X + b) + jacobian, ours.score_samples(X), atol=2e-2)
    assert ours.kept_ == theirs.kept_


def test_curves_are_told_in_the_users_units():
    """Also where cells are missing: of the rows that each curve is of."""
    X = holed(numbers())
    X[:, 0] *= 1e6
    vae = quietly(linear(architecture=MLP(hidden_layer_sizes=(8,)), max_iter=3), X)
    linear_score = linear().fit(X).score(X)
    assert abs(vae.validation_scores_[0] - linear_score) < 3.0
    assert abs(-vae.loss_curve_[0] - linear_score) < 5.0
    assert_array_equal(vae.history_["bound"], vae.validation_scores_)


@pytest.mark.parametrize("likelihood", NORMAL)
def test_weights_and_single_precision_do_not_know_the_unit(likelihood):
    X, w = holed(numbers()), np.random.default_rng(3).uniform(0.2, 3, N)
    ours, theirs = (linear(likelihood).fit(Z, sample_weight=w) for Z in (X, 1e90 * X))
    gain = np.log(1e90) * n_observed(X)
    assert_allclose(theirs.score_samples(1e90 * X) + gain, ours.score_samples(X), atol=1e-3)
    single = X.astype(np.float32)
    ours, theirs = (linear(likelihood).fit(Z) for Z in (single, single * np.float32(2.0**90)))
    gain = np.log(2.0**90) * n_observed(X)
    found = theirs.score_samples(single * np.float32(2.0**90)) + gain
    assert_allclose(found, ours.score_samples(single), atol=1e-3)


@pytest.mark.parametrize("likelihood", NORMAL)
def test_rows_batch_by_batch_do_not_know_the_offset(likelihood):
    X = holed(numbers(300))
    models = [linear(likelihood, architecture=MLP(hidden_layer_sizes=(8,))) for _ in range(2)]
    for first in range(0, 300, 100):
        for vae, b in zip(models, (0.0, 1e8), strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                vae.partial_fit(X[first : first + 100] + b)
    ours, theirs = models
    assert_allclose(theirs.score_samples(X + 1e8), ours.score_samples(X), atol=1e-2)


def test_one_cell_far_out_leaves_the_noise_of_the_other_columns():
    X = numbers()
    far = X.copy()
    far[5, 0] = 1e9
    ours, theirs = (linear("gaussian_diag").fit(Z) for Z in (X, far))
    assert_allclose(theirs.noise_variance_[1:], ours.noise_variance_[1:], rtol=0.5)
    rounded = np.append(np.arange(300) / 8, 1e9)[:, None]
    assert_allclose(resolution(rounded), 0.125)


# Moments


@pytest.mark.parametrize("a", [1.0, 5e-324 * 2**30, 1e-300, 1e-200, 1e153])
def test_moments_neither_overflow_nor_vanish(a):
    X = np.array([[1.0, 2.0], [3.0, 2.0], [np.nan, 5.0], [5.0, 2.0]])
    mean, sd = moments(a * X)
    assert_allclose(mean / a, [3.0, 2.75], rtol=1e-7)
    assert_allclose(sd / a, [2.0, 1.5], rtol=1e-7)


@pytest.mark.parametrize("b", [1e6, 1e12, 1e15])
def test_moments_are_those_of_the_spread_at_any_offset(b):
    X = np.array([[0.0], [2.0], [4.0]])
    mean, sd = moments(X + b)
    assert mean == b + 2
    assert sd == 2


def test_what_differs_by_rounding_is_alike():
    alike = np.array([[0.1 + 0.2, 1e9], [0.3, 1e9 + 1e-7]])
    assert not varies(alike).any()
    assert not moments(alike)[1].any()
    assert_array_equal(
        resolution(np.vstack([alike, np.add(alike, [0.1, 1.0])])).round(6), [0.1, 1.0]
    )
    assert varies(np.array([[1e12], [1e12 + 1]])).all()


# Columns that never vary


def two_kinds(n=N):
    X = numbers(n)
    return pd.DataFrame(
        {
            "x": 50 + 10 * X[:, 0],
            "y": X[:, 2],
            "k": pd.Categorical(np.where(X[:, 0] > 0, "hi", "lo")),
        }
    )


@pytest.fixture(scope="module")
def of_two_kinds():
    """A model of these columns alone; not to be fitted again."""
    return linear().fit(two_kinds())


CONSTANTS = {
    "whole number": 3,
    "fraction": 0.02,
    "large": 1e12,
    "zero": 0.0,
    "true": True,
    "text": "only",
}


@pytest.mark.parametrize("name", CONSTANTS)
@pytest.mark.parametrize("place", [0, 3])
def test_a_column_that_never_varies_changes_nothing_and_comes_back(name, place, of_two_kinds):
    value, frame = CONSTANTS[name], two_kinds()
    more = frame.copy()
    more.insert(place, "c", value)
    ours, theirs = of_two_kinds, linear().fit(more)
    assert_allclose(theirs.transform(more), ours.transform(frame), atol=1e-9)
    assert_allclose(theirs.score_samples(more), ours.score_samples(frame), atol=1e-9)
    restored = theirs.inverse_transform(theirs.transform(more))
    assert restored.dtypes.equals(more.dtypes)
    for rows in (restored, theirs.sample(9, random_state=0)):
        assert (rows["c"] == value).all()
    pd.testing.assert_frame_equal(
        theirs.sample(9, random_state=0).drop(columns="c"), ours.sample(9, random_state=0)
    )
    assert theirs.loadings().shape[1] == ours.loadings().shape[1] + 1


@pytest.mark.parametrize("likelihood", ["lognormal", "student_t", "poisson", "gaussian_diag"])
def test_missing_cells_of_a_constant_column_are_the_constant(likelihood, of_two_kinds):
    frame = two_kinds().assign(c=1000.0)
    frame.loc[::5, "c"] = np.nan
    vae = linear({"c": likelihood}).fit(frame)
    assert (vae.impute(frame)["c"] == 1000.0).all()
    drawn = vae.impute(frame, n_draws=2, random_state=0)
    assert all((each["c"] == 1000.0).all() for each in drawn)
    expected = of_two_kinds.score_samples(frame.drop(columns="c"))
    assert_allclose(vae.score_samples(frame), expected, atol=1e-9)


def test_another_value_of_a_constant_column_is_as_unlikely_as_an_unseen_level():
    frame = two_kinds().assign(c=3.0, t="only")
    vae = linear().fit(frame)
    other = vae.score_samples(frame.assign(c=4.0)) - vae.score_samples(frame)
    assert_allclose(other, np.log(0.5 / (N + 1)))
    with pytest.warns(UserWarning, match="levels that fit has not seen"):
        found = vae.score_samples(frame.assign(t="new"))
    assert_allclose(found - vae.score_samples(frame), np.log(0.5 / (N + 1)))
    assert_array_equal(vae.transform(frame.assign(c=4.0)), vae.transform(frame))


def test_training_is_the_same_beside_columns_that_never_vary():
    frame = two_kinds()
    more = frame.assign(**{f"c{i}": "only" for i in range(10)}, d=7.5)
    ours, theirs = (
        quietly(linear(architecture=MLP(hidden_layer_sizes=(8,)), max_iter=2), each)
        for each in (frame, more)
    )
    assert_allclose(theirs.transform(more), ours.transform(frame), atol=1e-4)
    assert_allclose(theirs.score_samples(more), ours.score_samples(frame), atol=1e-4)


@pytest.mark.parametrize("ordered", [False, True])
def test_levels_that_are_declared_and_never_occur_change_nothing(ordered):
    frame = two_kinds()
    more = frame.assign(k=frame["k"].astype(str))
    levels = [["hi", "lo"], ["a", "hi", "m", "lo", *map(str, range(500))]]
    ours, theirs = (
        (linear().fit(each), each)
        for each in (
            more.assign(k=pd.Categorical(more["k"], categories=known, ordered=ordered))
            for known in levels
        )
    )
    assert_allclose(theirs[0].transform(theirs[1]), ours[0].transform(ours[1]), atol=1e-12)
    expected = ours[0].score_samples(ours[1])
    assert_allclose(theirs[0].score_samples(theirs[1]), expected, atol=1e-12)
    assert set(theirs[0].sample(300, random_state=0)["k"]) == {"hi", "lo"}
    unused = theirs[1].assign(k=theirs[1]["k"].where(theirs[1].index > 0, "m"))
    assert theirs[0].score_samples(unused)[0] < expected[0]
    assert theirs[0].inverse_transform(theirs[0].transform(unused))["k"].isin(["hi", "lo"]).all()


def test_a_model_does_not_grow_with_levels_that_never_occur():
    frame = two_kinds()
    sizes = []
    for n in (0, 20_000):
        known = ["hi", "lo", *map(str, range(n))]
        vae = linear().fit(frame.assign(k=pd.Categorical(frame["k"], categories=known)))
        sizes.append(len(pickle.dumps(vae._model)))
    assert abs(sizes[1] - sizes[0]) < 1000


@pytest.mark.parametrize(
    "X",
    [
        np.ones((50, 4)),
        np.where(np.arange(200).reshape(50, 4) % 7 == 3, np.nan, 1.0),
        pd.DataFrame({"a": ["x"] * 50, "b": [1] * 50, "c": [True] * 50}),
    ],
    ids=["complete", "missing", "frame"],
)
def test_rows_that_are_all_alike_are_said_to_be(X):
    vae = VAETransformer(2, random_state=0)
    with pytest.warns(UserWarning, match="no column of X varies"):
        vae.fit(X)
    assert not vae.transform(X).any()
    assert np.isfinite(vae.score_samples(X)).all()
    if isinstance(X, pd.DataFrame):
        pd.testing.assert_frame_equal(vae.sample(50), X)
    else:
        assert_allclose(vae.impute(X), 1.0)


# Amounts with zeros


def test_amounts_with_zeros_are_never_negative():
    X = np.exp(numbers())
    X[::4, 1] = X[::7, 2] = 0.0
    vae = linear("lognormal").fit(X)
    restored = vae.inverse_transform(vae.transform(X))
    assert restored.min() >= 0
    assert np.isfinite(vae.transform(restored)).all()
    assert vae.impute(holed(X)).min() >= 0
    assert vae.sample(500, random_state=0).min() >= 0
    assert vae.decode(np.full((1, 2), -50.0)).min() >= 0


# Units of columns whose cells are missing


@pytest.mark.parametrize("likelihood", ["auto", "gaussian_diag"])
def test_imputation_does_not_depend_on_units_and_beats_the_mean(likelihood):
    X = factors(400, 6, 2)
    a = np.array([1e3, 1.0, 1e-3, 1e6, 1.0, 10.0])
    hidden = holed(X)
    ours, theirs = (linear(likelihood).fit(Z).impute(Z) for Z in (hidden, a * hidden))
    assert_allclose(theirs / a, ours, atol=1e-6)
    missing = np.isnan(hidden)
    means = np.where(missing, np.nanmean(hidden, axis=0), X)
    error, of_means = (np.square(filled - X).sum(0) for filled in (theirs / a, means))
    assert (error[:-1] < 0.5 * of_means[:-1]).all()


def test_numbers_share_their_noise_where_nothing_is_missing_or_a_person_says_so():
    X = numbers()
    assert np.ndim(linear().fit(X).noise_variance_) == 0
    assert np.ndim(linear("gaussian").fit(holed(X)).noise_variance_) == 0
    assert linear().fit(holed(X)).noise_variance_.shape == (4,)
    frame = pd.DataFrame(holed(X))
    assert_allclose(linear().fit(frame).score(frame), linear().fit(holed(X)).score(holed(X)))


def test_cells_and_back():
    values = np.array([[1e12, 5.0], [1e12 + 1, np.nan], [1e12 + 2, 7.0]])
    likelihood = GaussianDiag()
    constants = likelihood.fit(values)
    cells = likelihood.standardised(constants, values)
    assert_allclose(cells, [[-1, -(0.5**0.5)], [0, np.nan], [1, 0.5**0.5]])
    assert_array_equal(likelihood.restored(constants, cells), values)


def test_batches_of_cells_change_nothing(monkeypatch):
    values = np.exp(numbers(20))
    likelihoods = [(LogNormal(), np.array([0, 2])), (GaussianDiag(), np.array([1, 3]))]
    units = Units.of(values, likelihoods, None)
    cells, gain = units.cells(values), units.log_jacobian(values)
    slices = lambda n, _: (slice(i, min(i + 7, n)) for i in range(0, n, 7))  # noqa: E731
    monkeypatch.setattr("skvae.data.units.batches", slices)
    assert_array_equal(units.cells(values), cells)
    assert_array_equal(units.log_jacobian(values), gain)
    assert_allclose(units.values(cells), values)


def test_the_scale_of_all_columns_counts_those_that_never_vary():
    """As PCA's: the root of the mean variance of all of them."""
    values = np.column_stack([numbers(), np.ones((N, 4))])
    units = Units.of(values, [(Gaussian(), np.arange(8))], None)
    assert units.scale == pytest.approx(np.sqrt(values.var(0, ddof=1).mean()))
    assert units.scale < 0.8 * np.sqrt(values[:, :4].var(0).mean())
