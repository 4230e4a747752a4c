"""The bounds: exact at the linear start, in the right order elsewhere."""

import math
from itertools import product

import pytest
import torch

from skvae.linear import fit_linear
from skvae.networks import build
from skvae.objective import POINT_WEIGHT, elbo, importance_bound, mixture, shrinkage_undone
from skvae.vae import VAE, branch_sizes, squared_error
from tests.samples import SMALL, gaussian

SHAPES = [(60, 8), (12, 30)]


def noise_of(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=SHAPES, ids=str)
def start_and_rows(request):
    X = gaussian(*request.param)
    start = fit_linear(X, 3)
    return start, *map(torch.from_numpy, start.project(X))


@pytest.fixture
def start_log_prob(start_and_rows):
    """Of the start's one normal density, that of its noise variance; with few rows, a half."""
    start, x, residual = start_and_rows
    q, d, noise = start.latent_dim, start.n_features, start.noise_variance
    variances = torch.from_numpy(start.variances[:q])
    outside = x[:, q:].square().sum(-1) + residual
    log_det = variances.log().sum() + (d - q) * math.log(noise)
    quadratic = (x[:, :q].square() / variances).sum(-1) + outside / noise
    return -0.5 * (quadratic + log_det + d * math.log(2 * math.pi))


def test_the_starts_density_holds_that_of_the_model(start_and_rows, start_log_prob):
    """It is the model's own, or, with fewer rows than columns, its mixture with another."""
    start, x, residual = start_and_rows
    reported = torch.from_numpy(start.log_prob(x.numpy(), residual.numpy()))
    if start.n_rows > start.n_features:
        torch.testing.assert_close(reported, start_log_prob, rtol=1e-10, atol=0)
    else:
        assert (reported >= start_log_prob - math.log(2)).all()
        assert (reported > start_log_prob).any()


@pytest.fixture
def perturbed(start_and_rows):
    """A model whose posterior is not exact."""
    start = start_and_rows[0]
    return VAE(start, *build(SMALL, branch_sizes(start), seed=0)).double()


