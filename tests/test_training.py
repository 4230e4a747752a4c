"""The plan of the learning rate, the step, the best state, and what stops a fit."""

import copy

import pytest
import torch

from skvae import training
from skvae.devices import PRECISIONS
from skvae.fitting import initial_vae, make_learner, make_rows, start_vae
from skvae.held_out import DivergenceError, HeldOut
from skvae.linear import fit_linear
from skvae.model import Model
from skvae.objective import Terms
from skvae.training import Budget, Plan, Record, has_settled, one_pass, train
from skvae.vae import LINEAR_RATE, NOISE_FLOOR
from tests.samples import curve, options

N_ROWS, N_SCORES = 300, 5


def plan_of(max_passes=40, batch_size=30, n_rows=N_ROWS, early_stopping=True, may_grow=True):
    return Plan(Budget(batch_size, may_grow, max_passes, early_stopping), n_rows, N_SCORES)


class Setting:
    """All that `train` takes."""

    def __init__(self, seed=0, **changes):
        chosen = options(**changes)
        X = curve(N_ROWS + 100, 5)
        start = fit_linear(X, chosen.latent_dim)
        self.rows = make_rows(Model, start, X, None, chosen)
        self.training = torch.arange(100, len(X))
        self.vae = initial_vae(Model, start, chosen)
        generator = torch.Generator().manual_seed(seed)
        held_out, linear = self.rows.take(torch.arange(100)), start_vae(Model, start, chosen)
        self.judge = HeldOut.of(held_out, self.rows, linear, generator)
        self.learner = make_learner(self.vae, generator, chosen)

    def train(self, plan=None, *report):
        plan = plan or plan_of()
        return train(self.learner, self.rows, self.training, self.judge, plan, *report)

    def state(self):
        return copy.deepcopy(self.vae.state_dict())


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


# The plan.


def test_the_rate_warms_up_and_stays():
    plan = plan_of()
    rates = [plan.rate(step) for step in range(3 * training.WARM_UP)]
    warm_up = rates[: training.WARM_UP]
    assert warm_up == sorted(warm_up)
    assert 0 < rates[0] <= 2 * training.LEARNING_RATE / training.WARM_UP
    assert set(rates[training.WARM_UP :]) == {training.LEARNING_RATE}


def test_the_rate_falls_to_zero():
    plan = plan_of(max_passes=1000)
    steps = range(40 * plan.pass_steps, 60 * plan.pass_steps)
    plan.fall(40, 60, steps.start)
    rates = [plan.rate(step) for step in steps]
    assert rates[0] == training.LEARNING_RATE
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] <= 1.5 * training.LEARNING_RATE / len(rates)
    assert plan.rate(steps.stop) == pytest.approx(0, abs=1e-12)


def run(plan, bounds, training_bounds=None):
    """Go through a plan on bounds that are known; the record and the rates of all steps."""
    record, rates, step = Record(bounds=[0.0]), [], 0
    while record.n_passes < plan.last_pass:
        rates += [plan.rate(step + i) for i in range(plan.pass_steps)]
        step += plan.pass_steps
        record.n_passes += 1
        record.losses.append(-torch.tensor(float((training_bounds or bounds)(record.n_passes))))
        if plan.is_due(record.n_passes):
            record.bounds.append(bounds(record.n_passes))
            plan.adapt(record, step, record.n_passes)
    return record, rates


@pytest.mark.parametrize("early_stopping", [True, False])
@pytest.mark.parametrize("n_rows", [31, 300, 30_000])
@pytest.mark.parametrize("max_passes", [1, 2, 7, 50, 500])
def test_the_budget_is_used_while_the_bound_rises(max_passes, n_rows, early_stopping, monkeypatch):
    monkeypatch.setattr(training, "TOLERANCE", 0.0)  # any rise counts, however long it lasted
    plan = plan_of(max_passes, 30, n_rows, early_stopping)
    record, rates = run(plan, lambda n: float(n))
    assert record.n_passes <= max_passes
    assert (
        record.n_passes >= max_passes - plan.check_passes - training.WARM_UP / plan.pass_steps - 1
    )
    assert not plan.has_settled
    assert all(0 < rate <= training.LEARNING_RATE for rate in rates)
    # What is left of the budget after the warm-up ends in a fall, which begins between passes.
    if max_passes > 1 and max_passes * plan.pass_steps > 10 * training.WARM_UP:
        assert rates[-1] < 0.1 * training.LEARNING_RATE


