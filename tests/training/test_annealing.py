"""Annealing: what is accepted, what a rejection brings back, and that nothing is lost."""

import copy
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skvae import VAETransformer
from skvae.model.networks import MLP
from skvae.training.annealing import (
    ANNEALING,
    Langevin,
    Metropolis,
    RandomWalk,
    metropolis,
    random_walk,
)
from skvae.training.annealing.acceptance import accept, geometric
from skvae.training.annealing.metropolis import jump
from skvae.training.annealing.random_walk import Walk, usual_sizes
from skvae.training.annealing.row_losses import RowLosses
from skvae.training.objective import Autoencoder
from skvae.training.optimizers import OPTIMIZERS
from tests.samples import Setting, curve, fit_quietly, plan_of

SHORT = Metropolis(n_proposals=4, n_steps=10)
TINY = MLP(hidden_layer_sizes=(8,))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def trained(n_passes=8, **changes):
    """A short training, and its record."""
    setting = Setting(**changes)
    return setting, setting.train(plan_of(n_passes, config=setting.state.config))


# What is accepted.


def shares(change, temperature, n=8000, **how):
    generator = seeded()
    accepted = [accept(change, temperature, generator, **how) for _ in range(n)]
    return sum(accepted) / n


def test_improvements_are_always_accepted():
    for gain in (0.0, 1e-9, 0.1, 100.0):
        assert shares(torch.full((5,), -gain), 0.5, n=200) == 1.0
        assert shares(torch.full((5,), -gain), 0.5, n=200, with_error=False) == 1.0


@pytest.mark.parametrize("times", [0.5, 1.0, 2.0])
def test_a_rise_is_accepted_by_its_size_in_temperatures(times):
    expected = math.exp(-times)
    error = 4 * (expected * (1 - expected) / 8000) ** 0.5
    change = torch.tensor([0.0, 0.2, 0.4]) * times  # a mean of 0.2 temperatures
    assert shares(change, 0.2, with_error=False) == pytest.approx(expected, abs=error)
    assert shares(torch.full((3,), 0.2 * times), 0.2) == pytest.approx(expected, abs=error)


def test_an_uncertain_rise_is_penalised():
    error, temperature = 0.3, 0.5
    change = torch.tensor([0.5 - error, 0.5 + error])  # whose mean has that standard error
    expected = math.exp(-0.5 / temperature - error**2 / (2 * temperature**2))
    assert shares(change, temperature) == pytest.approx(expected, abs=0.02)


def test_with_the_penalty_noise_leaves_detailed_balance():
    """A change seen with an error: up and down are as likely as if it were known exactly."""
    rise, error, temperature, n = 0.4, 0.6, 0.5, 8000
    generator, accepted = seeded(), {1: 0, -1: 0}
    for sign in accepted:
        seen = sign * rise + error * torch.randn(n, generator=seeded(sign + 1))
        for mean in seen:
            change = mean + torch.tensor([-error, error])
            accepted[sign] += accept(change, temperature, generator)
    ratio = accepted[1] / accepted[-1]
    assert ratio == pytest.approx(math.exp(-rise / temperature), rel=0.1)


def test_a_geometric_row():
    row = [geometric((8.0, 0.5), k, 5) for k in range(5)]
    assert row == pytest.approx([8.0, 4.0, 2.0, 1.0, 0.5])
    assert geometric((8.0, 0.5), 0, 1) == 8.0


# Metropolis.


def memory(setting):
    """Weights and all that the optimizer remembers."""
    weights = setting.state.weights
    steps = [part.step.clone() for part in weights.parts]
    return setting.weights(), [moment.clone() for moment in weights.moments], steps


