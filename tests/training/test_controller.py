"""The controller: the course of the rate, what it changes on the way, what stops a training."""

import pytest
import torch

from skvae.limits import Limits
from skvae.training.controller import Controller, has_settled, overfits
from skvae.training.optimizers import AdamW
from skvae.training.record import Record
from skvae.training.sampler import n_parts
from skvae.training.schedules import KL_SCHEDULES, RATE_SCHEDULES, LinearWarmUp, Plateau
from tests.samples import N_ROWS, N_SCORES, RECIPE, plan_of

RATE = Limits().learning_rate
LIMITS = Limits()


def test_the_rate_warms_up_and_stays():
    controller = plan_of()
    rates = [controller.rate(step) for step in range(3 * LIMITS.warm_up_steps)]
    warm_up = rates[: LIMITS.warm_up_steps]
    assert warm_up == sorted(warm_up)
    assert 0 < rates[0] <= 2 * RATE / LIMITS.warm_up_steps
    assert set(rates[LIMITS.warm_up_steps :]) == {RATE}


@pytest.mark.parametrize("max_passes", [1, 3, 12, 1000])
def test_short_trainings_warm_up_for_a_share_of_their_steps(max_passes):
    controller = plan_of(max_passes)
    n_steps = max_passes * controller.pass_steps
    assert controller.warm_up == min(LIMITS.warm_up_steps, round(LIMITS.warm_up_share * n_steps))
    assert controller.rate(controller.warm_up - 1) == RATE
    assert controller.rate(0) == RATE / controller.warm_up


def test_the_rate_falls_to_zero():
    controller = plan_of(max_passes=1000)
    steps = range(40 * controller.pass_steps, 60 * controller.pass_steps)
    controller.fall(40, 60, steps.start)
    rates = [controller.rate(step) for step in steps]
    assert rates[0] == RATE
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] <= 1.5 * RATE / len(rates)
    assert controller.rate(steps.stop) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", KL_SCHEDULES)
def test_a_training_that_only_falls_has_the_kl_in_full(name):
    controller = plan_of(max_passes=10, config=RECIPE._replace(kl_schedule=KL_SCHEDULES[name]()))
    controller.begin_fall(LIMITS.weight_decays[-1])
    assert controller.kl_weight == 1.0
    assert controller.rate(0) == RATE
    assert controller.rate(10 * controller.pass_steps) == pytest.approx(0, abs=1e-12)
    assert controller.weight_decay == LIMITS.weight_decays[LIMITS.last_decay_level]


def run(controller, bounds, training_bounds=None):
    """Go through a plan on bounds that are known; the record and the rates of all steps."""
    record, rates, step = Record(bounds=[0.0]), [], 0
    while record.n_passes < controller.last_pass:
        for _ in range(controller.pass_steps):
            rates.append(controller.rate(step))
            controller.share += 1.0 / (controller.pass_steps * controller.max_passes)
            step += 1
        record.n_passes += 1
        record.losses.append(-torch.tensor(float((training_bounds or bounds)(record.n_passes))))
        if controller.is_due(record.n_passes):
            record.bounds.append(bounds(record.n_passes))
            controller.adapt(record, step, record.n_passes)
    return record, rates


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("n_rows", [31, 300, 30_000])
@pytest.mark.parametrize("max_passes", [1, 2, 7, 50, 500])
def test_the_budget_is_used_while_the_bound_rises(max_passes, n_rows, early_stopping):
    config = RECIPE._replace(limits=Limits(tolerance=0.0))  # any rise counts
    controller = plan_of(max_passes, 30, n_rows, early_stopping, config=config)
    record, rates = run(controller, lambda n: float(n))
    assert record.n_passes <= max_passes
    assert (
        record.n_passes
        >= max_passes - controller.check_passes - LIMITS.warm_up_steps / controller.pass_steps - 1
    )
    assert not controller.has_settled
    assert all(0 < rate <= RATE for rate in rates)
    # What is left of the budget after the warm-up ends in a fall, which begins between passes.
    if max_passes > 1 and max_passes * controller.pass_steps > 10 * LIMITS.warm_up_steps:
        assert rates[-1] < 0.1 * RATE


@pytest.mark.parametrize("max_passes", [400, 10_000])
def test_a_settled_bound_ends_the_training(max_passes):
    config = RECIPE._replace(limits=Limits(fall_patience=10**9))  # it falls to its end
    controller = plan_of(max_passes, config=config)
    record, rates = run(controller, lambda n: min(n, 20.0))
    assert controller.has_settled
    assert controller.fall_steps.start >= LIMITS.min_calm_steps
    assert record.n_passes == controller.last_pass < 200
    assert rates[-1] < 0.1 * RATE


