"""The number of codes: given, that of a share of the variance as in PCA, or as many as can be."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV

from skvae.start.latent_dim import choose_latent_dim, latent_dim_of
from skvae.start.tables import Matrix
from tests.samples import OneSplit, factors, gaussian

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def quick(latent_dim=2, **params):
    return OneSplit(latent_dim, **{"max_iter": 2, "random_state": 0} | params)


SPREADS = np.array([9.0, 5.0, 3.0, 1.0, 0.5, 0.1, 0.05, 0.01])


@pytest.fixture(scope="module")
def spread():
    return SPREADS * np.random.default_rng(0).normal(size=(200, 8)) + 3


@pytest.mark.parametrize("share", [0.1, 0.6, 0.9, 0.99, 0.99999, np.float32(0.9)])
@pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_array, pd.DataFrame], ids=str)
def test_a_share_of_the_variance_is_that_of_pca(spread, share, as_rows):
    vae = quick(share, max_iter=0).fit(as_rows(spread))
    assert vae.latent_dim_ == PCA(float(share)).fit(spread).n_components_
    assert vae.transform(as_rows(spread)).shape == (200, vae.latent_dim_)


@pytest.mark.parametrize("shape", [(200, 8), (5, 8), (8, 8)])
def test_none_is_as_many_codes_as_there_can_be(spread, shape):
    X = spread[: shape[0], : shape[1]]
    assert quick(None, max_iter=0).fit(X).latent_dim_ == min(shape)
    assert quick(None).fit(X).latent_dim_ == min(shape)


def test_a_share_heeds_weights(spread):
    first = np.arange(200) < 100
    X = np.where(first[:, None], spread, spread[:, ::-1] * [1, 1, 1, 1, 1, 0, 0, 0])
    weight = np.where(first, 1.0, 0.0)
    some = quick(0.95, max_iter=0).fit(X[first]).latent_dim_
    assert quick(0.95, max_iter=0).fit(X, sample_weight=weight).latent_dim_ == some
    assert quick(0.95, max_iter=0).fit(X).latent_dim_ != some


@pytest.mark.parametrize("choice", [0.95, "auto"])
def test_rows_of_little_weight_have_little_say(spread, choice):
    first = np.arange(400) < 200
    noise = 100 * np.random.default_rng(1).normal(size=(200, 8))
    X = np.concatenate([spread, noise])
    weight = np.where(first, 1.0, 1e-9)
    alone = latent_dim_of(choice, Matrix(spread), None, 0)
    assert latent_dim_of(choice, Matrix(X), weight, 0) == alone
    assert latent_dim_of(choice, Matrix(X), None, 0) != alone


def test_a_share_of_a_table_is_that_of_its_features():
    rng = np.random.default_rng(0)
    one = rng.normal(size=300)
    table = pd.DataFrame({"a": one, "b": 1000 * one, "c": rng.normal(size=300), "d": one > 0})
    found = {share: quick(share, max_iter=0).fit(table).latent_dim_ for share in (0.5, 0.9, 0.99)}
    assert found == {0.5: 1, 0.9: 2, 0.99: 3}
    assert quick(None, max_iter=0).fit(table).latent_dim_ == 4


def test_a_search_over_shares_and_numbers(spread):
    search = GridSearchCV(quick(max_iter=0), {"latent_dim": [1, 0.9, None, "auto"]}, cv=2)
    search.fit(spread)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_share_that_takes_more_directions_than_are_looked_for_first():
    X = np.random.default_rng(0).normal(size=(620, 600))
    expected = PCA(0.9995, svd_solver="full").fit(X).n_components_
    assert expected > 512
    assert quick(0.9995, max_iter=0).fit(X).latent_dim_ == expected


@pytest.mark.filterwarnings("ignore:latent_dim=:UserWarning")  # which is above their rank, 0
@pytest.mark.parametrize("latent_dim", [0.5, None, "auto"])
def test_constant_rows_have_a_number_of_codes(latent_dim):
    assert quick(latent_dim).fit(np.ones((40, 3))).latent_dim_ >= 1


@pytest.mark.parametrize("rank", [1, 3, 6])
def test_choose_latent_dim_finds_the_true_rank(rank):
    X = factors(400, 15, rank, seed=rank)
    assert choose_latent_dim(X, None, np.random.RandomState(0)) == rank


def test_choose_latent_dim_of_few_rows_and_columns():
    for shape in ((5, 3), (4, 1), (3, 50)):
        chosen = choose_latent_dim(gaussian(*shape), None, np.random.RandomState(0))
        assert 1 <= chosen <= min(shape)


def test_choosing_units_counts_rows_by_what_they_say():
    """Equal weights choose as none do; where few rows weigh, fewer units are told apart."""
    X = factors(400, 8, 4, noise=1.5)

    def chosen(weight):
        return choose_latent_dim(X, weight, np.random.RandomState(0))

    assert chosen(np.full(400, 3.0)) == chosen(None)
    w = np.random.RandomState(0).lognormal(0, 1, 400)
    assert chosen(1e-3 * w) == chosen(w)
    heavy = np.where(np.arange(400) % 20 == 0, 1.0, 1e-6)
    assert chosen(heavy) < chosen(None)
