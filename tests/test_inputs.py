"""What fit makes of bad rows, odd rows, failing training, and a person who presses Ctrl-C."""

import re

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.utils.validation import check_is_fitted
from torch import nn

import skvae.training.loop
from skvae import MLP, DivergenceError, VAETransformer
from skvae.data import batches as batches_module
from skvae.likelihoods import LIKELIHOODS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N = 60
COLUMNS = list("abcd")


def quick(latent_dim=2, **params):
    return VAETransformer(latent_dim, **{"max_iter": 3, "random_state": 0} | params)


@pytest.fixture(name="X")
def rows():
    return np.random.default_rng(0).normal(size=(N, 4))


@pytest.fixture
def table(X):
    return pd.DataFrame(X, columns=COLUMNS)


METHODS = ("fit", "fit_transform", "partial_fit")


def assert_refused(X, match, error=ValueError, vae=None, methods=METHODS, **fit_params):
    """Methods raise and leave nothing behind."""
    for method in methods:
        estimator = quick() if vae is None else vae
        with pytest.raises(error, match=match):
            getattr(estimator, method)(X, **fit_params)
        with pytest.raises(NotFittedError):
            check_is_fitted(estimator)


def assert_fits(X, vae=None):
    """Everything that a model of X answers is finite."""
    vae = (quick() if vae is None else vae).fit(X)
    codes = vae.transform(X)
    for answer in (codes, *vae.encode(X), vae.score_samples(X)):
        assert np.isfinite(np.asarray(answer)).all()
    for rows in (vae.inverse_transform(codes), vae.sample(9), vae.impute(X)):
        rows = np.asarray(rows.toarray() if sparse.issparse(rows) else rows)
        assert not pd.isna(rows).any()
        if rows.dtype != object:
            assert np.isfinite(rows).all()
    assert np.isfinite(vae.score(X))
    assert np.isfinite(vae.explained_variance_ratio_).all()
    assert np.isfinite(vae.kl_per_dim_).all()
    assert np.isfinite([*vae.loss_curve_, *vae.validation_scores_]).all()
    assert np.isfinite(vae.pca_score_)
    of_columns = np.hstack([vae.noise_variance_, vae.scale_])  # NaN for levels
    assert np.isfinite(
        of_columns[~np.isnan(of_columns)] if np.ndim(vae.scale_) else of_columns
    ).all()
    return vae


# Infinite cells


# checklist 13
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("as_frame", [False, True])
def test_the_first_infinite_cell_is_named(X, value, as_frame):
    X[17, 2] = X[30, 0] = value
    column = "'c'" if as_frame else "2"
    match = rf"first such cell is {value} in column {column}, row 17.*drop the row"
    assert_refused(pd.DataFrame(X, columns=COLUMNS) if as_frame else X, match)


