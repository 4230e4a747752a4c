"""The model before training is probabilistic PCA; after, it is bounded far from the data."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA
from torch import distributions

from skvae.model.first_weights import build, start_at_zero
from skvae.model.networks import MLP
from skvae.model.priors import Normal
from skvae.model.rows import ScoreRows
from skvae.start.ppca import fit_linear
from tests.samples import SMALL, gaussian, projected, with_networks


@pytest.fixture(name="X")
def normal_rows():
    return gaussian(60, 8)


@pytest.fixture
def start(X):
    return fit_linear(X, 3)


@pytest.fixture(params=["no branches", "zero branches"])
def vae_at_start(request, start):
    if request.param == "no branches":
        return start.module()
    branches = build(SMALL, start.network_sizes(SMALL), seed=0)
    for branch, (n_in, _) in zip(branches, start.network_sizes(SMALL), strict=True):
        start_at_zero(branch, n_in)
    return with_networks(start, *branches).double()


@pytest.fixture
def vae(start):
    """With branches that do something."""
    return with_networks(start, *build(SMALL, start.network_sizes(SMALL), seed=0)).double()


def test_codes_at_the_start_are_pca_scores(vae_at_start, start, X):
    codes = vae_at_start.codes(projected(start, X)).numpy(force=True)
    scores = PCA(3, svd_solver="full").fit_transform(X)
    assert_allclose(codes * start.weights * start.scale, scores, atol=1e-9)


def test_reconstruction_at_the_start_is_pcas(vae_at_start, start, X):
    codes = vae_at_start.codes(projected(start, X))
    restored = start.restore(vae_at_start.decode(codes).numpy(force=True))
    pca = PCA(3, svd_solver="full").fit(X)
    assert_allclose(restored, pca.inverse_transform(pca.transform(X)), atol=1e-9)


def test_posterior_at_the_start_is_exact(vae_at_start, start, X):
    """Bayes' rule for a linear normal model, solved without what the model knows."""
    rows = projected(start, X)
    W = np.zeros((len(start.variances), 3))
    W[:3] = np.diag(start.weights)
    covariance = np.linalg.inv(np.eye(3) + W.T @ W / start.noise_variance)
    q = vae_at_start.encode(rows)
    mean = rows.scores.numpy() @ W @ covariance / start.noise_variance
    assert_allclose(q.mean.numpy(force=True), mean, atol=1e-10)
    assert_allclose(q.log_variance.exp().numpy(force=True)[0], np.diag(covariance))


def test_codes_follow_the_prior_at_the_start(vae_at_start, start, X):
    """The posterior, averaged over the rows, has variance 1 in every unit."""
    q = vae_at_start.encode(projected(start, X))
    variance = q.mean.var(0) + q.log_variance.exp().mean(0)
    assert_allclose(variance.numpy(force=True), 1.0)


def test_log_likelihood_is_that_of_the_whole_row(start, vae, X):
    """What lies outside the leading scores is paid for without being looked at."""
    rows = projected(start, X)
    mean = vae.decode(vae.codes(rows))
    actual = vae.log_likelihood(rows, mean).detach()
    noise = np.sqrt(start.noise_variance) * start.scale
    whole = distributions.Normal(
        torch.from_numpy(start.restore(mean.numpy(force=True))), float(noise)
    )
    expected = whole.log_prob(torch.from_numpy(X)).sum(1)
    torch.testing.assert_close(actual + start.log_jacobian, expected)


def test_noise_follows_the_squared_error_of_a_cell(start, vae, X):
    rows = projected(start, X)
    mean = vae.decode(vae.codes(rows)).detach()
    before = vae.observation.shared_noise.clone()
    error = vae.observation.squared_error(rows, mean).mean() / X.shape[1]
    vae.observation.update_noise(vae.log_likelihood(rows, mean).mean(), 0.25)
    torch.testing.assert_close(vae.observation.shared_noise, 0.75 * before + 0.25 * error)
    vae.observation.update_noise(vae.log_likelihood(rows, mean).mean(), 1.0)
    torch.testing.assert_close(vae.observation.shared_noise, error)


