"""Learning from rows that come batch by batch and are seen once."""

import numpy as np
import pytest

from skvae import training
from skvae.fitting import fit_model
from skvae.online import fit_online
from tests.samples import curve, fitted, gaussian, options


@pytest.fixture(scope="module", name="X")
def bent_rows():
    return curve(400, 5)


def test_online_batches_come_to_beat_the_start(X):
    state = None
    for seed in range(40):
        model, record, online = fit_online(curve(200, 5, seed=seed), None, options(), state)
        assert record.n_passes == len(record.losses) == 1
        state = (model, online)
    assert model.kept == 1.0
    fresh = curve(500, 5, seed=99)
    assert model.log_prob(fresh).mean() > fitted(fresh, max_iter=0).log_prob(fresh).mean() + 1


def test_the_first_online_batch_only_sets_the_start(X):
    model, _, online = fit_online(X, None, options(), None)
    assert model.kept == 0.0
    assert online.step > 0
    before = {name: array.copy() for name, array in online.weights.items()}
    fit_online(X, None, options(), (model, online))
    assert all(np.array_equal(online.weights[name], before[name]) for name in before)


def test_online_without_anything_to_gain(X):
    model, record, online = fit_online(X, None, options(latent_dim=5), None)
    assert model.architecture is None
    assert online is None
    assert record.n_passes == 1


def test_online_batches_of_many_rows_are_seen_whole(X, monkeypatch):
    monkeypatch.setattr(training, "PASS_ROWS", len(X) // 4 + 1)
    _, record, _ = fit_online(X, None, options(), None)
    assert len(record.losses) == 4


def test_networks_that_see_scores_see_a_coarser_tail(monkeypatch):
    monkeypatch.setattr("skvae.linear._FIRST_DIRECTIONS", 10)
    X = gaussian(400, 144) + np.random.default_rng(0).normal(size=(400, 144))
    chosen = options(max_iter=1)
    few = fit_model(X, None, chosen)[0].start.n_directions
    assert fit_online(X, None, chosen, None)[0].start.n_directions == few