def test_an_infinite_cell_beside_other_kinds_is_named(table):
    table = table.assign(b=["x", "y"] * (N // 2))
    vae = quick().fit(table)
    table.loc[17, "c"] = np.inf
    match = "inf in column 'c', row 17; clip it or drop the row"
    assert_refused(table, match)
    with pytest.raises(ValueError, match=match):
        vae.transform(table)


def test_an_infinite_cell_beside_missing_ones_is_named(X):
    X[3, 0], X[17, 2] = np.nan, np.inf
    assert_refused(X, "inf in column 2, row 17")


METHODS = ["transform", "encode", "score", "score_samples", "impute"]


# checklist 13
@pytest.mark.parametrize("method", [*METHODS, "partial_fit"])
def test_infinite_cells_are_refused_after_fit(X, method):
    vae = quick().fit(X)
    X[5, 1] = np.inf
    with pytest.raises(ValueError, match=r"column 1, row 5"):
        getattr(vae, method)(X)


# Missing cells

NULLS = {
    "NaN": lambda X: X,
    "list": lambda X: X.tolist(),
    "None": lambda X: np.where(np.isnan(X), None, X),
    "lists of None": lambda X: np.where(np.isnan(X), None, X).tolist(),
    "frame": lambda X: pd.DataFrame(X, columns=COLUMNS),
    "frame without names": pd.DataFrame,
    "NA": lambda X: pd.DataFrame(X, columns=COLUMNS).astype("Float64"),
    "null": lambda X: pl.DataFrame(X, schema=COLUMNS).fill_nan(None),
}


@pytest.fixture
def holes(X):
    """The rows with two cells of every seventh row missing."""
    X = X.copy()
    X[::7, 1] = X[::7, 3] = np.nan
    return X


@pytest.mark.parametrize("form", NULLS)
def test_missing_cells_fit(X, holes, form):
    rows = NULLS[form](holes)
    vae = assert_fits(rows)
    np.testing.assert_allclose(vae.transform(rows), quick().fit(holes).transform(holes), atol=1e-9)
    whole = ~np.isnan(holes)
    np.testing.assert_array_equal(np.asarray(vae.impute(rows))[whole], X[whole])


@pytest.mark.parametrize("form", NULLS)
@pytest.mark.parametrize("method", METHODS)
def test_missing_cells_after_a_complete_fit(X, holes, form, method):
    vae = quick().fit(NULLS[form](X))
    answer = getattr(vae, method)(NULLS[form](holes))
    assert np.isfinite(np.asarray(answer, dtype=float)).all()
    if method in ("transform", "score_samples"):
        complete = getattr(vae, method)(NULLS[form](X))
        whole = ~np.isnan(holes).any(1)
        np.testing.assert_allclose(answer[whole], complete[whole], rtol=1e-6, atol=1e-6)


def test_missing_cells_after_a_complete_beginning_are_refused(X, holes):
    match = "the first training rows had none; start"
    with pytest.raises(ValueError, match=match):
        quick().fit(X).partial_fit(holes)
    with pytest.raises(ValueError, match=match):
        quick(warm_start=True).fit(X).fit(holes)


def test_complete_rows_after_a_beginning_with_missing_cells(X, holes):
    assert_fits(X, quick(warm_start=True).fit(holes))
    assert np.isfinite(quick().fit(holes).partial_fit(X).transform(X)).all()


@pytest.mark.parametrize("likelihood", ["auto", "student_t", {2: "categorical"}], ids=str)
def test_a_column_without_an_observed_cell_is_named(X, likelihood):
    X[:, 2] = np.nan
    assert_refused(X, "column 2 has no observed cell; drop it", vae=quick(likelihood=likelihood))


@pytest.mark.parametrize("dtype", ["float64", "Float64", object, "category", "string"])
def test_a_column_of_a_frame_without_an_observed_cell_is_named(table, dtype):
    table = table.assign(c=pd.Series([None] * N, dtype=dtype))
    assert_refused(table, "column 'c' has no observed cell; drop it")


def test_a_row_without_an_observed_cell_fits(X):
    X[17] = np.nan
    vae = assert_fits(X)
    np.testing.assert_allclose(vae.transform(X)[17], 0.0, atol=0.5)


@pytest.mark.parametrize("method", ["inverse_transform", "decode"])
def test_codes_that_are_not_finite_are_refused(X, method):
    with pytest.raises(ValueError, match="NaN"):
        getattr(quick().fit(X), method)([[0.0, np.nan]])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_a_bad_cell_of_sparse_rows_is_named(X, container, value):
    X[X < 0] = 0.0
    X[17, 2] = value
    assert_refused(container(X), f"{value} in column 2, row 17")
    vae = quick().fit(np.nan_to_num(X, posinf=1.0))
    with pytest.raises(ValueError, match="column 2, row 17"):
        vae.transform(container(X))


@pytest.mark.parametrize("likelihood", ["auto", "gaussian", {0: "gaussian"}], ids=str)
@pytest.mark.parametrize("as_frame", [False, True])
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_sparse_rows_after_a_fit_with_missing_cells_are_refused(X, holes, likelihood, as_frame):
    """Such a model has cells in units of their own, which sparse rows are not brought to."""
    if as_frame and isinstance(likelihood, dict):
        likelihood = {COLUMNS[0]: "gaussian"}
    rows = pd.DataFrame(holes, columns=COLUMNS) if as_frame else holes
    vae = quick(likelihood=likelihood, warm_start=True).fit(rows)
    before = vae.score(rows)
    for method in ("transform", "score", "score_samples", "encode", "fit", "partial_fit"):
        with pytest.raises(ValueError, match="X is sparse, and fit had rows with missing cells"):
            getattr(vae, method)(sparse.csr_array(X))
    assert vae.score(rows) == before


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli", "poisson", "negative_binomial"])
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.coo_array])
def test_entries_of_one_sparse_cell_are_summed(X, likelihood, container):
    cells = (X > 0).astype(float)
    halves = sparse.coo_array(cells)
    places = (np.tile(halves.row, 2), np.tile(halves.col, 2))
    split = container(sparse.coo_array((np.repeat(0.5, 2 * halves.nnz), places), X.shape))
    if container is sparse.csr_array:  # of which conversion leaves none
        order = np.repeat(sparse.csr_array(cells).indices, 2)
        ends = 2 * sparse.csr_array(cells).indptr
        split = sparse.csr_array((np.repeat(0.5, len(order)), order, ends), X.shape)
        assert split.nnz == 2 * halves.nnz
    entries = split.nnz
    vae = quick(likelihood=likelihood).fit(split)
    np.testing.assert_allclose(vae.score_samples(split), vae.score_samples(sparse.csr_array(cells)))
    assert split.nnz == entries  # theirs stays as it came
    if likelihood == "bernoulli":
        with pytest.raises(ValueError, match="holds 2"):
            vae.transform(split * 2.0)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_sparse_rows_for_levels_are_refused(X, table):
    table = table.assign(b=np.where(X[:, 1] > 0, "p", "q"))
    for vae, rows in (
        (quick(), table),
        (quick(likelihood="categorical"), (X > 0) * 1.0),
        (quick(likelihood={0: "categorical"}), np.c_[X[:, 0] > 0, X[:, 1:]] * 1.0),
    ):
        with pytest.raises(ValueError, match=r"sparse rows cannot have columns with levels; make"):
            vae.fit(rows).transform(sparse.csr_array(X))


def test_columns_named_by_numbers(X):
    X[17, 2] = np.inf
    assert_refused(pd.DataFrame(X), "column 2, row 17")


def test_masked_cells_are_refused(X):
    assert_refused(np.ma.masked_greater(X, 1.0), "masked.*fill")
    vae = quick().fit(X)
    for method in ("transform", "inverse_transform", "decode"):
        columns = X if method == "transform" else vae.transform(X)
        with pytest.raises(ValueError, match=r"masked.*fill"):
            getattr(vae, method)(np.ma.masked_greater(columns, 0.5))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("likelihood", ["categorical", "ordinal", {0: "ordinal"}, "gaussian"])
