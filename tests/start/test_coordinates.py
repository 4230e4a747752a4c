"""A network that was carried to other scores answers as before, of rows in the user's units."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from skvae.model.first_weights import build
from skvae.model.networks import MLP
from skvae.model.priors import Vamp
from skvae.start.coordinates import Change, carried
from skvae.start.ppca import fit_linear
from tests.samples import gaussian, projected, with_networks

BODY = MLP(hidden_layer_sizes=(8,))


@pytest.fixture(name="X")
def rows():
    return gaussian(60, 4)


@pytest.fixture
def old(X):
    return fit_linear(X, 2)


@pytest.fixture
def new(X):
    """Of other rows: with another mean and scale, and directions of its own."""
    return fit_linear(3.0 * gaussian(80, 4, seed=1) + 5.0, 2)


def made(start, seed=0, prior=None):
    """A model whose every weight says something."""
    sizes = start.network_sizes(BODY)
    module = prior.module(2, sizes[0][0]) if prior else None
    vae = with_networks(start, *build(BODY, sizes, seed=seed), module).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.normal_(generator=generator)
        vae.inference.clip_limit.fill_(1e9)  # where clipping differs between directions
    return vae


def state_of(vae):
    return {name: value.numpy(force=True).copy() for name, value in vae.state_dict().items()}


def taken(vae, state):
    vae.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
    vae.inference.clip_limit.fill_(1e9)
    return vae


def test_scores_lead_there_and_back(X, old, new):
    before, after = (projected(start, X).scores.numpy() for start in (old, new))
    change = Change.between(old, new)
    assert_allclose(after @ change.into.T + change.shift, before, atol=1e-12)
    assert_allclose((before - change.shift) @ change.back.T, after, atol=1e-12)
    assert change.scale == pytest.approx(old.scale / new.scale)


def test_a_row_keeps_its_code_and_its_reconstruction(X, old, new):
    vae = made(old)
    moved = taken(made(new, seed=1), carried(state_of(vae), vae, old, new))
    expected, found = vae.encode(projected(old, X)), moved.encode(projected(new, X))
    torch.testing.assert_close(found.mean, expected.mean, rtol=0, atol=1e-9)
    torch.testing.assert_close(found.log_variance, expected.log_variance, rtol=0, atol=1e-9)
    restored = [
        start.restore(each.decode(expected.mean).numpy(force=True))
        for start, each in ((old, vae), (new, moved))
    ]
    assert_allclose(*restored, atol=1e-8)


def test_noise_and_pseudo_inputs_are_in_the_new_units(X, old, new):
    prior = Vamp(n_components=5)
    vae, there = made(old, prior=prior), made(new, seed=1, prior=prior)
    inputs = projected(old, X).scores[:5]
    with torch.no_grad():
        vae.prior.pseudo_inputs.copy_(inputs)
    moved = taken(there, carried(state_of(vae), vae, old, new))
    expected = projected(new, X).scores[:5]
    torch.testing.assert_close(moved.prior.pseudo_inputs.detach(), expected, rtol=0, atol=1e-6)
    noise = [
        float(each.observation.shared_noise) * start.scale**2
        for start, each in ((old, vae), (new, moved))
    ]
    assert noise[0] == pytest.approx(noise[1])


def test_numbers_keep_their_dtype(old, new):
    vae = made(old).float()
    state = state_of(vae)
    found = carried(state, vae, old, new)
    assert {name: each.dtype for name, each in found.items()} == {
        name: each.dtype for name, each in state.items()
    }


def test_another_number_of_units_cannot_be_carried(X, old):
    vae = made(old)
    assert carried(state_of(vae), vae, old, fit_linear(X, 3)) is None


def test_scores_of_fewer_directions_are_carried(X, old):
    """A start of fewer rows than columns knows fewer directions; networks follow."""
    few = fit_linear(X[:3], 2)
    vae = made(few)
    state = carried(state_of(vae), vae, few, old)
    moved = taken(made(old, seed=1), state)
    plane = few.restore(np.random.RandomState(0).standard_normal((7, len(few.variances))))
    torch.testing.assert_close(
        moved.encode(projected(old, plane)).mean, vae.encode(projected(few, plane)).mean,
        rtol=0, atol=1e-8,
    )  # fmt: skip
