"""The state of a training: what follows the steps, and that it can be written and read."""

import json

import numpy as np
import pytest
import torch

from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.limits import Limits
from skvae.model.networks import MLP, Dropout
from skvae.model.score_observation import NOISE_FLOOR
from skvae.start.tables import Table
from skvae.training.loop import advance, train
from skvae.training.objective import Terms
from skvae.training.optimizers import OPTIMIZERS, AdamW
from tests.samples import RECIPE, Setting, curve, plan_of


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_the_average_follows_the_weights():
    state = Setting().state
    terms = Terms(*map(torch.tensor, [1.0] * len(Terms._fields)))
    with torch.no_grad():
        for parameter in state.vae.parameters():
            parameter.fill_(1.0)
        for parameter in state.averaged.parameters():
            parameter.zero_()
    gaps = []
    for step in range(1000):
        state.step = step
        state.update_averages(terms, state.step_parameters().followed)
        gaps.append(1 - next(state.averaged.parameters()).flatten()[0].item())
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0  # it lags,
    assert gaps[10] < 0.05  # soon forgets where it began,
    assert gaps[-1] < 1e-3  # and arrives


def test_the_noise_follows_the_batches():
    state = Setting().state
    noise = state.vae.observation.shared_noise
    terms = Terms(*map(torch.tensor, [1.0] * len(Terms._fields)))

    def of_error(square):
        """A batch whose mean squared error in every column is this."""
        likelihood = -0.5 * (square / noise + torch.log(2 * torch.pi * noise))
        return terms._replace(log_likelihood=state.vae.observation.n_features * likelihood)

    before = noise.item()
    state.update_averages(of_error(4.0), 0.0)
    assert noise.item() == pytest.approx(before + Limits().noise_rate * (4.0 - before))
    for _ in range(2000):
        state.update_averages(of_error(0.0), 0.0)
    assert noise.item() == pytest.approx(NOISE_FLOOR, rel=1e-3)


def test_without_averaging_the_last_weights_are_kept():
    setting = Setting(optimizer=AdamW(averaging=0.0))
    setting.one_pass()
    torch.testing.assert_close(setting.state.averaged_weights, setting.state.weights.values)


def test_dropout_draws_from_the_states_generator_alone():
    before, states = torch.get_rng_state(), []
    for seed in (0, 0, 1):
        setting = Setting(architecture=MLP(hidden_layer_sizes=(16,), dropout=0.3))
        drops = [m for m in setting.vae.modules() if isinstance(m, Dropout)]
        assert drops
        assert all(drop.generator is setting.state.generator for drop in drops)
        setting.state.generator.manual_seed(seed)
        setting.one_pass()
        states.append(setting.weights())
    assert torch.equal(torch.get_rng_state(), before)
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_nothing_is_dropped_where_the_model_is_judged():
    setting = Setting(architecture=MLP(hidden_layer_sizes=(16,), dropout=0.3))
    setting.one_pass()
    shown = setting.state.averaged_model()
    assert not shown.training
    assert setting.state.vae.training
    state = setting.state.generator.get_state()
    assert torch.equal(shown.codes(setting.rows), shown.codes(setting.rows))
    assert torch.equal(setting.state.generator.get_state(), state)


def statistics(vae):
    return {name: value for name, value in vae.named_buffers() if "running" in name}


def test_statistics_of_batches_reach_the_averaged_model():
    setting = Setting(architecture=MLP(hidden_layer_sizes=(16,), normalization="batch"))
    state = setting.state
    before = {name: value.clone() for name, value in statistics(state.averaged).items()}
    assert before
    setting.one_pass()
    assert same(statistics(state.averaged), before)  # until it is looked at
    assert same(statistics(state.averaged_model()), statistics(state.vae))
    assert not any(torch.equal(value, before[k]) for k, value in statistics(state.vae).items())
    # But for them and the noise, it is the average that is shown.
    assert not torch.equal(state.averaged_weights, state.weights.values)
    record = setting.train(plan_of(10))
    assert setting.bound() == pytest.approx(max(record.bounds[1:]), rel=1e-5)


# Written and read.


def table():
    """A table of three kinds with missing cells, whose training hides others."""
    X = curve(300, 5)
    X[:, 1], X[:, 2] = X[:, 1] > 0, np.abs(X[:, 2]).round()
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.2] = np.nan
    names = ("gaussian", "bernoulli", "poisson", "student_t", "gaussian_diag")
    columns = Columns.of(Input.of(X), dict(enumerate(names)))
    return Table(X, columns.likelihoods, columns.n_levels)


def written(state, folder):
    """A state by way of a file of arrays and a text."""
    arrays, values = state.to_state()
    np.savez(folder / "state.npz", **arrays)
    with np.load(folder / "state.npz") as file:
        return {name: file[name] for name in file}, json.loads(json.dumps(values))


def all_of(state):
    """What two trainings have to have in common."""
    arrays, values = state.to_state()
    values["record"]["history"] = [
        {name: value for name, value in row.items() if name != "seconds"}
        for row in values["record"]["history"]
    ]
    del values["record"]["seconds"]
    return arrays, values


VARIANTS = (
    [{"optimizer": optimizer()} for optimizer in OPTIMIZERS.values()]
    + [{"architecture": MLP(hidden_layer_sizes=(16,), dropout=0.2, normalization="batch")}]
    + [{"optimizer": AdamW(schedule="plateau")}, {"X": table()}]
)


@pytest.mark.parametrize("changes", VARIANTS, ids=lambda c: " ".join(map(str, c.values()))[:40])
def test_a_training_that_was_written_goes_on_as_if_it_had_not_been(changes, tmp_path):
    whole, before = Setting(**changes), Setting(**changes)
    whole.train(plan_of(30, config=whole.state.config))
    before.begin(plan_of(30, config=before.state.config))
    for n_passes in (1, 7, 24):
        while before.state.record.n_passes < n_passes:
            advance(before.state, before.rows, before.training, before.evaluator)
        after = Setting(**changes)
        after.begin(plan_of(30, config=after.state.config))
        after.state.load_state(written(before.state, tmp_path))
        np.testing.assert_equal(all_of(after.state), all_of(before.state))
        after.choose()
        train(after.state, after.rows, after.training, after.evaluator)
        np.testing.assert_equal(all_of(after.state), all_of(whole.state))
        assert same(after.weights(), whole.weights())
        assert after.state.record.converged == whole.state.record.converged


def test_the_order_of_many_rows_goes_on(tmp_path):
    config = RECIPE._replace(limits=Limits(pass_rows=100, block_rows=16))
    whole, before, after = (Setting(limits=config.limits) for _ in range(3))
    whole.train(plan_of(12, config=config))
    before.begin(plan_of(12, config=config))
    for _ in range(5):
        advance(before.state, before.rows, before.training, before.evaluator)
    after.begin(plan_of(12, config=config))
    after.state.load_state(written(before.state, tmp_path))
    after.choose()
    train(after.state, after.rows, after.training, after.evaluator)
    assert same(after.weights(), whole.weights())
