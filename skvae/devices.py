"""Where the model runs, in which precision it trains, and how rows come there."""

import numpy as np
import torch
from torch import Tensor

# Multiplications of a step from which halving the width of numbers pays for casting them.
_LARGE_STEP = 60_000_000

PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float64": torch.float64,
}


def resolve_device(name: str) -> torch.device:
    """The device that a name stands for; "auto" takes a CUDA device where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"device={name!r} is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:0'."
        ) from error
    if not is_available(device):
        raise ValueError(f"device={name!r} is not there on this machine; use 'auto' or 'cpu'.")
    return device


def is_available(device: torch.device) -> bool:
    """Whether tensors can be put on the device."""
    if device.type == "cuda":
        return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()
    if device.type == "mps":
        return torch.backends.mps.is_available()
    return device.type == "cpu"


def resolve_precision(name: str, device: torch.device, n_products: int) -> torch.dtype:
    """Arithmetic of the training; "auto" is bfloat16 where it is native and a step is large."""
    if name != "auto":
        return PRECISIONS[name]
    fast = n_products >= _LARGE_STEP and has_bfloat16(device)
    return torch.bfloat16 if fast else torch.float32


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16 by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def seeded(rng: np.random.RandomState, device: str) -> torch.Generator:
    """A generator on a device, by the next number of another."""
    return torch.Generator(device).manual_seed(int(rng.randint(np.iinfo(np.int32).max)))


def room_for_rows(device: torch.device, n_bytes: int) -> int:
    """Bytes that rows may take there: these of the host's memory, half of what a GPU has free."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else n_bytes


def send(source: Tensor, target: Tensor) -> None:
    """Copy numbers of the host; to a GPU from page-locked memory, while the host goes on."""
    ahead = target.device.type == "cuda"
    target.copy_(source.pin_memory() if ahead else source, non_blocking=ahead)
