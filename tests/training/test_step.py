"""The training step."""

import pytest
import torch
from numpy.testing import assert_allclose

from skvae.training.optimizers import AdamW
from skvae.training.step import clip, take_step
from tests.samples import Setting


def test_the_gradient_is_shortened_to_the_limit():
    gradient = torch.tensor([3.0, 4.0])
    assert clip(gradient, None) == 5
    assert clip(gradient, 10.0) == 5
    assert_allclose(gradient, [3.0, 4.0])
    assert clip(gradient, 1.0) == 5
    assert_allclose(gradient, [0.6, 0.8], rtol=1e-6)


def gradient_norms(clip_norm):
    setting = Setting(optimizer=AdamW(clip_norm=clip_norm), init="random")
    state, norms, seen = setting.state, [], []
    state.perturb = lambda gradient, share: norms.append(gradient.norm().item())
    for batch in setting.rows.batches(setting.training, 30, state.generator):
        terms = take_step(state, batch)
        assert terms.loss.isfinite()
        seen.append(float(state.gradient_norm))
    return norms, seen


def test_gradients_are_clipped_at_their_norm():
    norms, seen = gradient_norms(0.5)
    assert max(norms) <= 0.5 + 1e-5
    assert max(seen) > 0.5  # before they were clipped
    norms, seen = gradient_norms(None)
    assert max(norms) > 0.5
    assert seen == pytest.approx(norms)


def test_steps_count_their_share_of_the_budget():
    setting = Setting()
    setting.one_pass()
    controller = setting.state.controller
    assert controller.share == pytest.approx(1 / controller.max_passes)
