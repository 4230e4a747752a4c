"""Bounds by importance sampling: exact at the linear start, honest from any proposals."""

import math

import pytest
import torch

from skvae.model.bounds import Proposals, even_draws, importance_bound, mixture
from skvae.model.first_weights import build
from skvae.model.posterior import Posterior
from skvae.model.priors import PriorModule, StandardNormal
from skvae.start.ppca import fit_linear
from skvae.training.objective import explained
from tests.samples import SMALL, gaussian, noise_of, projected, with_networks


@pytest.mark.parametrize("n_draws", [1, 2, 7])
@torch.no_grad()
def test_importance_bound_at_the_start_is_exact_for_any_noise(
    start_and_rows, start_log_prob, n_draws
):
    start, rows = start_and_rows
    for scale in (0.0, 1.0, 10.0):
        bound = importance_bound(start.module(), rows, scale * noise_of(n_draws, 3))
        torch.testing.assert_close(bound, start_log_prob, rtol=1e-9, atol=0)


@torch.no_grad()
def test_importance_bound_of_one_draw_is_the_elbo(start_and_rows, perturbed):
    """In expectation: one estimates the KL divergence that the other computes."""
    _, rows = start_and_rows
    differences = []
    for draw in noise_of(1000, 3):
        _, decoded, kl = explained(perturbed, rows, draw.expand(rows.n_rows, 3))
        elbo = perturbed.log_likelihood(rows, decoded) - kl
        differences.append((importance_bound(perturbed, rows, draw[None]) - elbo).mean())
    differences = torch.stack(differences)
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
    vae = (
        with_networks(start, *build(SMALL, start.network_sizes(SMALL), seed=0))
        .double()
        .requires_grad_(False)
    )
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
    alone = importance_bound(perturbed, rows.take(torch.arange(3, 4)), noise)
    torch.testing.assert_close(together[3:4], alone)


@torch.no_grad()
def test_four_draws_at_the_mode_bound_as_tightly_as_many_from_the_network(
    start_and_rows, perturbed
):
    _, rows = start_and_rows
    noise = noise_of(256, 3)
    many = torch.stack([importance_bound(perturbed, rows, n) for n in noise.split(32)])
    few = torch.stack([
        importance_bound(perturbed, rows, n, is_mended=True) for n in noise.split(4)
    ])  # fmt: skip
    assert few.mean() > many.mean()
    # Both are means of the same density.
    difference = few.logsumexp(0) - many.logsumexp(0) - math.log(len(few) / len(many))
    assert difference.abs().mean() < 0.2


@torch.no_grad()
def test_exact_posteriors_are_at_their_modes(start_and_rows, start_log_prob):
    start, rows = start_and_rows
    bound = importance_bound(start.module(), rows, 3.0 * noise_of(2, 3), is_mended=True)
    torch.testing.assert_close(bound, start_log_prob, rtol=1e-9, atol=0)


def test_even_draws_are_standard_normal_whatever_place_they_come_from():
    draws = even_draws(5, 1024)
    assert torch.equal(draws, even_draws(5, 1024))
    torch.testing.assert_close(draws.mean(0), torch.zeros(5).double(), rtol=0, atol=0.01)
    torch.testing.assert_close(draws.T.cov(), torch.eye(5).double(), rtol=0, atol=0.05)
    for first in range(8):
        own = draws[first::8]
        torch.testing.assert_close(own.mean(0), torch.zeros(5).double(), rtol=0, atol=0.05)
        torch.testing.assert_close(own.var(0), torch.ones(5).double(), rtol=0, atol=0.2)


def test_even_draws_integrate_better_than_independent_ones():
    """The mean of exp(sum z / 2), which is exp(5 / 8), by 64 of them."""
    independent = torch.stack([noise_of(64, 5, seed=seed) for seed in range(50)])
    error = ((0.5 * independent.sum(-1)).exp().mean(1) - math.exp(5 / 8)).square().mean().sqrt()
    found = (0.5 * even_draws(5, 64).sum(-1)).exp().mean() - math.exp(5 / 8)
    assert found.abs() < 0.5 * error


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


# Proposals


def posteriors(has_root, n=7, q=3):
    """Some that are narrow, some that are wide, all beside the prior."""
    log_variance = 2.0 * noise_of(n, q, seed=1)
    if not has_root:
        return Posterior(3.0 * noise_of(n, q), log_variance)
    root = noise_of(n, q, q, seed=2).triu(1) + torch.eye(q, dtype=torch.float64)
    return Posterior(3.0 * noise_of(n, q), log_variance, root)


@pytest.mark.parametrize("has_root", [False, True])
@pytest.mark.parametrize("t", [0.0, 0.125, 0.7, 1.0])
def test_a_bridge_is_the_geometric_mean_of_posterior_and_normal(has_root, t):
    q = posteriors(has_root)
    bridge = q.bridge(t)
    z = 2.0 * noise_of(20, 7, 3, seed=3)
    free = -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)
    difference = bridge.log_prob(z) - t * q.log_prob(z) - (1 - t) * free
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))