def test_levels_of_an_array_come_back_in_its_precision(X, likelihood, dtype):
    cells = np.rint(X).astype(dtype)
    vae = quick(likelihood=likelihood).fit(cells)
    codes = vae.transform(cells)
    for answer in (codes, vae.sample(3), vae.inverse_transform(codes), vae.decode(codes)):
        assert answer.dtype == dtype


@pytest.mark.parametrize("likelihood", ["categorical", "ordinal", {1: "categorical"}])
@pytest.mark.parametrize("n_levels", [2, 4])  # two of which are one float, or four that are three
def test_levels_that_floats_cannot_tell_apart_are_refused(X, likelihood, n_levels):
    numbers = 2**53 + np.random.default_rng(0).integers(0, n_levels, (N, 2))
    vae = quick(1, likelihood=likelihood)
    assert_refused(numbers, r"column [01] is to be levels and holds 90071992547409\d+", vae=vae)
    frame = pd.DataFrame(numbers, columns=["a", "b"])
    vae = quick(1, likelihood=dict.fromkeys("ab", "categorical")).fit(frame)
    assert set(vae.sample(200, random_state=0)["a"]) == set(frame["a"])


@pytest.mark.parametrize("dtype", [float, object, "category"])
def test_infinite_levels_are_refused(table, dtype):
    levels = pd.Series(np.where(table["a"] > 1, np.inf, 0.0)).astype(dtype)
    vae = quick(likelihood={"a": "categorical"})
    match = "contains infinity: inf in column 'a'"
    assert_refused(table.assign(a=levels), match, vae=vae)
    fitted = quick(likelihood={"a": "categorical"}).fit(table.assign(a=table["a"] > 1))
    if dtype is not float:
        with pytest.raises(ValueError, match=match):
            fitted.transform(table.assign(a=levels))


def test_rows_whose_codes_are_no_numbers_are_refused(X):
    rows = (1e-3 * np.tile(X, 3)).astype("f4")  # of which 3e38 has too many deviations for float32
    vae = quick().fit(rows)
    far = rows.copy()
    far[5] = 3e38
    with pytest.raises(ValueError, match="row 5 of X is so far out that float32 cannot hold"):
        vae.transform(far)
    assert np.isfinite(vae.transform(far.astype("f8"))).all()


@pytest.mark.parametrize("likelihood", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("refine", ["auto", "neighbours", None])
@pytest.mark.parametrize("as_frame", [False, True])
def test_counts_are_filled_with_counts(likelihood, refine, as_frame):
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(size=(300, 1)))
    counts = rng.poisson(size * [1.0, 3.0, 0.5]).astype(float)
    counts[rng.random(counts.shape) < 0.3] = np.nan
    rows = pd.DataFrame(counts, columns=list("abc")) if as_frame else counts
    vae = quick(1, likelihood=likelihood).fit(rows)
    filled = vae.impute(rows, refine=refine)
    assert np.isfinite(vae.score_samples(filled)).all()  # which refuses what is no count
    there = ~np.isnan(counts)
    np.testing.assert_array_equal(np.asarray(filled)[there], counts[there])


def test_huge_weights(X):
    huge = np.full(N, 1e308)
    assert_refused(
        X, "weights of all batches are added", methods=["partial_fit"], sample_weight=huge
    )
    np.testing.assert_array_equal(
        quick().fit(X, sample_weight=huge).transform(X), quick().fit(X).transform(X)
    )
    assert_fits(np.ma.array(X))


# checklist 17
def test_complex_numbers_are_refused(X, table):
    assert_refused(X + 1j, "Complex data not supported")
    assert_refused(table.assign(b=1j), "column 'b' .*real and its imaginary part")


def cell(X, value):
    X = X.astype(object)
    X[17, 2] = value
    return X


NOT_NUMBERS = {
    "text": ("x", "encode"),
    "date": (pd.Timestamp("2020-01-01"), "days since"),
    "numpy date": (np.datetime64("2020-01-01"), "days since"),
}
TEXT_OF_A_NUMBER = {"text of a number": ("1.5", "encode")}  # in lists it is read, as by numpy


@pytest.mark.parametrize(("value", "remedy"), (NOT_NUMBERS | TEXT_OF_A_NUMBER).values(), ids=repr)
def test_object_arrays_that_hold_more_than_numbers(X, value, remedy):
    assert_refused(cell(X, value), rf"column 2.*{remedy}")


@pytest.mark.parametrize(("value", "remedy"), NOT_NUMBERS.values(), ids=repr)
def test_lists_that_hold_more_than_numbers(X, value, remedy):
    assert_refused(cell(X, value).tolist(), rf"column 2.*{remedy}")


NOT_LEVELS = {name: case for name, case in NOT_NUMBERS.items() if name != "text"} | {
    "nested object": ([1.0], "each of its parts"),
    "complex number": (1j, "imaginary part"),
    "bytes": (b"x", "decode it"),
}


@pytest.mark.parametrize(("value", "remedy"), NOT_LEVELS.values(), ids=repr)
def test_object_columns_that_hold_more_than_levels(table, value, remedy):
    table = table.assign(c=cell(table.to_numpy(), value)[:, 2])
    assert_refused(table, rf"column 'c'.*{remedy}")


