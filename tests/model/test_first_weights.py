"""First weights: torch's own distributions, from a seed alone, whatever other threads draw."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from skvae.model.first_weights import DrawnFrom, build
from skvae.model.networks import ARCHITECTURES, MLP, Conv

SIZE = (9, 4)


def weights(modules):
    return torch.cat([p.detach().flatten().double() for m in modules for p in m.parameters()])


class Custom(nn.Module):
    """Weights by every way in which people draw them."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(n_in, 6), nn.PReLU(), nn.Linear(6, n_out))
        nn.init.orthogonal_(self.layers[0].weight)
        nn.init.trunc_normal_(self.layers[2].weight, std=0.1)
        self.gain = nn.Parameter(torch.rand(n_in))
        self.shift = nn.Parameter(torch.randn_like(self.gain) + torch.rand_like(self.gain))
        normal = torch.distributions.Normal(torch.zeros(n_in), torch.ones(n_in))
        self.scale = nn.Parameter(normal.sample().exp())
        self.sparse = nn.Parameter(nn.init.sparse_(torch.empty(n_in, n_in), 0.5))
        self.register_buffer("order", torch.randperm(n_in))

    def forward(self, x):
        x = (x * self.gain * self.scale + self.shift)[:, self.order]
        return self.layers(x + x @ self.sparse)


BODIES = {name: component() for name, component in ARCHITECTURES.items()} | {
    "conv": Conv(image_shape=(3, 3)),
    "conv, batch norm": Conv(image_shape=(3, 3), normalization="batch"),
    "layer norm": MLP(normalization="layer", residual=True),
    "bilinear": lambda n_in, n_out: nn.Sequential(nn.Linear(n_in, 3), nn.Linear(3, n_out)),
    "lazy": lambda n_in, n_out: nn.Sequential(nn.LazyLinear(5), nn.SiLU(), nn.Linear(5, n_out)),
}
OWN = BODIES | {"custom": Custom}


@pytest.fixture(params=OWN)
def body(request):
    return OWN[request.param]


@pytest.mark.parametrize("name", BODIES)
def test_weights_are_those_of_torchs_own_rules(name):
    found = build(BODIES[name], [SIZE, SIZE], seed=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = [BODIES[name](*SIZE) for _ in range(2)]
        for module in expected:
            module(torch.zeros(2, SIZE[0]))  # layers that wait for rows
    assert torch.equal(weights(found), weights(expected))


def test_no_stream_of_others_is_moved_or_read(body):
    before = torch.get_rng_state()
    first = build(body, [SIZE], seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again = build(body, [SIZE], seed=1)
    state, other = again[0].state_dict(), build(body, [SIZE], seed=2)
    assert all(torch.equal(value, state[name]) for name, value in first[0].state_dict().items())
    assert not torch.equal(weights(other), weights(first))
    torch.set_rng_state(before)


def test_the_global_stream_stands_still_while_weights_are_drawn():
    """Also in between: a thread that draws then would get, and change, what is borrowed."""
    states = []

    def watched(n_in, n_out):
        states.append(torch.get_rng_state())
        module = nn.Sequential(nn.Linear(n_in, 5), nn.Linear(5, n_out))
        other = threading.Thread(target=torch.rand, args=(3,))
        other.start()
        other.join()
        states.append(torch.get_rng_state())
        nn.init.normal_(module[0].weight)
        states.append(torch.get_rng_state())
        return module

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = build(watched, [SIZE], seed=3)
        torch.manual_seed(0)
        before = torch.get_rng_state()
        torch.rand(3)
        after = torch.get_rng_state()
        again = build(watched, [SIZE], seed=3)
    assert torch.equal(weights(first), weights(again))
    assert torch.equal(states[0], before)
    assert torch.equal(states[1], after)
    assert torch.equal(states[2], after)


def test_many_threads_build_what_one_does():
    before = torch.get_rng_state()
    expected = [weights(build(MLP(), [SIZE], seed)) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: weights(build(MLP(), [SIZE], seed)), range(8)))
    assert all(map(torch.equal, found, expected))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_default_dtype_changes_no_weight(body, dtype):
    expected = build(body, [SIZE], seed=1)[0].state_dict()
    torch.set_default_dtype(dtype)
    try:
        found = build(body, [SIZE], seed=1)[0].state_dict()
    finally:
        torch.set_default_dtype(torch.float32)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


def test_a_generator_that_is_given_is_the_one_drawn_from():
    own = torch.Generator().manual_seed(7)
    with DrawnFrom(torch.Generator().manual_seed(0)):
        found = torch.rand(4, generator=own)
    assert torch.equal(found, torch.rand(4, generator=torch.Generator().manual_seed(7)))


@pytest.mark.parametrize("name", ["rand", "randn"])
def test_numbers_like_a_tensors_are_those_of_its_shape(name):
    like, shaped = getattr(torch, f"{name}_like"), getattr(torch, name)
    with DrawnFrom(torch.Generator().manual_seed(0)):
        found = like(torch.empty(3, 4, dtype=torch.float64))
    expected = shaped(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found, expected)


def test_an_error_of_the_architecture_leaves_everything_as_it_was():
    def broken(n_in, n_out):
        torch.rand(1)
        raise RuntimeError("broken")

    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="broken"):
        build(broken, [SIZE], seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert not torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(before)
