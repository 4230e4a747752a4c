"""The gradient that is written out is autograd's."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from torch import nn

from skvae.model.networks import MLP, Conv
from skvae.model.priors import PRIORS, Normal
from skvae.start.tables import Matrix
from skvae.training.objective import OBJECTIVES, Elbo
from skvae.training.score_gradient import ScoreGradient
from skvae.training.step import PlainStep, WrittenStep, recorded_gradient
from tests.samples import Setting, curve

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2}


class Case(NamedTuple):
    """What the gradient depends on."""

    seed: int = 0
    precision: str = "float64"
    sizes: tuple[int, ...] = (9, 5)
    latent_dim: int = 2
    n_rows: int = 24
    n_columns: int = 7
    point_share: float = 0.25
    kl_weight: float = 1.0
    weighted: bool = False


CASES = st.builds(
    Case,
    seed=st.integers(0, 1000),
    precision=st.sampled_from(sorted(TOLERANCES)),
    sizes=st.lists(st.integers(1, 17), max_size=3).map(tuple),
    latent_dim=st.integers(1, 6),
    n_rows=st.integers(1, 40),
    n_columns=st.integers(7, 12),
    point_share=st.sampled_from([0.0, 0.25, 0.9]),
    kl_weight=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    weighted=st.booleans(),
)


def disturbed(case):
    """A training whose weights, units and widths are anywhere, and its rows."""
    X = Matrix(curve(120, case.n_columns, seed=case.seed))
    setting = Setting(
        case.seed,
        X,
        precision=case.precision,
        latent_dim=case.latent_dim,
        architecture=MLP(hidden_layer_sizes=case.sizes),
        objective=Elbo(point_share=case.point_share),
    )
    vae, rows = setting.vae, setting.rows
    generator = torch.Generator().manual_seed(case.seed)

    def like(tensor):
        return torch.empty_like(tensor).normal_(generator=generator)

    vae.in_bfloat16 = case.precision == "bfloat16"
    setting.state.weights.values.add_(like(setting.state.weights.values), alpha=0.2)
    for number in (vae.scale.center, vae.scale.width, vae.inference.log_variance):
        number.add_(like(number), alpha=0.3)
    vae.scale.spread.mul_(torch.exp(0.5 * like(vae.scale.spread)))
    if case.weighted:
        rows = replace(rows, weight=like(rows.residual).square())
    return setting.state, rows


def found(gradient, state, batch, kl_weight):
    """A gradient, what is watched, and the noise that comes next; the state draws as before."""
    before = state.generator.get_state()
    state.weights.gradient.fill_(torch.nan)
    terms = [float(term.detach()) for term in gradient(batch, kl_weight)]
    after = state.generator.get_state()
    state.generator.set_state(before)
    return state.weights.gradient.clone(), terms, after


@settings(deadline=None, max_examples=60)
@given(case=CASES)
def test_it_is_autograds(case):
    state, rows = disturbed(case)
    batch = rows.take(torch.arange(case.n_rows))
    expected, expected_terms, expected_after = found(
        recorded_gradient(state), state, batch, case.kl_weight
    )
    written, terms, after = found(ScoreGradient(state), state, batch, case.kl_weight)
    allowed = TOLERANCES[case.precision]
    assert_allclose(written, expected, rtol=0, atol=allowed * float(expected.abs().max()))
    assert_allclose(terms, expected_terms, rtol=allowed, atol=10 * allowed)
    assert torch.equal(after, expected_after)


def test_it_is_the_slope_of_the_loss():
    """By finite differences; to the gradient the gain of point codes is a constant."""
    state, rows = disturbed(Case(point_share=0.0))
    batch, gradient = rows.take(torch.arange(24)), ScoreGradient(state)
    slope = found(gradient, state, batch, 1.0)[0]
    direction = torch.empty_like(slope).normal_(generator=torch.Generator().manual_seed(1))
    losses = []
    for shift in (1e-5, -2e-5):
        state.weights.values.add_(direction, alpha=shift)
        losses.append(found(gradient, state, batch, 1.0)[1][0])
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(float(slope @ direction), rel=1e-6)


def test_batches_of_another_size_and_precision_get_memory_of_their_own():
    state, rows = disturbed(Case(precision="float32"))
    gradient, before = ScoreGradient(state), None
    for n_rows, in_bfloat16 in ((24, False), (7, False), (7, True), (24, False)):
        state.vae.in_bfloat16 = in_bfloat16
        batch = rows.take(torch.arange(n_rows))
        written = found(gradient, state, batch, 1.0)[0]
        expected = found(recorded_gradient(state), state, batch, 1.0)[0]
        allowed = TOLERANCES["bfloat16" if in_bfloat16 else "float32"] * float(expected.abs().max())
        assert_allclose(written, expected, rtol=0, atol=allowed)
        # Of the same rows at half the width of numbers, the gradient is another.
        assert before is None or (written - before).abs().max() > 1e-4 * expected.abs().max()
        before = written


@pytest.mark.parametrize("precision", sorted(TOLERANCES))
def test_what_is_loaded_into_the_model_is_seen(precision):
    state, rows = disturbed(Case(precision=precision))
    other = disturbed(Case(precision=precision, seed=1))[0]
    gradient, batch = ScoreGradient(state), rows.take(torch.arange(24))
    before = found(gradient, state, batch, 1.0)[0]
    state.vae.load_state_dict(other.vae.state_dict())
    written = found(gradient, state, batch, 1.0)[0]
    expected = found(recorded_gradient(state), state, batch, 1.0)[0]
    allowed = TOLERANCES[precision] * float(expected.abs().max())
    assert_allclose(written, expected, rtol=0, atol=allowed)
    assert (written - before).abs().max() > 2 * allowed


@pytest.mark.parametrize("weighted", [False, True])
def test_whole_trainings_take_the_same_steps(weighted):
    records = []
    for step in (PlainStep, partial(WrittenStep, ScoreGradient)):
        setting = Setting(precision="float64", steps=(step,), latent_dim=2)
        if weighted:
            weight = torch.linspace(0.5, 1.5, setting.rows.n_rows, dtype=torch.float64)
            setting.rows = replace(setting.rows, weight=weight)
        records.append((setting.train(), setting.state.weights.values))
    (plain, weights), (written, own_weights) = records
    assert len(plain.bounds) > 3
    assert_allclose(written.bounds, plain.bounds, rtol=1e-8)
    assert_allclose(own_weights, weights, atol=1e-7)


def chosen(**changes):
    setting = Setting(**changes)
    return WrittenStep(ScoreGradient).accepts(setting.state, setting.rows)


class Own(nn.Sequential):
    """Layers that may do more than they say."""


def own(n_in, n_out):
    return Own(nn.Linear(n_in, 4), nn.SiLU(), nn.Linear(4, n_out))


def half_trained(n_in, n_out):
    network = nn.Sequential(nn.Linear(n_in, 4), nn.SiLU(), nn.Linear(4, n_out))
    network[0].weight.requires_grad_(False)
    return network


def without_bias(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 4, bias=False), nn.SiLU(), nn.Linear(4, n_out))


def twice_active(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 4), nn.SiLU(), nn.SiLU(), nn.Linear(4, n_out))


def one_layer_twice(n_in, n_out):
    layer = nn.Linear(n_in, n_in)
    return nn.Sequential(layer, nn.SiLU(), layer, nn.SiLU(), nn.Linear(n_in, n_out))


def normed(n_in, n_out):
    """Its weight is made of others."""
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(n_in, 4))
    return nn.Sequential(layer, nn.SiLU(), nn.Linear(4, n_out))


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_it_suits_the_plain_bound_alone(name):
    assert chosen(objective=OBJECTIVES[name]()) == (name == "elbo")


def test_it_suits_no_free_bits():
    assert not chosen(objective=Elbo(free_bits=0.1))


@pytest.mark.parametrize("name", sorted(PRIORS))
def test_it_suits_the_normal_prior_until_the_end_of_the_training(name):
    prior = PRIORS[name]()
    is_normal = isinstance(prior, Normal) or prior.is_fitted_after
    assert chosen(prior=prior) == is_normal


@pytest.mark.parametrize(
    "architecture",
    [
        MLP(activation="relu"),
        MLP(dropout=0.1),
        MLP(normalization="layer"),
        MLP(hidden_layer_sizes=(4, 4), residual=True),
        Conv(image_shape=(1, 5)),
        own,
        half_trained,
        without_bias,
        twice_active,
        one_layer_twice,
        normed,
    ],
)
def test_it_suits_no_network_that_is_more_than_dense_layers_and_silu(architecture):
    assert not chosen(architecture=architecture)


def test_it_suits_the_default_and_no_layer_that_stands_alone():
    assert chosen()
    assert chosen(architecture=lambda n_in, n_out: nn.Linear(n_in, n_out)) is False
