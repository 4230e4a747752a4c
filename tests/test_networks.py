"""The contract of the bodies of the branches, over the tables of names."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from sklearn.base import clone
from torch import nn

from skvae import MLP
from skvae.networks import ACTIVATIONS, ARCHITECTURES, build, start_at_zero

BODIES = {name: component() for name, component in ARCHITECTURES.items()}
BODIES |= {f"mlp, {name}": MLP(activation=name) for name in ACTIVATIONS}
BODIES |= {
    "mlp, no hidden layer": MLP(hidden_layer_sizes=()),
    "mlp, one hidden layer": MLP(hidden_layer_sizes=(3,)),
    "layer norm": lambda n_in, n_out: nn.Sequential(
        nn.Linear(n_in, 8), nn.LayerNorm(8), nn.SiLU(), nn.Linear(8, n_out)
    ),
    "mlp, list of sizes": MLP(hidden_layer_sizes=[4, 5, 6]),
    "callable": lambda n_in, n_out: nn.Sequential(
        nn.Linear(n_in, 4), nn.Tanh(), nn.Linear(4, n_out)
    ),
}
SIZES = [(7, 4), (2, 7), (1, 1), (200, 4)]


@pytest.fixture(params=BODIES)
def body(request):
    return BODIES[request.param]


def rows(n_rows, n_columns):
    return torch.randn(n_rows, n_columns, generator=torch.Generator().manual_seed(0))


def weights(modules):
    return torch.cat([p.flatten() for module in modules for p in module.parameters()])


@pytest.mark.parametrize("size", SIZES)
def test_maps_rows_to_rows(body, size):
    (module,) = build(body, [size], seed=0)
    x = rows(5, size[0])
    y = module(x)
    assert y.shape == (5, size[1])
    torch.testing.assert_close(module(x[:2]), y[:2])


@pytest.mark.parametrize("size", SIZES)
def test_gradients_are_finite_and_reach_every_weight(body, size):
    (module,) = build(body, [size], seed=0)
    module(rows(64, size[0])).square().sum().backward()
    for parameter in module.parameters():
        assert torch.isfinite(parameter.grad).all()
        assert parameter.grad.any()


@pytest.mark.parametrize("size", SIZES)
def test_starts_at_zero_and_can_leave_it(body, size):
    (module,) = build(body, [size], seed=0)
    start_at_zero(module, size[0])
    y = module(rows(5, size[0]))
    assert not y.any()
    y.sum().backward()
    assert any(parameter.grad.any() for parameter in module.parameters())


def test_weights_come_from_the_seed_alone(body):
    before = torch.get_rng_state()
    first = weights(build(body, SIZES, seed=1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert torch.equal(weights(build(body, SIZES, seed=1)), first)
    assert not torch.equal(weights(build(body, SIZES, seed=2)), first)


def test_weights_come_from_the_seed_alone_in_many_threads():
    before = torch.get_rng_state()
    expected = [weights(build(MLP(), SIZES, seed)) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: weights(build(MLP(), SIZES, seed)), range(16)))
    assert all(map(torch.equal, found, expected))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_generator_comes_back_after_an_error():
    def broken(n_in, n_out):
        torch.rand(1)
        raise RuntimeError("broken")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="broken"):
        build(broken, SIZES, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("component", ARCHITECTURES.values())
def test_components_are_estimators(component):
    assert repr(clone(component())) == repr(component())
    assert component().get_params() == clone(component()).get_params()


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
        r"holds Dropout\(p=0.2.*remove it",
    ),
    "dropout of channels, nested": (
        lambda n_in, n_out: nn.Sequential(nn.Sequential(nn.Dropout1d()), nn.Linear(n_in, n_out)),
        ValueError,
        r"holds Dropout1d.*remove it",
    ),
    "batch norm": (
        lambda n_in, n_out: nn.Sequential(nn.BatchNorm1d(n_in), nn.Linear(n_in, n_out)),
        ValueError,
        r"holds BatchNorm1d\(3.*LayerNorm is possible",
    ),
    "half a unit": (MLP(hidden_layer_sizes=(8.5,)), ValueError, "whole numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_architectures_raise(case):
    architecture, error, message = BAD[case]
    with pytest.raises(error, match=message):
        build(architecture, [(3, 2)], seed=0)


NOT_LINEAR_AT_THE_END = {
    "sigmoid": lambda: nn.Sequential(nn.Linear(3, 2), nn.Sigmoid()),
    "a constant": lambda: nn.Sequential(nn.Linear(3, 2), nn.Hardtanh(0.5, 1.0)),
    "a sum with the input": lambda: Residual(),
}


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return x + self.layer(x)


@pytest.mark.parametrize("case", NOT_LINEAR_AT_THE_END)
def test_a_module_that_cannot_start_at_zero_raises(case):
    with pytest.raises(ValueError, match="must be linear"):
        start_at_zero(NOT_LINEAR_AT_THE_END[case](), 3)