def steps_at_full_rate(bounds, training_bounds=None, **changes):
    config = RECIPE._replace(optimizer=AdamW(**changes))
    controller = plan_of(10_000, may_grow=False, config=config)
    run(controller, bounds, training_bounds)
    return controller.fall_steps.start


def test_what_no_row_is_learnt_by_heart_in_has_longer_to_leave_the_start():
    def still(n):
        return min(n, 5.0)

    look = LIMITS.check_steps + LIMITS.min_steps // N_ROWS  # of whole passes
    calm, by_heart = steps_at_full_rate(still), steps_at_full_rate(still, lambda n: 2.0 * n)
    assert LIMITS.min_calm_steps <= calm < LIMITS.min_calm_steps + 2 * look
    assert LIMITS.min_steps <= by_heart < LIMITS.min_steps + 2 * look
    # Decay that is given says nothing of rows: it cannot rise.
    given = steps_at_full_rate(still, weight_decay=0.1)
    assert LIMITS.min_steps <= given < LIMITS.min_steps + 2 * look


def test_batches_grow_where_the_bound_settles_without_overfitting():
    controller = plan_of(10_000)
    run(controller, lambda n: min(n, 20.0))
    assert controller.batch_size == controller.largest_batch == LIMITS.enlargement * 30
    assert controller.weight_decay == LIMITS.weight_decays[0]


def test_batches_stay_where_rows_are_few_or_a_person_chose_them():
    assert plan_of(batch_size=30, n_rows=70).largest_batch == 35
    for controller in (plan_of(10_000, n_rows=50), plan_of(10_000, may_grow=False)):
        run(controller, lambda n: min(n, 20.0))
        assert controller.batch_size == 30


def test_overfitting_is_met_by_weight_decay():
    controller = plan_of(10_000)
    run(controller, lambda n: min(n, 20.0), lambda n: 2.0 * n)
    assert controller.weight_decay == LIMITS.weight_decays[-1]
    assert controller.batch_size == 30
    assert controller.has_settled


def test_what_overfitting_is():
    share, nats = LIMITS.overfit_share, LIMITS.overfit_nats

    def found(surplus, gain):
        record = Record(losses=[torch.tensor(-1 - gain - surplus)], bounds=[-99, 1.0, 1.0 + gain])
        return overfits(record, 1, N_SCORES, LIMITS)

    for gain in (10.0, 0.0, -1.0):
        allowed = share * abs(gain) + nats * N_SCORES
        assert not found(0.99 * allowed, gain)
        assert found(1.01 * allowed, gain)
        assert not found(-10, gain)


def test_without_early_stopping_the_budget_is_used():
    controller = plan_of(200, early_stopping=False)
    record, _ = run(controller, lambda n: min(n, 20.0))
    assert record.n_passes > 190
    assert not controller.has_settled


def test_the_fall_fits_the_budget():
    for n_passes in range(1, 60):
        controller = plan_of(n_passes)
        assert controller.fall_length(n_passes) >= 1
        run(controller, lambda n: float(n))
        assert controller.last_pass == n_passes
        assert (
            controller.fall_steps is None
            or controller.fall_steps.stop <= n_passes * controller.pass_steps
        )


def test_the_last_pass_is_looked_at():
    for n_rows in (31, 300, 30_000):
        assert plan_of(7, n_rows=n_rows).is_due(7)


def test_a_batch_is_no_larger_than_the_rows():
    controller = plan_of(batch_size=1024, n_rows=100)
    assert (controller.batch_size, controller.pass_steps) == (100, 1)


def test_has_settled_waits_for_patience():
    patience = LIMITS.patience
    rising = [float(n) for n in range(20)]
    assert not has_settled(rising, LIMITS.patience, LIMITS)
    assert not has_settled([*rising, *[19.0] * (patience - 1)], LIMITS.patience, LIMITS)
    assert has_settled([*rising, *[19.0] * patience], LIMITS.patience, LIMITS)
    assert has_settled([*rising, *[5.0] * patience], LIMITS.patience, LIMITS)
    assert not has_settled([*rising, *[5.0] * (patience - 1), 25.0], LIMITS.patience, LIMITS)


def test_has_settled_on_few_looks():
    assert not has_settled([1.0], LIMITS.patience, LIMITS)
    assert not has_settled([1.0] * LIMITS.patience, LIMITS.patience, LIMITS)