@pytest.mark.parametrize("has_root", [False, True])
def test_the_density_of_proposals_is_that_of_their_mixture(has_root):
    q, places = posteriors(has_root), (1.0, 0.25, 1.0, 0.0)
    z = 2.0 * noise_of(7, 3, seed=3)
    parts = torch.stack([q.bridge(t).log_prob(z) - math.log(4) for t in places])
    vae = TwoPlaces()
    found = Proposals(vae, q, places).log_prob(z, vae.log_prior(z))
    torch.testing.assert_close(found, parts.logsumexp(0))


class TwoPlaces:
    """Rows whose true posteriors are a mixture: the one that is encoded, and the prior's middle."""

    proposals = (1.0, 0.5, 1.0, 0.25, 1.0, 0.125, 1.0, 0.0)
    is_exact = False
    prior = StandardNormal(1)

    def encode(self, rows):
        return Posterior(rows[:, None], torch.full((len(rows), 1), -1.5, dtype=rows.dtype))

    def decode(self, z):
        return z

    def log_likelihood(self, rows, z):
        own = -0.5 * math.exp(1.5) * (z[:, 0] - 0.5 * rows).square()
        return own - 0.5 * math.log(2 * math.pi) + 0.75

    def log_prior(self, z):
        return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


class NarrowPrior(PriorModule):
    """Two narrow normals far from the middle, of which no draw of a standard normal tells much."""

    def log_prob(self, z, vae=None):
        parts = [-0.5 * ((z[:, 0] - at) / 0.05).square() for at in (-2.0, 2.5)]
        return torch.logaddexp(*parts) - math.log(2 * 0.05 * math.sqrt(2 * math.pi))

    def sample(self, n, vae, generator):
        signs = torch.rand(n, 1, generator=generator, dtype=torch.float64) < 0.5
        noise = torch.randn(n, 1, generator=generator, dtype=torch.float64)
        return torch.where(signs, -2.0, 2.5) + 0.05 * noise


class OfNarrowPrior(TwoPlaces):
    """Rows whose posterior is one guess for two places."""

    prior = NarrowPrior()

    def encode(self, rows):
        return Posterior(0.0 * rows[:, None], torch.zeros(len(rows), 1, dtype=rows.dtype))

    def log_likelihood(self, rows, z):
        return -0.5 * (0.1 * (z[:, 0] - rows)).square()

    def log_prior(self, z):
        return self.prior.log_prob(z)

    def sample_prior(self, n, generator):
        return self.prior.sample(n, self, generator)


def test_a_prior_of_narrow_parts_is_drawn_from():
    """Every eighth draw is from the prior, and counts by its density."""
    vae, rows = OfNarrowPrior(), torch.tensor([0.0, 2.0, -3.0], dtype=torch.float64)
    exact = [
        math.log(sum(0.5 * math.exp(-0.005 * (at - row) ** 2) for at in (-2.0, 2.5)))
        for row in rows.tolist()
    ]
    bound = importance_bound(vae, rows, even_draws(1, 192))
    torch.testing.assert_close(bound, torch.tensor(exact, dtype=torch.float64), rtol=0, atol=0.05)


def test_rows_have_draws_of_the_prior_of_their_own_where_a_generator_is_given():
    vae, rows = OfNarrowPrior(), torch.zeros(50, dtype=torch.float64)
    noise = noise_of(50, 1)
    shared = Proposals(vae, vae.encode(rows), (1.0, 0.0)).draw(1, noise)
    own = Proposals(vae, vae.encode(rows), (1.0, 0.0), torch.Generator()).draw(1, noise)
    assert len(shared.unique()) == 1
    assert len(own.unique()) == 50


def test_posteriors_beside_the_point_are_mended_by_bridges():
    """Codes of 8, where rows have theirs at 4: the posterior alone would never find them."""
    rows = torch.tensor([0.0, 8.0, -8.0], dtype=torch.float64)
    z = torch.linspace(-12, 12, 48_001, dtype=torch.float64)[:, None]
    vae = TwoPlaces()
    exact = torch.stack([
        (vae.log_likelihood(row.expand(len(z)), z) + vae.log_prior(z)).logsumexp(0)
        + math.log(24 / 48_000) for row in rows
    ])  # fmt: skip
    bound = importance_bound(vae, rows, noise_of(4000, 1))
    torch.testing.assert_close(bound, exact, rtol=0, atol=0.1)
    few = torch.stack([importance_bound(vae, rows, n) for n in noise_of(4000, 1).split(16)])
    assert (few.mean(0) <= exact + 1e-3).all()
    torch.testing.assert_close(few.logsumexp(0) - math.log(250), exact, rtol=0, atol=0.1)