@pytest.mark.parametrize("value", ["x", "1.5", True, None], ids=repr)
def test_object_columns_are_categories(table, value):
    table = table.assign(c=cell(table.to_numpy().round(), value)[:, 2])
    vae = assert_fits(table)
    assert vae.inverse_transform(vae.transform(table))["c"].isin(table["c"].dropna()).all()


@pytest.mark.parametrize("dtype", ["U", "S"])
def test_arrays_of_text_are_refused(X, dtype):
    assert_refused(X.astype(dtype), "X has dtype .*encode")


def test_arrays_of_dates_are_refused():
    X = np.datetime64("2020-01-01") + np.arange(20).reshape(5, 4)
    assert_refused(X, "X has dtype datetime64.*days since")


DATES = [
    pd.Series(pd.date_range("2020-01-01", periods=N)),
    pd.Series(pd.date_range("2020-01-01", periods=N, tz="UTC")),
    pd.Series(pd.timedelta_range("1s", periods=N)),
]
LEVELS = [
    pd.Series(["x", "y"] * (N // 2)),
    pd.Series(["x", "y"] * (N // 2), dtype=object),
    pd.Series(["x", "y"] * (N // 2), dtype="string"),
    pd.Series(["1", "2"] * (N // 2)),
    pd.Series(["x", "y"] * (N // 2), dtype="category"),
    pd.Series([1, 2] * (N // 2), dtype="category"),
]


def dtype_of(value):
    return str(getattr(value, "dtype", value))


@pytest.mark.parametrize("values", DATES, ids=dtype_of)
def test_columns_of_dates_are_named(table, values):
    table = table.assign(b=["x", "y"] * (N // 2))
    assert_refused(table.assign(c=values), "column 'c' .*days since")
    with pytest.raises(ValueError, match=r"column 'c' .*days since"):
        quick().fit(table).transform(table.assign(c=values))


@pytest.mark.parametrize("values", [*DATES, *LEVELS[:-1]], ids=dtype_of)
def test_columns_that_held_numbers_in_fit_are_named(table, values):
    with pytest.raises(ValueError, match=r"column 'c' .*(held numbers in fit|days since)"):
        quick().fit(table).transform(table.assign(c=values))


def test_categories_of_numbers_are_numbers_where_fit_had_numbers(table):
    levels, vae = LEVELS[-1], quick().fit(table)
    expected = vae.transform(table.assign(c=levels.astype(float)))
    np.testing.assert_allclose(vae.transform(table.assign(c=levels)), expected)


@pytest.mark.parametrize("values", LEVELS, ids=dtype_of)
def test_columns_of_levels_fit(table, values):
    table = table.assign(c=values)
    vae = assert_fits(table)
    rows = vae.inverse_transform(vae.transform(table))
    assert rows["c"].dtype == table["c"].dtype
    assert rows["c"].isin(values).all()


@pytest.mark.parametrize("dtype", [pl.Date, pl.Datetime, pl.Duration])
def test_columns_of_dates_of_polars_are_named(X, dtype):
    column = pl.Series("c", range(N)).cast(dtype)
    assert_refused(pl.DataFrame(X, schema=COLUMNS).with_columns(column), "column 'c' .*days since")


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["x", "y"])], ids=str)
def test_columns_of_levels_of_polars_fit(X, dtype):
    column = pl.Series("c", ["x", "y"] * (N // 2), dtype=dtype)
    table = pl.DataFrame(X, schema=COLUMNS).with_columns(column)
    vae = assert_fits(table)
    assert vae.inverse_transform(vae.transform(table)).schema == table.schema


# Shapes


# checklist 17
@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([[1.0, 2.0], [3.0]], r"inhomogeneous|setting an array element"),
        (np.empty((0, 4)), r"0 sample"),
        (np.empty((5, 0)), r"0 feature"),
        ([], r"Expected 2D array|0 sample"),
        (np.ones(4), r"Reshape your data"),
        (np.ones((5, 4, 3)), r"dim 3"),
        (3.0, r"Expected 2D array"),
    ],
    ids=["ragged", "no rows", "no columns", "empty list", "1-D", "3-D", "0-D"],
)
def test_wrong_shapes_are_refused(rows, match):
    assert_refused(rows, match)


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_one_row_is_a_batch_but_no_table(container):
    rows = container(np.ones((1, 4)))
    assert_refused(rows, "1 sample", methods=("fit", "fit_transform"))
    with pytest.warns(UserWarning, match="no column of X varies"):
        quick().fit(np.ones((2, 4)))
    assert np.isfinite(quick().partial_fit(rows).transform(rows)).all()


def test_columns_of_one_name_are_refused(X):
    assert_refused(pd.DataFrame(X, columns=list("abba")), r"several columns named \['a', 'b'\]")


def test_no_rows_after_fit(X):
    vae = quick().fit(X)
    with pytest.raises(ValueError, match="0 sample"):
        vae.transform(X[:0])
    np.testing.assert_allclose(vae.transform(X[:1]), vae.transform(X)[:1], rtol=1e-7)


# Options


@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, 2.5, "2", [2]])
def test_latent_dim_must_be_a_whole_number(X, latent_dim):
    vae = quick(latent_dim)
    assert_refused(X, r"'latent_dim' .* int in the range \[1, inf\).*'auto'", vae=vae)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("likelihood", ["auto", "gaussian", "poisson"]),
        ("architecture", ["mlp", "linear"]),
        ("init", ["pca", "random"]),
        ("precision", ["auto", "float32", "float64", "bfloat16"]),
        ("batch_size", ["auto"]),
        ("max_iter", ["auto"]),
        ("validation_fraction", ["auto"]),
    ],
)
def test_unknown_names_are_answered_with_the_known_ones(X, name, known):
    match = "".join(f"(?=.*'{option}')" for option in known)
    assert_refused(X, match + ".*Got 'best'", vae=quick(**{name: "best"}))


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"activation": "sine"}, r"activation='sine' .*'relu'.*'silu'"),
        ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes=\(0,\)"),
        ({"hidden_layer_sizes": (8, 2.5)}, r"hidden_layer_sizes=\(8, 2.5\)"),
        ({"hidden_layer_sizes": "wide"}, r"hidden_layer_sizes='?wide"),
        ({"hidden_layer_sizes": 8}, r"hidden_layer_sizes=8"),
    ],
    ids=str,
)
def test_options_of_a_component_are_checked(X, params, match):
    assert_refused(X, match, vae=quick(architecture=MLP(**params)))


class Forgetful(nn.Linear):
    """A module with a tensor that its state does not hold."""

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.factor = torch.ones(())

    def forward(self, x):
        return self.factor * super().forward(x)


class Rebuilt(nn.Linear):
    """A module with a buffer that its state does not hold."""

    def __init__(self, n_in, n_out):
        super().__init__(n_in, n_out)
        self.register_buffer("factor", torch.ones(()), persistent=False)


def ends_in_a_sigmoid(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, n_out), nn.Sigmoid())


@pytest.mark.parametrize(
    ("architecture", "error", "match"),
    [
        (lambda n_in, n_out: "module", TypeError, "must return a torch.nn.Module"),
        (lambda n_in, n_out: nn.Linear(n_in, n_out + 1), ValueError, "shape"),
        (ends_in_a_sigmoid, ValueError, "last layer"),
        (Forgetful, ValueError, "the tensor 'factor', which is not part of its state"),
        (Rebuilt, ValueError, "the tensor 'factor', which is not part of its state"),
        (MLP, TypeError, r"MLP is a class; pass an instance, MLP\(\)"),
    ],
    ids=["no module", "width", "last layer", "tensor", "buffer", "class"],
)
def test_callables_that_return_something_else(X, architecture, error, match):
    assert_refused(X, match, error, vae=quick(architecture=architecture))


@pytest.mark.parametrize("device", ["cuda:99", "mps:99", "meta", "gpu", "tpu", ""])
def test_a_device_that_is_not_there(X, device):
    assert_refused(X, f"device='{device}'.*'auto'", vae=quick(device=device))


@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.where(np.arange(N) == 3, -1.0, 1.0), "negative"),
        (np.zeros(N), "zero"),
        (np.ones(N - 1), "sample_weight"),
        (np.ones((N, 2)), "1D|dimension"),
        (np.full(N, np.nan), "NaN"),
        (np.full(N, np.inf), "infinity"),
    ],
    ids=["negative", "zero", "length", "2-D", "NaN", "infinity"],
)
def test_weights_that_cannot_be_used(X, weight, match):
    assert_refused(X, match, sample_weight=weight)


