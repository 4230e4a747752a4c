"""The decoder as a page evaluates it: from codes, as `transform` returns them, to columns.

Networks of layers that are known are evaluated as they are, in the browser's double precision with
weights in single precision. Of others the page has a grid of what was decoded beforehand.
"""

from typing import Any

import numpy as np
import torch
from torch import nn

from skvae.explorer.layers import UnknownLayerError, dense, layers_of
from skvae.explorer.links import Link, UnknownLinkError, links_of
from skvae.export.questions import exported
from skvae.fitted.model import FittedModel
from skvae.model.cell_observation import CellDecoder
from skvae.model.vae import VAE
from skvae.start.cell_representation import CellRepresentation

MOST_BYTES = 3_000_000  # of weights; a grid stands for larger decoders
GRID_BYTES = 1_000_000
GRID_SIDE = 33
GRID_CODES = 3  # of which every two have a grid


def decoder_of(estimator: Any, codes: np.ndarray) -> dict[str, Any]:
    """The decoder of a fitted estimator; codes are those of rows, and say how far it is asked.

    "network": layers, the head after them, and a link for every column; exact up to rounding, but
    for links of the kind "curve". "grid": decoded points of the planes of two codes, where the
    others are at their mean.
    """
    own = exported(estimator)
    try:
        network = _network(own.model, own.whiten, codes)
    except (UnknownLayerError, UnknownLinkError) as error:
        return _grid(estimator, codes, f"the page cannot evaluate {error}")
    if _n_bytes(network) > MOST_BYTES:
        return _grid(estimator, codes, "the decoder is too large for the page")
    return network


@torch.inference_mode()
def _network(model: FittedModel, whiten: bool, codes: np.ndarray) -> dict[str, Any]:
    vae, unit = model.module(torch.float64), model.unit(whiten)
    to_units = np.zeros((vae.latent_dim, model.latent_dim))
    to_units[model.order, np.arange(len(unit))] = 1.0 / unit
    layers, last, n_hidden = _body(vae, to_units)

    def outputs(codes: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        """What the head makes of codes and of what the last hidden layer says: an affine map."""
        units = torch.as_tensor(codes @ to_units.T, device=model.device)
        change = None
        if vae.decoder is not None:
            units = vae.scale.place(units)
            change = last(torch.as_tensor(hidden, device=model.device))
            change = change if vae.columns is None else vae.columns.gather(change)
        decoded = vae.observation.decode(units, change)
        if isinstance(model.representation, CellRepresentation):
            return decoded.numpy(force=True)
        return model.representation.expected(vae.observation, decoded)

    n = model.latent_dim
    bias = outputs(np.zeros((1, n)), np.zeros((1, n_hidden)))[0]
    each = np.eye(n + n_hidden)
    weight = (outputs(each[:, :n], each[:, n:]) - bias).T
    decoded = model.module(torch.float64).decode(
        torch.as_tensor(codes @ to_units.T, device=model.device)
    )
    return {
        "kind": "network",
        "layers": layers,
        "head": dense(weight, bias),
        "columns": _links(model, decoded.numpy(force=True)),
    }


def _body(vae: VAE, to_units: np.ndarray) -> tuple[list[dict[str, Any]], nn.Module, int]:
    """Layers up to the last hidden one, the linear layer after them, and how many numbers meet."""
    if vae.decoder is None:
        return [], nn.Identity(), 0
    spread, center = vae.scale.spread.numpy(force=True), vae.scale.center.numpy(force=True)
    place = dense(spread[:, None] * to_units, center)
    network: nn.Module = vae.decoder
    last: nn.Module = nn.Identity()
    parts = list(network.children()) if isinstance(network, nn.Sequential) else [network]
    if isinstance(parts[-1], nn.Linear):
        network, last = nn.Sequential(*parts[:-1]), parts[-1]
    hidden = network(vae.scale.center[None])
    return [place, *layers_of(network, (vae.latent_dim,))], last, hidden.shape[1]


def _links(model: FittedModel, decoded: np.ndarray) -> list[Link]:
    """A link for every column of the table."""
    representation = model.representation
    if not isinstance(representation, CellRepresentation):
        return [{"kind": "same", "at": j} for j in range(model.start.n_features)]
    observation, units = model.module(torch.float64).observation, representation.units
    assert isinstance(observation, CellDecoder)
    fixed = zip(units.fixed.columns.tolist(), units.fixed.values.tolist(), strict=True)
    found: dict[int, Link] = {j: {"kind": "fixed", "value": value} for j, value in fixed}
    first = 0
    for block, part in zip(observation.each_block(), units.parts, strict=True):
        own = decoded[:, first : first + block.width]
        reach = np.stack([own.min(0) - 1.0, own.max(0) + 1.0], 1)
        links = links_of(block, part, first, reach)
        found |= dict(zip(units.columns[part.columns].tolist(), links, strict=True))
        first += block.width
    return [found[j] for j in range(units.n_columns)]


def _grid(estimator: Any, codes: np.ndarray, why: str) -> dict[str, Any]:
    """Decoded points of every plane of two of the first codes."""
    from skvae.explorer.table import values_of

    n_codes = codes.shape[1]
    first = range(min(n_codes, GRID_CODES))
    pairs = [(a, b) for a in first for b in first if a < b] or [(0, 0)]
    n_columns = estimator.n_features_in_
    side = int(np.clip((GRID_BYTES / (4 * n_columns * len(pairs))) ** 0.5, 2, GRID_SIDE))
    low, high = codes.min(0), codes.max(0)
    mean, planes = codes.mean(0), []
    for a, b in pairs:
        across, down = np.meshgrid(*(np.linspace(low[c], high[c], side) for c in (a, b)))
        points = np.tile(mean, (side * side, 1))
        points[:, a], points[:, b] = across.ravel(), down.ravel()
        values = values_of(estimator, estimator.inverse_transform(points))
        planes.append({"codes": [a, b], "values": values.astype(np.float32)})
    return {
        "kind": "grid",
        "why": why,
        "side": side,
        "low": low.astype(np.float64),
        "high": high.astype(np.float64),
        "planes": planes,
    }


def _n_bytes(tree: Any) -> int:
    if isinstance(tree, np.ndarray):
        return tree.nbytes
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return sum(map(_n_bytes, parts))
