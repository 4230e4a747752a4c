"""The gradient that is written out is autograd's."""

import dataclasses

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skvae.model.networks import MLP
from skvae.start.tables import Matrix
from skvae.training.objective import Elbo
from skvae.training.step import recorded_gradient
from skvae.training.written_gradient import WrittenGradient
from tests.samples import Setting, curve

TOLERANCES = {"float64": 1e-12, "float32": 1e-5, "bfloat16": 5e-2}


def disturbed(seed=0, weighted=False, precision="float64", **changes):
    """A training whose weights, units and widths are anywhere, and some of its rows."""
    X = Matrix(curve(120, 7, seed=seed))
    setting = Setting(seed, X, precision=precision, **changes)
    vae, generator = setting.vae, torch.Generator().manual_seed(seed)
    vae.in_bfloat16 = precision == "bfloat16"
    values = setting.state.weights.values
    values += 0.2 * torch.empty_like(values).normal_(generator=generator)
    scale = vae.scale
    for number in (scale.center, scale.width, vae.inference.log_variance):
        number += 0.3 * torch.empty_like(number).normal_(generator=generator)
    scale.spread *= 0.5 + torch.empty_like(scale.spread).uniform_(generator=generator)
    rows = setting.rows
    if weighted:
        weight = 2.0 * torch.empty_like(rows.residual).uniform_(generator=generator)
        rows = dataclasses.replace(rows, weight=weight)
    return setting.state, rows


def gradients(state, batch, kl_weight):
    """What autograd finds, and what is written out, with the same noise."""
    before, found = state.generator.get_state(), []
    for gradient in (recorded_gradient(state), WrittenGradient(state)):
        state.generator.set_state(before)
        state.weights.gradient.fill_(torch.nan)
        terms = gradient(batch, kl_weight)
        found.append((state.weights.gradient.clone(), terms, state.generator.get_state()))
    return found


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    precision=st.sampled_from(["float64", "float32", "bfloat16"]),
    sizes=st.lists(st.integers(1, 17), max_size=3).map(tuple),
    latent_dim=st.integers(1, 6),
    n_rows=st.integers(1, 40),
    point_share=st.sampled_from([0.0, 0.25, 0.9]),
    kl_weight=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    weighted=st.booleans(),
)
def test_it_is_autograds(
    seed, precision, sizes, latent_dim, n_rows, point_share, kl_weight, weighted
):
    state, rows = disturbed(
        seed,
        weighted,
        precision,
        latent_dim=latent_dim,
        architecture=MLP(hidden_layer_sizes=sizes),
        objective=Elbo(point_share=point_share),
    )
    assert WrittenGradient.suits(state, rows)
    (recorded, terms, after), (written, own_terms, own_after) = gradients(
        state, rows.take(torch.arange(n_rows)), kl_weight
    )
    allowed = TOLERANCES[precision]
    assert_allclose(written, recorded, rtol=0, atol=allowed * recorded.abs().max().item())
    watched = [term.detach() for term in terms]
    assert_allclose(own_terms, watched, rtol=10 * allowed, atol=10 * allowed)
    assert torch.equal(own_after, after)
