"""Heads are generalised linear models; scikit-learn and gradients judge."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression

from skvae.data.units import Units
from skvae.likelihoods import LIKELIHOODS, Block
from skvae.start.heads import fit_head
from tests.start.cases import KINDS, N, table_of

PRIOR_VARIANCE = 10.0


@pytest.fixture(scope="module")
def latent():
    """Two numbers of every row, which the column follows."""
    return np.random.RandomState(0).standard_normal((N, 2))


def head_of(kind, values, z, weight=None):
    """The head of a column, shape (N, 1), fitted to points z; its block and cells."""
    units = Units.of(values, [(LIKELIHOODS[kind](), np.arange(1))], weight)
    (part,) = units.parts
    block, cells, q = Block(*part), units.cells(values), z.shape[1]
    f = block.n_features
    guess = part.likelihood.initial_head(part.constants, np.zeros((f, q)), np.zeros(f), np.ones(f))
    rng = np.random.RandomState(0)
    return fit_head(block, cells, torch.from_numpy(z), weight, guess, rng), block, cells


def logistic(z, y, weight=None):
    model = LogisticRegression(C=PRIOR_VARIANCE, tol=1e-10, max_iter=1000)
    return model.fit(z, y, sample_weight=weight)


def test_a_bernoulli_head_is_a_logistic_regression(latent):
    x = table_of("bernoulli", latent)[:, :1]
    head = head_of("bernoulli", x, latent)[0]
    model = logistic(latent, x[:, 0])
    assert_allclose(head.loadings, model.coef_, atol=2e-3)
    assert_allclose(head.bias, model.intercept_, atol=2e-3)


def test_weights_are_those_of_a_logistic_regression(latent):
    x, w = table_of("bernoulli", latent)[:, :1], np.random.RandomState(1).uniform(0.2, 3, N)
    head = head_of("bernoulli", x, latent, w)[0]
    model = logistic(latent, x[:, 0], w / w.mean())
    assert_allclose(head.loadings, model.coef_, atol=2e-3)
    assert_allclose(head.bias, model.intercept_, atol=2e-3)


def penalised(block, head, guess, x, z):
    """What a head makes as small as can be, per row."""
    loadings, bias, dispersion = head
    eta = z @ loadings.T + bias
    log_prob = block.log_prob(x, eta, dispersion).masked_fill(x.isnan(), 0.0)
    away = loadings.square().sum() + (dispersion - guess).square().sum()
    return (0.5 * away / PRIOR_VARIANCE - log_prob.sum()) / len(x)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_heads_are_at_the_top_of_their_likelihood(latent, kind, missing):
    values = table_of(kind, latent)[:, :1]
    if missing:
        values[np.random.RandomState(2).uniform(size=N) < 0.2] = np.nan
    head, block, cells = head_of(kind, values, latent)
    leaves = [torch.from_numpy(each).requires_grad_(True) for each in head]
    x, z = torch.from_numpy(cells), torch.from_numpy(latent)
    penalised(block, leaves, block.dispersion.detach(), x, z).backward()
    for each in leaves:
        if each.numel():
            assert torch.isfinite(each.grad).all()
            assert each.grad.abs().max() < 5e-4


def test_a_fit_leaves_the_block_as_it_was(latent):
    values = table_of("negative_binomial", latent)[:, :1]
    head, block, _ = head_of("negative_binomial", values, latent)
    assert block.dispersion.item() == 1.0
    assert head.dispersion.item() != 1.0
