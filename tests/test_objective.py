"""The bounds: exact at the linear start, in the right order elsewhere."""

import math
from itertools import product

import pytest
import torch

from skvae import objective
from skvae.linear import fit_linear
from skvae.networks import build
from skvae.objective import POINT_WEIGHT, elbo, importance_bound, mixture, shrinkage_undone
from skvae.vae import VAE, Rows, branch_sizes
from tests.samples import SMALL, gaussian, projected

SHAPES = [(60, 8), (12, 30)]


def noise_of(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=SHAPES, ids=str)
def start_and_rows(request):
    X = gaussian(*request.param)
    start = fit_linear(X, 3)
    return start, projected(start, X)


@pytest.fixture
def start_log_prob(start_and_rows):
    """Of the start's one normal density, that of its noise variance; with few rows, a half."""
    start, (x, residual, _) = start_and_rows
    q, d, noise = start.latent_dim, start.n_features, start.noise_variance
    variances = torch.from_numpy(start.variances[:q])
    outside = x[:, q:].square().sum(-1) + residual
    log_det = variances.log().sum() + (d - q) * math.log(noise)
    quadratic = (x[:, :q].square() / variances).sum(-1) + outside / noise
    return -0.5 * (quadratic + log_det + d * math.log(2 * math.pi))


def test_the_starts_density_holds_that_of_the_model(start_and_rows, start_log_prob):
    """It is the model's own, or, with fewer rows than columns, its mixture with another."""
    start, (x, residual, _) = start_and_rows
    reported = torch.from_numpy(start.log_prob(x.numpy(), residual.numpy()))
    if start.n_rows > start.n_features:
        torch.testing.assert_close(reported, start_log_prob, rtol=1e-10, atol=0)
    else:
        assert (reported >= start_log_prob - math.log(2)).all()
        assert (reported > start_log_prob).any()


@pytest.fixture
def no_points(monkeypatch):
    """Every row is decoded from a draw."""
    monkeypatch.setattr(objective, "POINT_SHARE", 0.0)


@pytest.fixture
def perturbed(start_and_rows):
    """A model whose posterior is not exact."""
    start = start_and_rows[0]
    return VAE(start, *build(SMALL, branch_sizes(start), seed=0)).double()