def test_weights_that_leave_one_row(X):
    weight = np.where(np.arange(N) == 3, 1.0, 0.0)
    methods = ("fit", "fit_transform")
    assert_refused(X, "only 1 sample", methods=methods, sample_weight=weight)


# Odd rows that fit


def test_rows_whose_directions_are_alike_have_codes(X):
    """Rounding decides whether the noise is above the variance of the last unit."""
    for seed in range(6):
        rows = np.linalg.qr(np.random.default_rng(seed).normal(size=(50, 4)))[0]
        rows = rows - rows.mean(0)
        rows = rows @ np.linalg.inv(np.linalg.cholesky(rows.T @ rows)).T
        vae = quick(max_iter=0).fit(rows)
        kept = vae.inverse_transform(vae.transform(rows))
        np.testing.assert_allclose(np.square(rows - kept).sum(), 2.0, rtol=1e-4)


# checklist 18, 19
ODD = {
    "constant columns": lambda X: X * [1.0, 0.0, 1.0, 0.0] + 3.0,
    "constant column at 1e30": lambda X: np.where(np.arange(4) == 1, 1e30, X),
    "all constant": lambda X: np.full_like(X, 7.1),
    "all zero": np.zeros_like,
    "constant with a gap": lambda X: np.where(np.arange(X.size).reshape(X.shape) == 5, np.nan, 7.1),
    "all corners of a cube": lambda X: np.array([*np.ndindex(2, 2, 2)], dtype=float),
    "duplicated rows": lambda X: X[:3].repeat(20, 0),
    "1e30": lambda X: 1e30 * X,
    "1e-30": lambda X: 1e-30 * X,
    "1e30 beside 1e-30": lambda X: X * [1e30, 1e-30, 1e30, 1e-30],
    "1e30 beside 1": lambda X: X * [1e30, 1.0, 1.0, 1.0],
    "1e6 beside 1e-6": lambda X: X * [1e6, 1e-6, 1.0, 1.0],
    "1e150": lambda X: 1e150 * X,
    "1e-300": lambda X: 1e-300 * X,
    "offset of 1e12": lambda X: X + 1e12,
    "offset of 100": lambda X: X + 100.0,
    "outlier": lambda X: np.where(X == X.max(), 1e12, X),  # noqa: SIM300
    "one column": lambda X: X[:, :1],
    "two rows": lambda X: X[:2],
    "30 rows": lambda X: X[:30],
    "more columns than rows": lambda X: np.random.default_rng(0).normal(size=(40, 90)),
    "float32 1e30": lambda X: (1e30 * X).astype(np.float32),
    "float32 1e-30": lambda X: (1e-30 * X).astype(np.float32),
}


