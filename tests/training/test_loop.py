"""The plan of the learning rate, the step, the best state, and what stops a fit."""

import copy
import math

import pytest
import torch
from numpy.testing import assert_allclose

from skvae.devices import PRECISIONS
from skvae.model.networks import MLP, Dropout
from skvae.model.vae import LINEAR_RATE
from skvae.model.score_observation import NOISE_FLOOR
from skvae.training import loop as training
from skvae.training.evaluation import DivergenceError, Evaluator
from skvae.training.loop import (
    FALL_PATIENCE,
    Record,
    RowSampler,
    clip,
    has_settled,
    n_parts,
    one_pass,
    take_step,
)
from skvae.training.objective import OBJECTIVES, Terms
from skvae.training.optimizers import OPTIMIZERS, WEIGHT_DECAYS, AdamW
from skvae.training.schedules import KL_SCHEDULES, RATE_SCHEDULES, LinearWarmUp, Plateau
from tests.samples import N_SCORES, RECIPE, Setting, plan_of

RATE = RECIPE.optimizer.learning_rate


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


# The plan.


def test_the_rate_warms_up_and_stays():
    controller = plan_of()
    rates = [controller.rate(step) for step in range(3 * training.WARM_UP)]
    warm_up = rates[: training.WARM_UP]
    assert warm_up == sorted(warm_up)
    assert 0 < rates[0] <= 2 * RATE / training.WARM_UP
    assert set(rates[training.WARM_UP :]) == {RATE}


@pytest.mark.parametrize("max_passes", [1, 3, 12, 1000])
def test_short_trainings_warm_up_for_a_share_of_their_steps(max_passes):
    controller = plan_of(max_passes)
    n_steps = max_passes * controller.pass_steps
    assert controller.warm_up == min(training.WARM_UP, round(training.WARM_UP_SHARE * n_steps))
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
def test_the_budget_is_used_while_the_bound_rises(max_passes, n_rows, early_stopping, monkeypatch):
    monkeypatch.setattr(training, "TOLERANCE", 0.0)  # any rise counts, however long it lasted
    controller = plan_of(max_passes, 30, n_rows, early_stopping)
    record, rates = run(controller, lambda n: float(n))
    assert record.n_passes <= max_passes
    assert (
        record.n_passes
        >= max_passes - controller.check_passes - training.WARM_UP / controller.pass_steps - 1
    )
    assert not controller.has_settled
    assert all(0 < rate <= RATE for rate in rates)
    # What is left of the budget after the warm-up ends in a fall, which begins between passes.
    if max_passes > 1 and max_passes * controller.pass_steps > 10 * training.WARM_UP:
        assert rates[-1] < 0.1 * RATE


@pytest.mark.parametrize("max_passes", [400, 10_000])
def test_a_settled_bound_ends_the_training(max_passes):
    controller = plan_of(max_passes)
    record, rates = run(controller, lambda n: min(n, 20.0))
    assert controller.has_settled
    assert controller.fall_steps.start >= training.MIN_STEPS
    assert record.n_passes == controller.last_pass < 200
    assert rates[-1] < 0.1 * RATE


def test_batches_grow_where_the_bound_settles_without_overfitting():
    controller = plan_of(10_000)
    run(controller, lambda n: min(n, 20.0))
    assert controller.batch_size == controller.largest_batch == training.ENLARGEMENT * 30
    assert controller.weight_decay == WEIGHT_DECAYS[0]


def test_batches_stay_where_rows_are_few_or_a_person_chose_them():
    assert plan_of(batch_size=30, n_rows=70).largest_batch == 35
    for controller in (plan_of(10_000, n_rows=50), plan_of(10_000, may_grow=False)):
        run(controller, lambda n: min(n, 20.0))
        assert controller.batch_size == 30


def test_overfitting_is_met_by_weight_decay():
    controller = plan_of(10_000)
    run(controller, lambda n: min(n, 20.0), lambda n: 2.0 * n)
    assert controller.weight_decay == WEIGHT_DECAYS[-1]
    assert controller.batch_size == 30
    assert controller.has_settled


