"""The training: passes, the best state, what an interrupt leaves, the record."""

import copy
import math

import pytest
import torch

from skvae.devices import PRECISIONS
from skvae.limits import Limits
from skvae.training import loop
from skvae.training.evaluation import DivergenceError, Evaluator
from skvae.training.listener import Nobody
from skvae.training.loop import as_stopped, train
from skvae.training.objective import OBJECTIVES
from skvae.training.optimizers import OPTIMIZERS, AdamW
from tests.samples import Followed, Setting, plan_of

RATE = Limits().learning_rate


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_pass_moves_every_parameter():
    setting = Setting()
    before = [p.clone() for p in setting.vae.parameters()]
    for _ in range(2):  # the hidden layers move once the last one has left zero
        loss = setting.one_pass()
    assert torch.isfinite(loss)
    assert not any(map(torch.equal, setting.vae.parameters(), before))
    assert setting.state.step == 2 * plan_of().pass_steps


def test_a_pass_lowers_the_loss():
    setting = Setting()
    losses = [setting.one_pass() for _ in range(20)]
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision(precision):
    setting = Setting(precision=precision)
    record = setting.train(plan_of(10))
    expected = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in setting.vae.parameters()} == {expected}
    assert record.bounds[-1] > record.bounds[0]


def test_training_leaves_the_best_look(monkeypatch):
    """Looks that get worse from the third on: what was best is left, as a copy."""
    setting, looks = Setting(), []
    look = Evaluator.calibrate_and_evaluate

    def remember(evaluator, vae):
        seen = look(evaluator, vae)._replace(bound=-float(abs(len(looks) - 2)))
        looks.append((seen.bound, copy.deepcopy(vae.state_dict())))
        return seen

    monkeypatch.setattr(Evaluator, "calibrate_and_evaluate", remember)
    record = setting.train(plan_of(60))
    bounds = [bound for bound, _ in looks]
    assert record.bounds == [setting.evaluator.start_bound, *bounds]
    assert len(bounds) > 4
    assert same(setting.weights(), looks[bounds.index(max(bounds))][1])


def test_training_is_repeatable():
    first, second, other = Setting(), Setting(), Setting(seed=1)
    records = [setting.train() for setting in (first, second, other)]
    assert same(first.weights(), second.weights())
    assert records[0].bounds == records[1].bounds
    assert not same(first.weights(), other.weights())


def test_training_leaves_the_global_generator_alone():
    setting, before = Setting(), torch.get_rng_state()
    setting.train(plan_of(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_record_of_a_short_training():
    follower = Followed()
    record = Setting().train(plan_of(5), follower)
    assert record.n_passes == len(record.losses) == 5
    assert not record.converged
    assert not record.interrupted
    assert [told.n_passes for told in follower.progress] == [1, 2, 3, 4, 5]
    last = follower.progress[-1]
    assert last.last_pass == 5
    assert last.bounds == record.bounds
    assert last.loss == float(record.losses[-1])
    assert 0 < last.seconds <= record.seconds


def test_an_interrupted_training_keeps_the_best_so_far():
    setting = Setting()

    def interrupt(progress):
        if len(progress.bounds) == 4:
            raise KeyboardInterrupt

    record = setting.train(plan_of(100), Followed(interrupt))
    assert record.interrupted
    assert not record.stopped
    assert record.n_passes < 100
    assert not record.converged
    assert setting.evaluator.calibrate_and_evaluate(setting.vae).bound == pytest.approx(
        max(record.bounds[1:]), rel=1e-6
    )


@pytest.mark.parametrize("last_pass", [1, 2, 7])
def test_a_stopped_training_is_judged_where_it_ends(last_pass):
    setting = Setting()
    record = setting.train(plan_of(100), Followed(lambda told: told.n_passes == last_pass))
    assert record.stopped
    assert not record.interrupted
    assert record.n_passes == record.history[-1]["n_pass"] == last_pass
    assert setting.evaluator.calibrate_and_evaluate(setting.vae).bound == pytest.approx(
        max(record.bounds[1:]), rel=1e-6
    )


def test_what_a_training_would_leave_does_not_change_it():
    watched, plain = Setting(), Setting()
    found = []

    class Asking(Nobody):
        def end_pass(self, state, evaluator):
            vae, record = as_stopped(state, evaluator)
            found.append((record.n_passes, record.stopped, max(record.bounds[1:])))
            assert vae is not state.vae
            return False

    watched.begin(plan_of(9))
    watched.state.listener = Asking()
    train(watched.state, watched.rows, watched.training, watched.evaluator)
    plain.train(plan_of(9))
    assert [each[:2] for each in found] == [(n, True) for n in range(1, 10)]
    assert all(torch.equal(w, plain.weights()[name]) for name, w in watched.weights().items())


def test_an_interruption_before_the_first_pass_ends_is_one(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "one_pass", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Setting().train()


def test_divergence_raises():
    with pytest.raises(DivergenceError, match="bound became"):
        Setting(optimizer=AdamW(learning_rate=float("inf"))).train()


def test_going_on_does_not_change_what_was_taken():
    setting = Setting()
    setting.train(plan_of(5))
    taken = {name: value.numpy(force=True).copy() for name, value in setting.weights().items()}
    averaged = setting.weights()
    setting.train(plan_of(5))
    assert all((averaged[name].numpy() == taken[name]).all() for name in taken)
    assert not same(averaged, setting.weights())


def test_a_pass_uses_up_its_share_of_the_budget():
    setting = Setting()
    controller = plan_of(4)
    for n in range(1, 5):
        setting.one_pass(controller)
        assert controller.share == pytest.approx(n / 4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains(name):
    setting = Setting(optimizer=OPTIMIZERS[name]())
    record = setting.train(plan_of(10, config=setting.state.config))
    assert max(record.bounds[1:]) > record.bounds[0]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains(name):
    setting = Setting(objective=OBJECTIVES[name]())
    record = setting.train(plan_of(10, config=setting.state.config))
    assert max(record.bounds[1:]) > record.bounds[0]
    assert all(row["kl"] == 0 for row in record.history) == (name == "autoencoder")


def test_the_history_has_a_row_for_every_bound():
    record = Setting().train(plan_of(12))
    assert [row["bound"] for row in record.history] == record.bounds
    first, *rows = record.history
    assert first["n_pass"] == first["step"] == 0
    assert [row["n_pass"] for row in rows] == sorted({row["n_pass"] for row in rows})
    assert rows[-1]["n_pass"] == 12
    assert rows[-1]["step"] == 12 * plan_of().pass_steps
    for row in rows:
        assert row["gradient_norm"] > 0
        assert 0 < row["learning_rate"] <= RATE
        assert math.isnan(row["temperature"])
        assert row["noise"] > 0
    seconds = [row["seconds"] for row in record.history]
    assert seconds == sorted(seconds)
