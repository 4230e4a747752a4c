"""The gradient of a table that is written out is autograd's."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from skvae.fitting.rows import start_vae
from skvae.limits import Limits
from skvae.model.evidence import with_known_evidence
from skvae.model.networks import MLP
from skvae.training.cell_gradient import CellGradient
from skvae.training.objective import Denoising, Elbo, Iwae
from skvae.training.step import recorded_gradient
from tests.samples import Setting
from tests.tables import MIXED, rows_of, table

TOLERANCES = {"float64": 1e-12, "float32": 1e-4, "bfloat16": 5e-2}
KINDS = {"numbers": "gaussian_diag", "one noise": "gaussian", "levels": "categorical", "all": MIXED}


class FixedTable:
    """A table whose start is fitted once, by all the settings of a likelihood."""

    starts = {}

    def __init__(self, kind, gaps):
        self.kind, self.gaps = kind, gaps
        self.table = table(rows_of(KINDS[kind], 140, gaps), KINDS[kind])
        self.values, self.n_rows = self.table.values, self.table.n_rows

    def fit_start(self, latent_dim, weight, rng):
        key = self.kind, self.gaps, latent_dim
        if key not in self.starts:
            self.starts[key] = self.table.fit_start(latent_dim, weight, rng)
        return self.starts[key]


def disturbed(kind, gaps=0.2, seed=0, weighted=False, **changes):
    """A training whose weights, units and widths are anywhere, and its rows."""
    X = FixedTable(kind, gaps)
    setting = Setting(seed, X, **changes)
    vae, generator = setting.vae, torch.Generator().manual_seed(seed)
    vae.in_bfloat16 = changes.get("precision") == "bfloat16"
    values = setting.state.weights.values
    values += 0.2 * torch.empty_like(values).normal_(generator=generator)
    scale = vae.scale
    for number in (scale.center, scale.width, vae.inference.linear_gain):
        number += 0.3 * torch.empty_like(number).normal_(generator=generator)
    scale.spread *= 0.5 + torch.empty_like(scale.spread).uniform_(generator=generator)
    rows = setting.rows
    if weighted:
        weight = 2.0 * torch.empty_like(rows.values[:, 0]).uniform_(generator=generator)
        rows = replace(rows, weight=weight)
    start = X.fit_start(setting.options.latent_dim, None, None)
    known = with_known_evidence(rows, start_vae(start, setting.options), Limits())
    return setting.state, rows, known


def gradients(state, batch, kl_weight=1.0, other=None):
    """What autograd finds, and what is written out of the same or other rows."""
    before, found = state.generator.get_state(), []
    both = (recorded_gradient(state), batch), (CellGradient(state), other or batch)
    for gradient, rows in both:
        state.generator.set_state(before)
        state.weights.gradient.fill_(torch.nan)
        terms = torch.stack([term.detach() for term in gradient(rows, kl_weight)])
        found.append((state.weights.gradient.clone(), terms, state.generator.get_state()))
    return found


def assert_alike(found, allowed):
    (recorded, terms, after), (written, own_terms, own_after) = found
    assert_close(written, recorded, rtol=0, atol=allowed * recorded.abs().max().item())
    assert_close(own_terms, terms, rtol=10 * allowed, atol=10 * allowed)
    assert torch.equal(own_after, after)


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(list(KINDS)),
    gaps=st.sampled_from([0.0, 0.2]),
    precision=st.sampled_from(list(TOLERANCES)),
    seed=st.integers(0, 1000),
    sizes=st.lists(st.integers(1, 17), max_size=3).map(tuple),
    latent_dim=st.integers(1, 3),
    n_rows=st.integers(1, 40),
    point_share=st.sampled_from([0.0, 0.25, 0.9]),
    kl_weight=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    weighted=st.booleans(),
    hiding=st.sampled_from([0.0, 0.3, 1.0]),
    is_known=st.booleans(),
)
def test_it_is_autograds(
    *, kind, gaps, precision, seed, sizes, latent_dim, n_rows, point_share, kl_weight, weighted,
    hiding, is_known,
):  # fmt: skip
    state, rows, known = disturbed(
        kind,
        gaps,
        seed,
        weighted,
        precision=precision,
        latent_dim=latent_dim,
        architecture=MLP(hidden_layer_sizes=sizes),
        objective=Elbo(point_share=point_share),
    )
    assert CellGradient.suits(state, rows)
    index = torch.arange(n_rows)
    batch, other = rows.take(index), (known if is_known else rows).take(index)
    if hiding:
        batch = batch.hiding(hiding, torch.Generator().manual_seed(seed))
        other = other.hiding(hiding, torch.Generator().manual_seed(seed))
    assert_alike(gradients(state, batch, kl_weight, other), TOLERANCES[precision])


def test_rows_of_which_nothing_is_missing_have_no_matrix_of_their_own():
    """Complete rows beside others have the gradient that they have by themselves."""
    state, rows, _ = disturbed("numbers", gaps=0.2, precision="float64")
    batch = replace(rows.take(torch.arange(30)), has_gaps=True)
    batch = replace(batch, values=batch.values.nan_to_num())
    alone = replace(batch, has_gaps=False)
    assert state.vae.encode(alone).root is None
    assert state.vae.encode(batch).root is not None
    assert_alike(gradients(state, batch, other=alone), 1e-12)


def test_one_network_is_trained_by_batches_of_many_sizes():
    state, rows, known = disturbed("levels", precision="float64")
    gradient = CellGradient(state)
    for n_rows in (30, 12, 30):
        batch = rows.take(torch.arange(n_rows))
        before = state.generator.get_state()
        recorded_gradient(state)(batch, 1.0)
        expected = state.weights.gradient.clone()
        state.generator.set_state(before)
        gradient(known.take(torch.arange(n_rows)), 1.0)
        assert_close(state.weights.gradient, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": Iwae()},
        {"objective": Denoising()},
        {"objective": Elbo(free_bits=0.1)},
        {"architecture": MLP(hidden_layer_sizes=(8,), dropout=0.1)},
        {"architecture": MLP(hidden_layer_sizes=(8,), activation="relu")},
    ],
    ids=str,
)
def test_other_trainings_are_recorded(changes):
    state, rows, _ = disturbed("numbers", **changes)
    assert not CellGradient.suits(state, rows)
