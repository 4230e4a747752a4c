"""From a decoder's outputs to what is expected of each column, as `templates/decoder.js` does it.

A link tells a column where its outputs begin (`at`) and what is made of them. To add one: a
function, its row in LINKS, and what `links` of decoder.js makes of its kind.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from skvae.data.units import Part
from skvae.likelihoods import (
    Bernoulli,
    Block,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    GaussianDiag,
    Likelihood,
    LogNormal,
    NegativeBinomial,
    Ordinal,
    Poisson,
    StudentT,
    known_levels,
)
from skvae.likelihoods.counts import LOG_RATE
from skvae.likelihoods.ordinal import level_ends

Link = dict[str, Any]
Arrays = dict[str, np.ndarray]

_N_KNOTS = 2049  # of a curve that stands for a likelihood without a closed form here
_FAR = 8.0  # outputs of scores lie between that and its negative


class UnknownLinkError(TypeError):
    """A likelihood is one that the page cannot evaluate."""


def links_of(block: Block, part: Part, first: int, reach: np.ndarray) -> list[Link]:
    """Links of a block's columns; its outputs begin at `first`, and lie within `reach`, (width, 2).

    Raises
    ------
    UnknownLinkError
        If the page cannot evaluate the likelihood.
    """
    params = {name: tensor.numpy(force=True) for name, tensor in block.params().items()}
    known = {name: np.broadcast_to(own, _shape(own, part)) for name, own in part.constants.items()}
    make = LINKS.get(type(part.likelihood))
    if make is not None:
        return [link | {"at": first + link["at"]} for link in make(part.likelihood, params, known)]
    if part.likelihood.is_coded or block.width != len(part.columns):
        raise UnknownLinkError(type(part.likelihood).__name__)
    return _curves(block, part, first, reach)


def _shape(values: np.ndarray, part: Part) -> tuple[int, ...]:
    return values.shape or (len(part.columns),)


def _numbers(likelihood: Likelihood, params: Arrays, known: Arrays) -> list[Link]:
    lines = zip(known["scale"], known["center"], strict=True)
    return [
        {"kind": "number", "at": j, "factor": float(factor), "added": float(added)}
        for j, (factor, added) in enumerate(lines)
    ]


def _exponentials(likelihood: Likelihood, params: Arrays, known: Arrays) -> list[Link]:
    variance = np.maximum(np.exp(2.0 * params["dispersion"]), np.square(params["floor"]))
    noise = np.sqrt(variance) * known["scale"]
    columns = zip(known["scale"], known["center"], noise, known["shift"], strict=True)
    names = ("factor", "added", "noise", "shift")
    return [
        {"kind": "exponential", "at": j} | dict(zip(names, map(float, numbers), strict=True))
        for j, numbers in enumerate(columns)
    ]


def _shares(likelihood: Likelihood, params: Arrays, known: Arrays) -> list[Link]:
    is_decided = not likelihood.is_stochastic
    return [{"kind": "share", "at": j, "decided": is_decided} for j in range(len(params["bias"]))]


def _intensities(likelihood: Likelihood, params: Arrays, known: Arrays) -> list[Link]:
    return [{"kind": "intensity", "at": j} for j in range(len(params["bias"]))]


def _counts(likelihood: Likelihood, params: Arrays, known: Arrays) -> list[Link]:
    factor = max(float(params["median"]), 1.0)
    return [
        {
            "kind": "count",
            "at": j,
            "low": min(float(bias), 0.0) - LOG_RATE,
            "high": max(float(bias), 0.0) + LOG_RATE,
            "factor": factor,
        }
        for j, bias in enumerate(params["bias"])
    ]


def _slots(likelihood: Likelihood, params: Arrays, known: Arrays) -> list[Link]:
    """A softmax of slots; levels that share one have their frequencies within it."""
    first_level = params["first_level"][1:]
    columns = zip(
        known_levels(known),
        np.split(params["slot_of"], first_level),
        np.split(params["log_within"], first_level),
        params["first_slot"],
        params["sizes"],
        strict=True,
    )
    return [
        {
            "kind": "slots",
            "at": int(first),
            "n": int(size),
            "slots": slots.tolist(),
            "within": np.exp(within).tolist(),
            "levels": levels.astype(int).tolist(),
        }
        for levels, slots, within, first, size in columns
    ]


def _thresholds(likelihood: Likelihood, params: Arrays, known: Arrays) -> list[Link]:
    tensors = {name: torch.from_numpy(array) for name, array in params.items()}
    lower, upper = (ends.numpy(force=True) for ends in level_ends(tensors))
    return [
        {
            "kind": "thresholds",
            "at": j,
            "lower": lower[j, : len(levels)].tolist(),
            "upper": upper[j, : len(levels)].tolist(),
            "levels": levels.astype(int).tolist(),
        }
        for j, levels in enumerate(known_levels(known))
    ]


def _curves(block: Block, part: Part, first: int, reach: np.ndarray) -> list[Link]:
    """Values at many outputs, with straight lines between them: an approximation."""
    low = np.minimum(reach[:, 0], -_FAR)
    high = np.maximum(reach[:, 1], _FAR)
    outputs = np.linspace(low, high, _N_KNOTS)
    cells = block.decide(block.expectation(torch.from_numpy(outputs))).numpy(force=True)
    values = part.likelihood.restored(part.constants, cells.astype(np.float64))
    return [
        {
            "kind": "curve",
            "at": first + j,
            "low": float(low[j]),
            "high": float(high[j]),
            "values": np.ascontiguousarray(values[:, j], np.float64),
        }
        for j in range(len(part.columns))
    ]


LINKS: dict[type[Likelihood], Callable[[Likelihood, Arrays, Arrays], list[Link]]] = {
    Gaussian: _numbers,
    GaussianDiag: _numbers,
    StudentT: _numbers,
    LogNormal: _exponentials,
    Bernoulli: _shares,
    ContinuousBernoulli: _intensities,
    Poisson: _counts,
    NegativeBinomial: _counts,
    Categorical: _slots,
    Ordinal: _thresholds,
}