@pytest.mark.usefixtures("no_points")
def test_elbo_at_the_start_is_the_log_likelihood(start_and_rows, start_log_prob):
    """The bound is quadratic in the noise: the corners of a cube give its expectation exactly."""
    start, rows = start_and_rows
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    bounds = [elbo(VAE(start), rows, corner.expand(rows.n_rows, 3)).elbo for corner in corners]
    torch.testing.assert_close(
        torch.stack(bounds).mean(), start_log_prob.mean(), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("n_draws", [1, 2, 7])
@torch.no_grad()
def test_importance_bound_at_the_start_is_exact_for_any_noise(
    start_and_rows, start_log_prob, n_draws
):
    start, rows = start_and_rows
    for scale in (0.0, 1.0, 10.0):
        bound = importance_bound(VAE(start), rows, scale * noise_of(n_draws, 3))
        torch.testing.assert_close(bound, start_log_prob, rtol=1e-9, atol=0)


@pytest.mark.usefixtures("no_points")
@torch.no_grad()
def test_importance_bound_of_one_draw_is_the_elbo(start_and_rows, perturbed):
    """In expectation: one estimates the KL divergence that the other computes."""
    _, rows = start_and_rows
    differences = torch.stack([
        importance_bound(perturbed, rows, draw[None]).mean()
        - elbo(perturbed, rows, draw.expand(rows.n_rows, 3)).elbo
        for draw in noise_of(1000, 3)
    ])  # fmt: skip
    assert differences.mean().abs() < 4 * differences.std() / len(differences) ** 0.5


@torch.no_grad()
def test_importance_bound_rises_with_the_draws(start_and_rows, perturbed):
    _, rows = start_and_rows
    noise = noise_of(256, 3)

    def mean_bound(n_draws):
        bounds = [importance_bound(perturbed, rows, n) for n in noise.split(n_draws)]
        return torch.stack(bounds).mean().item()

    means = [mean_bound(n_draws) for n_draws in (1, 4, 16, 64, 256)]
    assert means == sorted(means)
    assert means[-1] > means[0] + 1e-3


def test_importance_bound_approaches_the_log_likelihood():
    """With one latent unit the integral over it can be done on a grid."""
    X = gaussian(20, 5)
    start = fit_linear(X, 1)
    rows = projected(start, X)
    vae = VAE(start, *build(SMALL, branch_sizes(start), seed=0)).double().requires_grad_(False)
    z = torch.linspace(-8, 8, 8001, dtype=torch.float64)[:, None]
    joint = vae.log_likelihood(rows, vae.decode(z)[:, None]) - 0.5 * (
        z.square() + math.log(2 * math.pi)
    )
    exact = torch.logsumexp(joint, 0) + math.log(16 / 8000)
    torch.testing.assert_close(
        importance_bound(vae, rows, noise_of(20_000, 1)), exact, rtol=0, atol=0.02
    )


@torch.no_grad()
def test_importance_bound_treats_every_row_on_its_own(start_and_rows, perturbed):
    _, rows = start_and_rows
    noise = noise_of(8, 3)
    together = importance_bound(perturbed, rows, noise)
    alone = importance_bound(perturbed, rows.take(slice(3, 4)), noise)
    torch.testing.assert_close(together[3:4], alone)


@pytest.mark.usefixtures("no_points")
def test_weights_are_repetitions_of_rows(start_and_rows, perturbed):
    _, rows = start_and_rows
    times = torch.arange(rows.n_rows) % 3 + 1
    noise = noise_of(rows.n_rows, 3)
    weighted = elbo(perturbed, rows._replace(weight=times / times.double().mean()), noise)
    repeated = elbo(
        perturbed,
        Rows(*(a.repeat_interleave(times, 0) for a in rows[:2])),
        noise.repeat_interleave(times, 0),
    )
    for name in ("elbo", "log_likelihood"):
        torch.testing.assert_close(getattr(weighted, name), getattr(repeated, name))


def parts(vae, rows, noise):
    """Log-likelihoods from point codes and from draws, and the divergence, per row."""
    q = vae.encode(rows)
    points = vae.decode(q.mean * shrinkage_undone(q.log_variance.detach().exp().mean(0)))
    draws = vae.decode(q.sample(noise))
    likelihoods = (vae.log_likelihood(rows, z) for z in (points, draws))
    return *likelihoods, q.kl().sum(-1)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_is_that_of_draws_and_of_points(start_and_rows, perturbed, weighted):
    _, rows = start_and_rows
    n, noise = rows.n_rows, noise_of(rows.n_rows, 3)
    weight = torch.arange(1.0, n + 1).double() if weighted else None
    terms = elbo(perturbed, rows._replace(weight=weight), noise)
    times = 1.0 if weight is None else weight
    points, draws, kl = (times * part for part in parts(perturbed, rows, noise))
    n_points = n // 4
    torch.testing.assert_close(terms.elbo, (draws[n_points:].mean() - kl.mean()).detach())
    torch.testing.assert_close(terms.log_likelihood, draws[n_points:].mean().detach())
    expected = POINT_WEIGHT * points[:n_points].mean() + terms.elbo
    torch.testing.assert_close(terms.loss, -expected)
    assert not terms.elbo.requires_grad


def test_few_rows_have_no_points(start_and_rows, perturbed):
    _, rows = start_and_rows
    terms = elbo(perturbed, rows.take(slice(3)), noise_of(3, 3))
    torch.testing.assert_close(terms.loss, -terms.elbo)


def test_the_point_codes_pull_no_variance(start_and_rows, perturbed):
    """With the draws held still, only the divergence and they are left."""
    _, rows = start_and_rows
    bias = perturbed.encoder[-1].bias
    points, _, _ = parts(perturbed, rows, noise_of(rows.n_rows, 3))
    (gradient,) = torch.autograd.grad(points.mean(), bias)
    assert gradient[3:].abs().max() == 0
    assert gradient[:3].abs().max() > 0


def test_the_start_is_stationary(start_and_rows):
    """The gradient vanishes in the linear path: the start is a maximum of the likelihood."""
    start, rows = start_and_rows
    n = rows.n_rows
    # The mean over rows divides by n, variances by n - 1.
    rows = rows._replace(scores=rows.scores * (n / (n - 1)) ** 0.5)
    vae = VAE(start)
    q = vae.encode(rows)
    corners = torch.tensor(list(product([-1.0, 1.0], repeat=3)), dtype=torch.float64)
    likelihoods = torch.stack([vae.log_likelihood(rows, vae.decode(q.sample(c))) for c in corners])
    (likelihoods.mean() - q.kl().sum(-1).mean()).backward()
    for path in (vae.encoder_path, vae.decoder_path):
        assert path.grad.abs().max() < 1e-8 / start.noise_variance


def test_shrinkage_undone_at_the_start(start_and_rows):
    start, rows = start_and_rows
    vae = VAE(start)
    expected = start.variances[:3] / (start.variances[:3] - start.noise_variance)
    mean_variance = vae.encode(rows).log_variance.exp().mean(0)
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
