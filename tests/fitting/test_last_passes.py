"""The last passes: a model that is kept learns from half of the held-out rows; the rest judges."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from skvae import Limits, VAETransformer
from skvae.fitting import last_passes
from skvae.fitting.fit import fit_model
from skvae.fitting.judges import split
from skvae.start.tables import Matrix
from skvae.training.evaluation import Evaluator, Verdict
from skvae.training.objective import Autoencoder
from tests.samples import curve, gaussian, options

MORE = Limits(few_rows=0)  # whatever the rows, they count as many


def fitted(X, limits=MORE, **given):
    return fit_model(Matrix(X), None, options(max_iter=None, limits=limits, **given))


@pytest.fixture(scope="module", name="X")
def curved():
    return curve(300, 5)


@pytest.fixture(scope="module")
def plain(X):
    return fitted(X, replace(MORE, last_shares=(0.0, 0.0)))


@pytest.fixture
def seen(monkeypatch):
    """The rows that each of the last passes takes, and the rate before it."""
    passes, one_pass = [], last_passes.one_pass

    def noted(state, rows, learnt):
        passes.append((learnt.tolist(), state.controller.rate(state.step)))
        return one_pass(state, rows, learnt)

    monkeypatch.setattr(last_passes, "one_pass", noted)
    return passes


def judged(monkeypatch, is_no_worse):
    monkeypatch.setattr(Verdict, "is_no_worse", lambda own, before, tolerance: is_no_worse)


def test_they_take_more_rows_at_a_falling_rate(X, plain, seen, monkeypatch):
    judged(monkeypatch, True)
    model, record = fitted(X, replace(MORE, last_shares=(0.6, 0.2)))
    assert model.kept == 1.0
    n_before = plain[1].n_passes
    assert len(seen) == np.ceil(0.2 * n_before)
    assert record.n_passes == len(record.losses) == n_before + len(seen)
    assert record.history[-1]["n_pass"] <= n_before
    rates = [rate for _, rate in seen]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * rates[0]


def test_of_few_rows_they_are_made_once_more_by_all(X, plain, seen, monkeypatch):
    judged(monkeypatch, True)
    limits = Limits(few_rows=10**6, last_shares=(0.6, 0.2))
    _, record = fitted(X, limits)
    n = int(np.ceil(0.6 * plain[1].n_passes))
    assert record.n_passes == len(record.losses) == plain[1].n_passes + n
    assert len(seen) == 2 * n
    assert all(sorted(rows) == list(range(len(X))) for rows, _ in seen[n:])
    assert seen[0][1] == seen[n][1]  # both begin with the full rate
    del seen[:]
    judged(monkeypatch, False)
    fitted(X, limits)
    assert len(seen) == n
    assert all(len(rows) < len(X) for rows, _ in seen)


def test_the_passes_by_all_rows_begin_where_those_by_half_began(X, plain, monkeypatch):
    judged(monkeypatch, True)
    limits = Limits(few_rows=10**6)
    n_first = int(np.ceil(limits.last_shares[0] * plain[1].n_passes))
    one_pass, calls = last_passes.one_pass, []

    def without_the_first(state, rows, learnt):
        calls.append(learnt)
        return torch.zeros(()) if len(calls) <= n_first else one_pass(state, rows, learnt)

    usual = fitted(X, limits)[0]
    monkeypatch.setattr(last_passes, "one_pass", without_the_first)
    assert_array_equal(fitted(X, limits)[0].codes(X, False), usual.codes(X, False))
    assert len(calls) == 2 * n_first


def test_they_learn_from_half_of_the_held_out_rows(X, seen):
    fitted(X)
    held_out, training = split(len(X), None, np.random.RandomState(0), torch.device("cpu"))
    judging = held_out[len(held_out) // 2 :].tolist()
    assert sorted(seen[0][0] + judging) == list(range(len(X)))
    assert set(training.tolist()) < set(seen[0][0])


def test_noise_and_units_stay(X, plain, monkeypatch):
    judged(monkeypatch, True)
    before, after = plain[0].weights, fitted(X)[0].weights
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    for name in ("observation.shared_noise", "scale.center", "scale.spread", "scale.code_scale"):
        assert_array_equal(before[name], after[name])


def test_nothing_of_them_stays_where_others_are_worse_off(X, plain, seen, monkeypatch):
    judged(monkeypatch, False)
    model, record = fitted(X)
    assert seen
    assert record.n_passes == len(record.losses) == plain[1].n_passes
    assert model.kept == plain[0].kept == 1.0
    for name, weights in model.weights.items():
        assert_array_equal(weights, plain[0].weights[name])


def test_passes_that_overfit_are_taken_back(plain, X, monkeypatch):
    """By what the rows say, not by decree: the last passes learn from rows of another kind."""
    one_pass = last_passes.one_pass

    def spoilt(state, rows, learnt):
        return one_pass(state, replace(rows, scores=rows.scores.flip(1)), learnt)

    monkeypatch.setattr(last_passes, "one_pass", spoilt)
    model, _ = fitted(X)
    assert_array_equal(model.codes(X, False), plain[0].codes(X, False))


@pytest.mark.parametrize("is_kept", [False, True])
def test_posteriors_of_an_autoencoder_have_the_width_that_fits_after_them(X, monkeypatch, is_kept):
    judged(monkeypatch, is_kept)
    found, fit_width = [], Evaluator.fit_width
    monkeypatch.setattr(
        Evaluator, "fit_width", lambda own, vae: (fit_width(own, vae), found.append(vae))
    )
    fitted(X, objective=Autoencoder())
    assert len(found) == 1 + is_kept


def test_a_model_that_is_not_kept_whole_has_none(seen):
    model, _ = fitted(gaussian(300, 6))
    assert model.kept < 1.0
    assert not seen


def test_they_are_within_max_iter(X, monkeypatch):
    judged(monkeypatch, True)
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


@pytest.mark.parametrize("level", [0, 3])
def test_they_have_the_weight_decay_of_the_training_or_less(X, monkeypatch, level):
    found = []
    begin = last_passes.Controller.begin_fall
    monkeypatch.setattr(
        last_passes.Controller,
        "begin_fall",
        lambda self, decay: (begin(self, decay), found.append(self.weight_decay)),
    )
    # A training that overfits at every evaluation.
    _, record = fitted(X, replace(MORE, last_decay_level=level, overfit_nats=-1e6))
    assert record.history[-1]["weight_decay"] == MORE.weight_decays[-1]
    assert found == [MORE.weight_decays[level]]