def alike(a, b):
    return same(a[0], b[0]) and all(
        torch.equal(x, y) for i in (1, 2) for x, y in zip(a[i], b[i], strict=True)
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rejection_brings_back_weights_and_moments(monkeypatch, name):
    setting, record = trained(3, optimizer=OPTIMIZERS[name]())
    before, seen = memory(setting), []

    def remember(state, size):
        seen.append(memory(setting))
        jump(state, size)

    monkeypatch.setattr(metropolis, "jump", remember)
    monkeypatch.setattr(metropolis, "accept", lambda *args: False)
    setting.refine(SHORT)
    assert len(seen) == SHORT.n_proposals
    assert all(alike(found, before) for found in seen)
    assert [row["accepted"] for row in record.history[-4:]] == [0.0] * 4


def test_a_proposal_that_is_accepted_is_where_the_next_begins(monkeypatch):
    setting, _ = trained(3)
    before, seen = memory(setting), []

    def remember(state, size):
        seen.append(memory(setting))
        jump(state, size)

    monkeypatch.setattr(metropolis, "jump", remember)
    monkeypatch.setattr(metropolis, "accept", lambda *args: True)
    setting.refine(SHORT)
    assert alike(seen[0], before)
    for earlier, later in itertools.pairwise(seen):
        assert not same(earlier[0], later[0])
        assert later[2][0] == earlier[2][0] + SHORT.n_steps


def test_a_proposal_is_compared_with_the_last_that_was_accepted(monkeypatch):
    setting, _ = trained(3)
    losses, rises = iter(np.array([9.0, 7.0, 4.0, 0.0, -5.0, -11.0])), []
    monkeypatch.setattr(RowLosses, "losses", lambda *args: next(losses))
    monkeypatch.setattr(Metropolis, "_first_temperature", lambda *args: 1.0)
    monkeypatch.setattr(metropolis, "accept", lambda rise, *args: rises.append(rise) or True)
    setting.refine(SHORT)
    assert rises == [-2.0, -3.0, -4.0, -5.0]


def test_who_has_had_enough_keeps_the_best(monkeypatch):
    setting, record = trained(3)
    jumps = iter(range(2))

    def interrupted(state, size):
        if next(jumps, None) is None:
            raise KeyboardInterrupt
        jump(state, size)

    monkeypatch.setattr(metropolis, "jump", interrupted)
    assert not record.interrupted
    setting.refine(SHORT)
    assert record.interrupted
    assert sum("proposals" in row for row in record.history) == 2


def test_the_best_state_is_kept(monkeypatch):
    """Jumps that ruin the model, all of them accepted: what training had is what is left."""
    setting, record = trained()
    before, bound = setting.weights(), setting.bound()
    monkeypatch.setattr(metropolis, "accept", lambda *args: True)
    setting.refine(Metropolis(n_proposals=3, n_steps=1, jump=(9.0, 9.0)))
    assert max(record.bounds[-3:]) < bound
    assert same(setting.weights(), before)
    assert same(setting.state.averaged.state_dict(), before)


@pytest.mark.parametrize("objective", [None, Autoencoder()], ids=["elbo", "autoencoder"])
def test_annealing_after_a_short_training_gains(objective):
    changes = {} if objective is None else {"objective": objective}
    setting, record = trained(4, **changes)
    before = setting.bound()
    setting.refine(Metropolis(n_proposals=5, n_steps=40))
    after = setting.bound()
    assert after > before
    accepted = [row["bound"] for row in record.history if row.get("accepted")]
    assert after == pytest.approx(max([before, *accepted]), rel=1e-5)


def test_the_history_tells_temperatures_and_what_was_accepted():
    setting, record = trained(4)
    n_looks = len(record.history)
    setting.refine(SHORT)
    rows = record.history[n_looks:]
    assert len(rows) == SHORT.n_proposals
    assert len(record.bounds) == len(record.history)
    assert [row["bound"] for row in rows] == record.bounds[n_looks:]
    temperatures = [row["temperature"] for row in rows]
    assert temperatures[0] > 0
    for earlier, later in itertools.pairwise(temperatures):
        assert later == pytest.approx(SHORT.cooling * earlier)
    assert {row["accepted"] for row in rows} <= {0.0, 1.0}
    assert {row["proposals"] for row in rows} == {1}
    steps = [row["step"] for row in rows]
    assert [b - a for a, b in itertools.pairwise(steps)] == [SHORT.n_steps] * 3
    assert all("accepted" not in row for row in record.history[:n_looks])


def test_jumps_move_the_branches_alone():
    setting = Setting(init="random")
    linear = [
        setting.vae.inference.encoder_path.clone(),
        setting.vae.observation.decoder_path.clone(),
    ]
    before = {name: value.clone() for name, value in setting.vae.named_parameters()}
    jump(setting.state, 0.1)
    assert torch.equal(setting.vae.inference.encoder_path, linear[0])
    assert torch.equal(setting.vae.observation.decoder_path, linear[1])
    for name, value in setting.vae.named_parameters():
        if name.endswith("weight"):
            moved, size = (
                x.square().mean().sqrt().item() for x in (value - before[name], before[name])
            )
            assert moved == pytest.approx(0.1 * size, rel=0.3)


def test_the_options_of_the_training_stay_as_they_were():
    setting, _ = trained(2)
    config, controller = setting.state.config, plan_of()
    params, share = config.optimizer.get_params(), controller.share
    setting.refine(SHORT, controller)
    assert setting.state.config is config
    assert config.optimizer.get_params() == params
    assert controller.share == share


@pytest.mark.parametrize("component", [SHORT, RandomWalk(n_proposals=50)], ids=repr)
def test_annealing_is_repeatable_and_leaves_the_global_generator_alone(component):
    before, states, bounds = torch.get_rng_state(), [], []
    for seed in (0, 0, 1):
        setting, record = trained(3, seed=seed, architecture=TINY)
        setting.refine(component)
        states.append(memory(setting))
        bounds.append(record.bounds)
    assert torch.equal(torch.get_rng_state(), before)
    assert alike(states[0], states[1])
    assert bounds[0] == bounds[1] != bounds[2]


# Langevin.


def test_the_noise_of_langevin_cools_down_to_none():
    state = Setting().state
    perturb = Langevin(temperature=2.0).perturbation(state)
    gradient = 0.3 * torch.randn(100_000, generator=seeded(1))
    size = gradient.square().mean().sqrt().item()
    for share in (0.0, 0.25, 0.5, 0.9):
        moved = gradient.clone()
        perturb(moved, share)
        expected = 2.0 * (1 - share) ** 2
        assert state.temperature == pytest.approx(expected)
        assert (moved - gradient).std().item() == pytest.approx(expected * size, rel=0.02)
        assert (moved - gradient).mean().item() == pytest.approx(0.0, abs=0.02 * expected * size)
    for share in (1.0, 1.1):
        moved = gradient.clone()
        perturb(moved, share)
        assert torch.equal(moved, gradient)
        assert state.temperature == 0.0


def test_training_with_langevin_cools_and_keeps_its_best():
    setting, plain = Setting(), Setting()
    setting.state.perturb = Langevin().perturbation(setting.state)
    record = setting.train(plan_of(20))
    temperatures = [row["temperature"] for row in record.history[1:]]
    assert temperatures == sorted(temperatures, reverse=True)
    assert 0 <= temperatures[-1] < 0.1 < temperatures[0] <= 1.0
    assert setting.bound() == pytest.approx(max(record.bounds[1:]), rel=1e-5)
    plain.train(plan_of(20))
    assert not same(setting.weights(), plain.weights())
    before = setting.weights()
    setting.refine(Langevin())  # nothing to do afterwards
    assert same(setting.weights(), before)


# Random walk.


def test_a_random_walk_improves_a_tiny_model_from_a_random_start():
    setting = Setting(architecture=TINY, init="random")
    record, before = setting.begin(), setting.bound()
    setting.refine(RandomWalk(n_proposals=800))
    after = setting.bound()
    assert after > before + 0.5
    assert after == pytest.approx(max(record.bounds[1:]), rel=1e-5)
    assert record.converged
    rows = record.history[1:]
    assert len(rows) == 40
    temperatures = [row["temperature"] for row in rows]
    assert temperatures == sorted(temperatures, reverse=True)
    assert temperatures[-1] == pytest.approx(1e-3 * temperatures[0], rel=0.2)
    assert all(0.0 <= row["accepted"] <= 1.0 for row in rows)
    assert any(row["accepted"] > 0 for row in rows)


def test_a_random_walk_keeps_the_start_where_it_finds_nothing_better():
    setting, _ = trained(30, architecture=TINY)
    before = setting.bound()
    setting.refine(RandomWalk(n_proposals=60, neighbourhood=(3.0, 3.0)))
    assert setting.bound() == pytest.approx(before, rel=1e-5)


def test_a_random_walk_without_noise_or_kl():
    setting = Setting(architecture=TINY, objective=Autoencoder())
    setting.begin()
    before = setting.bound()
    setting.refine(RandomWalk(n_proposals=400))
    assert setting.bound() >= before


def test_a_random_walk_of_many_weights_goes_along_random_directions():
    """From random weights it gains nats; what it keeps is never worse than where it began."""
    setting = Setting(architecture=MLP(hidden_layer_sizes=(256, 256)), init="random")
    record, before = setting.begin(), setting.bound()
    assert setting.state.weights.values.numel() > 60_000
    setting.refine(RandomWalk(n_proposals=200, n_dimensions=100, neighbourhood=(0.5, 0.05)))
    assert setting.bound() > before + 0.1
    assert setting.bound() == pytest.approx(max(record.bounds[1:]), rel=1e-5)


def walk_of(setting, n_dimensions):
    criterion = RowLosses.of(setting.state, setting.rows, setting.training, setting.evaluator)
    walk = Walk(setting.state, criterion, lambda loss: None)
    walk.begin(n_dimensions)
    return walk


def test_moves_lie_in_so_many_directions_in_which_every_weight_has_a_part():
    setting = Setting(architecture=TINY, init="random")
    walk, weights = walk_of(setting, 7), setting.state.weights.values
    begin, sizes = weights.clone(), usual_sizes(setting.state)
    moves = []
    for _ in range(12):
        walk._move(0.1)
        moves.append(((weights - begin) / sizes).double())
    assert torch.linalg.matrix_rank(torch.stack(moves), rtol=1e-3) == 7
    assert (torch.stack(moves).abs().amax(0) > 0).all()
    assert torch.stack(moves).square().mean().sqrt().item() == pytest.approx(0.1, rel=0.3)
    signs = torch.sign(torch.stack(moves))  # weights of one coordinate go both ways
    first = walk.owner == walk.owner[0]
    assert set((signs[0, first] * signs[0, 0]).tolist()) == {-1.0, 1.0}
    walk.go_back()
    assert torch.equal(weights, begin)


def test_as_many_dimensions_as_weights_are_all_of_them():
    setting = Setting(architecture=TINY)
    n = setting.state.weights.values.numel()
    for asked, expected in (("auto", n), (5, 5), (10 * n, n)):
        assert RandomWalk(n_dimensions=asked)._coordinates(setting.state) == expected
    assert walk_of(setting, n).owner is None


def test_a_move_that_is_rejected_leaves_the_state_and_its_loss(monkeypatch):
    setting = Setting(architecture=TINY, init="random")
    walk, weights = walk_of(setting, 7), setting.state.weights.values
    begin, loss = weights.clone(), walk.loss
    monkeypatch.setattr(random_walk, "accept", lambda *args, **kwargs: False)
    assert not walk.step(0.1, 1.0)
    walk.go_back()
    assert torch.equal(weights, begin)
    assert walk.loss is loss
    monkeypatch.setattr(random_walk, "accept", lambda *args, **kwargs: True)
    assert walk.step(0.1, 1.0)
    walk.go_back()
    assert not torch.equal(weights, begin)
    torch.testing.assert_close(walk.criterion.losses(setting.state), walk.loss)


# How long.


def bounded(total, n_passes=2):
    """A controller that leaves so many passes in all, after a training of some."""
    setting, record = trained(n_passes, architecture=TINY)
    controller = plan_of(config=setting.state.config)
    controller.total_passes = total
    return setting, record, controller


@pytest.mark.parametrize("total", [2, 3, 4, 7, 20, math.inf])
@pytest.mark.parametrize(
    "component", [Metropolis(n_proposals=3, n_steps=25), RandomWalk(n_proposals=9), Langevin()]
)
def test_passes_are_counted_and_bounded(monkeypatch, component, total):
    setting, record, controller = bounded(total)
    n_rows, seen = len(setting.training), []
    step, terms = metropolis.take_step, RowLosses.terms

    def counted_step(state, batch):
        controller = state.controller
        seen.append(batch.n_rows / (controller.pass_steps * controller.batch_size))
        return step(state, batch)

    def counted_terms(criterion, state):
        if isinstance(component, RandomWalk):
            seen.append(criterion.rows.n_rows / n_rows)
        return terms(criterion, state)

    monkeypatch.setattr(metropolis, "take_step", counted_step)
    monkeypatch.setattr(RowLosses, "terms", counted_terms)
    before = setting.bound()
    setting.refine(component, controller)
    assert record.n_passes == len(record.losses) <= total
    assert record.n_passes == 2 + math.ceil(round(sum(seen), 6))
    assert setting.bound() >= before - 1e-4 * abs(before)
    wanted = {Metropolis: 6 * 25 / 10, RandomWalk: 30, Langevin: 0}[type(component)]
    if total == math.inf:
        assert sum(seen) == pytest.approx(wanted)
    if total >= 7 and wanted:
        assert any(row.get("proposals") for row in record.history)


@pytest.mark.parametrize("component", [Metropolis(), RandomWalk()], ids=repr)
def test_what_a_budget_cuts_short_has_not_converged(component):
    setting, record, controller = bounded(4)
    record.converged = True
    setting.refine(component, controller)
    assert not record.converged


@pytest.mark.parametrize("name", ANNEALING)
@pytest.mark.parametrize("max_iter", [0, 1, 2, 3, 8])
def test_a_fit_takes_no_more_passes_than_it_may(name, max_iter):
    vae = VAETransformer(1, architecture=TINY, annealing=name, max_iter=max_iter, random_state=0)
    fit_quietly(vae, curve(300, 5))
    assert vae.n_iter_ == len(vae.loss_curve_) <= max(max_iter, 1)
    assert np.isfinite(vae.loss_curve_).all()
    assert vae.history_["n_pass"].max(initial=0) <= vae.n_iter_
    if max_iter == 0:
        assert vae.kept_ == 0.0
        assert vae.score(curve(300, 5)) == pytest.approx(vae.pca_score_)


@pytest.mark.parametrize("init", ["pca", "random"])
def test_a_random_walk_with_the_default_network(init):
    component = RandomWalk(n_proposals=60)
    vae = VAETransformer(1, annealing=component, init=init, random_state=0)
    fit_quietly(vae, curve(120, 5))
    bounds = vae.validation_scores_
    assert max(bounds[1:]) > bounds[1]  # than the first look, at nearly the first weights
    assert vae.score(curve(120, 5, seed=1)) > -20


def test_states_are_judged_with_the_same_noise():
    setting = Setting()
    criterion = RowLosses.of(setting.state, setting.rows, setting.training, setting.evaluator)
    losses = criterion.losses(setting.state)
    assert losses.shape == (len(setting.training),)
    assert torch.equal(criterion.losses(setting.state), losses)
    weight = torch.arange(1.0, len(losses) + 1)
    weighed = criterion._replace(rows=replace(criterion.rows, weight=weight)).losses(setting.state)
    torch.testing.assert_close(weighed.mean(), (weight * losses).sum() / weight.sum())
    with torch.no_grad():
        q = setting.vae.encode(criterion.rows)
        likelihood = setting.vae.log_likelihood(
            criterion.rows, setting.vae.decode(q.sample(criterion.noise))
        )
        weighed = copy.copy(setting.state)
        weighed.config = weighed.config._replace(beta=0.5)
        expected = 0.5 * q.kl().sum(-1) - likelihood
    torch.testing.assert_close(criterion.losses(weighed), expected)


# Options.


@pytest.mark.parametrize("name", ANNEALING)
def test_defaults_are_in_range(name):
    component = ANNEALING[name]()
    component.check()
    assert clone(component).get_params() == component.get_params()
    assert repr(component) == f"{ANNEALING[name].__name__}()"
    assert component.follows_training == (name != "randomwalk")
    is_disturbing = component.perturbation(Setting().state) is not None
    assert is_disturbing == (name == "langevin")


@pytest.mark.parametrize(
    ("component", "name"),
    [
        (Langevin(temperature=0.0), "temperature"),
        (Langevin(temperature=math.nan), "temperature"),
        (Metropolis(n_proposals=0), "n_proposals"),
        (Metropolis(n_steps=1.5), "n_steps"),
        (Metropolis(jump=(0.1, 0.0)), "jump"),
        (Metropolis(jump=(0.1,)), "jump"),
        (Metropolis(cooling=0.0), "cooling"),
        (Metropolis(cooling=1.1), "cooling"),
        (RandomWalk(n_proposals=0), "n_proposals"),
        (RandomWalk(neighbourhood=(0.0, 1.0)), "neighbourhood"),
        (RandomWalk(final_temperature=0.0), "final_temperature"),
        (RandomWalk(n_dimensions=0), "n_dimensions"),
        (RandomWalk(n_dimensions="all"), "n_dimensions"),
    ],
    ids=repr,
)
def test_options_out_of_range_are_refused_by_name(component, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        component.check()
