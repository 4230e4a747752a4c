"""Steps of several processes: what shards give to a step, and what their gradients sum up to."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skvae.model.networks import MLP
from skvae.team import Team
from skvae.training.objective import Autoencoder
from skvae.training.shards import Shard, ShardSampler, SharedStep, even_shards, n_even, sizes_of
from skvae.training.step import PlainStep
from tests.samples import RECIPE, Setting


def alone(has_one_order=True):
    """A team of one process."""
    return Team(None, 0, 1, has_one_order, 1.0)


@given(st.integers(1, 16), st.integers(1, 40), st.integers(1, 600))
def test_shards_give_all_rows_of_a_step_and_no_more_than_they_have(size, n_shards, n_rows):
    n = n_even(n_rows, n_shards)
    size = min(size, max(n, 1))
    n_steps = n // size
    counts = np.array(
        [sizes_of(1 / n_shards, v / n_shards, n_steps, size) for v in range(n_shards)]
    )
    assert (counts.sum(0) == size).all()
    assert (counts.sum(1) <= -(-n_rows // n_shards)).all()


@pytest.mark.parametrize("size", range(1, 17))
def test_processes_have_subtrees_that_cover_the_shards(size):
    team = Team(None, 0, size, True, 1.0)
    nodes = team.nodes
    assert [first for first, _ in nodes] == [0, *(end for _, end in nodes[:-1])]
    assert nodes[-1][1] == team.n_shards >= size
    for first, end in nodes:
        n = end - first
        assert n & (n - 1) == 0
        assert first % n == 0


@pytest.mark.parametrize("size", [1, 3, 8])
def test_every_row_is_in_one_shard(size):
    training = torch.arange(100, 203)
    teams = [Team(None, rank, size, True, 1.0) for rank in range(size)]
    found = [shard.index for team in teams for shard in even_shards(team, None, training).values()]
    assert torch.equal(torch.cat(found).sort().values, training)


def test_gradients_of_shards_are_that_of_all_rows_together():
    setting = Setting(objective=Autoencoder())
    state = setting.state
    shards = even_shards(alone(), setting.rows, setting.training)
    state.sampler = ShardSampler(alone(), shards, state.generator, RECIPE.limits)
    step = SharedStep(state, setting.rows, (PlainStep,))
    (batch,) = state.sampler.one_pass(setting.rows, setting.training, 1, 80)
    step.gradient_of(state)(batch, 1.0)
    found = state.weights.gradient.clone()
    everything = torch.cat([part.scores for part in batch.parts.values()])
    order = [int((setting.rows.scores == row).all(1).nonzero()[0]) for row in everything]
    whole = setting.rows.take(torch.tensor(order))
    PlainStep().gradient_of(state)(whole, 1.0)
    torch.testing.assert_close(found, state.weights.gradient, rtol=1e-4, atol=1e-6)


def test_one_that_wants_to_stop_stops_all():
    setting = Setting()
    state, team = setting.state, alone()
    shards = even_shards(team, setting.rows, setting.training)
    sampler = state.sampler = ShardSampler(team, shards, state.generator, RECIPE.limits)
    step = SharedStep(state, setting.rows)
    team.wants_stop = True
    (batch,) = sampler.one_pass(setting.rows, setting.training, 1, 8)
    step.gradient_of(state)(batch, 1.0)
    with pytest.raises(KeyboardInterrupt):
        next(sampler.one_pass(setting.rows, setting.training, 1, 8))


def test_layers_that_take_means_over_a_batch_are_refused():
    setting = Setting(architecture=MLP(hidden_layer_sizes=(8,), normalization="batch"))
    state = setting.state
    shards = {0: Shard(setting.rows, setting.training, 1.0)}
    state.sampler = ShardSampler(alone(False), shards, state.generator, RECIPE.limits)
    with pytest.raises(ValueError, match="normalization='layer'"):
        SharedStep(state, setting.rows)