@pytest.mark.filterwarnings("ignore:latent_dim=:UserWarning")
@pytest.mark.parametrize("params", [{}, {"max_iter": 0}, {"init": "random"}], ids=str)
@pytest.mark.parametrize("name", ODD)
def test_odd_rows_fit(X, name, params):
    assert_fits(ODD[name](X), quick(**params))


@pytest.mark.filterwarnings("ignore:latent_dim=:UserWarning")
@pytest.mark.parametrize("name", ODD)
def test_odd_rows_fit_with_a_chosen_latent_dim(X, name):
    assert assert_fits(ODD[name](X), quick("auto", max_iter=0)).latent_dim_ >= 1


def test_the_size_of_numbers_changes_nothing_but_units(X):
    vae, big = quick().fit(X), quick().fit(2.0**100 * X)
    np.testing.assert_allclose(big.transform(2.0**100 * X), 2.0**100 * vae.transform(X))
    np.testing.assert_allclose(
        quick().fit(X + 2.0**30).transform(X + 2.0**30), vae.transform(X), atol=1e-5
    )


@pytest.mark.parametrize("max_iter", [0, 3])
def test_numbers_whose_squares_nearly_overflow(X, max_iter):
    X *= batches_module.LARGEST / np.abs(X).max() / 1e150
    vae = assert_fits(1e150 * X, quick(max_iter=max_iter))
    codes = vae.transform(1e150 * X)
    np.testing.assert_allclose(codes, 1e150 * quick(max_iter=max_iter).fit_transform(X), rtol=1e-3)
    assert np.isfinite(vae.score_samples(1e150 * X)).all()


@pytest.mark.parametrize("latent_dim", [2, "auto"])
@pytest.mark.parametrize("size", [1.01 * batches_module.LARGEST, 1e200, 1e300])
def test_numbers_whose_squares_overflow_are_refused(X, size, latent_dim):
    X *= size / np.abs(X).max()
    message = re.escape(f"a value of size {size:.3g}") + ".*StandardScaler"
    assert_refused(X, message, vae=quick(latent_dim))
    assert_refused(sparse.csr_array(X), message, vae=quick(latent_dim))


def test_a_constant_column_comes_back(X):
    X[:, 1] = 5.0
    vae = assert_fits(X)
    rows = vae.inverse_transform(vae.transform(X))
    np.testing.assert_allclose(rows[:, 1], 5.0, rtol=1e-6)


# checklist 18
@pytest.mark.parametrize("batch_size", [1, 7, N - 1, N, N + 1, 1000])
def test_any_batch_size_fits(X, batch_size):
    assert_fits(X, quick(batch_size=batch_size, max_iter=2))


@pytest.mark.parametrize("validation_fraction", [1e-9, 0.5, 0.999])
def test_any_share_of_held_out_rows_fits(X, validation_fraction):
    assert_fits(X, quick(validation_fraction=validation_fraction))


@pytest.mark.parametrize("n_rows", [2, 5])
def test_fewer_rows_than_codes(X, n_rows):
    with pytest.warns(UserWarning, match=f"above the rank of the data, {min(n_rows - 1, 4)}"):
        vae = assert_fits(X[:n_rows], quick(8))
    codes = vae.transform(X)
    assert codes.shape == (N, 8)
    assert not codes[:, n_rows - 1 :].any()


@pytest.mark.parametrize("max_iter", [0, 3])
def test_more_codes_than_the_rank(X, max_iter):
    X[:, 3] = X[:, 0] - X[:, 1]
    with pytest.warns(UserWarning, match="rank of the data, 3: the last 3 codes are always 0"):
        vae = assert_fits(X, quick(6, max_iter=max_iter))
    codes = vae.transform(X)
    assert not codes[:, 3:].any()
    np.testing.assert_allclose(vae.inverse_transform(codes), X, atol=1e-6)
    assert vae.n_active_ <= 3


FORMS = {
    "float16": lambda X: X.astype(np.float16),
    "float32": lambda X: X.astype(np.float32),
    "longdouble": lambda X: X.astype(np.longdouble),
    "bool": lambda X: X > 0,
    "int8": lambda X: (10 * X).astype(np.int8),
    "uint64": lambda X: (10 + X).astype(np.uint64),
    "big-endian": lambda X: X.astype(">f8"),
    "big-endian float32": lambda X: X.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "negative strides": lambda X: X[::-1, ::-1],
    "steps": lambda X: X.repeat(2, 0).repeat(2, 1)[::2, ::2],
    "broadcast": lambda X: np.broadcast_to(X[:1], X.shape),
    "list": lambda X: X.tolist(),
    "object": lambda X: X.astype(object),
    "pandas": pd.DataFrame,
    "pandas Float64": lambda X: pd.DataFrame(X).astype("Float64"),
    "pandas Int64": lambda X: pd.DataFrame((10 * X).round()).astype("Int64"),
    "pandas integers": lambda X: pd.DataFrame(X, columns=COLUMNS).assign(b=7, d=1),
    "polars": pl.DataFrame,
    "tensor": torch.tensor,
}


