"""Means of gains, and by how much they may be luck."""

import numpy as np
import pytest
import torch

from skvae.limits import Limits
from skvae.training.gain import Gain, pooled
from tests.training.judged import generator


def standard_error(values, weight=None):
    """What the mean has to exceed, found by halving."""
    centred = values - Gain(values, weight).mean
    low, high = 0.0, 10.0
    for _ in range(24):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if Gain(centred + middle, weight).exceeds(1.0) else (middle, high)
    return high


def test_exceeds_asks_for_standard_errors():
    noise = torch.randn(100, generator=generator())
    noise = (noise - noise.mean()) / noise.std()  # the mean's standard error is 0.1
    n_errors = Limits().n_standard_errors
    assert n_errors > 0
    assert Gain(noise + 0.1 * n_errors + 0.01, None).exceeds(n_errors)
    assert not Gain(noise + 0.1 * n_errors - 0.01, None).exceeds(n_errors)
    assert not Gain(torch.zeros(100), None).exceeds(n_errors)


def test_a_loss_is_more_than_standard_errors_below_zero():
    noise = torch.randn(100, generator=generator())
    noise = (noise - noise.mean()) / noise.std()
    own, other = noise.clone(), torch.zeros(100)
    own[0], other[0] = 1e6 + own[0], 1e6  # what both have in common is no luck
    lower = Gain(own - 0.19, None).less(Gain(other, None))
    assert lower.is_no_loss(2.0)
    assert not lower.is_no_loss(1.5)
    assert not Gain(torch.full((9,), -1e-9), None).is_no_loss(2.0)
    assert Gain(torch.zeros(9), None).is_no_loss(0.0)
    assert not Gain(torch.tensor([0.0, torch.nan]), None).is_no_loss(2.0)


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.5])
def test_standard_errors_are_those_of_weighted_means(sigma):
    """By 150 samples of rows whose weights are their own: few heavy rows say little."""
    noise = torch.randn(150, 100, generator=generator())
    weight = (sigma * torch.randn(100, generator=generator())).exp()
    spread = (noise @ (weight / weight.sum())).std().item()
    errors = [standard_error(values, weight) ** 2 for values in noise]
    assert np.mean(errors) ** 0.5 == pytest.approx(spread, rel=0.2)
    assert standard_error(noise[0], 1e-3 * weight) ** 2 == pytest.approx(errors[0], rel=1e-3)


def test_equal_weights_have_the_standard_error_of_none():
    values = torch.randn(100, generator=generator())
    weight = torch.full((100,), 3.0)
    assert standard_error(values, weight) == pytest.approx(standard_error(values), rel=1e-3)
    assert standard_error(values) == pytest.approx(values.std().item() / 10, rel=1e-3)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_pooled_gains_are_those_of_all_rows(is_weighted):
    values = torch.randn(50, generator=generator())
    weight = torch.rand(50, generator=generator()) if is_weighted else None
    parts = [
        Gain(values[own], None if weight is None else weight[own])
        for own in (slice(20), slice(20, 50))
    ]
    assert pooled(parts).mean == pytest.approx(Gain(values, weight).mean, rel=1e-5)
