"""Networks carried from the scores of one linear start to those of another.

A row has other scores under another mean, scale and other directions: one affine map leads there,
another back. The linear path and the ends of fully connected networks take them up, so that a row
keeps its code and its reconstruction, but for directions that only one of the starts has.
"""

from typing import Any, NamedTuple

import numpy as np
from torch import nn

from skvae.model.vae import VAE
from skvae.start.ppca import ProbabilisticPCA

State = dict[str, np.ndarray]
Ends = tuple[str | None, str | None]


class Change(NamedTuple):
    """Old scores are into @ new + shift; new ones are back @ (old - shift)."""

    into: np.ndarray  # (k_old, k_new)
    shift: np.ndarray  # (k_old,)
    back: np.ndarray  # (k_new, k_old)
    scale: float  # of the old start in units of the new one

    @classmethod
    def between(cls, old: ProbabilisticPCA, new: ProbabilisticPCA) -> "Change":
        """From the scores of the old start to those of the new one."""
        scale = old.scale / new.scale
        turn = old.components @ new.components.T
        shift = old.components @ ((new.mean - old.mean) / old.scale)
        return cls(turn / scale, shift, scale * turn.T, scale)


def carried(state: State, vae: Any, old: ProbabilisticPCA, new: ProbabilisticPCA) -> State | None:
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
    fresh = VAE(new, of_columns=vae.of_columns).state_dict()
    moved |= {name: fresh[name].numpy() for name in ("clip_limit", "components") if name in fresh}
    told = moved["encoder_path"] @ change.shift
    moved["encoder_path"] = moved["encoder_path"] @ change.into
    moved["decoder_path"] = change.back @ moved["decoder_path"]
    moved["noise_variance"] = moved["noise_variance"] * change.scale**2
    if "prior.pseudo_inputs" in moved:
        inputs = moved["prior.pseudo_inputs"] - change.shift
        moved["prior.pseudo_inputs"] = inputs @ change.back.T
    if not vae.of_columns:
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


def _ends(name: str, body: nn.Module) -> Ends:
    """Names of the first and the last layer, where these are linear."""
    layers = {name: body}
    if isinstance(body, nn.Sequential):
        layers = {f"{name}.{own}": layer for own, layer in body.named_children()}
    names = list(layers)
    first, last = (
        end if isinstance(layers[end], nn.Linear) else None for end in (names[0], names[-1])
    )
    return first, last