def test_what_overfitting_is():
    share, nats = training.OVERFIT

    def found(surplus, gain):
        record = Record(losses=[torch.tensor(-1 - gain - surplus)], bounds=[-99, 1.0, 1.0 + gain])
        return training.overfits(record, 1, N_SCORES)

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
    patience = training.PATIENCE
    rising = [float(n) for n in range(20)]
    assert not has_settled(rising)
    assert not has_settled([*rising, *[19.0] * (patience - 1)])
    assert has_settled([*rising, *[19.0] * patience])
    assert has_settled([*rising, *[5.0] * patience])
    assert not has_settled([*rising, *[5.0] * (patience - 1), 25.0])


def test_has_settled_on_few_looks():
    assert not has_settled([1.0])
    assert not has_settled([1.0] * training.PATIENCE)


# The step.


def test_the_average_follows_the_weights():
    learner, controller = Setting().learner, plan_of()
    terms = Terms(*map(torch.tensor, [1.0] * len(Terms._fields)))
    with torch.no_grad():
        for parameter in learner.vae.parameters():
            parameter.fill_(1.0)
        for parameter in learner.averaged.parameters():
            parameter.zero_()
    gaps = []
    for step in range(1000):
        learner.step = step
        learner.update_averages(terms, learner.step_parameters(controller).followed)
        gaps.append(1 - next(learner.averaged.parameters()).flatten()[0].item())
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0  # it lags,
    assert gaps[10] < 0.05  # soon forgets where it began,
    assert gaps[-1] < 1e-3  # and arrives


def test_the_noise_follows_the_batches():
    learner = Setting().learner
    noise = learner.vae.noise_variance
    terms = Terms(*map(torch.tensor, [1.0] * len(Terms._fields)))

    def of_error(square):
        """A batch whose mean squared error in every column is this."""
        likelihood = -0.5 * (square / noise + torch.log(2 * torch.pi * noise))
        return terms._replace(log_likelihood=learner.vae.n_features * likelihood)

    before = noise.item()
    learner.update_averages(of_error(4.0), 0.0)
    assert noise.item() == pytest.approx(before + training.NOISE_RATE * (4.0 - before))
    for _ in range(2000):
        learner.update_averages(of_error(0.0), 0.0)
    assert noise.item() == pytest.approx(NOISE_FLOOR, rel=1e-3)


def test_a_pass_moves_every_parameter():
    setting = Setting()
    before = [p.clone() for p in setting.vae.parameters()]
    for _ in range(2):  # the hidden layers move once the last one has left zero
        loss = one_pass(setting.learner, setting.rows, setting.training, plan_of())
    assert torch.isfinite(loss)
    assert not any(map(torch.equal, setting.vae.parameters(), before))
    assert setting.learner.step == 2 * plan_of().pass_steps


def test_a_pass_lowers_the_loss():
    setting = Setting()
    losses = [
        one_pass(setting.learner, setting.rows, setting.training, plan_of()) for _ in range(20)
    ]
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precision(precision):
    setting = Setting(precision=precision)
    record = setting.train(plan_of(10))
    expected = torch.float64 if precision == "float64" else torch.float32
    assert {p.dtype for p in setting.vae.parameters()} == {expected}
    assert record.bounds[-1] > record.bounds[0]


def test_weights_of_a_model_are_one_tensor():
    vae = Setting().vae
    before = copy.deepcopy(vae.state_dict())
    weights = training.as_one_tensor(training.parameters_of(vae))
    assert same(vae.state_dict(), before)
    weights.zero_()
    assert not any(p.any() for p in vae.parameters())
    n_linear = vae.encoder_path.numel() + vae.decoder_path.numel()
    weights[:n_linear] = 1.0
    assert (vae.encoder_path == 1).all()
    assert (vae.decoder_path == 1).all()


def test_the_gradient_lies_as_the_weights_do():
    vae = Setting().vae
    weights = training.Weights(vae, AdamW())
    for _ in range(2):  # nothing is left of the one before
        weights.differentiate(sum(i * p.sum() for i, p in enumerate(vae.parameters())))
    weights.values.copy_(weights.gradient)
    for i, parameter in enumerate(vae.parameters()):
        assert (parameter == i).all()
    weights.differentiate(vae.encoder_path.sum())  # nothing depends on the others
    assert weights.gradient.sum() == vae.encoder_path.numel()


def test_frozen_weights_stay():
    vae = Setting().vae
    next(vae.encoder.parameters()).requires_grad_(False)
    weights = training.as_one_tensor(training.parameters_of(vae))
    frozen = next(vae.encoder.parameters())
    assert len(weights) == sum(p.numel() for p in vae.parameters()) - frozen.numel()


