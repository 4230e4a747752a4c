"""Moves of the weights: those of torch's own classes, with decay for the branches alone."""

import math

import pytest
import torch
from sklearn.base import clone

from skvae.model.vae import LINEAR_RATE
from skvae.training.optimizer import Part
from skvae.training.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    Muon,
    RMSprop,
    orthogonal,
)
from skvae.training.schedules import RATE_SCHEDULES, Cosine, OneCycle, Plateau
from skvae.training.weights import Weights
from tests.samples import small_vae

RATE, DECAY = 0.01, 0.3


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def part_of(optimizer, shape=(7,), share=1.0, decays=True, seed=0):
    """A part of random weights."""
    weights = torch.randn(math.prod(shape), generator=seeded(seed))
    moments = [torch.zeros_like(weights) for _ in range(optimizer.n_moments)]
    gradient = torch.zeros_like(weights)
    return Part(weights, gradient, moments, torch.zeros(()), share, decays, shape)


def slope(weights, shape):
    """Gradient of a quartic bowl whose axes differ."""
    steepness = torch.linspace(0.1, 3.0, len(weights))
    return (steepness * (weights - 0.3) + 0.1 * weights**3).view(shape)


def trajectory(optimizer, part, weight_decay, n_steps=30):
    """Weights after every step."""
    seen = []
    for _ in range(n_steps):
        part.gradient.copy_(slope(part.weights, part.shape).flatten())
        optimizer.move(part, RATE, weight_decay)
        seen.append(part.weights.clone())
    return torch.stack(seen)


def judged(make, part, n_steps=30):
    """The same by torch's class, made for a parameter."""
    parameter = torch.nn.Parameter(part.weights.clone().view(part.shape))
    evaluator, seen = make([parameter]), []
    for _ in range(n_steps):
        parameter.grad = slope(parameter.detach().flatten(), part.shape)
        evaluator.step()
        seen.append(parameter.detach().flatten().clone())
    return torch.stack(seen)


JUDGES = {
    "adamw": (
        AdamW(),
        lambda p: torch.optim.AdamW(p, lr=RATE, betas=(0.9, 0.99), weight_decay=DECAY),
    ),
    "adam": (
        Adam(),
        lambda p: torch.optim.Adam(p, lr=RATE, betas=(0.9, 0.99), weight_decay=DECAY),
    ),
    # torch's class adds the decay to the gradient: only without it the two are the same.
    "sgd": (SGD(), lambda p: torch.optim.SGD(p, lr=RATE, momentum=0.9, nesterov=True)),
    "sgd without momentum": (SGD(momentum=0.0), lambda p: torch.optim.SGD(p, lr=RATE)),
    "rmsprop": (RMSprop(), lambda p: torch.optim.RMSprop(p, lr=RATE, alpha=0.99, eps=1e-8)),
    # What is no matrix of a branch is moved by AdamW.
    "muon": (
        Muon(),
        lambda p: torch.optim.AdamW(p, lr=RATE, betas=(0.9, 0.99), weight_decay=DECAY),
    ),
}


@pytest.mark.parametrize("name", JUDGES)
def test_moves_are_those_of_torchs_class(name):
    optimizer, make = JUDGES[name]
    part = part_of(optimizer)
    expected = judged(make, part)
    decay = DECAY if name in ("adamw", "adam", "muon") else 0.0
    torch.testing.assert_close(trajectory(optimizer, part, decay), expected)
    assert part.step == len(expected) or optimizer.momentum == 0.0


@pytest.mark.parametrize("optimizer", [SGD(), RMSprop(), AdamW(), Muon()], ids=repr)
def test_decay_is_apart_from_the_gradient(optimizer):
    part = part_of(optimizer, (3, 4))
    before = part.weights.clone()
    optimizer.move(part, RATE, DECAY)
    torch.testing.assert_close(part.weights, (1 - RATE * DECAY) * before)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(12,), (3, 4), (4, 3), (3, 2, 2)], ids=str)
def test_parts_that_do_not_decay_do_not(name, shape):
    optimizer = OPTIMIZERS[name]()
    with_decay, without = (part_of(optimizer, shape, decays=False) for _ in range(2))
    torch.testing.assert_close(
        trajectory(optimizer, with_decay, 5.0), trajectory(optimizer, without, 0.0), rtol=0, atol=0
    )
    decaying = trajectory(optimizer, part_of(optimizer, shape), 5.0)
    assert decaying[-1].norm() < with_decay.weights.norm()


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(12,), (3, 4)], ids=str)
def test_a_share_of_the_rate_is_a_smaller_rate(name, shape):
    optimizer = OPTIMIZERS[name]()
    whole, tenth = part_of(optimizer, shape), part_of(optimizer, shape, share=0.1)
    before = whole.weights.clone()
    for part, rate in ((whole, 0.1 * RATE), (tenth, RATE)):
        part.gradient.copy_(slope(before, shape).flatten())
        optimizer.move(part, rate, DECAY)
    assert not torch.equal(whole.weights, before)
    torch.testing.assert_close(tenth.weights, whole.weights)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(12,), (3, 4)], ids=str)