@pytest.mark.parametrize("max_passes", [400, 10_000])
def test_a_settled_bound_ends_the_training(max_passes):
    plan = plan_of(max_passes)
    record, rates = run(plan, lambda n: min(n, 20.0))
    assert plan.has_settled
    assert plan.fall_steps.start >= training.MIN_STEPS
    assert record.n_passes == plan.last_pass < 200
    assert rates[-1] < 0.1 * training.LEARNING_RATE


def test_batches_grow_where_the_bound_settles_without_overfitting():
    plan = plan_of(10_000)
    run(plan, lambda n: min(n, 20.0))
    assert plan.batch_size == plan.largest_batch == training.ENLARGEMENT * 30
    assert plan.weight_decay == training.WEIGHT_DECAYS[0]


def test_batches_stay_where_rows_are_few_or_a_person_chose_them():
    assert plan_of(batch_size=30, n_rows=70).largest_batch == 35
    for plan in (plan_of(10_000, n_rows=50), plan_of(10_000, may_grow=False)):
        run(plan, lambda n: min(n, 20.0))
        assert plan.batch_size == 30


def test_overfitting_is_met_by_weight_decay():
    plan = plan_of(10_000)
    run(plan, lambda n: min(n, 20.0), lambda n: float(n))
    assert plan.weight_decay == training.WEIGHT_DECAYS[-1]
    assert plan.batch_size == 30
    assert plan.has_settled


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
    plan = plan_of(200, early_stopping=False)
    record, _ = run(plan, lambda n: min(n, 20.0))
    assert record.n_passes > 190
    assert not plan.has_settled


def test_the_fall_fits_the_budget():
    for n_passes in range(1, 60):
        plan = plan_of(n_passes)
        assert plan.fall_length(n_passes) >= 1
        run(plan, lambda n: float(n))
        assert plan.last_pass == n_passes
        assert plan.fall_steps is None or plan.fall_steps.stop <= n_passes * plan.pass_steps


def test_the_last_pass_is_looked_at():
    for n_rows in (31, 300, 30_000):
        assert plan_of(7, n_rows=n_rows).is_due(7)


def test_a_batch_is_no_larger_than_the_rows():
    plan = plan_of(batch_size=1024, n_rows=100)
    assert (plan.batch_size, plan.pass_steps) == (100, 1)


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
    setting = Setting()
    learner = setting.learner
    terms = Terms(*map(torch.tensor, [1.0] * len(Terms._fields)))
    with torch.no_grad():
        for parameter in learner.vae.parameters():
            parameter.fill_(1.0)
        for parameter in learner.averaged.parameters():
            parameter.zero_()
    gaps = []
    for step in range(1000):
        learner.step = step
        learner.follow(terms)
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
    learner.follow(of_error(4.0))
    assert noise.item() == pytest.approx(before + training.NOISE_RATE * (4.0 - before))
    for _ in range(2000):
        learner.follow(of_error(0.0))
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


def test_weights_and_gradients_of_a_model_are_one_tensor():
    vae = Setting().vae
    before = copy.deepcopy(vae.state_dict())
    weights, gradient = training.as_one_tensor(vae)
    assert same(vae.state_dict(), before)
    sum(p.sum() for p in vae.parameters()).backward()
    assert torch.equal(gradient, torch.ones_like(weights))
    with torch.no_grad():
        weights.zero_()
    assert not any(p.any() for p in vae.parameters())
    n_linear = vae.encoder_path.numel() + vae.decoder_path.numel()
    weights[:n_linear] = 1.0
    assert (vae.encoder_path == 1).all()
    assert (vae.decoder_path == 1).all()


