"""The model of tables: the linear start when branches are zero, hidden cells, one step of all."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.decomposition import PCA
from torch.distributions import MultivariateNormal, kl_divergence

from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.data.units import Units
from skvae.fitted.model import FittedModel
from skvae.fitting import fit_model
from skvae.likelihoods import LIKELIHOODS
from skvae.model.bounds import importance_bound
from skvae.model.diagnostics import diagnose
from skvae.model.first_weights import build, start_at_zero
from skvae.model.inference import soft_clip
from skvae.model.posterior import Posterior
from skvae.model.priors import Mixture, Vamp
from skvae.model.rows import CellRows, MixedVAE
from skvae.start.glm import fit_factor_start
from skvae.training.objective import OBJECTIVES, Denoising, Elbo, Iwae
from tests.samples import SMALL, gaussian, options

N, Q = 120, 2
NAMES = list(LIKELIHOODS)


def column(name, one, rng):
    """Values that a likelihood takes, which follow one number per row."""
    n = len(one)
    if name in ("bernoulli", "continuous_bernoulli"):
        chance = 1 / (1 + np.exp(-2 * one))
        return chance if name != "bernoulli" else (rng.uniform(size=n) < chance) * 1.0
    if name in ("categorical", "ordinal"):
        return np.digitize(one + 0.3 * rng.standard_normal(n), [-1, 0, 1]) * 1.0
    if name in ("poisson", "negative_binomial"):
        return rng.poisson(np.exp(one)) * 1.0
    noisy = one + 0.3 * rng.standard_normal(n)
    return np.exp(noisy) if name == "lognormal" else noisy


def rows_of(likelihood, n=N, share=0.0, seed=0):
    """Columns whose likelihoods are the values of a dict, or five of one."""
    rng = np.random.RandomState(seed)
    names = [likelihood] * 5 if isinstance(likelihood, str) else list(likelihood.values())
    z = rng.standard_normal((n, Q))
    mixing = np.random.RandomState(7).standard_normal((Q, len(names)))
    X = np.column_stack([column(name, z @ m, rng) for name, m in zip(names, mixing.T, strict=True)])
    X[rng.uniform(size=X.shape) < share] = np.nan
    return X


MIXED = dict(enumerate(NAMES))
TABLES = {name: name for name in NAMES} | {"mixed": MIXED}


def table(X, likelihood):
    columns = Columns.of(Input.of(X), likelihood)
    return columns.table(columns.encode(Input.of(X), "", 1) if columns.has_codes else X)


def started(X, likelihood, latent_dim=Q):
    return fit_factor_start(table(X, likelihood), latent_dim, None, np.random.RandomState(0))


def cells(X, likelihood, dtype=torch.float64):
    rows = table(X, likelihood)
    return CellRows(torch.from_numpy(Units.of(*rows, None).cells(rows.values)).to(dtype))


def with_branches(start, zero=False, seed=0):
    sizes = start.network_sizes(SMALL)
    branches = build(SMALL, sizes, seed=seed)
    for branch, size in zip(branches, sizes, strict=True):
        if zero:
            start_at_zero(branch, size[0])
    return MixedVAE(start, *branches).double()


@pytest.fixture(params=TABLES)
def likelihood(request):
    return TABLES[request.param]


@pytest.fixture(params=[0.0, 0.25], ids=["complete", "missing"])
def share(request):
    return request.param


# The linear start


def test_branches_of_zero_leave_the_linear_start(likelihood, share):
    X = rows_of(likelihood, share=share)
    start, rows = started(X, likelihood), cells(X, likelihood)
    linear, vae = start.module(), with_branches(start, zero=True)
    ours, theirs = vae.encode(rows), linear.encode(rows)
    torch.testing.assert_close(ours.mean, theirs.mean)
    torch.testing.assert_close(ours.variance, theirs.variance)
    torch.testing.assert_close(vae.codes(rows), linear.codes(rows))
    eta = vae.decode(ours.mean)
    torch.testing.assert_close(eta, linear.decode(theirs.mean))
    torch.testing.assert_close(vae.log_likelihood(rows, eta), linear.log_likelihood(rows, eta))


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_codes_of_a_complete_gaussian_table_are_the_scores_of_pca(latent_dim):
    X = gaussian(300, 5) * 100
    model = fit_model(table(X, "gaussian"), None, options(latent_dim=latent_dim, max_iter=0))[0]
    codes, scores = model.codes(X, False), PCA(latent_dim).fit_transform(X)
    signs = np.sign((codes * scores).sum(0))
    assert_allclose(codes * signs, scores, atol=1e-7 * np.abs(scores).max())
    whitened = PCA(latent_dim, whiten=True).fit_transform(X)
    assert_allclose(model.codes(X, True) * signs, whitened, rtol=1e-6, atol=1e-8)
    back = PCA(latent_dim).fit(X)
    assert_allclose(
        model.reconstruct(codes, False), back.inverse_transform(back.transform(X)), rtol=1e-6
    )
    ratio = PCA(latent_dim).fit(X).explained_variance_ratio_
    assert_allclose(model.use.explained_variance_ratio, ratio, rtol=1e-6)


def test_the_bound_rises_with_the_number_of_draws(likelihood, share):
    X = rows_of(likelihood, share=share)
    vae = with_branches(started(X, likelihood), seed=3).requires_grad_(False)
    rows = cells(X, likelihood)
    n_places = len(vae.proposals)  # each part has as many draws of every place
    draws = torch.randn(16 * n_places, Q, generator=torch.Generator().manual_seed(0)).double()
    bounds = []
    for n in (n_places, 4 * n_places, 16 * n_places):  # means over parts of the same draws
        parts = torch.stack([importance_bound(vae, rows, part) for part in draws.split(n)])
        bounds.append(parts.mean(0))
    assert (bounds[0] <= bounds[1] + 1e-9).all()
    assert (bounds[1] <= bounds[2] + 1e-9).all()


# The posterior


@pytest.fixture(scope="module")
def posterior():
    """With a root, as where cells are missing."""
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    root = torch.randn(4, 3, 3, generator=generator, dtype=torch.float64)
    diagonal = root.diagonal(dim1=-2, dim2=-1).abs() + 0.3
    root = torch.triu(root, 1) + torch.diag_embed(diagonal)
    return Posterior(mean, log_variance, root)


def normal(q):
    root = q.root * torch.exp(0.5 * q.log_variance)[:, None]
    return MultivariateNormal(q.mean, root @ root.mT)


def test_kl_of_a_posterior_with_a_root_is_the_closed_form(posterior):
    prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    torch.testing.assert_close(posterior.kl().sum(-1), kl_divergence(normal(posterior), prior))
    torch.testing.assert_close(posterior.variance, normal(posterior).variance)


def test_kl_of_a_posterior_with_a_root_is_the_mean_log_ratio_of_its_draws(posterior):
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(100_000, 4, 3, generator=generator, dtype=torch.float64)
    z = posterior.sample(noise)
    prior = MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    exact = normal(posterior).log_prob(z)
    torch.testing.assert_close(posterior.log_prob(z), exact)
    torch.testing.assert_close(posterior.log_density(noise), exact)
    log_ratio = prior.log_prob(z) - posterior.log_density(noise)
    error = 5 * (log_ratio.std(0) / len(noise) ** 0.5).max().item()
    torch.testing.assert_close(-log_ratio.mean(0), posterior.kl().sum(-1), rtol=0, atol=error)
    covariance = torch.cov(z[:, 0].T)
    torch.testing.assert_close(
        covariance, normal(posterior).covariance_matrix[0], rtol=0.1, atol=0.05
    )


def test_a_root_of_a_complete_row_is_no_root(likelihood):
    """A row has one posterior, whether the rows beside it have gaps or not."""
    X = rows_of(likelihood)
    start = started(rows_of(likelihood, share=0.2), likelihood)
    vae = with_branches(start, seed=2).requires_grad_(False)
    rows = cells(X, likelihood)
    holed = rows.values.clone()
    holed[1:, 0] = torch.nan
    alone, beside = vae.encode(rows), vae.encode(CellRows(holed))
    torch.testing.assert_close(alone.mean[0], beside.mean[0])
    torch.testing.assert_close(alone.variance[0], beside.variance[0])


def test_a_row_without_cells_has_the_prior(likelihood):
    X = rows_of(likelihood, share=0.2)
    X[0] = np.nan
    q = MixedVAE(started(rows_of(likelihood, share=0.2), likelihood)).encode(cells(X, likelihood))
    torch.testing.assert_close(q.kl()[0].sum(), torch.tensor(0.0).double(), rtol=0, atol=1e-12)


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


def test_units_follow_the_prior(likelihood, share):
    X = rows_of(likelihood, share=share)
    vae, rows = with_branches(started(X, likelihood), seed=4), cells(X, likelihood)
    before = vae.decode(vae.encode(rows).mean)
    vae.update_units(rows)
    q = vae.encode(rows)
    spread = (q.mean - q.mean.mean(0)).square().mean(0) + q.variance.mean(0)
    torch.testing.assert_close(q.mean.mean(0), torch.zeros(Q).double(), rtol=0, atol=1e-9)
    torch.testing.assert_close(spread, torch.ones(Q).double())
    torch.testing.assert_close(vae.decode(q.mean), before)


# Hidden cells


def test_a_batch_only_hides_observed_cells_and_keeps_what_they_were():
    X = rows_of(MIXED, share=0.2)
    rows, generator = cells(X, MIXED)._replace(masked_share=0.5), torch.Generator().manual_seed(0)
    index = torch.arange(0, N, 2)
    masked, shares = 0, []
    for _ in range(200):
        (batch,) = rows.batches(index, len(index), generator)
        if not batch.is_masked:
            torch.testing.assert_close(batch.values, rows.values[index], equal_nan=True)
            continue
        masked += 1
        torch.testing.assert_close(batch.targets, rows.values[index], equal_nan=True)
        hidden = batch.values.isnan()
        assert hidden[batch.targets.isnan()].all()
        assert torch.equal(batch.values[~hidden], batch.targets[~hidden])
        shares.append((hidden & ~batch.targets.isnan()).double().mean().item())
        whole = batch.unmasked(10)
        torch.testing.assert_close(whole.values[:10], batch.targets[:10], equal_nan=True)
        torch.testing.assert_close(whole.values[10:], batch.values[10:], equal_nan=True)
    assert 70 < masked < 130
    assert max(shares) < 0.6
    assert min(shares) < 0.1


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


def test_the_more_is_missing_the_more_batches_hide_cells():
    shares = []
    for share in (0.0, 0.04, 0.9):
        X = rows_of(MIXED, share=share)
        rows = FittedModel.rows(started(X, MIXED), table(X, MIXED), None, np.float32, "cpu")
        shares.append(rows.masked_share)
    assert 0 < shares[0] < shares[1] < shares[2] <= 0.5


def test_sparse_rows_are_taken_dense():
    X = rows_of("poisson")
    dense, held = CellRows(torch.from_numpy(X)), CellRows(sparse.csr_array(X))
    index = torch.tensor([5, 3, 3, 0])
    torch.testing.assert_close(held.take(index).values, dense.take(index).values)
    assert (held.n_rows, held.n_inputs) == (dense.n_rows, dense.n_inputs) == X.shape


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


def test_rates_cover_every_parameter_once():
    vae = with_branches(started(rows_of(MIXED), MIXED))
    covered = [p for parameters, _, _ in vae.rates for p in parameters]
    assert len(covered) == len({id(p) for p in covered})
    assert {id(p) for p in covered} == {id(p) for p in vae.parameters()}


def test_the_encoder_sees_which_cells_are_there_only_where_some_were_missing():
    complete, holed = (started(rows_of(MIXED, share=s), MIXED) for s in (0.0, 0.2))
    n_features = len(complete.factors.owner)
    assert complete.network_sizes(SMALL) == [(n_features, 2 * Q), (Q, len(complete.bias))]
    assert holed.network_sizes(SMALL)[0] == (n_features + len(NAMES), 2 * Q)


def test_a_missing_cell_is_seen_as_the_other_cells_have_it_and_flagged():
    """Rows with one hidden cell, against what the factor model says of it."""
    X = rows_of("gaussian_diag", share=0.2)
    vae = with_branches(started(X, "gaussian_diag")).requires_grad_(False)
    rows = cells(X, "gaussian_diag")
    hidden = rows.values.isnan()
    seen = []
    vae.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    vae.encode(rows)
    flags = seen[0][:, -len(vae.mask_inputs) :]
    torch.testing.assert_close(flags, (~hidden[:, vae.mask_inputs]).to(flags))
    linear = MixedVAE(started(X, "gaussian_diag")).requires_grad_(False)
    expected = linear.encode(rows).mean @ linear.factor_loadings.T
    shown = seen[0][:, : expected.shape[1]]
    expected = soft_clip(expected, 6.0).to(shown)
    torch.testing.assert_close(shown[hidden], expected[hidden], rtol=1e-4, atol=1e-4)
    assert (shown[~hidden] - expected[~hidden]).abs().max() > 0.1


def test_nats_of_units_are_those_of_the_posteriors():
    X = gaussian(2000, 5)
    start = started(X, "gaussian")
    nats = start.module().encode(cells(X, "gaussian")).kl().mean(0)
    assert_allclose(nats.numpy(force=True), start.unit_kl, rtol=0.01)


def test_wide_tables_are_seen_by_their_principal_directions(monkeypatch):
    X = gaussian(60, 30)
    monkeypatch.setattr("skvae.start.glm._WIDE", 20)
    start = started(X, "gaussian_diag")
    assert start.network_sizes(SMALL)[0][0] == len(start.basis) <= 30
    vae = with_branches(start, zero=True).requires_grad_(False)
    linear, rows = start.module(), cells(X, "gaussian_diag")
    torch.testing.assert_close(vae.codes(rows), linear.codes(rows))


def test_without_its_start_the_decoder_says_the_mean_row():
    X = rows_of(MIXED, share=0.2)
    vae = MixedVAE(started(X, MIXED))
    vae.forget_start()
    eta = vae.decode(torch.randn(3, Q).double())
    torch.testing.assert_close(eta, vae.observation.decoder_bias.detach().expand_as(eta))


def test_mutual_information_where_cells_are_missing():
    """By the densities that torch has for it."""
    X = rows_of("gaussian_diag", share=0.25)
    vae = with_branches(started(X, "gaussian_diag"), seed=1).requires_grad_(False)
    rows = cells(X, "gaussian_diag")
    draws = torch.randn(16, Q, generator=torch.Generator().manual_seed(0)).double()
    q = vae.encode(rows)
    z = q.sample(draws[torch.arange(N) % 16])
    log_prob = normal(q).log_prob(z[:, None])
    expected = (log_prob.diagonal() - (log_prob.logsumexp(1) - np.log(N))).mean()
    found = diagnose(vae, rows, draws).mutual_information
    assert found == pytest.approx(expected.item())
    assert 0 < found < np.log(N)


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


@pytest.mark.parametrize("name", ["gaussian", "gaussian_diag"])
def test_iwae_leaves_the_exact_posterior_of_observed_cells_alone(name):
    """All draws have the same weight, whatever they are, and the encoder learns nothing."""
    X = rows_of(name, share=0.25)
    vae, rows = with_branches(started(X, name), zero=True), cells(X, name)
    assert vae.encode(rows).root is not None
    losses = [Iwae(n_draws=3)(vae, rows, torch.Generator().manual_seed(i)).loss for i in range(3)]
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(losses[2], losses[0])
    vae.zero_grad()
    losses[0].backward()
    largest = max(p.grad.abs().max() for p in vae.decoder.parameters())
    assert all(p.grad.abs().max() < 1e-9 * largest for p in vae.encoder.parameters())


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


def test_probabilities_are_drawn_as_often_as_they_say():
    n = 20_000
    values = torch.tensor([[0.2, 0.9, 0.7]], dtype=torch.float64).repeat(n, 1)
    values[0, 1] = torch.nan
    are_probabilities = torch.tensor([True, True, False])
    drawn = CellRows(values, None, probabilities=are_probabilities).drawn(
        torch.Generator().manual_seed(0)
    )
    share = drawn.values[1:].mean(0)
    assert_allclose(share[:2], [0.2, 0.9], atol=0.015)  # five standard deviations
    assert set(drawn.values[1:, :2].unique().tolist()) == {0.0, 1.0}
    assert (drawn.values[:, 2] == 0.7).all()
    assert drawn.values[0, 1].isnan()
    assert drawn.probabilities is None


def test_some_of_the_rows_keep_their_weights():
    cells = CellRows(torch.arange(12.0).view(6, 2), torch.arange(6.0))
    taken = cells.take(torch.tensor([4, 1]))
    assert taken.weight.tolist() == [4.0, 1.0]
    assert taken.values.tolist() == [[8.0, 9.0], [2.0, 3.0]]
