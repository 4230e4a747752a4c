"""Levels and names of other types become plain values, and come back."""

import datetime
import decimal
import fractions
import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import skvae
from skvae import VAETransformer
from skvae.data.scalars import plain_scalar, scalar_from

SCALARS = {
    "decimal": [decimal.Decimal("1.10"), decimal.Decimal("-3E+5")],
    "fraction": [fractions.Fraction(1, 3), fractions.Fraction(-2, 7)],
    "date": [datetime.date(2020, 2, 29), datetime.date(1, 1, 1)],
    "datetime": [datetime.datetime(2020, 1, 1, 2, 3, 4, 5), datetime.datetime(2021, 1, 1)],
    "timestamp": [pd.Timestamp("2020-01-01"), pd.Timestamp("2021-02-03 04:05:06.000000007")],
    "zone": [pd.Timestamp("2020-07-01", tz="Europe/Berlin"), pd.Timestamp("2021", tz="UTC")],
    "timedelta": [pd.Timedelta("1h"), pd.Timedelta("-3 days 00:00:00.000000001")],
    "period": [pd.Period("2020-01", "M"), pd.Period("2020Q2", "Q")],
    "interval": [pd.Interval(0, 1.5), pd.Interval(2, 3, closed="both")],
    "interval of dates": [
        pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021")),
        pd.Interval(pd.Timestamp("2021"), pd.Timestamp("2022")),
    ],
    "huge": [2**70, -(2**71)],
    "name of two levels": [("a", pd.Timestamp("2020")), ("b", 2)],
}


@pytest.mark.parametrize("name", SCALARS)
def test_a_scalar_comes_back(name):
    for value in SCALARS[name]:
        plain = plain_scalar(value)
        json.dumps(plain)
        found = scalar_from(plain)
        assert type(found) is type(value)
        assert found == value
        assert repr(found) == repr(value)


def test_a_fraction_cannot_ask_for_memory_without_end():
    with pytest.raises(ValueError, match="invalid literal"):
        scalar_from({"scalar": "fraction", "parts": ["1e999999999", 1]})
    with pytest.raises(TypeError):
        scalar_from({"scalar": "fraction", "parts": ["1e999999999"]})


@pytest.mark.parametrize("plain", [{"scalar": "code", "parts": []}, {"parts": []}, {"a": 1}])
def test_what_is_no_scalar_is_refused(plain):
    with pytest.raises(ValueError, match="no level and no name"):
        scalar_from(plain)


def frame_of(levels, as_category):
    x = np.random.default_rng(0).normal(size=60)
    cells = pd.Series([levels[n] for n in (x > 0).astype(int)], dtype=object)
    if as_category:
        cells = cells.astype(pd.CategoricalDtype(pd.Index(levels)))
    return pd.DataFrame({"x": x, "level": cells})


# Dates are levels where their column declares them, and only there.
@pytest.mark.parametrize(
    ("name", "as_category"),
    [
        *((name, True) for name in SCALARS if name not in ("zone", "period", "name of two levels")),
        *((name, False) for name in ("decimal", "fraction", "huge")),
    ],
)
def test_a_model_of_such_levels_is_saved(name, as_category, tmp_path):
    frame = frame_of(SCALARS[name], as_category)
    chosen = {"level": "categorical"}
    vae = VAETransformer(1, likelihood=chosen, max_iter=0, random_state=0).fit(frame)
    vae.save(tmp_path / "model.skvae")
    found = skvae.load(tmp_path / "model.skvae")
    pd.testing.assert_frame_equal(found.sample(9, random_state=1), vae.sample(9, random_state=1))
    assert_array_equal(found.transform(frame), vae.transform(frame))


@pytest.mark.parametrize("cut", [pd.cut, pd.qcut])
def test_a_model_of_columns_that_are_cut_is_saved(cut, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    frame = pd.DataFrame({"x": x[:, 0], "part": cut(x[:, 1], 3)})
    vae = VAETransformer(1, max_iter=0, random_state=0).fit(frame)
    vae.save(tmp_path / "model.skvae")
    filled = skvae.load(tmp_path / "model.skvae").impute(frame.mask(x > 1))
    pd.testing.assert_frame_equal(filled, vae.impute(frame.mask(x > 1)))


@pytest.mark.parametrize("name", [name for name in SCALARS if name not in ("fraction", "decimal")])
def test_a_model_of_columns_of_such_names_is_saved(name, tmp_path):
    first, second = SCALARS[name]
    if type(first) is not type(second) or name == "zone":
        pytest.skip("scikit-learn takes names of one type")
    frame = frame_of(["p", "q"], as_category=False)
    frame.columns = pd.Index([first, second], tupleize_cols=False)
    vae = VAETransformer(1, max_iter=0, random_state=0).fit(frame)
    vae.save(tmp_path / "model.skvae")
    found = skvae.load(tmp_path / "model.skvae").sample(3, random_state=0)
    pd.testing.assert_index_equal(found.columns, vae.sample(3, random_state=0).columns)


def test_levels_made_of_parts_are_refused():
    levels = pd.Index([("a", 1), ("b", 2)], tupleize_cols=False)
    cells = pd.Categorical.from_codes(np.arange(20) % 2, levels)
    with pytest.raises(ValueError, match=r"column 'c' has the nested object \('a', 1\)"):
        VAETransformer(1, max_iter=0).fit(pd.DataFrame({"a": np.arange(20.0), "c": cells}))
