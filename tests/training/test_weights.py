"""The weights as one tensor: their gradient, their parts, the moves of an optimizer."""

import copy

import pytest
import torch

from skvae.model.vae import LINEAR_RATE
from skvae.training.optimizers import AdamW
from skvae.training.weights import Weights, as_one_tensor, parameters_of
from tests.samples import Setting


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_weights_of_a_model_are_one_tensor():
    vae = Setting().vae
    before = copy.deepcopy(vae.state_dict())
    weights = as_one_tensor(parameters_of(vae))
    assert same(vae.state_dict(), before)
    weights.zero_()
    assert not any(p.any() for p in vae.parameters())
    n_linear = vae.inference.encoder_path.numel() + vae.observation.decoder_path.numel()
    weights[:n_linear] = 1.0
    assert (vae.inference.encoder_path == 1).all()
    assert (vae.observation.decoder_path == 1).all()


def test_the_gradient_lies_as_the_weights_do():
    vae = Setting().vae
    weights = Weights(vae, AdamW())
    for _ in range(2):  # nothing is left of the one before
        weights.differentiate(sum(i * p.sum() for i, p in enumerate(vae.parameters())))
    weights.values.copy_(weights.gradient)
    for i, parameter in enumerate(vae.parameters()):
        assert (parameter == i).all()
    weights.differentiate(vae.inference.encoder_path.sum())  # nothing depends on the others
    assert weights.gradient.sum() == vae.inference.encoder_path.numel()


def test_frozen_weights_stay():
    vae = Setting().vae
    next(vae.encoder.parameters()).requires_grad_(False)
    weights = as_one_tensor(parameters_of(vae))
    frozen = next(vae.encoder.parameters())
    assert len(weights) == sum(p.numel() for p in vae.parameters()) - frozen.numel()


def weights_with_gradient(value):
    """Weights of a model that are all 1, and how many of them are linear."""
    vae = Setting().vae
    weights = Weights(vae, AdamW())
    weights.values.fill_(1.0)
    weights.gradient.fill_(value)
    return weights, vae.inference.encoder_path.numel() + vae.observation.decoder_path.numel()


def test_decay_spares_the_linear_path():
    weights, n_linear = weights_with_gradient(0.0)
    weights.step(0.1, 0.5)
    assert (weights.values[:n_linear] == 1.0).all()
    expected = torch.full_like(weights.values[n_linear:], 1 - 0.1 * 0.5)
    torch.testing.assert_close(weights.values[n_linear:], expected, rtol=0, atol=1e-7)


def test_the_linear_path_moves_slowly():
    weights, n_linear = weights_with_gradient(1.0)
    weights.step(0.1, 0.0)
    moved = 1.0 - weights.values
    assert moved[:n_linear].mean().item() == pytest.approx(0.1 * LINEAR_RATE, rel=1e-3)
    assert moved[n_linear:].mean().item() == pytest.approx(0.1, rel=1e-3)
    assert LINEAR_RATE < 1


def test_the_step_is_that_of_the_optimizer_class():
    """torch's own class, with the same groups, as the judge."""
    weights, n_linear = weights_with_gradient(0.0)
    parts = weights.values.clone().split([n_linear, len(weights.values) - n_linear])
    linear, branches = (torch.nn.Parameter(part) for part in parts)
    groups = [
        {"params": [linear], "lr": 0.1 * LINEAR_RATE, "weight_decay": 0.0},
        {"params": [branches], "lr": 0.1, "weight_decay": 0.5},
    ]
    evaluator = torch.optim.AdamW(groups, betas=(0.9, 0.99))
    for seed in range(5):
        noise = torch.Generator().manual_seed(seed)
        gradient = torch.randn(len(weights.values), generator=noise)
        weights.gradient.copy_(gradient)
        linear.grad, branches.grad = gradient[:n_linear], gradient[n_linear:]
        weights.step(0.1, 0.5)
        evaluator.step()
    torch.testing.assert_close(weights.values, torch.cat([linear, branches]).detach())
