"""The last passes: a model that is kept learns from all rows, also from the held-out ones."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skvae import Limits, VAETransformer
from skvae.fitting import last_passes
from skvae.fitting.fit import fit_model
from skvae.fitting.judges import split
from skvae.start.tables import Matrix
from tests.samples import curve, gaussian, options

MORE = Limits(few_rows=0)  # whatever the rows, they count as many


def fitted(X, limits=MORE, **given):
    return fit_model(Matrix(X), None, options(max_iter=None, limits=limits, **given))


@pytest.fixture(scope="module")
def X():
    return curve(300, 5)


@pytest.fixture(scope="module")
def plain(X):
    return fitted(X, replace(MORE, final_shares=(0.0, 0.0)))


@pytest.fixture
def seen(monkeypatch):
    """The rows of which each of the last passes consists, and the rates at their ends."""
    passes, one_pass = [], last_passes.one_pass

    def noted(state, rows, training):
        passes.append((training.tolist(), state.controller.rate(state.step)))
        return one_pass(state, rows, training)

    monkeypatch.setattr(last_passes, "one_pass", noted)
    return passes


@pytest.mark.parametrize(("few_rows", "expected"), [(0, 0.2), (10**6, 0.6)])
def test_they_take_all_rows_at_a_falling_rate(X, plain, seen, few_rows, expected):
    limits = Limits(few_rows=few_rows, final_shares=(0.6, 0.2))
    model, record = fitted(X, limits)
    assert model.kept == 1.0
    n_before = plain[1].n_passes
    assert len(seen) == np.ceil(expected * n_before)
    assert record.n_passes == len(record.losses) == n_before + len(seen)
    assert record.history[-1]["n_pass"] <= n_before  # nobody is left to judge
    assert all(rows == list(range(len(X))) for rows, _ in seen)
    rates = [rate for _, rate in seen]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * rates[0]


def test_rows_that_were_held_out_gain(X, plain):
    """And the others lose nothing: they are learnt from as before."""
    held_out, training = split(len(X), None, np.random.RandomState(0), options().device)
    errors = []
    for model, _ in (plain, fitted(X)):
        back = model.reconstruct(model.codes(X, False), False)
        error = np.square(X - back).mean(1)
        errors.append((error[held_out].mean(), error[training].mean()))
    assert errors[1][0] < errors[0][0]
    assert errors[1][1] < 1.1 * errors[0][1]


def test_noise_and_units_stay(X, plain):
    before, after = plain[0].weights, fitted(X)[0].weights
    for name in ("observation.shared_noise", "scale.center", "scale.spread", "scale.code_scale"):
        assert_array_equal(before[name], after[name])


def test_a_model_that_is_not_kept_whole_has_none(seen):
    model, record = fitted(gaussian(300, 6))
    assert model.kept < 1.0
    assert not seen


def test_they_are_within_max_iter(X):
    model, record = fit_model(Matrix(X), None, options(max_iter=30, limits=Limits()))
    assert model.kept == 1.0  # so that there could be more
    assert record.n_passes <= 30


def test_a_fit_that_others_go_on_from_leaves_its_judges_unseen(X, seen):
    vae = VAETransformer(2, warm_start=True, random_state=0).fit(X)
    assert vae.kept_ == 1.0
    vae.fit(X)
    assert not seen
    VAETransformer(2, random_state=0).fit(X)
    assert seen


def test_an_interrupt_keeps_the_model(X, plain, monkeypatch):
    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(last_passes, "one_pass", interrupted)
    model, record = fitted(X)
    assert record.interrupted
    assert_array_equal(model.codes(X, False), plain[0].codes(X, False))


def test_a_loss_that_is_no_number_keeps_the_model(X, plain, monkeypatch):
    one_pass = last_passes.one_pass
    monkeypatch.setattr(last_passes, "one_pass", lambda *given: one_pass(*given) * np.nan)
    model, record = fitted(X)
    assert len(record.losses) == record.n_passes
    assert_array_equal(model.codes(X, False), plain[0].codes(X, False))


def test_they_have_no_less_weight_decay_than_the_training(X, monkeypatch):
    found = []
    begin = last_passes.Controller.begin_fall

    def noted(self, weight_decay, least):
        begin(self, weight_decay, least)
        found.append((weight_decay, self.weight_decay))

    monkeypatch.setattr(last_passes.Controller, "begin_fall", noted)
    for levels in ((0, 0), (3, 2)):
        _, record = fitted(X, replace(MORE, final_decay_levels=levels))
        before, own = found.pop()
        assert before == record.history[-1]["weight_decay"]
        assert own == max(before, MORE.weight_decays[levels[1]])