def weights_with_gradient(value):
    """Weights of a model that are all 1, and how many of them are linear."""
    vae = Setting().vae
    weights = training.Weights(vae, AdamW())
    weights.values.fill_(1.0)
    weights.gradient.fill_(value)
    return weights, vae.encoder_path.numel() + vae.decoder_path.numel()


def test_decay_spares_the_linear_path():
    weights, n_linear = weights_with_gradient(0.0)
    weights.step(0.1, 0.5)
    assert (weights.values[:n_linear] == 1.0).all()
    expected = torch.full_like(weights.values[n_linear:], 1 - 0.1 * 0.5)
    torch.testing.assert_close(weights.values[n_linear:], expected, rtol=0, atol=1e-7)


def test_the_linear_path_moves_slowly():
    weights, n_linear = weights_with_gradient(1.0)
    weights.step(0.1, 0.0)
    moved = 1.0 - weights.values
    assert moved[:n_linear].mean().item() == pytest.approx(0.1 * LINEAR_RATE, rel=1e-3)
    assert moved[n_linear:].mean().item() == pytest.approx(0.1, rel=1e-3)
    assert LINEAR_RATE < 1


def test_the_step_is_that_of_the_optimizer_class():
    """torch's own class, with the same groups, as the judge."""
    weights, n_linear = weights_with_gradient(0.0)
    parts = weights.values.clone().split([n_linear, len(weights.values) - n_linear])
    linear, branches = (torch.nn.Parameter(part) for part in parts)
    groups = [
        {"params": [linear], "lr": 0.1 * LINEAR_RATE, "weight_decay": 0.0},
        {"params": [branches], "lr": 0.1, "weight_decay": 0.5},
    ]
    evaluator = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    for seed in range(5):
        noise = torch.Generator().manual_seed(seed)
        gradient = torch.randn(len(weights.values), generator=noise)
        weights.gradient.copy_(gradient)
        linear.grad, branches.grad = gradient[:n_linear], gradient[n_linear:]
        weights.step(0.1, 0.5)
        evaluator.step()
    torch.testing.assert_close(weights.values, torch.cat([linear, branches]).detach())


# The training.


def test_training_leaves_the_best_look(monkeypatch):
    """Looks that get worse from the third on: what was best is left, as a copy."""
    setting, looks = Setting(), []
    look = Evaluator.calibrate_and_evaluate

    def remember(evaluator, vae):
        seen = look(evaluator, vae)._replace(bound=-float(abs(len(looks) - 2)))
        looks.append((seen.bound, copy.deepcopy(vae.state_dict())))
        return seen

    monkeypatch.setattr(Evaluator, "look", remember)
    record = setting.train(plan_of(60))
    bounds = [bound for bound, _ in looks]
    assert record.bounds == [setting.evaluator.start_bound, *bounds]
    assert len(bounds) > 4
    assert same(setting.state(), looks[bounds.index(max(bounds))][1])


def test_training_is_repeatable():
    first, second, other = Setting(), Setting(), Setting(seed=1)
    records = [setting.train() for setting in (first, second, other)]
    assert same(first.state(), second.state())
    assert records[0].bounds == records[1].bounds
    assert not same(first.state(), other.state())


def test_training_leaves_the_global_generator_alone():
    setting, before = Setting(), torch.get_rng_state()
    setting.train(plan_of(3))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_record_of_a_short_training():
    seen = []
    record = Setting().train(plan_of(5), seen.append)
    assert record.n_passes == len(record.losses) == 5
    assert not record.converged
    assert not record.interrupted
    assert seen[-1].n_passes == seen[-1].last_pass == 5
    assert seen[-1].bounds == record.bounds


def test_an_interrupted_training_keeps_the_best_so_far():
    setting, looks = Setting(), []

    def interrupt(progress):
        looks.append(progress.bounds[-1])
        if len(looks) == 3:
            raise KeyboardInterrupt

    record = setting.train(plan_of(100), interrupt)
    assert record.interrupted
    assert record.n_passes < 100
    assert not record.converged
    assert setting.evaluator.calibrate_and_evaluate(setting.vae).bound == pytest.approx(
        max(looks), rel=1e-6
    )