def test_columns_that_are_hidden_are_at_their_mean(start, X):
    vae = start.module(knows_columns=True)
    rows = projected(start, X)
    few, all_of_them = (
        vae.observation.corrupt(rows, 0.0, share, torch.Generator().manual_seed(0))
        for share in (1e-12, 1.0)
    )
    torch.testing.assert_close(few.scores, rows.scores)
    assert not all_of_them.scores.any()
    restored = start.restore(all_of_them.scores.numpy())
    assert_allclose(restored, np.tile(X.mean(0), (len(X), 1)))


def test_the_linear_path_is_slow_and_branches_alone_decay(vae):
    (linear, share, decays), (dispersions, *_), (_, *of_prior), (branches, *of_branches) = vae.rates
    assert not dispersions, "the noise that all columns share follows their error"
    assert [tuple(p.shape) for p in linear] == [
        vae.inference.encoder_path.shape,
        vae.observation.decoder_path.shape,
    ]
    assert (share, decays) == (0.1, False)
    assert (of_prior, of_branches) == ([1.0, False], [1.0, True])
    n = sum(p.numel() for p in vae.parameters())
    assert sum(p.numel() for p in (*linear, *branches)) == n


def test_gradients_are_finite_far_from_the_data(start, vae, X):
    rows = projected(start, X)
    x, residual = rows.scores, rows.residual
    q = vae.encode(ScoreRows(1e6 * x, residual))
    (vae.decode(q.mean).sum() + q.log_variance.sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in vae.parameters())


def test_forget_start_leaves_the_prior(start, X):
    vae = start.module()
    vae.forget_start()
    q = vae.encode(projected(start, X))
    assert not q.kl().any()
    assert not vae.decode(torch.ones(2, 3, dtype=torch.float64)).any()


def test_rebuilt_from_its_architecture_and_state(start, X):
    rows = projected(start, X)
    vae = with_networks(start, *build(SMALL, start.network_sizes(SMALL), seed=0)).double()
    again = start.module_of(SMALL, Normal())
    again.load_state_dict(vae.state_dict(), assign=True)
    torch.testing.assert_close(again.codes(rows), vae.codes(rows), rtol=0, atol=0)
    assert start.module_of(None, Normal()).encoder is None


def test_the_start_shares_no_memory_with_the_model(start):
    before = start.variances.copy()
    vae = start.module()
    for tensor in vae.state_dict().values():
        tensor.zero_()
    assert_allclose(start.variances, before)


def test_branches_are_as_wide_as_scores_and_codes(start):
    k = len(start.variances)
    assert start.network_sizes(SMALL) == [(k, 6), (3, k)]
    with torch.device("meta"):  # where the networks' weights are still to be loaded
        vae, z = start.module_of(MLP(), Normal()).float().to("meta"), torch.zeros(4, 3)
    assert vae.decode(z).shape == (4, k)


@pytest.mark.parametrize("weighted", [False, True])
def test_units_follow_the_prior(start, X, weighted):
    """Over the rows, draws from the posterior get mean 0 and variance 1; decoding undoes it."""
    weight = torch.arange(1.0, len(X) + 1).double() if weighted else None
    rows = projected(start, X, weight)
    vae = with_networks(start, *build(SMALL, start.network_sizes(SMALL), seed=0)).double()
    before = vae.decode(vae.encode(rows).mean)
    with torch.no_grad():
        vae.inference.encoder_path.mul_(3.0)
        vae.encoder[-1].bias.add_(0.5)
    stretched = vae.decode(vae.encode(rows).mean)
    for _ in range(2):  # the second time there is nothing left to do
        vae.update_units(rows)
        q = vae.encode(rows)
        mean = rows.mean(q.mean)
        variance = rows.mean((q.mean - mean).square() + q.log_variance.exp())
        torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-9)
        torch.testing.assert_close(variance, torch.ones_like(mean))
        torch.testing.assert_close(vae.decode(q.mean), stretched)
    assert not torch.allclose(stretched, before)


def test_half_precision_is_for_the_branches_products_in_training_alone(start, vae, X):
    vae, rows = vae.float(), projected(start, X)
    z = vae.encode(ScoreRows(rows.scores.float(), rows.residual.float())).mean.detach()
    exact = vae.decode(z)
    vae.train().in_bfloat16 = True
    near = vae.decode(z)
    assert near.dtype == exact.dtype
    assert not torch.equal(near, exact)
    assert_allclose(near.detach(), exact.detach(), atol=0.02 * float(exact.detach().abs().max()))
    assert torch.equal(vae.eval().decode(z), exact)
