"""Devices by name."""

import pytest
import torch

from skvae import devices
from skvae.devices import (
    PRECISIONS,
    has_bfloat16,
    is_available,
    resolve_device,
    resolve_precision,
)
from tests.samples import curve, fitted


def test_auto_is_a_device_that_is_there():
    assert is_available(resolve_device("auto"))
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


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
