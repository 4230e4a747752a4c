"""The decoder of tables: unseen levels, hidden cells, one step that trains all of it."""

import numpy as np
import pytest
import torch

from skvae.model.priors import Mixture, Vamp
from skvae.model.rows import CellRows
from skvae.training.objective import OBJECTIVES, Denoising, Elbo, Iwae
from tests.tables import MIXED, NAMES, TABLES, N, Q, cells, rows_of, started, table, with_branches


@pytest.mark.parametrize("name", ["categorical", "ordinal", "mixed"])
def test_an_unseen_level_is_a_missing_cell_to_the_codes_alone(name):
    X = rows_of(TABLES[name], share=0.25)
    start = started(X, TABLES[name])
    vae = with_branches(start, seed=1).requires_grad_(False)
    rows = cells(X, TABLES[name])
    values, expected = rows.values.clone(), 0.0
    for block in vae.observation.blocks:
        if block.likelihood.is_coded:
            own = values[:, block.columns]
            expected = expected + (own.isnan() * block.log_unseen).sum(1)
            values[:, block.columns] = torch.where(own.isnan(), -1.0, own)
    unseen = CellRows(values)
    torch.testing.assert_close(vae.codes(unseen), vae.codes(rows))
    torch.testing.assert_close(
        vae.observation.squared_error(unseen, 0.0), vae.observation.squared_error(rows, 0.0)
    )
    eta = vae.decode(vae.encode(rows).mean)
    gain = vae.log_likelihood(unseen, eta) - vae.log_likelihood(rows, eta)
    torch.testing.assert_close(gain, expected)


# Hidden cells


def test_rows_that_are_decoded_from_points_explain_what_was_hidden():
    """A row's hidden cells count in the loss where a point decodes it, and nowhere in the bound."""
    X = rows_of("gaussian")
    vae, rows = with_branches(started(X, "gaussian"), seed=1), cells(X, "gaussian").values
    hidden = rows.clone()
    hidden[:, 0] = torch.nan

    def terms(others):
        """Where what is hidden is something else in some of the rows."""
        targets = rows.clone()
        targets[others, 0] += 1.0
        batch = CellRows(hidden, None, targets)
        return Elbo(point_share=0.5)(vae, batch, torch.Generator().manual_seed(0))

    half = N // 2
    as_it_was, first, last = (terms(slice(*ends)) for ends in ((0, 0), (0, half), (half, N)))
    assert abs(first.loss - as_it_was.loss) > 1e-3
    torch.testing.assert_close(last.loss, as_it_was.loss)
    assert first.elbo == last.elbo == as_it_was.elbo


# Training


def test_a_step_trains_every_parameter(likelihood, share):
    X = rows_of(likelihood, share=share)
    vae = with_branches(started(X, likelihood), seed=1)
    rows = cells(X, likelihood)
    hidden = torch.rand(rows.values.shape, generator=torch.Generator().manual_seed(0)) < 0.2
    masked = CellRows(rows.values.masked_fill(hidden, torch.nan), None, rows.values)
    for batch in (rows, masked):
        vae.zero_grad()
        Elbo()(vae, batch, torch.Generator().manual_seed(0)).loss.backward()
        for name, parameter in vae.named_parameters():
            if parameter.numel():
                assert torch.isfinite(parameter.grad).all(), name
                assert parameter.grad.any(), name


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_far_from_the_data(name):
    X = rows_of(name, share=0.2)
    start = started(X, name)
    vae = with_branches(start, seed=1).float()
    far = table(X, name).values.copy()
    if name in ("gaussian", "gaussian_diag", "student_t", "lognormal"):
        far[:3] *= 1e4
    if name in ("poisson", "negative_binomial"):
        far[:3] = np.round(far[:3] * 1e3)
    rows = CellRows(torch.from_numpy(start.units.cells(far)).float())
    Elbo()(vae, rows, torch.Generator().manual_seed(0)).loss.backward()
    for parameter in vae.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_without_its_start_the_decoder_says_the_mean_row():
    X = rows_of(MIXED, share=0.2)
    vae = started(X, MIXED).module()
    vae.forget_start()
    eta = vae.decode(torch.randn(3, Q).double())
    torch.testing.assert_close(eta, vae.observation.decoder_bias.detach().expand_as(eta))


# Other objectives and priors


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_takes_tables(name, share):
    X = rows_of(MIXED, share=share)
    vae, rows = with_branches(started(X, MIXED), seed=1), cells(X, MIXED)
    hidden = torch.rand(rows.values.shape, generator=torch.Generator().manual_seed(0)) < 0.2
    masked = CellRows(rows.values.masked_fill(hidden, torch.nan), None, rows.values)
    for batch in (rows, masked):
        vae.zero_grad()
        terms = OBJECTIVES[name]()(vae, batch, torch.Generator().manual_seed(0))
        terms.loss.backward()
        assert terms.elbo <= terms.log_likelihood
        for part, parameter in vae.named_parameters():
            if parameter.numel():
                assert torch.isfinite(parameter.grad).all(), part
                assert parameter.grad.any(), part


@pytest.mark.parametrize("prior", [Mixture(n_components=3), Vamp(n_components=4)], ids=str)
def test_a_prior_of_a_table_is_trained(prior, share):
    X = rows_of(MIXED, share=share)
    vae, rows = with_branches(started(X, MIXED), seed=1), cells(X, MIXED)
    inputs = vae.inputs(rows)
    assert inputs.shape == (N, vae.n_inputs)
    assert torch.isfinite(inputs).all()
    vae.prior, generator = prior.module(Q, vae.n_inputs).double(), torch.Generator().manual_seed(0)
    prior.start(vae.prior, inputs, generator)
    for objective in (Elbo(), Iwae()):
        vae.zero_grad()
        objective(vae, rows, generator).loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in vae.prior.parameters())
        assert any(p.grad.any() for p in vae.prior.parameters())
    assert vae.sample_prior(7, generator).shape == (7, Q)


def test_spoilt_cells_keep_what_they_were():
    X = rows_of(MIXED, share=0.1)
    vae, rows = with_branches(started(X, MIXED)), cells(X, MIXED)
    corrupted = vae.observation.corrupt(rows, 0.5, 0.3, torch.Generator().manual_seed(0))
    assert corrupted.is_masked
    torch.testing.assert_close(corrupted.targets, rows.values, equal_nan=True)
    torch.testing.assert_close(cells(X, MIXED).values, rows.values, equal_nan=True)
    there = ~rows.values.isnan()
    hidden = corrupted.values.isnan() & there
    assert hidden.sum().item() / there.sum().item() == pytest.approx(0.3, abs=0.05)
    for block in vae.observation.blocks:
        left = (there & ~hidden)[:, block.columns]
        away = (corrupted.values - rows.values)[:, block.columns]
        if not block.likelihood.takes_noise:
            assert not away[left].any()
            continue
        away = (away / block.spread())[left]
        assert away.std().item() == pytest.approx(0.5, rel=0.3)
    terms = Denoising()(vae, rows, torch.Generator().manual_seed(0))
    assert terms.elbo < Elbo()(vae, rows, torch.Generator().manual_seed(0)).elbo
