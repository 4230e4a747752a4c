"""Devices by name."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from skvae import devices
from skvae.data.columns import Columns
from skvae.data.input import Input
from skvae.devices import (
    PRECISIONS,
    has_bfloat16,
    is_available,
    resolve_device,
    resolve_precision,
    room_for_rows,
    send,
)
from skvae.fitting.beginning import initial_prior, new_vae
from skvae.fitting.rows import new_start, training_rows
from skvae.limits import Limits
from skvae.model.priors import PRIORS
from skvae.start.tables import Matrix, Table
from skvae.training.objective import OBJECTIVES, Mmd
from skvae.training.optimizers import OPTIMIZERS
from skvae.training.state import TrainingState
from skvae.training.step import choose_step, take_step
from tests.samples import curve, fitted, options, plan_of


def test_auto_is_a_device_that_is_there():
    assert is_available(resolve_device("auto"))
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_auto_takes_a_gpu_and_others_go_by_their_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto").type == "cuda"
    assert resolve_device("cuda:1").index == 1
    with pytest.raises(ValueError, match="is not there"):
        resolve_device("cuda:2")


def test_rows_may_take_half_of_what_a_gpu_has_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 4000))
    assert room_for_rows(torch.device("cuda"), 7) == 500
    assert room_for_rows(torch.device("cpu"), 7) == 7


def test_the_cpu_is_always_there():
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu0", "CPU"])
def test_an_unknown_name_raises(name):
    with pytest.raises(ValueError, match="is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:0'"):
        resolve_device(name)


@pytest.mark.parametrize("name", ["cuda:99", "meta", "xpu"])
def test_a_device_that_is_not_there_raises(name):
    with pytest.raises(ValueError, match="is not there on this machine; use 'auto' or 'cpu'"):
        resolve_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_cuda_raises():
    with pytest.raises(ValueError, match="'cuda' is not there"):
        resolve_device("cuda")


def test_precisions_are_the_names_of_torch():
    assert all(str(dtype) == f"torch.{name}" for name, dtype in PRECISIONS.items())


@pytest.mark.parametrize("name", PRECISIONS)
def test_a_precision_by_name(name):
    for n_products in (1, 10**9):
        assert resolve_precision(name, torch.device("cpu"), n_products) == PRECISIONS[name]


def test_auto_is_single_precision_for_small_steps():
    assert resolve_precision("auto", torch.device("cpu"), 1000) == torch.float32


@pytest.mark.parametrize("native", [False, True])
def test_auto_is_half_precision_for_large_steps_where_it_is_native(native, monkeypatch):
    monkeypatch.setattr(devices, "has_bfloat16", lambda device: native)
    expected = torch.bfloat16 if native else torch.float32
    assert resolve_precision("auto", torch.device("cpu"), 10**8) == expected


def test_native_half_precision_is_asked_of_the_processor(monkeypatch):
    if not hasattr(torch.cpu, "get_capabilities"):
        pytest.skip("this torch does not say")
    for capabilities, expected in (({"avx2": True}, False), ({"amx_bf16": True}, True)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert has_bfloat16(torch.device("cpu")) == expected
    assert not has_bfloat16(torch.device("meta"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_fit_on_cuda(precision):
    X = curve(600, 5)
    on_cuda = fitted(X, device=torch.device("cuda"), precision=precision, max_iter=60)
    on_cpu = fitted(X, max_iter=60)
    assert on_cuda.kept > 0
    assert on_cuda.log_prob(X).mean() == pytest.approx(on_cpu.log_prob(X).mean(), abs=0.5)


# Rows on their way


CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    ],
)


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_what_is_sent_arrives(device):
    source = torch.arange(12.0).view(4, 3)
    target = torch.zeros(6, 3, device=device)
    send(source, target[1:5])
    assert torch.equal(target[1:5].cpu(), source)
    assert not target[[0, 5]].any()


def test_rows_on_the_host_have_the_room_they_are_given():
    assert room_for_rows(torch.device("cpu"), 123) == 123


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_rows_on_a_gpu_have_half_of_what_is_free():
    device = torch.device("cuda")
    assert 0 < room_for_rows(device, 0) <= torch.cuda.mem_get_info(device)[1] // 2


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_rows_that_are_streamed_are_those_that_are_held(device):
    X, choice = Matrix(curve(600, 5)), options(device=torch.device(device))
    start = new_start(X, None, choice, np.random.RandomState(0))
    held = training_rows(start, X, None, choice)
    streaming = options(device=torch.device(device), limits=Limits(held_bytes=0))
    streamed = training_rows(start, X, None, streaming)
    assert type(streamed) is not type(held)
    index = torch.tensor([3, 599, 0], device=device)
    mine, theirs = streamed.take(index), held.take(index)
    assert torch.equal(mine.scores, theirs.scores)
    assert torch.equal(mine.residual, theirs.residual)


# Steps on a device


def table(missing):
    """Columns of four kinds as a table to fit."""
    rng = np.random.default_rng(0)
    X = curve(200, 5)
    X[:, 1], X[:, 2] = rng.integers(0, 2, 200), rng.poisson(3, 200)
    X[rng.uniform(size=X.shape) < missing] = np.nan
    names = ("gaussian", "bernoulli", "poisson", "student_t", "gaussian_diag")
    columns = Columns.of(Input.of(X), dict(enumerate(names)))
    return Table(X, columns.likelihoods, columns.n_levels)


ROWS = {"scores": Matrix(curve(200, 5)), "table": table(0.0), "holed table": table(0.2)}
STEPS = (
    [{"objective": objective()} for objective in OBJECTIVES.values()]
    + [{"optimizer": optimizer()} for optimizer in OPTIMIZERS.values()]
    + [{"prior": prior()} for prior in PRIORS.values()]
    + [{"objective": Mmd(), "prior": PRIORS[name]()} for name in ("mixture", "vamp")]
)


@pytest.fixture(scope="module", params=ROWS)
def rows_and_start(request):
    X = ROWS[request.param]
    return X, new_start(X, None, options(latent_dim=2), np.random.RandomState(0))


def on_meta(module):
    """The module where tensors have no values: to read one or mix it with others is an error."""
    return module.to("meta")


@pytest.mark.parametrize("changes", STEPS, ids=lambda changes: " ".join(map(str, changes.values())))
def test_a_step_stays_on_its_device_and_waits_for_nothing(rows_and_start, changes):
    X, start = rows_and_start
    choice, generator = options(latent_dim=2, **changes), torch.Generator()
    vae = new_vae(start, choice, 0).float()
    held = training_rows(start, X, None, choice)
    everything = torch.arange(held.n_rows)
    vae.prior = initial_prior(choice.prior, vae, held.take(everything), choice, 0)
    controller = plan_of(config=choice.config)
    state = TrainingState.of(
        on_meta(vae), choice.config, generator, lambda size: torch.float32, controller
    )
    state.take = choose_step(state, held)
    for batch in held.batches(everything, 50, generator):
        parts = {field.name: getattr(batch, field.name) for field in fields(batch)}
        moved = {k: v.to("meta") for k, v in parts.items() if isinstance(v, torch.Tensor)}
        terms = take_step(state, replace(batch, **moved))
        assert {value.device.type for value in terms} == {"meta"}
    assert state.step == 4