def test_every_optimizer_goes_down(name, shape):
    optimizer = OPTIMIZERS[name]()
    part = part_of(optimizer, shape)
    before = slope(part.weights, shape).norm()
    after = slope(trajectory(optimizer, part, 0.0, n_steps=400)[-1], shape).norm()
    assert after < 0.5 * before
    assert sum(moment.any().item() for moment in part.moments) >= 1


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 40)], ids=str)
def test_an_orthogonal_matrix_has_singular_values_near_one(shape):
    matrix = torch.randn(*shape, generator=seeded())
    found = orthogonal(matrix)
    assert found.shape == shape
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.5
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.linalg.svdvals(found - u @ v).max() < 0.5
    torch.testing.assert_close(orthogonal(1e3 * matrix), found)
    torch.testing.assert_close(orthogonal(matrix.T), found.T)


def test_orthogonal_of_nothing_is_nothing():
    assert not orthogonal(torch.zeros(3, 4)).any()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="a newer torch has Muon")
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5)], ids=str)
def test_moves_of_matrices_are_those_of_torchs_muon(shape):
    """But for bfloat16, in which that iterates."""
    part = part_of(Muon(), shape)

    def make(parameters):
        return torch.optim.Muon(
            parameters, lr=RATE, weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
        )

    expected = judged(make, part, n_steps=10)
    before = part.weights.clone()
    found = trajectory(Muon(), part, DECAY, n_steps=10)
    moved, theirs = found[0] - before, expected[0] - before
    assert torch.cosine_similarity(moved, theirs, 0) > 0.999
    torch.testing.assert_close(moved, theirs, rtol=0.1, atol=0.1 * theirs.abs().max().item())
    way = (expected - before).norm(dim=1)
    assert ((found - expected).norm(dim=1) < 0.05 * way).all()


def test_the_size_of_a_move_by_muon_is_that_of_adamws():
    for shape in ((64, 64), (128, 16), (16, 128)):
        part = part_of(Muon(), shape)
        before = part.weights.clone()
        part.gradient.copy_(torch.randn(len(before), generator=seeded(1)))
        Muon().move(part, RATE, 0.0)
        size = (part.weights - before).square().mean().sqrt().item()
        assert size == pytest.approx(0.2 * RATE, rel=0.35)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_only_branches_decay_in_a_model(name):
    vae = small_vae()
    weights = Weights(vae, OPTIMIZERS[name]())
    weights.values.fill_(1.0)
    weights.step(0.1, 0.5)
    assert (vae.inference.encoder_path == 1).all()
    assert (vae.observation.decoder_path == 1).all()
    shrunk = torch.cat([p.flatten() for b in (vae.encoder, vae.decoder) for p in b.parameters()])
    assert (shrunk < 1).all()
    assert {part.share for part in weights.parts} == {LINEAR_RATE, 1.0}


def test_muon_has_every_matrix_of_a_branch_on_its_own():
    vae = small_vae()
    parts = Weights(vae, Muon()).parts
    shapes = [tuple(p.shape) for b in (vae.encoder, vae.decoder) for p in b.parameters()]
    assert [part.shape for part in parts] == [None, *shapes]
    assert sum(len(part.weights) for part in parts) == sum(p.numel() for p in vae.parameters())
    assert len(Weights(vae, AdamW()).parts) == 2


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_sensible_options(name):
    optimizer = OPTIMIZERS[name]()
    optimizer.check()
    assert repr(optimizer) == f"{OPTIMIZERS[name].__name__}()"
    assert clone(optimizer).get_params() == optimizer.get_params()
    auto = (0.1, 0.2)
    assert optimizer.decay_levels(auto) == ((0.0,) if name == "adam" else auto)
    assert clone(optimizer).set_params(weight_decay=0.5).decay_levels(auto) == (0.5,)
    for schedule, kind in RATE_SCHEDULES.items():
        assert type(clone(optimizer).set_params(schedule=schedule).course()) is kind
    own = Plateau(n_drops=1)
    assert clone(optimizer).set_params(schedule=own).course().n_drops == 1


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": math.nan}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"schedule": "linear"}, "schedule"),
        ({"schedule": OneCycle(warm_up=2.0)}, "warm_up"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"weight_decay": "none"}, "weight_decay"),
        ({"weight_decay": None}, "weight_decay"),
        ({"clip_norm": 0.0}, "clip_norm"),
        ({"averaging": 1.0}, "averaging"),
        ({"averaging": -0.1}, "averaging"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", OPTIMIZERS.values())
def test_options_out_of_range_are_refused_by_name(kind, options, name):
    with pytest.raises(ValueError, match=f"^{name}="):
        kind(**options).check()


def test_a_momentum_out_of_range_is_refused():
    for momentum in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"^momentum="):
            SGD(momentum=momentum).check()
    SGD(momentum=0.0).check()


def test_options_that_are_allowed():
    AdamW(schedule=Cosine(), weight_decay=0, clip_norm=None, averaging=0.0).check()
