"""Slopes that likelihoods write out are autograd's, of cells that are there, missing or new."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from skvae.likelihoods import LIKELIHOODS, Block
from tests.tables import NAMES, rows_of

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
# Of intervals far out, whose probabilities are exponentials of large numbers.
FAR = {"rtol": 1e-10, "atol": 1e-10}
# Of zeros far below the output, where autograd subtracts what is nearly the same.
BELOW = {"rtol": 1e-7, "atol": 1e-7}


def block_of(name, n_columns=5):
    """A block whose dispersions are anywhere, some of them where a floor holds the noise."""
    values = rows_of(name, share=0.2)[:, :n_columns]
    likelihood = LIKELIHOODS[name]()
    constants = likelihood.fit(values)
    block = Block(likelihood, np.arange(n_columns), constants).requires_grad_(False)
    generator = torch.Generator().manual_seed(3)
    block.dispersion += torch.empty_like(block.dispersion).normal_(generator=generator)
    if "floor" in block.names:
        block.dispersion[:1] = -30.0
    return block, torch.from_numpy(likelihood.standardised(constants, values))


def recorded(block, x, eta, weight):
    """Log-densities and slopes of their weighted sum, by autograd."""
    leaves = [eta.clone().requires_grad_(), block.dispersion.clone().requires_grad_()]
    log_prob = block.log_prob(x, leaves[0], leaves[1])
    total = (weight * log_prob.masked_fill(x.isnan(), 0.0)).sum()
    return log_prob.detach(), *torch.autograd.grad(total, leaves, materialize_grads=True)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_are_autograds(name):
    block, x = block_of(name)
    generator = torch.Generator().manual_seed(0)
    eta = 2.0 * torch.empty(len(x), block.width, dtype=torch.float64).normal_(generator=generator)
    weight = torch.empty_like(x).normal_(generator=generator) * ~x.isnan()
    if block.likelihood.is_coded:
        x[:3] = -1.0
    found = block.slopes(x, eta, weight)
    for own, expected in zip(found, recorded(block, x, eta, weight), strict=True):
        tolerance = {"empirical": FAR, "lognormal": BELOW}.get(name, TOLERANCE)
        assert_close(own, expected, equal_nan=True, **tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_by_another_dispersion_are_those_of_a_block_that_has_it(name):
    block, x = block_of(name)
    eta, weight = block.bias.expand(len(x), -1).clone(), torch.ones_like(x) * ~x.isnan()
    dispersion = block.dispersion + 0.3
    found = block.slopes(x, eta, weight, dispersion)
    block.dispersion.copy_(dispersion)
    for own, expected in zip(found, block.slopes(x, eta, weight), strict=True):
        assert_close(own, expected, equal_nan=True)


def test_at_its_floor_noise_has_the_slope_of_the_larger_of_two_alike():
    block, x = block_of("gaussian_diag")
    x, weight = x.nan_to_num(), torch.ones_like(x)
    block.floor.fill_(0.5)
    block.dispersion.fill_(0.5 * np.log(0.25))
    block.dispersion[0] += 1.0
    assert torch.equal((2.0 * block.dispersion[1:]).exp(), block.floor[1:].square())
    eta = torch.zeros_like(x)
    assert_close(
        block.slopes(x, eta, weight).of_dispersion, recorded(block, x, eta, weight)[2], **TOLERANCE
    )


def test_outputs_far_apart_have_finite_slopes():
    """Of columns side by side, one with outputs far below the other's."""
    block, x = block_of("categorical", 2)
    x, weight = x.nan_to_num(), torch.ones_like(x)
    eta = torch.zeros(len(x), block.width, dtype=torch.float64)
    eta[:, : block.sizes[0]] = 2000.0
    eta[:, block.sizes[0] :] = -2000.0
    eta[:, 0] += 1000.0
    found = block.slopes(x, eta, weight)
    for own, expected in zip(found, recorded(block, x, eta, weight), strict=True):
        assert torch.isfinite(own).all()
        assert_close(own, expected, **TOLERANCE)
