"""Few rows: several splits judge."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA

from skvae import VAETransformer
from skvae.fitting import few_rows
from skvae.fitting.fit import fit_model
from skvae.fitting.judges import other_splits, split
from skvae.limits import Limits
from skvae.start.tables import Matrix
from tests import tables
from tests.samples import curve, gaussian, options


@pytest.mark.parametrize("n_rows", [40, 41, 142, 499])
def test_every_row_judges_once(n_rows):
    held_out, training = split(n_rows, None, np.random.RandomState(0), torch.device("cpu"))
    splits = [(held_out, training), *other_splits(held_out, training, 5)]
    assert len(splits) == 5
    for judging, learning in splits:
        assert len(judging) == len(held_out)
        assert sorted([*judging.tolist(), *learning.tolist()]) == list(range(n_rows))
    judges = torch.cat([judging for judging, _ in splits])
    assert len(judges.unique()) == len(judges) == 5 * len(held_out)


def test_a_large_share_leaves_fewer_splits():
    held_out, training = split(60, 0.5, np.random.RandomState(0), torch.device("cpu"))
    assert len(list(other_splits(held_out, training, 5))) == 1


def wine():
    X = load_wine(return_X_y=True)[0]
    X = (X - X.mean(0)) / X.std(0)
    order = np.random.RandomState(0).permutation(len(X))
    return X[order[:142]], X[order[142:]]


def test_wine_leaves_pca_and_iris_stays():
    """Of 28 held-out rows neither is sure to; those of five splits know."""
    X, X_test = wine()
    vae, pca = VAETransformer(4, random_state=1).fit(X), PCA(4).fit(X)
    assert vae.kept_ > 0
    errors = [
        np.square(X_test - model.inverse_transform(model.transform(X_test))).mean()
        for model in (vae, pca)
    ]
    assert errors[0] < 0.9 * errors[1]
    assert vae.score(X_test) > pca.score(X_test)
    iris = load_iris(return_X_y=True)[0]
    assert VAETransformer(2, random_state=0).fit(iris).kept_ == 0.0


def test_what_is_only_noise_stays_pca():
    kept = [
        VAETransformer(2, random_state=seed).fit(gaussian(100, 6, seed)).kept_ for seed in (0, 1)
    ]
    assert kept == [0.0, 0.0]


def test_others_are_asked_only_where_it_is_open(monkeypatch):
    """A training that is accepted at once needs no others, and one that loses has no hope."""
    asked = []
    plain = few_rows.select_by_all

    def noted(*given, follower):
        asked.append(given)
        return plain(*given, follower=follower)

    monkeypatch.setattr(few_rows, "select_by_all", noted)
    model, _ = fit_model(Matrix(curve(300, 5)), None, options(max_iter=None, limits=Limits()))
    assert model.kept == 1.0
    assert not asked
    fit_model(Matrix(gaussian(100, 6)), None, options(max_iter=2, limits=Limits()))
    assert len(asked) == 1


def test_an_interrupt_of_other_splits_ends_the_fit_with_pca(monkeypatch):
    def interrupted(*given, listener):
        raise KeyboardInterrupt

    monkeypatch.setattr(few_rows, "run_trial", interrupted)
    monkeypatch.setattr(few_rows, "is_open", lambda *given: True)
    model, record = fit_model(Matrix(gaussian(100, 6)), None, options(max_iter=2, limits=Limits()))
    assert model.kept == 0.0
    assert record.interrupted


def test_weights_and_gaps_have_splits_too():
    X, _ = wine()
    weight = np.random.RandomState(0).uniform(0.5, 1.5, len(X))
    assert VAETransformer(4, random_state=0).fit(X, sample_weight=weight).kept_ > 0
    X[::7, 3] = np.nan
    rows = tables.table(X, "gaussian_diag")
    one, again = (
        fit_model(rows, None, options(latent_dim=4, max_iter=40, limits=Limits()))[0]
        for _ in range(2)
    )
    assert_array_equal(one.codes(X, False), again.codes(X, False))
