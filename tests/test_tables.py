"""The estimator on tables: what goes in comes back, and every answer is the right kind of thing."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skvae import MLP, Bernoulli, VAETransformer
from tests.samples import gaussian

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

N = 200
CITIES = ["Oslo", "Rome", "Bern", "Bonn"]
GRADES = ["low", "mid", "high"]


def vae_of(latent_dim=2, **params):
    quick = {"max_iter": 0, "architecture": MLP(hidden_layer_sizes=(32,)), "random_state": 0}
    return VAETransformer(latent_dim, **quick | params)


def test_sorted_tables_have_the_codes_of_shuffled_ones():
    rows = np.random.default_rng(0).standard_normal((4000, 3)) * [3.0, 1.0, 0.5]
    rows[0, 2] = np.nan
    rows = rows[np.argsort(rows[:, 0])]
    vae = vae_of(whiten=True).fit(rows)
    assert_allclose(vae.transform(rows).std(0), 1, atol=0.1)
    assert_allclose(vae.pca_score_, vae.score(rows), atol=0.05)


def test_one_row_hardly_moves_the_codes_of_a_linear_start():
    table = people()
    vae = vae_of(whiten=True).partial_fit(table)
    codes = vae.transform(table)
    vae.partial_fit(table[:1])
    assert vae.kept_ == 0
    assert_allclose(vae.transform(table), codes, atol=0.03)


def test_rows_that_all_miss_a_cell_have_codes():
    rows = np.random.default_rng(0).standard_normal((60, 4))
    vae = vae_of().fit(rows)
    rows[:, 1] = np.nan
    codes = vae.transform(rows)
    assert_allclose(vae.transform(rows[:1]), codes[:1])
    assert np.isfinite(codes).all()
    assert all(np.isfinite(part).all() for part in vae.encode(rows))


@pytest.mark.parametrize("names", [["city", "member"], ["member", "city"]])
def test_loadings_of_columns_of_unequal_levels(names):
    table = people()[["income", *names]].astype({"member": str})
    found = vae_of().fit(table).loadings()
    assert found.shape == (2, 1 + len(CITIES) + 2)
    assert np.isfinite(found).all(axis=None)


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
def test_large_counts_keep_their_size(likelihood):
    mean = np.array([3e7, 1e7, 20.0])
    counts = np.random.default_rng(0).poisson(mean, (200, 3)).astype(float)
    vae = vae_of(1, likelihood=likelihood).fit(counts)
    assert_allclose(vae.inverse_transform(vae.transform(counts)).mean(0), mean, rtol=0.1)


def test_zeros_that_sparse_rows_hold_are_zeros():
    rows = sparse.csr_array((np.random.default_rng(0).random((60, 8)) < 0.3).astype(float))
    rows.data[:5] = 0
    vae = vae_of(likelihood="bernoulli").fit(rows)
    assert np.isfinite(vae.score(rows))


def test_sparse_rows_hold_no_probabilities():
    rows = sparse.csr_array(sparse.random(60, 8, density=0.3, random_state=0))
    with pytest.raises(ValueError, match="sparse rows cannot hold probabilities"):
        vae_of(likelihood=Bernoulli(stochastic=True)).fit(rows)


def people(n=N, seed=0):
    """Columns of every kind that follow two numbers per row."""
    rng = np.random.default_rng(seed)
    one, other = rng.standard_normal((2, n))

    def noisy(x):
        return x + 0.3 * rng.standard_normal(n)

    city = np.array(CITIES)[np.digitize(noisy(other), [-1, 0, 1])]
    return pd.DataFrame(
        {
            "income": 1e4 * np.exp(noisy(one)),
            "age": np.round(40 + 10 * noisy(other)).astype("int64"),
            "small": noisy(one).astype("float32"),
            "visits": rng.poisson(np.exp(one)).astype("int16"),
            "member": noisy(one) > 0,
            "city": city,
            "grade": pd.Categorical.from_codes(np.digitize(noisy(one), [-0.7, 0.7]), GRADES, True),
            "kind": pd.Categorical(np.where(noisy(other) > 0, "b", "a"), ["b", "a", "never"]),
            "size": pd.array(rng.integers(1, 4, n), dtype="Int64"),
        },
        index=pd.Index([f"row {i}" for i in range(n)], name="who"),
    )


def in_polars(frame):
    casts = {"city": pl.String, "grade": pl.Enum(GRADES), "kind": pl.Enum(["b", "a", "never"])}
    texts = frame.assign(grade=frame["grade"].astype(str), kind=frame["kind"].astype(str))
    cells = {
        name: [None if pd.isna(cell) or cell == "nan" else cell for cell in texts[name]]
        for name in texts
    }
    types = {"small": pl.Float32, "visits": pl.Int16, "member": pl.Boolean, "size": pl.Int64}
    return pl.DataFrame(cells, schema_overrides=casts | types)


def with_gaps(frame, share=0.2, seed=1):
    """The same rows with missing cells, in dtypes that can hold them."""
    frame = frame.astype({"age": "Int64", "visits": "Int16", "member": "boolean"})
    missing = np.random.default_rng(seed).uniform(size=frame.shape) < share
    missing[:3] = False
    return frame.mask(missing)


LIKELIHOOD = {"income": "lognormal", "visits": "poisson", "size": "categorical"}
PARAMS = {
    "linear": {"max_iter": 0, "likelihood": LIKELIHOOD},
    "trained": {"max_iter": 4, "batch_size": 32, "likelihood": LIKELIHOOD},
}


@pytest.fixture(scope="module", params=PARAMS)
def params(request):
    return PARAMS[request.param]


@pytest.fixture(scope="module", params=["pandas", "polars"])
def container(request):
    return request.param


def made(frame, container):
    return frame if container == "pandas" else in_polars(frame)


@pytest.fixture(scope="module")
def fitted(params, container):
    """Rows, and a model of them; not to be fitted again."""
    X = made(people(), container)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return X, vae_of(**params).fit(X)


def assert_like(found, X):
    """The library, the columns with their order and their dtypes."""
    assert type(found) is type(X)
    assert list(found.columns) == list(X.columns)
    assert list(found.dtypes) == list(X.dtypes)


# The way back


def test_codes_come_back_as_rows(fitted):
    X, vae = fitted
    codes = vae.transform(X)
    assert codes.shape == (N, 2)
    assert codes.dtype == np.float64
    back = vae.inverse_transform(codes)
    assert_like(back, X)
    assert len(back) == N
    for name in ("city", "kind", "member"):
        assert (np.array(back[name]) == np.array(X[name])).mean() > 0.5
    assert np.corrcoef(np.array(back["age"]), np.array(X["age"]))[0, 1] > 0.5


def test_draws_come_back_as_rows(fitted):
    X, vae = fitted
    drawn = vae.sample(500, random_state=0)
    assert_like(drawn, X)
    assert set(drawn["city"]) <= set(CITIES)
    assert set(drawn["kind"]) <= {"a", "b", "never"}
    assert set(drawn["size"]) <= {1, 2, 3}
    assert min(drawn["income"]) > 0
    assert min(drawn["visits"]) >= 0
    assert_like(vae.decode(np.zeros((1, 2))), X)
    assert_allclose(np.mean(list(drawn["member"])), np.mean(list(X["member"])), atol=0.12)
    assert_allclose(np.mean(list(drawn["age"])), np.mean(list(X["age"])), atol=3)


@pytest.mark.parametrize("which", ["pandas", "polars"])
def test_set_output_asks_for_a_container(fitted, which):
    X, vae = fitted
    vae = pickle.loads(pickle.dumps(vae)).set_output(transform=which)
    library = pd if which == "pandas" else pl
    codes = vae.transform(X)
    assert isinstance(codes, library.DataFrame)
    for rows in (vae.inverse_transform(codes), vae.sample(3, 0)):
        assert isinstance(rows, library.DataFrame)
        assert list(rows.columns) == list(X.columns)


def test_the_index_of_pandas_comes_back():
    X = people()
    vae = vae_of().fit(X).set_output(transform="pandas")
    codes = vae.transform(X)
    pd.testing.assert_index_equal(codes.index, X.index)
    pd.testing.assert_index_equal(vae.inverse_transform(codes).index, X.index)
    holed = with_gaps(people())
    pd.testing.assert_index_equal(vae_of().fit(holed).impute(holed).index, X.index)


def test_numbers_come_back_as_an_array_unless_a_frame_is_asked_for():
    X = pd.DataFrame(gaussian(60, 4), columns=list("abcd"))
    vae = vae_of().fit(X)
    codes = vae.transform(X)
    assert isinstance(vae.inverse_transform(codes), np.ndarray)
    assert isinstance(vae.sample(3, 0), np.ndarray)
    vae.set_output(transform="pandas")
    for rows in (vae.inverse_transform(codes), vae.sample(3, 0)):
        assert list(rows.columns) == list("abcd")
    holed = X.mask(np.eye(60, 4) == 1)
    assert isinstance(vae.impute(holed), pd.DataFrame)
    assert isinstance(vae_of().fit(X.to_numpy()).impute(holed.to_numpy()), np.ndarray)


@pytest.mark.parametrize("container", ["pandas", "polars"])
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("max_iter", [0, 3])
def test_a_frame_of_numbers_is_its_array_to_the_last_bit(container, holes, max_iter):
    X = gaussian(80, 4)
    if holes:
        X[np.random.RandomState(1).uniform(size=X.shape) < 0.2] = np.nan
    frame = (pd if container == "pandas" else pl).DataFrame(
        X.copy(order="F"), list("abcd")[:0] or None
    )
    frame.columns = list("abcd")
    ours, theirs = (vae_of(max_iter=max_iter).fit(each) for each in (frame, X))
    assert_array_equal(ours.transform(frame), theirs.transform(X))
    assert_array_equal(ours.score_samples(frame), theirs.score_samples(X))
    assert_array_equal(ours.sample(20, 0), theirs.sample(20, 0))
    assert_array_equal(ours.impute(frame), theirs.impute(X))
    assert (ours.kept_, ours.pca_score_) == (theirs.kept_, theirs.pca_score_)


# Missing cells


@pytest.mark.parametrize("seen", [False, True], ids=["missing after fit only", "missing in fit"])
def test_missing_cells_are_taken_by_every_method(params, container, seen):
    whole = with_gaps(people(), share=0.0)
    holed = made(with_gaps(people()), container)
    vae = vae_of(**params).fit(holed if seen else made(whole, container))
    for answer in (vae.transform(holed), *vae.encode(holed), vae.score_samples(holed)):
        assert np.isfinite(answer).all()
    filled = vae.impute(holed)
    assert_like(filled, holed)
    for name in holed.columns:
        ours, theirs = list(filled[name]), list(holed[name])
        assert not any(pd.isna(cell) for cell in ours)
        assert all(a == b for a, b in zip(ours, theirs, strict=True) if not pd.isna(b))


def test_multiple_imputations_are_a_list_of_tables(container):
    holed = made(with_gaps(people()), container)
    vae = vae_of(likelihood=LIKELIHOOD).fit(holed)
    drawn = vae.impute(holed, n_draws=3, random_state=0)
    again = vae.impute(holed, n_draws=3, random_state=0)
    assert isinstance(drawn, list)
    assert len(drawn) == 3
    for ours, theirs in zip(drawn, again, strict=True):
        assert_like(ours, holed)
        assert ours.equals(theirs)
    assert not drawn[0].equals(drawn[1])


def test_imputed_rows_have_the_dtypes_that_went_in():
    X, holed = people(), with_gaps(people())
    for filled in (vae_of().fit(X).impute(holed), *vae_of().fit(X).impute(holed, n_draws=2)):
        assert_like(filled, holed)


def test_frames_that_cannot_be_written_to_are_only_read():
    X = pd.DataFrame(gaussian(60, 3), columns=list("abc")).mask(np.eye(60, 3) == 1)
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            vae_of().fit(X).transform(X)
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("n_draws", [0, -1, 1.5, "two"])
def test_a_number_of_draws_that_is_none_is_refused(n_draws):
    X = gaussian(60, 3)
    with pytest.raises(ValueError, match="n_draws"):
        vae_of().fit(X).impute(X, n_draws=n_draws)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_are_imputed_in_their_dtype(dtype):
    X = gaussian(80, 4).astype(dtype)
    holed = X.copy()
    holed[::3, 1] = np.nan
    filled = vae_of().fit(X).impute(holed)
    assert filled.dtype == dtype
    assert_array_equal(filled[~np.isnan(holed)], holed[~np.isnan(holed)])
    assert (
        np.square(filled - X).sum() < np.square(np.nan_to_num(holed, nan=X[:, 1].mean()) - X).sum()
    )


def test_a_column_never_observed_is_named():
    X = people().assign(city=None)
    with pytest.raises(ValueError, match="column 'city' has no observed cell"):
        vae_of().fit(X)


def test_a_row_without_cells_has_the_prior():
    X = with_gaps(people())
    vae = vae_of().fit(X)
    X.iloc[:2] = pd.NA
    assert_allclose(vae.transform(X)[:2], 0, atol=1e-12)
    assert_allclose(vae.score_samples(X)[:2], 0, atol=1e-12)


def test_a_posterior_is_wider_where_less_was_observed():
    X = gaussian(80, 4)
    holed = X.copy()
    holed[0, 0] = np.nan
    vae = vae_of().fit(X)
    ours, theirs = vae.encode(X)[1], vae.encode(holed)[1]
    assert_allclose(ours[1:], theirs[1:])
    assert (theirs[0] >= ours[0]).all()
    assert (theirs[0] < 1).all()


def test_scores_of_wide_rows_do_not_know_of_gaps_beside_them():
    X = gaussian(20, 30)
    vae = vae_of().fit(X)
    holed = X.copy()
    holed[0, 0] = np.nan
    assert_allclose(vae.score_samples(holed)[1:], vae.score_samples(X)[1:])


# Levels


def test_unseen_levels_are_counted_in_one_warning(fitted, container):
    _, vae = fitted
    X = people(20).assign(city=["Oslo"] * 15 + ["Paris"] * 3 + ["Lyon"] * 2)
    X = made(X, container)
    for method in ("transform", "score_samples", "impute", "encode", "score"):
        with pytest.warns(UserWarning, match="5 in column 'city'") as record:
            answer = getattr(vae, method)(X)
        assert len(record) == 1
        if method == "impute":
            assert_like(answer, X)
            assert list(answer["city"]) == list(X["city"])


def test_impute_keeps_unseen_levels_and_fills_the_rest(fitted, container):
    _, vae = fitted
    frame = with_gaps(people(20))
    frame["city"] = ["Oslo", None, "Paris", "Lyon"] * 5
    X = made(frame, container)
    with pytest.warns(UserWarning, match="10 in column 'city'"):
        filled, drawn = vae.impute(X), None
    with pytest.warns(UserWarning, match="10 in column 'city'"):
        drawn = vae.impute(X, n_draws=2, random_state=0)
    for each in (filled, *drawn):
        cities = list(each["city"])
        assert cities[0::4] == ["Oslo"] * 5
        assert cities[2::4] == ["Paris"] * 5
        assert cities[3::4] == ["Lyon"] * 5
        assert set(cities[1::4]) <= set(CITIES)


def test_rows_of_nothing_but_unseen_levels_have_codes(fitted, container):
    _, vae = fitted
    X = made(people(5).assign(city="Paris"), container)
    with pytest.warns(UserWarning, match="5 in column 'city'"):
        codes = vae.transform(X)
    with pytest.warns(UserWarning, match="5 in column 'city'"):
        assert np.isfinite(vae.score_samples(X)).all()
    assert np.isfinite(codes).all()
    texts = pd.DataFrame({"a": ["x", "y"] * 30, "b": ["u", "u", "v"] * 20})
    vae = vae_of(1).fit(texts)
    with pytest.warns(UserWarning, match="2 in column 'a', 2 in column 'b'"):
        assert_allclose(
            vae.transform(pd.DataFrame({"a": ["?", "!"], "b": ["?", "?"]})), 0, atol=1e-12
        )


# Conditional draws


def test_given_values_are_in_every_draw(fitted, container):
    X, vae = fitted
    given = {"city": "Rome", "member": True, "age": 45}
    drawn = vae.sample(20, 0, given=given)
    assert_like(drawn, X)
    assert len(drawn) == 20
    for name, value in given.items():
        assert set(drawn[name]) == {value}
    assert len(set(drawn["income"])) == 20


def test_given_values_of_arrays_go_by_position():
    X = gaussian(300, 3)
    vae = vae_of(1).fit(X)
    value = X[:, 0].mean() + X[:, 0].std()
    drawn = vae.sample(200, 0, given={0: value})
    assert (drawn[:, 0] == value).all()
    slope = np.cov(X.T)[0] / X[:, 0].var()
    for j in (1, 2):
        side = np.sign(slope[j])
        if abs(slope[j]) > 0.5:
            assert side * (drawn[:, j].mean() - X[:, j].mean()) > 0


GIVEN_WRONG = [({"town": "Rome"}, "'town'"), ({"city": "Paris"}, "no support.*Oslo")]


@pytest.mark.parametrize(("given", "message"), GIVEN_WRONG)
def test_a_condition_that_cannot_be_is_refused(fitted, given, message):
    with pytest.raises(ValueError, match=message):
        fitted[1].sample(3, 0, given=given)


# Sizes


@pytest.mark.parametrize("n", [10, 20_000])
def test_few_rows_and_many_behave_alike(n):
    X = with_gaps(people(n))
    vae = vae_of(max_iter=0 if n > 1000 else 2, likelihood=LIKELIHOOD).fit(X)
    codes = vae.transform(X[:50])
    assert codes.shape == (min(n, 50), 2)
    assert np.isfinite(codes).all()
    assert np.isfinite(vae.score(X[:50]))
    for rows in (vae.inverse_transform(codes), vae.sample(5, 0), vae.impute(X[:50])):
        assert_like(rows, X)
        assert not rows.isna().any(axis=None)
    assert np.isfinite(vae.explained_variance_ratio_).all()


# What an estimator does


def test_partial_fit_takes_tables():
    X = people(300)
    vae = vae_of(max_iter=3, likelihood=LIKELIHOOD)
    for first in (0, 100, 200):
        vae.partial_fit(X[first : first + 100])
    assert vae.n_samples_ == 300
    assert np.isfinite(vae.transform(X)).all()
    assert_like(vae.sample(4, 0), X)
    vae.partial_fit(X[:50].assign(city="Paris"))
    assert "Paris" in vae._columns.schema.columns[list(X).index("city")].levels
    assert (vae.sample(400, 0)["city"] == "Paris").any()
    assert np.isfinite(vae.score(X))


@pytest.mark.parametrize("cuts", [[2, 3, 40], [100, 200]], ids=str)
@pytest.mark.parametrize("by", [None, "age"])
def test_the_start_of_a_table_follows_the_stream(by, cuts):
    """It ends nearly as likely as that of all rows, whatever comes first, and with its scales."""
    X = people(300)
    X = X if by is None else X.sort_values(by)
    # Two rows say nothing of the distributions of numbers: which likelihood they have is told.
    chosen = dict.fromkeys(X.select_dtypes("number"), "empirical")
    vae = vae_of(max_iter=0, likelihood=chosen)
    for part in np.split(np.arange(300), cuts):
        vae.partial_fit(X.iloc[part])
    whole = vae_of(max_iter=0, likelihood=chosen).fit(X)
    assert vae.score(X) > whole.score(X) - 0.02 * X.shape[1]
    np.testing.assert_allclose(vae.scale_, whole.scale_, rtol=0.2)


def test_a_grid_search_chooses_the_number_of_codes():
    search = GridSearchCV(vae_of(), {"latent_dim": [1, 2, 3]}, cv=3).fit(people())
    assert search.best_params_["latent_dim"] in (2, 3)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_grid_search_chooses_the_likelihood():
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        rng.standard_normal((300, 2)) @ rng.standard_normal((2, 4)), columns=list("abcd")
    )
    X["a"] = np.exp(2 * X["a"] + 0.3 * rng.standard_normal(300))
    X += 1e-3 + 0.3 * np.abs(rng.standard_normal(X.shape)) * [0, 1, 1, 1]
    grid = {"likelihood": ["gaussian_diag", {"a": "student_t"}, {"a": "lognormal"}]}
    search = GridSearchCV(vae_of(), grid, cv=3).fit(X)
    assert search.best_params_["likelihood"] == {"a": "lognormal"}


def test_a_pipeline_predicts_from_codes():
    X = people(400)
    y = X.pop("member")
    model = make_pipeline(vae_of(), LogisticRegression()).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > 0.7


def test_weights_of_zero_leave_rows_out_and_heavy_rows_decide():
    X = people()
    some = np.arange(N) % 2 == 0
    ours = vae_of().fit(X, sample_weight=some * 1.0)
    theirs = vae_of().fit(X[some])
    assert_allclose(ours.transform(X), theirs.transform(X))
    weight = np.where(some, 5.0, 0.1)
    heavy, light = (
        vae_of().fit(X, sample_weight=weight),
        vae_of().fit(X, sample_weight=weight[::-1]),
    )
    assert heavy.score(X[some]) > light.score(X[some])


def test_a_clone_and_a_pickle_are_the_same_model(fitted):
    X, vae = fitted
    again = pickle.loads(pickle.dumps(vae))
    assert_array_equal(again.transform(X), vae.transform(X))
    assert_array_equal(again.score_samples(X), vae.score_samples(X))
    assert again.sample(10, 0).equals(vae.sample(10, 0))
    fresh = clone(vae)
    assert not hasattr(fresh, "latent_dim_")
    assert repr(fresh.get_params()) == repr(vae.get_params())


def test_a_fit_is_repeatable():
    X = with_gaps(people())
    ours, theirs = (vae_of(max_iter=3, likelihood=LIKELIHOOD).fit(X) for _ in range(2))
    assert_array_equal(ours.transform(X), theirs.transform(X))
    assert ours.score(X) == theirs.score(X)


def test_the_chosen_number_of_codes_does_not_depend_on_the_origin():
    rng = np.random.RandomState(0)
    X = 3 * rng.standard_normal((400, 3)) @ rng.standard_normal((3, 8))
    X += rng.standard_normal((400, 8))
    X[rng.uniform(size=X.shape) < 0.15] = np.nan
    chosen = {vae_of("auto").fit(X + shift).latent_dim_ for shift in (0, 10, 1000)}
    assert len(chosen) == 1
    assert chosen <= {3, 4, 5, 6}  # cells at their mean are noise beside the three factors


def test_codes_can_have_unit_variance(fitted):
    X, vae = fitted
    whitened = clone(vae).set_params(whiten=True, max_iter=0).fit(X).transform(X)
    assert_allclose(whitened.std(0, ddof=1), 1, rtol=0.01)


def test_a_column_observed_only_in_rows_of_weight_zero_is_named():
    X = pd.DataFrame(gaussian(60, 3), columns=list("abc"))
    X.iloc[:30, 1] = np.nan
    with pytest.raises(ValueError, match="column 'b' has no observed cell"):
        vae_of().fit(X, sample_weight=np.arange(60) < 30)


def test_names_and_order_have_to_be_those_of_fit(fitted):
    X, vae = fitted
    with pytest.raises(ValueError, match="feature names"):
        vae.transform(X[list(X.columns)[::-1]])


# Units


def balanced(n=300):
    frame = people(n)[["age", "small", "member", "city", "grade"]]
    return frame.astype({"age": float, "small": float})


@pytest.mark.parametrize("has_masses", [False, True])
@pytest.mark.parametrize("max_iter", [0, 3])
def test_a_unit_changes_neither_codes_nor_likelihood(max_iter, has_masses):
    """A density is one per unit; a point of mass has its probability in any."""
    X, likelihood = balanced(), {"age": "empirical"} if has_masses else "auto"
    scaled = X.assign(age=1e6 * X["age"])
    ours, theirs = (
        vae_of(max_iter=max_iter, likelihood=likelihood).fit(each) for each in (X, scaled)
    )
    codes = ours.transform(X)
    assert_allclose(theirs.transform(scaled), codes, atol=1e-4 * np.abs(codes).max())
    expected = ours.score_samples(X) - (0.0 if has_masses else np.log(1e6))
    assert_allclose(theirs.score_samples(scaled), expected, atol=1e-3)
    assert ours.kept_ == theirs.kept_


# Sparse counts


SPARSE = [
    ("poisson", 8, 1e-6),
    ("poisson", 25, 1e-6),
    ("negative_binomial", 8, 1e-3),  # training amplifies what rounding differs by
    ("negative_binomial", 25, 1e-2),
    ("bernoulli", 8, 1e-6),
    ("gaussian", 8, 1e-6),
]


@pytest.mark.parametrize("max_iter", [0, 3])
@pytest.mark.parametrize(("likelihood", "d", "tolerance"), SPARSE)
def test_sparse_counts_are_their_dense_ones(likelihood, d, tolerance, max_iter):
    rng = np.random.RandomState(0)
    z = rng.standard_normal((150, 2))
    X = rng.poisson(0.5 * np.exp(0.6 * z @ rng.standard_normal((2, d)))) * 1.0
    X = np.minimum(X, 1.0) if likelihood == "bernoulli" else X
    rows = sparse.csr_array(X)
    params = {"likelihood": likelihood, "max_iter": max_iter}
    ours, theirs = (vae_of(**params).fit(each) for each in (rows, X))
    assert_allclose(ours.transform(X), ours.transform(rows))

    def assert_same(found, expected):
        assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())

    assert_same(ours.transform(rows), theirs.transform(X))
    assert_same(ours.score_samples(rows), theirs.score_samples(X))
    codes = theirs.transform(X)
    assert_same(ours.inverse_transform(codes), theirs.inverse_transform(codes))


def test_sparse_rows_miss_nothing():
    X = sparse.csr_array(np.eye(40, 5))
    assert (vae_of(likelihood="poisson").fit(X).impute(X) != X).nnz == 0


# Nothing to be gained


def independent(n=500, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a": rng.standard_normal(n),
            "b": 50 + 9 * rng.standard_normal(n),
            "c": rng.uniform(size=n) < 0.3,
            "d": rng.choice(["x", "y", "z"], n),
            "e": rng.standard_normal(n),
        }
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_training_never_costs_where_nothing_is_to_be_gained(seed):
    X, new = independent(seed=seed), independent(2000, seed=seed + 10)
    linear = vae_of(max_iter=0).fit(X)
    vae = vae_of(max_iter=15, batch_size=64).fit(X)
    assert vae.score(new) >= linear.score(new) - 0.02
    assert vae.kept_ == 0 or vae.score(X) >= vae.pca_score_ - 0.02


@pytest.mark.parametrize("likelihood", ["gaussian_diag", "student_t"])
def test_a_constant_column_gains_nothing(likelihood):
    X = independent().drop(columns=["c", "d"]).assign(constant=3.0)
    vae = vae_of(max_iter=30, batch_size=64, likelihood=likelihood).fit(X)
    assert vae.score(X) < vae.pca_score_ + 0.02  # of a constant's precision it could be any
    assert vae.pca_score_ < 20


@pytest.mark.parametrize("max_iter", [0, 3])
def test_constant_columns_of_every_kind(max_iter):
    X = people().assign(text="x", flag=True, count=0, number=1.5)
    vae = vae_of(max_iter=max_iter, likelihood={"count": "poisson"}).fit(X)
    assert np.isfinite(vae.transform(X)).all()
    for rows in (vae.sample(20, 0), vae.inverse_transform(vae.transform(X))):
        assert_like(rows, X)
        assert set(rows["text"]) == {"x"}
        assert set(rows["flag"]) == {True}
        assert set(rows["count"]) == {0}
    X.loc[X.index[0], "text"] = None
    assert vae.impute(X)["text"].iloc[0] == "x"


def test_training_is_kept_where_something_is_to_be_gained():
    rng = np.random.default_rng(0)
    t = rng.uniform(-2, 2, 600)
    X = pd.DataFrame(
        {
            "t": t + 0.05 * rng.standard_normal(600),
            "square": t**2 + 0.05 * rng.standard_normal(600),
            "sine": np.sin(3 * t) + 0.05 * rng.standard_normal(600),
            "where": np.where(np.abs(t) < 1, "in", "out"),
        }
    )
    vae = vae_of(1, max_iter=80, batch_size=32).fit(X)
    assert vae.kept_ > 0
    assert vae.score(X) > vae.pca_score_ + 0.05


@pytest.mark.parametrize("max_iter", [0, 15])
def test_complete_rows_do_not_know_of_holes_beside_them(max_iter):
    X = people()
    vae = vae_of(2, max_iter=max_iter).fit(X)
    holed = X.copy()
    holed.iloc[-1, 0] = None
    for method in ("transform", "score_samples"):
        ours, beside = (getattr(vae, method)(rows)[:-1] for rows in (X, holed))
        np.testing.assert_allclose(ours, beside, rtol=1e-9, atol=1e-9)


def test_an_unseen_interval_is_an_unseen_level():
    x = np.random.default_rng(0).standard_normal((300, 2))
    X = pd.DataFrame({"a": x[:, 0], "b": pd.cut(x[:, 1], 3)})
    vae = vae_of(1, max_iter=0).fit(X)
    with pytest.warns(UserWarning, match="'b'"):
        codes = vae.transform(X.assign(b=pd.cut(x[:, 1], 4)))
    assert np.isfinite(codes).all()
