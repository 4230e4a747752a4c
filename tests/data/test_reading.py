"""Frames after a fit on numbers are held to its columns."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skvae import VAETransformer

ROWS = pd.DataFrame(np.random.default_rng(0).standard_normal((40, 3)), columns=list("abc"))
LIBRARIES = {"pandas": lambda frame: frame, "polars": pl.from_pandas}


@pytest.fixture(scope="module", params=LIBRARIES)
def make(request):
    return LIBRARIES[request.param]


@pytest.fixture(scope="module")
def vae(make):
    return VAETransformer(1, max_iter=0).fit(make(ROWS))


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NA, pd.NaT], ids=repr)
@pytest.mark.parametrize("n_rows", [1, 5])
def test_a_column_of_gaps_may_be_of_any_dtype(vae, make, nothing, n_rows):
    """A single row with a gap, as a service gets it, has no number that tells the dtype."""
    rows = ROWS.head(n_rows)
    expected = rows.assign(b=np.nan)
    given = make(rows.assign(b=pd.Series([nothing] * n_rows, dtype=object)))
    for ask in (vae.transform, vae.score_samples):
        np.testing.assert_array_equal(ask(given), ask(make(expected)))
    filled = vae.impute(given)
    np.testing.assert_array_equal(
        np.asarray(filled, dtype=float), np.asarray(vae.impute(make(expected)))
    )


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["1.5", "n/a"], "has the text '1.5', and held numbers in fit; turn it into numbers"),
        ([None, "n/a"], "has the text 'n/a', and held numbers in fit"),
        ([datetime.date(2024, 3, 5)] * 2, "has the date .*days since a date"),
        ([b"x", b"y"], "has the binary value b'x'.*decode it"),
    ],
    ids=["digits", "gap and word", "dates", "bytes"],
)
def test_other_cells_are_named_with_their_column(vae, make, cells, told):
    given = make(ROWS.head(2).assign(b=pd.Series(cells, dtype=object)))
    with pytest.raises(ValueError, match=f"column 'b' {told}"):
        vae.transform(given)


def test_numbers_may_be_of_any_dtype(vae, make):
    whole = ROWS.head(3).assign(b=[1.0, 2.0, 3.0])
    expected = vae.transform(make(whole))
    for dtype in ("int8", "Int64", "float32", "category"):
        found = vae.transform(make(whole.astype({"b": dtype})))
        np.testing.assert_allclose(found, expected)