# checklist 20, with every warning an error
@pytest.mark.filterwarnings("ignore:latent_dim=:UserWarning")
@pytest.mark.parametrize("name", FORMS)
def test_forms_of_numbers(X, name):
    rows = FORMS[name](X)
    vae = assert_fits(rows)
    plain = np.asarray(rows).astype(np.float64)
    expected = quick().fit(plain).transform(plain)
    np.testing.assert_allclose(vae.transform(rows), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", ["bool", "boolean"])
def test_columns_of_booleans_are_no_numbers(table, dtype):
    """They come back as booleans; arrays of booleans are numbers."""
    table = (table > 0).astype(dtype)
    vae = assert_fits(table)
    rows = vae.inverse_transform(vae.transform(table))
    pd.testing.assert_series_equal(rows.dtypes, table.dtypes)
    numbers = quick().fit(table.to_numpy(bool))
    assert numbers.inverse_transform(numbers.transform(table.to_numpy(bool))).dtype == np.float64
    assert not np.allclose(vae.transform(table), numbers.transform(table.to_numpy(bool)))


def test_columns_of_many_kinds(X, table):
    table = table.assign(b=True, c=X[:, 2] > 0, d=1)
    vae = assert_fits(table)
    pd.testing.assert_series_equal(vae.sample(5).dtypes, table.dtypes)


# checklist 20
def test_read_only_rows(X):
    X.setflags(write=False)
    assert_fits(X).partial_fit(X)


# checklist 15, 16
@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_sparse_rows(X, container, index):
    dense = np.where(X > 0, X, 0.0)
    rows = container(dense)
    rows.indices, rows.indptr = rows.indices.astype(index), rows.indptr.astype(index)
    vae = assert_fits(rows)
    np.testing.assert_allclose(vae.transform(rows), vae.transform(dense), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(vae.score(rows), vae.score(dense), rtol=1e-12)
    assert rows.indices.dtype == index


# Divergence


class Broken(nn.Module):
    """A body whose output is `value` as soon as a step has changed it."""

    value = np.nan

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layer = nn.Linear(n_in, n_out)

    def forward(self, x):
        out = self.layer(x)
        return out + self.value if self.layer.weight.any() else out


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("init", ["pca", "random"])
@pytest.mark.parametrize("as_frame", [False, True])
def test_divergence_names_the_column_of_the_farthest_value(X, monkeypatch, as_frame, init, value):
    monkeypatch.setattr(Broken, "value", value)
    X[17, 2] = 50.0
    rows = pd.DataFrame(X, columns=COLUMNS) if as_frame else X
    vae = quick(architecture=Broken, init=init)
    column = "'c'" if as_frame else "2"
    with pytest.raises(DivergenceError, match=f"standard deviations.*column {column}: clip"):
        vae.fit(rows)
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)


def test_divergence_of_partial_fit(X):
    X[17, 2] = 50.0
    with pytest.raises(DivergenceError, match="column 2"):
        quick(architecture=Broken, batch_size=16).partial_fit(X)


# Ctrl-C


def raise_interrupt(*args, **kwargs):
    raise KeyboardInterrupt


@pytest.fixture
def interrupt(monkeypatch):
    """A function that lets the k-th pass from now on be interrupted."""
    one_pass = skvae.training.loop.one_pass

    def at(k):
        calls = iter(range(1, k))

        def interrupted(*args, **kwargs):
            if next(calls, None) is None:
                raise KeyboardInterrupt
            return one_pass(*args, **kwargs)

        monkeypatch.setattr(skvae.training.loop, "one_pass", interrupted)

    return at


@pytest.mark.parametrize("params", [{}, {"annealing": "randomwalk"}], ids=str)
def test_ctrl_c_before_anything_is_judged_propagates(X, interrupt, monkeypatch, params):
    """Of few rows the first look comes after many passes."""
    interrupt(3)
    monkeypatch.setattr(skvae.training.annealing.best.Best, "evaluate", raise_interrupt)
    body = MLP(hidden_layer_sizes=(4,))
    vae = VAETransformer(2, architecture=body, random_state=0, **params)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)


def test_ctrl_c_while_the_start_is_scored_leaves_no_model(X, monkeypatch):
    monkeypatch.setattr(skvae.start.ppca.ProbabilisticPCA, "score", raise_interrupt)
    vae = quick()
    with pytest.raises(KeyboardInterrupt):
        vae.fit(X)
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)


@pytest.mark.parametrize("k", [2, 3])
def test_ctrl_c_after_a_pass_keeps_the_best(curve, interrupt, k):
    interrupt(k)
    vae = VAETransformer(2, max_iter=5, batch_size=8, random_state=0)
    with pytest.warns(ConvergenceWarning, match=rf"interrupted after pass {k - 1}; the best"):
        vae.fit(curve)
    assert vae.n_iter_ == len(vae.loss_curve_) == k - 1
    assert np.isfinite(vae.transform(curve)).all()
    assert vae.score(curve) >= VAETransformer(2, max_iter=0).fit(curve).score(curve) - 0.1


