"""Layers as nodes are those of torch, and so are their ways back; also of no rows."""

import numpy as np
import pytest
import torch
from torch import nn

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from skvae import MLP, Conv
from skvae.export.graph import Graph, Port
from skvae.export.layers import LAYERS, through
from skvae.model.networks import ACTIVATIONS, ARCHITECTURES, NORMALIZATIONS

TOLERANCE = {np.float64: 1e-11, np.float32: 2e-5}
DENSE = [
    (activation, normalization, residual)
    for activation in ACTIVATIONS
    for normalization in (None, *NORMALIZATIONS)
    for residual in (False, True)
    if activation == "silu" or (normalization, residual) == (None, False)
]
IMAGES = [
    (shape, normalization, kernel_size, hidden_units)
    for shape, normalization, kernel_size, hidden_units in [
        ((8, 8), None, 3, None),
        ((3, 5, 7), "batch", 3, 16),
        ((6, 5), "layer", 5, 16),
    ]
]


def drawn(network, dtype):
    """The network in evaluation mode, with statistics of its own."""
    torch.manual_seed(0)
    for layer in network.modules():
        if getattr(layer, "running_mean", None) is not None:
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2.0)
    return network.to(torch.float32 if dtype == np.float32 else torch.float64).eval()


def check(network, n_in, dtype):
    network = drawn(network, dtype)
    like = next(network.parameters(), torch.zeros(0, dtype=torch.float64))
    x = torch.randn(5, n_in, dtype=like.dtype, requires_grad=True)
    y = network(x)
    slope = torch.randn_like(y)
    (expected,) = torch.autograd.grad((y * slope).sum(), x)
    graph = Graph()
    inputs = graph.input("X", dtype), graph.input("S", dtype)
    made, back = through(network, inputs[0], (n_in,))
    graph.name(made, "Y")
    graph.name(back(inputs[1]), "B")
    ports = [
        Port(name, np.dtype(dtype), n) for name, n in zip("XS", (n_in, y.shape[1]), strict=True)
    ]
    out = [Port(name, np.dtype(dtype), n) for name, n in zip("YB", (y.shape[1], n_in), strict=True)]
    model = graph.model(ports, out)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feed = {"X": x.numpy(force=True), "S": slope.numpy()}
    for found, own in zip(session.run(None, feed), (y, expected), strict=True):
        np.testing.assert_allclose(found, own.numpy(force=True), atol=TOLERANCE[dtype], rtol=1e-5)
    none = session.run(None, {name: rows[:0] for name, rows in feed.items()})
    assert [own.shape for own in none] == [(0, y.shape[1]), (0, n_in)]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(("activation", "normalization", "residual"), DENSE)
def test_dense_layers(activation, normalization, residual, dtype):
    options = {"activation": activation, "normalization": normalization, "residual": residual}
    network = MLP(hidden_layer_sizes=(8, 8), dropout=0.1, **options)(4, 6)
    check(network, 4, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize(("shape", "normalization", "kernel_size", "hidden_units"), IMAGES)
def test_convolutions(shape, normalization, kernel_size, hidden_units, dtype):
    conv = Conv(
        image_shape=shape,
        channels=(4, 6),
        kernel_size=kernel_size,
        normalization=normalization,
        hidden_units=hidden_units,
    )
    n = int(np.prod(shape))
    for n_in, n_out in ((n, 4), (n + 3, 4), (2, n)):
        check(conv(n_in, n_out), n_in, dtype)


def test_layers_of_ones_own():
    network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, affine=False), nn.Dropout(0.5))
    check(nn.Sequential(network, nn.Identity(), nn.Linear(6, 3, bias=False)), 4, np.float64)


def test_every_architecture_is_known():
    """Whatever its options: those of the tables of names."""
    built = [
        *(
            MLP(activation=name, hidden_layer_sizes=(4, 4), residual=True)(4, 4)
            for name in ACTIVATIONS
        ),
        *(MLP(normalization=name)(4, 4) for name in NORMALIZATIONS),
        *(Conv(normalization=name)(16, 4) for name in NORMALIZATIONS),
        *(ARCHITECTURES[name]()(16, 4) for name in ARCHITECTURES),
        *(ARCHITECTURES[name]()(4, 16) for name in ARCHITECTURES),
    ]
    assert {type(layer) for network in built for layer in network.modules()} <= LAYERS.keys()


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (nn.Softplus(), "Softplus"),
        (nn.GELU(approximate="tanh"), "GELU"),
        (nn.BatchNorm1d(4, track_running_stats=False), "BatchNorm"),
        (nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.GroupNorm(2, 4)), "group"),
    ],
    ids=["unknown", "approximate", "statistics", "groups"],
)
def test_other_layers_are_refused(layer, named):
    graph = Graph()
    with pytest.raises(TypeError, match=f"architecture has .*{named}"):
        through(layer.eval(), graph.input("X", np.float64), (4,))
