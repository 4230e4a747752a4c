"""What is refused, in words that stay short whatever a cell or a name holds."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from skvae import MLP, VAETransformer

N = 30
LONGEST = 700  # characters of a message; scikit-learn's own about missing values has as many
LONG = "x" * 10**6


def quick(latent_dim=1, **params):
    body = MLP(hidden_layer_sizes=(4,))
    return VAETransformer(latent_dim, max_iter=0, architecture=body, random_state=0, **params)


def numbers(*first):
    """Rows of objects, of which the first cell is odd."""
    X = np.random.default_rng(0).normal(size=(N, 2)).astype(object)
    X[: len(first), 0] = first
    return X


CELLS = {
    "integer beyond floats": (10**400, "column 0 has the number 1000.*divide the column"),
    "integer that is not written": (10**6000, "column 0 has the number an integer of .* bits"),
    "fraction beyond floats": (Fraction(10**400, 3), "column 0 has the number"),
    "signaling NaN": (Decimal("sNaN"), r"column 0 has the cell Decimal\('sNaN'\).*make it None"),
    "infinite decimal": (Decimal("1e400"), "first such cell is inf in column 0, row 0"),
    "text": (LONG, "column 0 has the text 'xxx"),
    "bytes": (LONG.encode(), "column 0 has the text b'xxx"),
}


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("case", CELLS)
def test_cells_of_arrays_that_are_no_float(case, as_list):
    value, message = CELLS[case]
    X = numbers(value)
    for vae, ask in ((quick(), "fit"), (quick().fit(numbers()), "transform")):
        with pytest.raises(ValueError, match=message) as caught:
            getattr(vae, ask)(X.tolist() if as_list else X)
        assert len(str(caught.value)) < LONGEST


@pytest.mark.parametrize(
    "cells",
    [
        [Decimal("1.5"), Decimal(2), Decimal("NaN")],
        [Fraction(1, 3), 2, np.float32(1.5)],
        [np.int64(3), np.bool_(True), 2.5],
        [True, False, None],
    ],
    ids=repr,
)
def test_numbers_of_any_kind_are_numbers(cells):
    X = numbers(*cells)
    vae = quick().fit(X)
    assert np.isfinite(vae.transform(X)).all()
    filled = vae.impute(X)
    observed = ~pd.isna(X)
    assert all(a is b for a, b in zip(filled[observed], X[observed], strict=True))
    assert np.isfinite(filled.astype(float)).all()


@pytest.mark.parametrize("missing", [None, pd.NA, Decimal("NaN"), np.float32("nan")])
def test_missing_cells_among_objects_are_missing_whatever_they_are(missing):
    vae = quick().fit(numbers(np.nan))
    codes = vae.transform(numbers(np.nan))
    assert_array_equal(vae.transform(numbers(missing)), codes)
    assert_array_equal(quick().fit(numbers(missing)).transform(numbers(np.nan)), codes)


AMONG_NUMBERS = {
    "text": ("a", "column 'n' has the text 'a', and held numbers in fit; turn it into numbers"),
    "date": (pd.Timestamp("2024-01-01"), "column 'n' has the date .*turn it into numbers"),
    "large number": (10**400, "column 'n' has the number 1000.*divide the column"),
}


@pytest.mark.parametrize("case", AMONG_NUMBERS)
def test_cells_of_frames_of_numbers_that_are_no_float(case):
    value, message = AMONG_NUMBERS[case]
    X = pd.DataFrame({"n": np.arange(float(N)), "m": np.arange(float(N)) ** 2})
    vae = quick().fit(X)
    with pytest.raises(ValueError, match=message):
        vae.transform(X.assign(n=pd.Series([value, *X["n"][1:]], dtype=object)))


COLUMNS = {
    "large and small": [10**400, 1, 2],
    "decimals and fractions": [Decimal("1.5"), Fraction(1, 3), None],
    "numbers and text": [1, "a", 2.5],
    "scalars of numpy": [np.float32(1.5), np.str_("a"), np.bool_(True)],
    "text and bytes of text": ["a", "b'a'", "c"],
}


@pytest.mark.parametrize("case", COLUMNS)
def test_columns_of_objects_come_back(case):
    cells = COLUMNS[case] * (N // 3)
    X = pd.DataFrame({"n": np.arange(float(N)), "o": pd.Series(cells, dtype=object)})
    X.loc[5, "o"] = None
    vae = quick().fit(X)
    filled = vae.impute(X)
    known = {cell for cell in X["o"] if not pd.isna(cell)}
    assert set(filled["o"]) <= known
    assert filled["o"][X["o"].notna()].tolist() == X["o"][X["o"].notna()].tolist()
    assert set(vae.sample(20, 0)["o"]) <= known


# Older pandas says that it ignored an error when it looks for missing cells.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signaling_nan_in_a_frame_is_named():
    X = pd.DataFrame({"n": np.arange(3.0), "o": [Decimal("sNaN"), Decimal(1), Decimal(2)]})
    with pytest.raises(ValueError, match=r"column 'o' has the cell .*make it None"):
        quick().fit(X)


def test_a_number_too_large_for_a_column_of_numbers_is_named():
    X = pd.DataFrame({"n": np.arange(float(N)), "k": ["a", "b"] * (N // 2)})
    vae = quick().fit(X)
    with pytest.raises(ValueError, match="column 'n' has the number 1000"):
        vae.transform(X.assign(n=pd.Series([10**400] * N, dtype=object)))


@pytest.mark.parametrize("container", [sparse.csr_array, sparse.csc_matrix])
def test_sparse_rows_with_a_missing_cell_are_to_be_made_dense(container):
    X = np.eye(5)
    X[1, 1] = np.nan
    with pytest.raises(ValueError, match=r"column 1, row 1; make X dense") as caught:
        quick().fit(container(X))
    assert "natively" not in str(caught.value)


def fit_of(**columns):
    X = pd.DataFrame({"n": np.arange(float(N)), **columns})
    return quick().fit(X)


LEVELS = {"k": ["a", "b"] * (N // 2)}
MESSAGES = {
    "array of text": lambda: quick().fit(np.array([[LONG, "y"]] * 3)),
    "objects": lambda: quick().fit(np.array([[LONG, 1.0]] * 3, dtype=object)),
    "one column": lambda: quick().fit([LONG] * 3),
    "path": lambda: quick().fit(LONG),
    "column of bytes": lambda: fit_of(u=[LONG.encode()] * N),
    "column of lists": lambda: fit_of(u=[[LONG]] * N),
    "text for numbers": lambda: fit_of(**LEVELS).transform(pd.DataFrame({"n": [LONG], "k": ["a"]})),
    "level of a condition": lambda: fit_of(**LEVELS).sample(1, given={"k": LONG}),
    "number of a condition": lambda: fit_of(**LEVELS).sample(1, given={"n": LONG}),
    "column of a condition": lambda: fit_of(**LEVELS).sample(1, given={LONG: 1}),
    "condition": lambda: fit_of(**LEVELS).sample(1, given=LONG),
    "levels": lambda: fit_of(k=[f"{i}{LONG}" for i in range(15)] * 2).sample(1, given={"k": "b"}),
    "likelihood": lambda: quick(likelihood={"n": LONG}).fit(pd.DataFrame({"n": [1.0, 2.0]})),
    "column of a likelihood": lambda: quick(likelihood={LONG: "poisson"}).fit(
        pd.DataFrame({"n": [1.0, 2.0], LONG + "x": [1.0, 2.0]})
    ),
    "name of a date": lambda: fit_of(**{LONG: pd.to_datetime(["2024-01-01"] * N), **LEVELS}),
    "name twice": lambda: quick().fit(pd.DataFrame(np.eye(4), columns=[LONG, LONG, "a", "b"])),
    "name of nothing": lambda: fit_of(**{LONG: [None] * N, **LEVELS}),
    "name of counts": lambda: quick(likelihood={LONG: "poisson"}).fit(
        pd.DataFrame({LONG: [1.5, 2.0], "k": ["a", "b"]})
    ),
    "polars": lambda: quick().fit(pl.DataFrame({"n": [1.0, 2.0], LONG: [b"x", b"y"]})),
}


@pytest.mark.filterwarnings("ignore::skvae.ColumnWarning")
@pytest.mark.parametrize("case", MESSAGES)
def test_messages_stay_short(case):
    with pytest.raises((ValueError, TypeError)) as caught:
        MESSAGES[case]()
    assert len(str(caught.value)) < LONGEST


def test_the_page_of_a_model_does_not_grow_with_its_cells():
    plain, long = fit_of(**LEVELS), fit_of(k=[LONG, "b"] * (N // 2))
    assert len(long._repr_html_()) < len(plain._repr_html_()) + 1000
    assert len(repr(long)) == len(repr(plain))


def test_a_warning_of_unseen_levels_names_few_columns():
    X = pd.DataFrame({f"{i}{LONG[:1000]}": LEVELS["k"] for i in range(30)})
    vae = quick().fit(X)
    with pytest.warns(UserWarning, match="1 in column .* and 25 more") as seen:
        vae.transform(X[:1].replace("a", "new"))
    assert len(str(seen[0].message)) < LONGEST
