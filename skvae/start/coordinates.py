"""Networks carried from the scores of one linear start to those of another.

A row has other scores under another mean, scale and other directions: one affine map leads there,
another back. The linear path and the ends of fully connected networks take them up, so that a row
keeps its code and its reconstruction, but for directions that only one of the starts has.
"""

from typing import NamedTuple, Protocol

import numpy as np
from torch import nn

from skvae.model.inference import CLIP_AT
from skvae.model.vae import VAE

State = dict[str, np.ndarray]
Ends = tuple[str | None, str | None]


class Axes(Protocol):
    """What carrying asks of a linear start: its directions and where they lie."""

    @property
    def latent_dim(self) -> int: ...
    @property
    def mean(self) -> np.ndarray: ...
    @property
    def scale(self) -> float: ...
    @property
    def components(self) -> np.ndarray: ...
    @property
    def variances(self) -> np.ndarray: ...


class Change(NamedTuple):
    """Old scores are into @ new + shift; new ones are back @ (old - shift)."""

    into: np.ndarray  # (k_old, k_new)
    shift: np.ndarray  # (k_old,)
    back: np.ndarray  # (k_new, k_old)
    scale: float  # of the old start in units of the new one

    @classmethod
    def between(cls, old: Axes, new: Axes) -> "Change":
        """From the scores of the old start to those of the new one."""
        scale = old.scale / new.scale
        turn = old.components @ new.components.T
        shift = old.components @ ((new.mean - old.mean) / old.scale)
        return cls(turn / scale, shift, scale * turn.T, scale)


def carried(state: State, vae: VAE, old: Axes, new: Axes) -> State | None:
    """The state of a model of the old start as one of the new; vae has its networks.

    None where that cannot be: with another number of units, or, of networks that are not fully
    connected, of scores. Those go on as they are: what that makes of them is for held-out rows to
    say.
    """
    change = Change.between(old, new)
    is_same_size = change.into.shape[0] == change.into.shape[1]
    if old.latent_dim != new.latent_dim:
        return None
    moved = {
        name: array.astype(np.float64) if array.dtype.kind == "f" else array
        for name, array in state.items()
    }
    moved["inference.clip_limit"] = CLIP_AT * np.sqrt(new.variances)
    if vae.columns is not None:
        moved["columns.components"] = new.components
    encoder, decoder = "inference.encoder_path", "observation.decoder_path"
    told = moved[encoder] @ change.shift
    moved[encoder] = moved[encoder] @ change.into
    moved[decoder] = change.back @ moved[decoder]
    noise = "observation.shared_noise"
    moved[noise] = moved[noise] * change.scale**2
    if "prior.pseudo_inputs" in moved:
        inputs = moved["prior.pseudo_inputs"] - change.shift
        moved["prior.pseudo_inputs"] = inputs @ change.back.T
    if vae.columns is None and vae.encoder is not None and vae.decoder is not None:
        ends = _ends("encoder", vae.encoder), _ends("decoder", vae.decoder)
        if None not in (*ends[0], ends[1][1]):
            _carry_encoder(moved, ends[0], change, told)
            _carry_decoder(moved, ends[1], change)
        elif not is_same_size:
            return None
    return {name: np.asarray(array, state[name].dtype) for name, array in moved.items()}


def _carry_encoder(state: State, ends: Ends, change: Change, told: np.ndarray) -> None:
    """Let the first layer see old scores, and the last add what the linear path said of them."""
    first, last = ends
    weight = state[f"{first}.weight"]
    state[f"{first}.weight"] = weight @ change.into
    if f"{first}.bias" in state:
        state[f"{first}.bias"] = state[f"{first}.bias"] + weight @ change.shift
    bias = state[f"{last}.bias"].copy()
    bias[: len(told)] += told
    state[f"{last}.bias"] = bias


def _carry_decoder(state: State, ends: Ends, change: Change) -> None:
    """Let the last layer make new scores."""
    _, last = ends
    state[f"{last}.weight"] = change.back @ state[f"{last}.weight"]
    state[f"{last}.bias"] = change.back @ (state[f"{last}.bias"] - change.shift)


def _ends(name: str, network: nn.Module) -> Ends:
    """Names of the first and the last layer, where these are linear."""
    layers: dict[str, nn.Module] = {name: network}
    if isinstance(network, nn.Sequential):
        layers = {f"{name}.{own}": layer for own, layer in network.named_children()}
    names = list(layers)
    first, last = (
        end if isinstance(layers[end], nn.Linear) else None for end in (names[0], names[-1])
    )
    return first, last