def test_frozen_weights_stay():
    vae = Setting().vae
    next(vae.encoder.parameters()).requires_grad_(False)
    weights, _ = training.as_one_tensor(vae)
    frozen = next(vae.encoder.parameters())
    assert len(weights) == sum(p.numel() for p in vae.parameters()) - frozen.numel()


def optimizer_with_gradient(value):
    """An optimiser of a model whose weights are all 1, and its number of linear weights."""
    vae = Setting().vae
    optimizer = training.AdamW(vae)
    optimizer.weights.fill_(1.0)
    optimizer.gradient.fill_(value)
    return optimizer, vae.encoder_path.numel() + vae.decoder_path.numel()


def test_decay_spares_the_linear_path():
    optimizer, n_linear = optimizer_with_gradient(0.0)
    optimizer.step(0.1, 0.5)
    assert (optimizer.weights[:n_linear] == 1.0).all()
    expected = torch.full_like(optimizer.weights[n_linear:], 1 - 0.1 * 0.5)
    torch.testing.assert_close(optimizer.weights[n_linear:], expected, rtol=0, atol=1e-7)


def test_the_linear_path_moves_slowly():
    optimizer, n_linear = optimizer_with_gradient(1.0)
    optimizer.step(0.1, 0.0)
    moved = 1.0 - optimizer.weights
    assert moved[:n_linear].mean().item() == pytest.approx(0.1 * LINEAR_RATE, rel=1e-3)
    assert moved[n_linear:].mean().item() == pytest.approx(0.1, rel=1e-3)
    assert LINEAR_RATE < 1


def test_the_step_is_that_of_the_optimizer_class():
    """torch's own class, with the same groups, as the judge."""
    optimizer, n_linear = optimizer_with_gradient(0.0)
    parts = optimizer.weights.clone().split([n_linear, len(optimizer.weights) - n_linear])
    linear, branches = (torch.nn.Parameter(part) for part in parts)
    groups = [
        {"params": [linear], "lr": 0.1 * LINEAR_RATE, "weight_decay": 0.0},
        {"params": [branches], "lr": 0.1, "weight_decay": 0.5},
    ]
    judge = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    for seed in range(5):
        noise = torch.Generator().manual_seed(seed)
        gradient = torch.randn(len(optimizer.weights), generator=noise)
        optimizer.gradient.copy_(gradient)
        linear.grad, branches.grad = gradient[:n_linear], gradient[n_linear:]
        optimizer.step(0.1, 0.5)
        judge.step()
    torch.testing.assert_close(optimizer.weights, torch.cat([linear, branches]).detach())


# The training.


def test_training_leaves_the_best_look(monkeypatch):
    """Looks that get worse from the third on: what was best is left, as a copy."""
    setting, looks = Setting(), []
    look = HeldOut.look

    def remember(judge, vae):
        look(judge, vae)
        bound = -float(abs(len(looks) - 2))
        looks.append((bound, copy.deepcopy(vae.state_dict())))
        return bound

    monkeypatch.setattr(HeldOut, "look", remember)
    record = setting.train(plan_of(60))
    bounds = [bound for bound, _ in looks]
    assert record.bounds == [setting.judge.start_bound, *bounds]
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
    assert setting.judge.look(setting.vae) == pytest.approx(max(looks), rel=1e-6)


def test_an_interruption_before_the_first_pass_ends_is_one(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "one_pass", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Setting().train()


def test_divergence_raises(monkeypatch):
    monkeypatch.setattr(training, "LEARNING_RATE", float("inf"))
    with pytest.raises(DivergenceError, match="bound became"):
        Setting().train()


def test_going_on_does_not_change_what_was_taken():
    setting = Setting()
    setting.train(plan_of(5))
    taken = {name: value.numpy(force=True).copy() for name, value in setting.state().items()}
    averaged = setting.state()
    setting.train(plan_of(5))
    assert all((averaged[name].numpy() == taken[name]).all() for name in taken)
    assert not same(averaged, setting.state())