def test_ctrl_c_before_a_pass_ends_propagates(curve, interrupt):
    interrupt(1)
    vae = VAETransformer(2, max_iter=5)
    with pytest.raises(KeyboardInterrupt):
        vae.fit(curve)
    with pytest.raises(NotFittedError):
        check_is_fitted(vae)


@pytest.mark.parametrize("k", [1, 3])
def test_ctrl_c_inside_a_search_propagates(curve, interrupt, k):
    vae = VAETransformer(2, max_iter=5)
    interrupt(k)
    with pytest.raises(KeyboardInterrupt):
        GridSearchCV(vae, {"latent_dim": [1, 2]}, cv=2).fit(curve)
    interrupt(k)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(vae, curve, cv=2)


def test_ctrl_c_keeps_the_best_of_what_a_search_chose(curve, interrupt):
    """The search has ended: its model is a person's own."""
    search = GridSearchCV(VAETransformer(max_iter=0), {"latent_dim": [1, 2]}, cv=2).fit(curve)
    interrupt(3)
    with pytest.warns(ConvergenceWarning, match="interrupted after pass 2; the best"):
        search.best_estimator_.set_params(max_iter=5, batch_size=8).fit(curve)


@pytest.mark.parametrize("container", ["pandas", "polars", "pyarrow", "Float32", "float[pyarrow]"])
def test_frames_in_single_precision_are_answered_in_it(container):
    X = pd.DataFrame(np.random.default_rng(0).standard_normal((60, 3)), columns=list("abc"))
    X = X.astype("float32")
    if "pyarrow" in container:
        pytest.importorskip("pyarrow")
    if container == "polars":
        X = pl.from_pandas(X)
    elif container == "pyarrow":
        X = pl.from_pandas(X).to_arrow()
    elif container != "pandas":
        X = X.astype(container)
    vae = VAETransformer(2, max_iter=0).fit(X)
    assert vae.transform(X).dtype == np.float32


def test_sparse_rows_are_not_filled():
    X = sparse.random(200, 9, density=0.3, format="csr", random_state=0)
    vae = VAETransformer(2, max_iter=0).fit(X)
    assert (vae.impute(X) != X).nnz == 0
    assert len(vae.impute(X, n_draws=3)) == 3


# How rows lie in memory


# One likelihood with gaps, the next without.
LYING = [
    pytest.param(likelihood, gap, marks=pytest.mark.slow if n and gap == n % 2 else ())
    for n, likelihood in enumerate(["auto", *LIKELIHOODS])
    for gap in (False, True)
]


@pytest.mark.parametrize(("likelihood", "gap"), LYING)
def test_rows_may_lie_in_memory_as_they_like(likelihood, gap, tmp_path):
    """Turned round, by columns, read-only and mapped: the same model, and no warning of torch."""
    X = (np.random.default_rng(0).uniform(size=(N, 4)) > 0.5) * 1.0
    X[0, 0] = np.nan if gap else X[0, 0]
    joblib.dump(X[::-1].copy(order="F"), tmp_path / "rows")
    fixed = X[::-1].copy()
    fixed.setflags(write=False)
    torch.set_warn_always(True)
    try:
        vae = quick(1, likelihood=likelihood, max_iter=0).fit(X[::-1].copy())
        codes = vae.transform(X)
        for rows in (X[::-1], fixed, joblib.load(tmp_path / "rows", mmap_mode="r")):
            other = quick(1, likelihood=likelihood, max_iter=0).fit(rows)
            np.testing.assert_allclose(other.transform(rows)[::-1], codes, atol=1e-8)
            np.testing.assert_array_equal(
                other.impute(rows)[~np.isnan(rows)], rows[~np.isnan(rows)]
            )
        assert np.isfinite(vae.inverse_transform(codes[::-1])).all()
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("kind", ["numbers", "gaps", "table"])
def test_a_model_mapped_into_memory_answers_without_a_warning_of_torch(X, kind, tmp_path):
    holes = np.where(np.eye(N, 4) == 1, np.nan, X)
    tables = {"numbers": X, "gaps": holes}
    tables["table"] = pd.DataFrame(holes, columns=COLUMNS).assign(k=["x", "y"] * (N // 2))
    rows = tables[kind]
    joblib.dump(quick(max_iter=1, warm_start=True).fit(rows), tmp_path / "model")
    vae = joblib.load(tmp_path / "model", mmap_mode="r")
    torch.set_warn_always(True)
    try:
        for each in (rows, holes) if kind == "numbers" else (rows,):
            for method in ("transform", "score", "impute"):
                getattr(vae, method)(each)
            vae.impute(each, n_draws=1)
        vae.sample(3, 0)
        vae.inverse_transform(np.zeros((2, 2)))
        vae.fit(rows)
    finally:
        torch.set_warn_always(False)


@pytest.mark.parametrize("make", [list, tuple, np.asarray, pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("method", ["inverse_transform", "decode"])
def test_codes_come_in_any_container(table, make, method):
    vae = quick(max_iter=0).fit(table.assign(b=["x", "y"] * (N // 2)))
    codes = [[0.0, 0.5], [1.0, -1.0]]
    given = make(codes, schema=["u", "v"], orient="row") if make is pl.DataFrame else make(codes)
    rows = getattr(vae, method)(given)
    assert isinstance(rows, pd.DataFrame)
    pd.testing.assert_frame_equal(rows, getattr(vae, method)(np.asarray(codes)))