def test_an_interruption_before_the_first_pass_ends_is_one(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "one_pass", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Setting().train()


def test_divergence_raises():
    with pytest.raises(DivergenceError, match="bound became"):
        Setting(optimizer=AdamW(learning_rate=float("inf"))).train()


def test_going_on_does_not_change_what_was_taken():
    setting = Setting()
    setting.train(plan_of(5))
    taken = {name: value.numpy(force=True).copy() for name, value in setting.state().items()}
    averaged = setting.state()
    setting.train(plan_of(5))
    assert all((averaged[name].numpy() == taken[name]).all() for name in taken)
    assert not same(averaged, setting.state())


# Schedules.


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
    for step in (training.WARM_UP, n // 3, n // 2, n - 1):
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
    levels = list(dict.fromkeys(rates[training.WARM_UP :]))
    assert levels == pytest.approx([RATE, 0.3 * RATE, 0.09 * RATE])
    for level in levels:
        steps_of_patience = training.PATIENCE * controller.check_passes * controller.pass_steps
        assert rates.count(level) >= steps_of_patience


def test_a_plateau_keeps_its_rate_while_the_bound_rises():
    controller = plan_of(60, config=recipe_of(schedule=Plateau()))
    record, rates = run(controller, lambda n: float(n))
    assert record.n_passes == 60
    assert set(rates[training.WARM_UP :]) == {RATE}
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


def test_a_pass_uses_up_its_share_of_the_budget():
    setting = Setting()
    controller = plan_of(4)
    for n in range(1, 5):
        one_pass(setting.learner, setting.rows, setting.training, controller)
        assert controller.share == pytest.approx(n / 4)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains(name):
    setting = Setting(optimizer=OPTIMIZERS[name]())
    record = setting.train(plan_of(10, config=setting.learner.config))
    assert max(record.bounds[1:]) > record.bounds[0]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains(name):
    setting = Setting(objective=OBJECTIVES[name]())
    record = setting.train(plan_of(10, config=setting.learner.config))
    assert max(record.bounds[1:]) > record.bounds[0]
    assert all(row["kl"] == 0 for row in record.history) == (name == "autoencoder")


# The step, once more.


def gradient_norms(clip_norm):
    setting = Setting(optimizer=AdamW(clip_norm=clip_norm), init="random")
    learner, controller, norms, seen = setting.learner, plan_of(1), [], []
    learner.perturb = lambda gradient, share: norms.append(gradient.norm().item())
    for batch in setting.rows.batches(setting.training, 30, learner.generator):
        terms = take_step(learner, batch, controller)
        assert terms.loss.isfinite()
        seen.append(float(learner.gradient_norm))
    return norms, seen


def test_gradients_are_clipped_at_their_norm():
    norms, seen = gradient_norms(0.5)
    assert max(norms) <= 0.5 + 1e-5
    assert max(seen) > 0.5  # before they were clipped
    norms, seen = gradient_norms(None)
    assert max(norms) > 0.5
    assert seen == pytest.approx(norms)


def test_without_averaging_the_last_weights_are_kept():
    setting = Setting(optimizer=AdamW(averaging=0.0))
    one_pass(setting.learner, setting.rows, setting.training, plan_of())
    torch.testing.assert_close(setting.learner.averaged_weights, setting.learner.weights.values)


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


def test_dropout_draws_from_the_learners_generator_alone():
    before, states = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        setting = Setting(architecture=MLP(hidden_layer_sizes=(16,), dropout=0.3))
        drops = [m for m in setting.vae.modules() if isinstance(m, Dropout)]
        assert drops
        assert all(drop.generator is setting.learner.generator for drop in drops)
        setting.learner.generator.manual_seed(seed)
        one_pass(setting.learner, setting.rows, setting.training, plan_of())
        states.append(setting.state())
    assert torch.equal(torch.get_rng_state(), before)
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_nothing_is_dropped_where_the_model_is_judged():
    setting = Setting(architecture=MLP(hidden_layer_sizes=(16,), dropout=0.3))
    one_pass(setting.learner, setting.rows, setting.training, plan_of())
    shown = setting.learner.averaged_model()
    assert not shown.training
    assert setting.learner.vae.training
    state = setting.learner.generator.get_state()
    assert torch.equal(shown.codes(setting.rows), shown.codes(setting.rows))
    assert torch.equal(setting.learner.generator.get_state(), state)


def statistics(vae):
    return {name: value for name, value in vae.named_buffers() if "running" in name}


def test_statistics_of_batches_reach_the_averaged_model():
    setting = Setting(architecture=MLP(hidden_layer_sizes=(16,), normalization="batch"))
    learner = setting.learner
    before = {name: value.clone() for name, value in statistics(learner.averaged).items()}
    assert before
    one_pass(learner, setting.rows, setting.training, plan_of())
    assert same(statistics(learner.averaged), before)  # until it is looked at
    assert same(statistics(learner.averaged_model()), statistics(learner.vae))
    assert not any(torch.equal(value, before[k]) for k, value in statistics(learner.vae).items())
    # But for them and the noise, it is the average that is shown.
    assert not torch.equal(learner.averaged_weights, learner.weights.values)
    record = setting.train(plan_of(10))
    assert setting.bound() == pytest.approx(max(record.bounds[1:]), rel=1e-5)


def test_a_pass_of_few_rows_takes_them_all_in_random_order():
    rows = torch.arange(100, 150)
    order = RowSampler(torch.Generator().manual_seed(0))
    first, second = (order.next(rows, 50) for _ in range(2))
    assert torch.equal(first.sort().values, rows)
    assert torch.equal(second.sort().values, rows)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("batch_size", [1, 7, 10, 16, 100, 250])
@pytest.mark.parametrize("n_rows", [101, 128, 257, 300, 399, 1000])
def test_every_row_comes_before_any_comes_again(monkeypatch, n_rows, batch_size):
    """Whatever the numbers of rows, blocks and batches: counts differ by one at most."""
    monkeypatch.setattr(training, "PASS_ROWS", 100)
    monkeypatch.setattr(training, "BLOCK_ROWS", 16)
    rows = torch.randperm(2 * n_rows, generator=torch.Generator().manual_seed(1))[:n_rows]
    order = RowSampler(torch.Generator().manual_seed(0))
    n = training.steps_of_pass(n_rows, batch_size) * batch_size
    counts = torch.zeros(2 * n_rows, dtype=torch.int64)
    for _ in range(30):
        chosen = order.next(rows, n)
        assert len(chosen) == n
        counts += torch.bincount(chosen, minlength=2 * n_rows)
        assert counts[rows].max() - counts[rows].min() <= 1
    assert counts.sum() == 30 * n
    assert counts[rows].min() > 0


def test_passes_over_many_rows_take_blocks_of_neighbours_all_before_any_again(monkeypatch):
    monkeypatch.setattr(training, "PASS_ROWS", 1024)
    monkeypatch.setattr(training, "BLOCK_ROWS", 16)
    rows = torch.randperm(4096, generator=torch.Generator().manual_seed(1))
    order = RowSampler(torch.Generator().manual_seed(0))
    passes = [order.next(rows, 1024) for _ in range(4)]
    assert torch.equal(torch.cat(passes).sort().values, torch.arange(4096))
    assert all(len((part // 16).unique()) == 64 for part in passes)
    assert not any(torch.equal(part, part.sort().values) for part in passes)
    assert len(order.next(rows, 1024).unique()) == 1024


def test_a_plan_of_many_rows_has_passes_of_equal_parts(monkeypatch):
    monkeypatch.setattr(training, "PASS_ROWS", 1024)
    assert [n_parts(n) for n in (10, 1024, 1025, 4096)] == [1, 1, 2, 4]
    assert plan_of(n_rows=1500, batch_size=100).pass_steps == 7
    assert plan_of(n_rows=1500, batch_size=1200).pass_steps == 1


def test_the_gradient_is_shortened_to_the_limit():
    gradient = torch.tensor([3.0, 4.0])
    assert clip(gradient, None) == 5
    assert clip(gradient, 10.0) == 5
    assert_allclose(gradient, [3.0, 4.0])
    assert clip(gradient, 1.0) == 5
    assert_allclose(gradient, [0.6, 0.8], rtol=1e-6)


def test_a_fall_in_vain_ends_training():
    controller = plan_of(max_passes=100)
    record = Record(bounds=[0.0, 1.0, 2.0], n_passes=2)
    controller.n_looks_before = 2
    controller.fall(2, 60, step=10)
    for n in range(FALL_PATIENCE):
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
    for n in range(3 * FALL_PATIENCE):
        record.bounds.append(2.0 + 1e-3 * n)
        record.n_passes += 1
        controller.adapt(record, 10 + n, best_pass=2)
    assert controller.last_pass == 60
