"""Marginals: densities and samples of columns on their own."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.marginals import Marginals
from tests.benchmarks.rows import mixed


def test_marginals_have_the_densities_of_their_columns():
    train = pd.DataFrame({"a": [1.0, 3.0, np.nan, 5.0], "b": ["x", "x", "y", None]})
    test = pd.DataFrame({"a": [2.0, np.nan, 2.0], "b": ["x", "new", None]})
    scores = Marginals().fit(train).score_samples(test)
    density = stats.norm(3, np.std([1, 3, 5])).logpdf(2)
    # Three cells, two levels and the slot for others.
    np.testing.assert_allclose(scores, [density + np.log(3 / 6), np.log(1 / 6), density])


def test_marginals_know_what_numbers_are_rounded_to():
    nearly_constant = pd.DataFrame({"a": [0] * 999 + [1]})
    marginals = Marginals().fit(nearly_constant)
    assert marginals.columns_["a"].deviation == pytest.approx(1 / np.sqrt(12))
    assert np.isfinite(Marginals().fit(nearly_constant[:5]).score_samples(nearly_constant)).all()


def test_marginals_of_words_and_their_samples():
    X = np.random.default_rng(0).integers(0, 2, (200, 3), np.uint8)
    scores = Marginals().fit(X).score_samples(X)
    np.testing.assert_allclose(scores, 3 * np.log(0.5), rtol=0.2)
    table = mixed(50)
    sampled = Marginals().fit(table).sample(400, random_state=0)
    assert list(sampled.dtypes) == list(table.dtypes)
    assert len(sampled) == 400
    assert abs(np.corrcoef(sampled["a"], sampled["b"])[0, 1]) < 0.2
