"""The contract of the bodies of the branches, over the tables of names."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

from skvae.model.first_weights import build, start_at_zero
from skvae.model.networks import (
    ACTIVATIONS,
    ARCHITECTURES,
    MLP,
    NORMALIZATIONS,
    Conv,
    Dropout,
    Linear,
    Residual,
    auto_sizes,
    draw_with,
)


def batch_norm(n_in, n_out):
    return nn.Sequential(nn.Linear(n_in, 8), nn.BatchNorm1d(8), nn.SiLU(), nn.Linear(8, n_out))


BODIES = {"mlp": MLP(), "linear": Linear()}
BODIES |= {f"mlp, {name}": MLP(activation=name) for name in ACTIVATIONS}
BODIES |= {f"mlp, {name} norm": MLP(normalization=name) for name in NORMALIZATIONS}
BODIES |= {
    "mlp, no hidden layer": MLP(hidden_layer_sizes=()),
    "mlp, one hidden layer": MLP(hidden_layer_sizes=(3,)),
    "mlp, list of sizes": MLP(hidden_layer_sizes=[4, 5, 6]),
    "mlp, array of sizes": MLP(hidden_layer_sizes=np.array([4, 5])),
    "mlp, dropout": MLP(dropout=0.3),
    "mlp, residual": MLP(hidden_layer_sizes=(8, 8, 6, 6), residual=True),
    "mlp, everything": MLP(normalization="batch", dropout=0.2, residual=True),
    "layer norm": lambda n_in, n_out: nn.Sequential(
        nn.Linear(n_in, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, n_out)
    ),
    "batch norm": batch_norm,
    "callable": lambda n_in, n_out: nn.Sequential(
        nn.Linear(n_in, 4), nn.Tanh(), nn.Linear(4, n_out)
    ),
}
SIZES = [(7, 4), (2, 7), (1, 1), (200, 4)]

IMAGES = {"conv": Conv(), "conv, three colours": Conv(image_shape=(3, 3, 4))}
IMAGES |= {f"conv, {name}": Conv(activation=name, channels=(4, 5)) for name in ACTIVATIONS}
IMAGES |= {f"conv, {name} norm": Conv(normalization=name) for name in NORMALIZATIONS}
IMAGES |= {
    "conv, one halving": Conv(channels=(4,)),
    "conv, many halvings": Conv(channels=[4, 4, 4, 4, 4]),
    "conv, wide kernel": Conv(channels=(4, 5), kernel_size=7),
    "conv, hidden units": Conv(channels=(4, 5), hidden_units=6),
    "conv, no hidden units": Conv(channels=(4, 5), hidden_units=None),
    "conv, dropout": Conv(channels=(4, 5), dropout=0.3),
    "conv, everything": Conv(normalization="batch", dropout=0.2, hidden_units=6),
    "conv, not square": Conv(image_shape=(9, 4)),
}
IMAGE_SIZES = [(36, 4), (2, 36)]

CASES = {
    f"{name}, {size}": (body, size)
    for bodies, sizes in ((BODIES, SIZES), (IMAGES, IMAGE_SIZES))
    for name, body in bodies.items()
    for size in sizes
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture(params=BODIES)
def body(request):
    return BODIES[request.param]


def generator():
    return torch.Generator().manual_seed(0)


def rows(n_rows, n_columns):
    return torch.randn(n_rows, n_columns, generator=generator())


def weights(modules):
    return torch.cat([p.flatten() for module in modules for p in module.parameters()])


def trained(module, n_in, n_steps=3):
    """The module after some passes over a batch, which move its running statistics."""
    draw_with(module.train(), generator())
    for _ in range(n_steps):
        module(3.0 + rows(16, n_in))
    return module.eval()


def test_maps_rows_one_by_one(case):
    architecture, size = case
    (module,) = build(architecture, [size], seed=0)
    x = rows(5, size[0])
    y = trained(module, size[0])(x)
    assert y.shape == (5, size[1])
    torch.testing.assert_close(module(x[:2]), y[:2])
    torch.testing.assert_close(module.double()(x.double()), y.double(), rtol=1e-3, atol=1e-4)


def test_gradients_are_finite_and_reach_every_weight(case):
    architecture, size = case
    (module,) = build(architecture, [size], seed=0)
    draw_with(module, generator())
    module(rows(64, size[0])).square().sum().backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.any()


def test_starts_at_zero_and_can_leave_it(case):
    architecture, size = case
    (module,) = build(architecture, [size], seed=0)
    before = copy.deepcopy(dict(module.named_buffers()))
    start_at_zero(module, size[0])
    assert module.training
    assert all(torch.equal(buffer, before[name]) for name, buffer in module.named_buffers())
    draw_with(module, generator())
    y = module(rows(5, size[0]))
    assert not y.any()
    y.sum().backward()
    assert any(parameter.grad.any() for parameter in module.parameters())


def test_modules_come_back_from_their_state(case):
    architecture, size = case
    (module,) = build(architecture, [size], seed=0)
    x = rows(5, size[0])
    expected = trained(module, size[0])(x)
    with torch.device("meta"):
        again = architecture(*size)
    again.load_state_dict(module.state_dict(), assign=True)
    assert torch.equal(again.eval()(x), expected)


def test_half_precision_is_near(case):
    architecture, size = case
    (module,) = build(architecture, [size], seed=0)
    draw_with(module, generator())
    x = rows(64, size[0])
    with torch.autocast("cpu", torch.bfloat16):
        module(x).float().square().sum().backward()
        y = module.eval()(x)
    torch.testing.assert_close(y.float(), module(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("shape", [(9, 4), (12, 2), (5, 1), (2, 16)])
def test_narrow_images_in_half_precision_are_numbers(shape):
    """Also where memory held something else before."""
    n = math.prod(shape)
    architecture = Conv(image_shape=shape, channels=(32, 64))
    modules = build(architecture, [(n, 4), (4, n)], seed=0)
    for module, width in zip(modules, (n, 4), strict=True):
        draw_with(module, generator())
        for _ in range(3):
            rubbish = [torch.full((4**k,), torch.nan) for k in range(2, 9) for _ in range(8)]
            del rubbish
            x = rows(64, width).requires_grad_(True)
            with torch.autocast("cpu", torch.bfloat16):
                y = module(x).float()
            y.square().sum().backward()
            assert y.isfinite().all()
            assert x.grad.isfinite().all()
            assert all(each.grad.isfinite().all() for each in module.parameters())


def test_weights_come_from_the_seed_alone(body):
    before = torch.get_rng_state()
    first = weights(build(body, SIZES, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(weights(build(body, SIZES, seed=1)), first)
    assert not torch.equal(weights(build(body, SIZES, seed=2)), first)


@pytest.mark.parametrize("component", ARCHITECTURES.values())
def test_components_are_estimators(component):
    assert repr(clone(component())) == repr(component())
    assert component().get_params() == clone(component()).get_params()
    assert repr(pickle.loads(pickle.dumps(component()))) == repr(component())
    assert component().of_columns == (component is Conv)


def test_modules_are_built_in_training_mode():
    for module in build(MLP(normalization="batch"), SIZES, seed=0):
        assert all(part.training for part in module.modules())
        assert not module[1].running_mean.any()


def test_options_stand_in_their_order():
    module = MLP(hidden_layer_sizes=(3, 3), normalization="batch", dropout=0.1, residual=True)(2, 1)
    layer = [nn.Linear, NORMALIZATIONS["batch"][0], nn.SiLU, Dropout]
    assert [type(part) for part in module] == [*layer, Residual, nn.Linear]
    assert [type(part) for part in module[4].layer] == layer


def test_a_residual_layer_adds_to_its_input():
    (module,) = build(MLP(hidden_layer_sizes=(3,), residual=True), [(3, 2)], seed=0)
    (plain,) = build(MLP(hidden_layer_sizes=(3,)), [(3, 2)], seed=0)
    x = rows(5, 3)
    torch.testing.assert_close(module[1](x + plain[:2](x)), module(x))


SHAPES = {
    "grey": ((28, 28), Conv()),
    "grey, digits": ((8, 8), Conv()),
    "odd": ((9, 9), Conv()),
    "two pixels": ((1, 2), Conv(image_shape=(1, 2))),
    "colour": ((3, 32, 32), Conv()),
    "colour, odd": ((3, 7, 7), Conv(channels=(4, 5, 6))),
    "not square": ((13, 21), Conv(image_shape=(13, 21))),
    "not square, wide kernel": ((13, 21), Conv(image_shape=[13, 21], kernel_size=5)),
    "four colours": ((4, 5, 6), Conv(image_shape=(4, 5, 6))),
    "a line": ((1, 40), Conv(image_shape=(1, 40))),
    "array of numbers": ((6, 10), Conv(image_shape=np.array([6, 10]), channels=np.array([4, 5]))),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_every_shape_go_in_and_come_out(shape):
    shape, architecture = SHAPES[shape]
    n_pixels = math.prod(shape)
    encoder, decoder = build(architecture, [(n_pixels, 4), (n_pixels // 2, n_pixels)], seed=0)
    z = encoder(rows(3, n_pixels))
    assert z.shape == (3, 4)
    assert decoder(rows(3, n_pixels // 2)).shape == (3, n_pixels)


def test_pixels_keep_their_places():
    (module,) = build(
        Conv(image_shape=(2, 12, 16), channels=(4,), hidden_units=None), [(5, 384)], seed=0
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.0)
        module[0].bias.unflatten(0, (4, 6, 8))[0, 3, 5] = 1.0
        module[-2].weight[0, 1] = 1.0
        image = module(rows(1, 5)).unflatten(1, (2, 12, 16))[0]
    assert not image[0].any()
    assert image[1].nonzero().float().mean(0).tolist() == [6.0, 10.0]


def test_every_pixel_counts():
    (module,) = build(Conv(image_shape=(2, 7, 10), hidden_units=None), [(140, 4)], seed=0)
    x = rows(1, 140).requires_grad_()
    module(x).sum().backward()
    assert x.grad.all()


def test_further_columns_go_past_the_convolutions():
    sizes = [(2 * 36, 4), (3, 36)]
    encoder, decoder = build(Conv(image_shape=(6, 6), hidden_units=None), sizes, seed=0)
    x = rows(5, 72)
    change = encoder(x) - encoder(torch.cat([x[:, :36], torch.zeros(5, 36)], 1))
    expected = x[:, 36:] @ encoder.dense[-1].weight[:, -36:].T
    torch.testing.assert_close(change, expected)
    assert decoder(rows(5, 3)).shape == (5, 36)


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
def test_a_row_that_comes_alone_is_normalised_as_the_rows_before(architecture):
    body = MLP(hidden_layer_sizes=(8,)) if architecture == "mlp" else Conv(channels=(4,))
    (module,) = build(body.set_params(normalization="batch"), [(4, 2)], seed=0)
    trained(module, 4)
    x = rows(1, 4)
    expected, before = module(x), copy.deepcopy(module.state_dict())
    torch.testing.assert_close(module.train()(x), expected)
    torch.testing.assert_close(dict(module.state_dict()), dict(before))
    assert all(part.training for part in module.modules())


def test_sizes_that_are_left_open_are_settled():
    assert MLP(dropout=0.2).with_auto_sizes((7,)).get_params() == (
        MLP(hidden_layer_sizes=(7,), dropout=0.2).get_params()
    )
    chosen = MLP(hidden_layer_sizes=(3, 4))
    assert chosen.with_auto_sizes((7,)) is chosen


# Rows, columns, scores and codes, and the hidden layers.
AUTO = {
    "few cells": ((399, 10, 10, 2), (64, 64)),
    "cells enough": ((400, 10, 10, 2), (256, 256)),
    "rows not quite many": ((3999, 10, 10, 31), (256, 256)),
    "many rows": ((4000, 10, 10, 31), (256, 256, 256)),
    "many rows and codes": ((4000, 100, 100, 32), (256, 256)),
    "many scores": ((4000, 200, 128, 31), (256, 256, 512)),
    "many scores and codes": ((4000, 200, 128, 32), (512, 512)),
}


@pytest.mark.parametrize("case", AUTO)
def test_hidden_layers_go_by_the_matrix_and_the_codes(case):
    matrix, sizes = AUTO[case]
    assert auto_sizes(*matrix) == sizes


def test_dropout_keeps_a_share_and_the_mean():
    layer = Dropout(0.25)
    draw_with(layer, generator())
    x = torch.ones(400, 100)
    y = layer(x)
    torch.testing.assert_close(y.unique(), torch.tensor([0.0, 4 / 3]))
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("architecture", [MLP(dropout=0.5), Conv(dropout=0.5, hidden_units=5)])
def test_dropout_draws_from_its_generator_alone(architecture):
    (module,) = build(architecture, [(36, 4)], seed=0)
    before = torch.get_rng_state()
    x, draws = rows(5, 36), []
    for _ in range(2):
        draw_with(module, generator())
        draws.append((module(x), module(x)))
    assert torch.equal(draws[0][0], draws[1][0])
    assert torch.equal(draws[0][1], draws[1][1])
    assert not torch.equal(draws[0][0], draws[0][1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_of_dropout_have_no_generator(duplicate):
    (module,) = build(MLP(dropout=0.5), [(3, 2)], seed=0)
    draw_with(module, generator())
    again = duplicate(module)
    x = rows(5, 3)
    assert torch.equal(again.eval()(x), module.eval()(x))
    with pytest.raises(RuntimeError, match=r"no generator.*draw_with"):
        again.train()(x)
    module.train()(x)


BAD = {
    "not a module": (lambda n_in, n_out: len, TypeError, "must return a torch.nn.Module"),
    "too many columns": (lambda n_in, n_out: nn.Linear(n_in, n_out + 1), ValueError, "must map"),
    "one number per row": (
        lambda n_in, n_out: nn.Sequential(nn.Linear(n_in, 1), nn.Flatten(0)),
        ValueError,
        "must map rows of 3 to rows of 2",
    ),
    "unknown activation": (MLP(activation="step"), ValueError, "known: .*silu"),
    "a layer without units": (MLP(hidden_layer_sizes=(8, 0)), ValueError, "whole numbers"),
    "dropout": (
        lambda n_in, n_out: nn.Sequential(nn.Dropout(0.2), nn.Linear(n_in, n_out)),
        ValueError,
        r"holds Dropout\(p=0.2.*remove it.*skvae.MLP\(dropout=",
    ),
    "dropout of channels, nested": (
        lambda n_in, n_out: nn.Sequential(nn.Sequential(nn.Dropout1d()), nn.Linear(n_in, n_out)),
        ValueError,
        r"holds Dropout1d.*remove it",
    ),
    "half a unit": (MLP(hidden_layer_sizes=(8.5,)), ValueError, "whole numbers"),
    "sizes that are none": (MLP(hidden_layer_sizes="wide"), ValueError, "'auto' or a tuple"),
    "everything is dropped": (MLP(dropout=1.0), ValueError, r"dropout=1.0 .* such as 0.1"),
    "dropout by name": (Conv(dropout="some"), ValueError, "dropout='some'"),
    "unknown normalization": (
        MLP(normalization="group"),
        ValueError,
        r"normalization='group' is unknown; known: \['batch', 'layer'\] or None",
    ),
    "even kernel": (Conv(kernel_size=4), ValueError, "kernel_size=4 must be odd"),
    "no kernel": (Conv(kernel_size=1), ValueError, "kernel_size=1 must be odd, from 3 up"),
    "residual by name": (MLP(residual="yes"), ValueError, "residual='yes' must be True or False"),
    "no channels": (Conv(image_shape=(1, 2), channels=()), ValueError, r"channels=\(\)"),
    "a number of channels": (Conv(image_shape=(1, 2), channels=32), ValueError, "channels=32"),
    "half a dense unit": (Conv(hidden_units=0.5), ValueError, "hidden_units=0.5 .* or None"),
    "image of one side": (Conv(image_shape=(28,)), ValueError, r"image_shape=\(28,\) must be"),
    "image by name": (Conv(image_shape="big"), ValueError, "image_shape='big' must be 'auto'"),
    "image of no height": (Conv(image_shape=(0, 9)), ValueError, r"image_shape=\(0, 9\)"),
    "another image": (Conv(image_shape=(4, 4)), ValueError, "it has 3 inputs and 2 outputs"),
}


NOT_IMAGES = {
    "not square": ((50, 4), "not 50 numbers; use Conv"),
    "with flags": ((72, 4), "not 72 numbers; use Conv"),
    "two parameters per pixel": ((4, 72), "not 72 numbers"),
    "two images": ((784, 900), "ambiguous: 784 inputs and 900 outputs"),
}


@pytest.mark.parametrize("case", NOT_IMAGES)
def test_an_image_that_cannot_be_told_raises(case):
    size, message = NOT_IMAGES[case]
    with pytest.raises(ValueError, match=message):
        build(Conv(), [size], seed=0)


def test_one_number_per_pixel_comes_out():
    with pytest.raises(ValueError, match="a likelihood with one parameter per pixel"):
        build(Conv(image_shape=(6, 6)), [(4, 72)], seed=0)


@pytest.mark.parametrize("case", BAD)
def test_bad_architectures_raise(case):
    architecture, error, message = BAD[case]
    with pytest.raises(error, match=message):
        build(architecture, [(3, 2)], seed=0)


NOT_LINEAR_AT_THE_END = {
    "sigmoid": lambda: nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()),
    "what cuts off one sign": lambda: nn.Sequential(nn.Linear(3, 2), nn.ReLU()),
    "a constant": lambda: nn.Sequential(nn.Linear(3, 2), nn.Hardtanh(0.5, 1.0)),
    "a sum with the input": lambda: Residual(nn.Linear(3, 3)),
    "batch norm": lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)),
    "batch norm without weights": lambda: nn.Sequential(
        nn.Linear(3, 2), nn.BatchNorm1d(2, affine=False)
    ),
}


@pytest.mark.parametrize("case", NOT_LINEAR_AT_THE_END)
def test_a_module_that_cannot_start_at_zero_raises(case):
    with pytest.raises(ValueError, match="must be linear"):
        start_at_zero(NOT_LINEAR_AT_THE_END[case](), 3)