def test_elbo_at_the_start_is_the_log_likelihood(start_and_rows, start_log_prob):
    """The bound is quadratic in the noise: the corners of a cube give its expectation exactly."""
    start, x, residual = start_and_rows
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    bounds = [
        elbo(VAE(start), x, residual, None, corner.expand(len(x), 3)).elbo for corner in corners
    ]
    torch.testing.assert_close(
        torch.stack(bounds).mean(), start_log_prob.mean(), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("n_draws", [1, 2, 7])
@torch.no_grad()
def test_importance_bound_at_the_start_is_exact_for_any_noise(
    start_and_rows, start_log_prob, n_draws
):
    start, x, residual = start_and_rows
    for scale in (0.0, 1.0, 10.0):
        bound = importance_bound(VAE(start), x, residual, scale * noise_of(n_draws, 3))
        torch.testing.assert_close(bound, start_log_prob, rtol=1e-9, atol=0)


@torch.no_grad()
def test_importance_bound_of_one_draw_is_the_elbo(start_and_rows, perturbed):
    """In expectation: one estimates the KL divergence that the other computes."""
    _, x, residual = start_and_rows
    differences = torch.stack([
        importance_bound(perturbed, x, residual, draw[None]).mean()
        - elbo(perturbed, x, residual, None, draw.expand(len(x), 3)).elbo
        for draw in noise_of(1000, 3)
    ])  # fmt: skip
    assert differences.mean().abs() < 4 * differences.std() / len(differences) ** 0.5


@torch.no_grad()
def test_importance_bound_rises_with_the_draws(start_and_rows, perturbed):
    _, x, residual = start_and_rows
    noise = noise_of(256, 3)

    def mean_bound(n_draws):
        bounds = [importance_bound(perturbed, x, residual, n) for n in noise.split(n_draws)]
        return torch.stack(bounds).mean().item()

    means = [mean_bound(n_draws) for n_draws in (1, 4, 16, 64, 256)]
    assert means == sorted(means)
    assert means[-1] > means[0] + 1e-3


def test_importance_bound_approaches_the_log_likelihood():
    """With one latent unit the integral over it can be done on a grid."""
    X = gaussian(20, 5)
    start = fit_linear(X, 1)
    x, residual = map(torch.from_numpy, start.project(X))
    vae = VAE(start, *build(SMALL, branch_sizes(start), seed=0)).double().requires_grad_(False)
    z = torch.linspace(-8, 8, 8001, dtype=torch.float64)[:, None]
    errors = squared_error(x, vae.decode(z)[:, None], residual)
    joint = vae.log_likelihood(errors) - 0.5 * (z.square() + math.log(2 * math.pi))
    exact = torch.logsumexp(joint, 0) + math.log(16 / 8000)
    torch.testing.assert_close(
        importance_bound(vae, x, residual, noise_of(20_000, 1)), exact, rtol=0, atol=0.02
    )


@torch.no_grad()
def test_importance_bound_treats_every_row_on_its_own(start_and_rows, perturbed):
    _, x, residual = start_and_rows
    noise = noise_of(8, 3)
    together = importance_bound(perturbed, x, residual, noise)
    alone = importance_bound(perturbed, x[3:4], residual[3:4], noise)
    torch.testing.assert_close(together[3:4], alone)


def test_weights_are_repetitions_of_rows(start_and_rows, perturbed):
    _, x, residual = start_and_rows
    times = torch.arange(len(x)) % 3 + 1
    noise = noise_of(len(x), 3)
    weight = times / times.double().mean()
    weighted = elbo(perturbed, x, residual, weight, noise)
    repeated = elbo(
        perturbed,
        *(a.repeat_interleave(times, 0) for a in (x, residual)),
        None,
        noise.repeat_interleave(times, 0),
    )
    for name in ("elbo", "squared_error"):
        torch.testing.assert_close(getattr(weighted, name), getattr(repeated, name))


def test_loss_is_minus_the_bound_and_the_error_of_the_point_codes(start_and_rows, perturbed):
    """The latter of half of the rows."""
    _, x, residual = start_and_rows
    terms = elbo(perturbed, x, residual, None, noise_of(len(x), 3))
    q, half = perturbed.encode(x), slice(len(x) // 2)
    points = perturbed.decode(q.mean * shrinkage_undone(q.log_variance.exp().mean(0)))
    error = squared_error(x, points, residual)[half].mean() / (2 * perturbed.noise_variance)
    torch.testing.assert_close(terms.loss, POINT_WEIGHT * error - terms.elbo)
    assert not terms.elbo.requires_grad


def test_the_point_codes_pull_no_variance(start_and_rows, perturbed):
    """Without noise and divergence, only they are left; they do not reach the variances."""
    _, x, residual = start_and_rows
    bias = perturbed.encoder[-1].bias
    (with_points,) = torch.autograd.grad(
        elbo(perturbed, x, residual, None, noise_of(len(x), 3)).loss, bias
    )
    q = perturbed.encode(x)
    error = squared_error(x, perturbed.decode(q.sample(noise_of(len(x), 3))), residual)
    bound = perturbed.log_likelihood(error) - q.kl().sum(-1)
    (without,) = torch.autograd.grad(-bound.mean(), bias)
    torch.testing.assert_close(with_points[3:], without[3:])
    assert not torch.allclose(with_points[:3], without[:3])


def test_the_start_is_stationary(start_and_rows):
    """The gradient vanishes in the linear path: the start is a maximum of the likelihood."""
    start, x, residual = start_and_rows
    n = len(x)
    x = x * (n / (n - 1)) ** 0.5  # the mean over rows divides by n, variances by n - 1
    vae = VAE(start)
    q = vae.encode(x)
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    errors = torch.stack([squared_error(x, vae.decode(q.sample(c)), residual) for c in corners])
    (vae.log_likelihood(errors).mean() - q.kl().sum(-1).mean()).backward()
    for path in (vae.encoder_path, vae.decoder_path):
        assert path.grad.abs().max() < 1e-8 / start.noise_variance


def test_shrinkage_undone_at_the_start(start_and_rows):
    start, x, _ = start_and_rows
    vae = VAE(start)
    expected = start.variances[:3] / (start.variances[:3] - start.noise_variance)
    mean_variance = vae.encode(x).log_variance.exp().mean(0)
    torch.testing.assert_close(shrinkage_undone(mean_variance), torch.from_numpy(expected))
    torch.testing.assert_close(vae.code_scale, torch.from_numpy(expected))


def test_shrinkage_undone_of_an_inactive_unit_is_bounded():
    assert shrinkage_undone(torch.ones(2)).tolist() == pytest.approx([100, 100])


def test_mixture_is_the_formula():
    ours, theirs = noise_of(5), noise_of(5, seed=1)
    for weight in (0.01, 0.5, 0.99):
        expected = torch.log((1 - weight) * ours.exp() + weight * theirs.exp())
        torch.testing.assert_close(mixture(ours, theirs, torch.tensor(weight)), expected)


def test_mixture_is_never_below_either_part():
    ours = torch.tensor([-1e12, -math.inf, 1e12, -3.0], dtype=torch.float64)
    theirs = torch.tensor([-5.0, -5.0, -1e12, -math.inf], dtype=torch.float64)
    weight = torch.tensor(0.01, dtype=torch.float64)
    mixed = mixture(ours, theirs, weight)
    assert (mixed >= theirs + torch.log(weight)).all()
    assert (mixed >= ours + torch.log1p(-weight)).all()