def test_a_fall_in_vain_ends_training():
    controller = plan_of(max_passes=100)
    record = Record(bounds=[0.0, 1.0, 2.0], n_passes=2)
    controller.n_looks_before = 2
    controller.fall(2, 60, step=10)
    for n in range(LIMITS.fall_patience):
        assert controller.last_pass == 60
        record.bounds.append(1.9)
        record.n_passes += 1
        controller.adapt(record, 10 + n, best_pass=2)
    assert controller.last_pass == record.n_passes


def test_a_fall_that_gains_goes_on():
    controller = plan_of(max_passes=100)
    record = Record(bounds=[0.0, 1.0, 2.0], n_passes=2)
    controller.n_looks_before = 2
    controller.fall(2, 60, step=10)
    for n in range(3 * LIMITS.fall_patience):
        record.bounds.append(2.0 + 1e-3 * n)
        record.n_passes += 1
        controller.adapt(record, 10 + n, best_pass=2)
    assert controller.last_pass == 60


def recipe_of(**changes):
    return RECIPE._replace(optimizer=AdamW(**changes))


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant"])
def test_fixed_schedules_use_all_passes(schedule, early_stopping):
    controller = plan_of(120, early_stopping=early_stopping, config=recipe_of(schedule=schedule))
    record, rates = run(controller, lambda n: min(n, 20.0))
    assert record.n_passes == 120
    assert controller.fall_steps is None
    assert controller.batch_size == 30
    course = RATE_SCHEDULES[schedule]()
    n = len(rates)
    for step in (LIMITS.warm_up_steps, n // 3, n // 2, n - 1):
        assert rates[step] == pytest.approx(RATE * course.factor(step / n), abs=1e-9)
    assert max(rates) <= RATE
    assert controller.is_flat(record)


def test_a_fixed_schedule_that_ends_while_the_bound_rises_has_not_settled():
    controller = plan_of(120, config=recipe_of(schedule="cosine"))
    record, rates = run(controller, lambda n: float(n))
    assert not controller.is_flat(record)
    assert rates[-1] < 0.01 * RATE


def test_a_plateau_lowers_the_rate_in_steps_and_ends_the_training():
    schedule = Plateau(drop=0.3, n_drops=2)
    controller = plan_of(1000, may_grow=False, config=recipe_of(schedule=schedule))
    record, rates = run(controller, lambda n: min(n, 20.0))
    assert controller.has_settled
    assert record.n_passes < 200
    levels = list(dict.fromkeys(rates[LIMITS.warm_up_steps :]))
    assert levels == pytest.approx([RATE, 0.3 * RATE, 0.09 * RATE])
    for level in levels:
        steps_of_patience = LIMITS.patience * controller.check_passes * controller.pass_steps
        assert rates.count(level) >= steps_of_patience


def test_a_plateau_keeps_its_rate_while_the_bound_rises():
    controller = plan_of(60, config=recipe_of(schedule=Plateau()))
    record, rates = run(controller, lambda n: float(n))
    assert record.n_passes == 60
    assert set(rates[LIMITS.warm_up_steps :]) == {RATE}
    assert not controller.has_settled


@pytest.mark.parametrize("name", KL_SCHEDULES)
def test_the_weight_of_the_kl_follows_its_schedule(name):
    schedule = KL_SCHEDULES[name]()
    controller = plan_of(config=RECIPE._replace(kl_schedule=schedule, beta=3.0))
    for share in (0.0, 0.05, 0.1, 0.5, 1.0):
        controller.share = share
        assert controller.kl_weight == 3.0 * schedule.factor(share)


def test_nothing_settles_before_the_kl_has_its_weight():
    schedule = LinearWarmUp(warm_up=0.5)
    controller = plan_of(400, config=RECIPE._replace(kl_schedule=schedule))
    run(controller, lambda n: min(n, 20.0))
    assert controller.has_settled
    assert controller.fall_steps.start > 0.5 * 400 * 10


def test_a_plan_of_many_rows_has_passes_of_equal_parts():
    config = RECIPE._replace(limits=Limits(pass_rows=1024))
    assert [n_parts(n, 1024) for n in (10, 1024, 1025, 4096)] == [1, 1, 2, 4]
    assert plan_of(n_rows=1500, batch_size=100, config=config).pass_steps == 7
    assert plan_of(n_rows=1500, batch_size=1200, config=config).pass_steps == 1


def test_the_rate_of_auto_is_that_of_the_budget():
    budget = plan_of().budget._replace(auto_rate=0.02)
    for optimizer, rate in ((AdamW(), 0.02), (AdamW(learning_rate=0.03), 0.03)):
        config = RECIPE._replace(optimizer=optimizer)
        controller = Controller(budget, config, N_ROWS, N_SCORES)
        assert controller.rate(LIMITS.warm_up_steps) == rate
