"""The linear start of a table: what networks of zero leave, and what it says of its units."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA

from skvae import GaussianDiag, VAETransformer
from skvae.fitting.fit import fit_model
from skvae.model.bounds import importance_bound
from skvae.model.diagnostics import diagnose
from tests.samples import SMALL, curve, gaussian, options
from tests.tables import MIXED, NAMES, N, Q, cells, normal, rows_of, started, table, with_branches


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


def test_where_columns_share_their_noise_at_the_start_it_is_pca_of_standardised_ones():
    X = gaussian(300, 5) * [1.0, 10.0, 1e3, 1e-3, 5.0] + [0.0, -3.0, 1e4, 1.0, 2.0]
    scaled = (X - X.mean(0)) / X.std(0)
    pca, likelihood = PCA(2).fit(scaled), GaussianDiag(start_noise="shared")
    vae = VAETransformer(2, likelihood=likelihood, max_iter=0, random_state=0).fit(X)
    cosines = np.corrcoef(vae.transform(X), pca.transform(scaled), rowvar=False)[:2, 2:]
    assert_allclose(np.abs(cosines), np.eye(2), atol=1e-6)
    back = pca.inverse_transform(pca.transform(scaled)) * X.std(0) + X.mean(0)
    assert_allclose(vae.inverse_transform(vae.transform(X)) / X.std(0), back / X.std(0), atol=1e-6)
    noise = np.full(5, pca.noise_variance_)
    assert_allclose(vae.noise_variance_ / X.var(0), noise, rtol=1e-6)


def test_training_gives_columns_that_shared_their_noise_one_of_their_own():
    X = curve(600, 6, noise=0.02)
    X[:, 5] = np.random.RandomState(0).standard_normal(600)  # nothing tells it
    likelihood = GaussianDiag(start_noise="shared")
    noise = VAETransformer(1, likelihood=likelihood, random_state=0).fit(X).noise_variance_
    share = noise / X.var(0)
    assert share[5] > 5 * share[:5].max()


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


def test_nats_of_units_are_those_of_the_posteriors():
    X = gaussian(2000, 5)
    start = started(X, "gaussian")
    nats = start.module().encode(cells(X, "gaussian")).kl().mean(0)
    assert_allclose(nats.numpy(force=True), start.unit_kl, rtol=0.01)


def test_wide_tables_are_seen_by_their_principal_directions():
    X = gaussian(60, 530)
    start = started(X, "gaussian_diag")
    assert start.network_sizes(SMALL)[0][0] == len(start.basis) < 530
    vae = with_branches(start, zero=True).requires_grad_(False)
    linear, rows = start.module(), cells(X, "gaussian_diag")
    torch.testing.assert_close(vae.codes(rows), linear.codes(rows))


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
