"""A normal per row: closed forms against draws and the densities that torch has."""

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from skvae.model.posterior import Posterior
from tests.tables import normal


def test_kl_against_monte_carlo():
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    q = Posterior(mean, log_variance)
    noise = torch.randn(200_000, 4, 3, generator=generator, dtype=torch.float64)
    z = q.sample(noise)
    log_ratio = Normal(mean, (0.5 * log_variance).exp()).log_prob(z) - Normal(0.0, 1.0).log_prob(z)
    error = 5 * (log_ratio.std(0) / len(noise) ** 0.5).max().item()
    torch.testing.assert_close(log_ratio.mean(0), q.kl(), rtol=0, atol=error)
    log_density = Normal(mean, (0.5 * log_variance).exp()).log_prob(z).sum(-1)
    torch.testing.assert_close(q.log_prob(z), log_density)
    torch.testing.assert_close(q.log_density(noise), log_density)


def test_kl_of_the_prior_is_zero():
    assert not Posterior(torch.zeros(2, 3), torch.zeros(2, 3)).kl().any()


@pytest.fixture(scope="module")
def posterior():
    """With a root, as where cells are missing."""
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    root = torch.randn(4, 3, 3, generator=generator, dtype=torch.float64)
    diagonal = root.diagonal(dim1=-2, dim2=-1).abs() + 0.3
    root = torch.triu(root, 1) + torch.diag_embed(diagonal)
    return Posterior(mean, log_variance, root)


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


def test_products_with_the_covariance_are_those_of_the_matrix(posterior):
    vectors = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for q in (posterior, posterior._replace(root=None)):
        root = torch.eye(3).double() if q.root is None else q.root
        covariance = root @ torch.diag_embed(q.log_variance.exp()) @ root.mT
        expected = (covariance @ vectors[..., None])[..., 0]
        torch.testing.assert_close(q.covariance_times(vectors), expected)
