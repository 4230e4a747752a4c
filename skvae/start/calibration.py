"""Linear heads under which columns are, under the prior, distributed as in the data.

A head is fitted to draws from posteriors, which where levels are rare lie far beyond what the prior
N(0, I) reaches: samples would never show such a level. Once the loadings are known, one number per
level is left, and the share of every level says which (docs/theory.md). Of normal scores outputs
and noise together are standard normal.
Shapes: n rows, c columns of a block, width outputs, q latent units.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.quasirandom import SobolEngine

from skvae.likelihoods import Block, Head, LevelLink, Likelihood, Params

_STEPS = 200
_TOLERANCE = 1e-4  # of the logarithm of a share
_REACH, _NODES = 8.0, 401  # of a grid for one direction of the prior
_POINTS = 4096  # of the prior, where all directions count together
_SMALLEST_GAP = 1e-3  # of thresholds


def is_held(likelihood: Likelihood) -> bool:
    """Whether the distribution of its columns can be held."""
    return has_levels(likelihood) or likelihood.has_scores


class Free(NamedTuple):
    """What is left of a head when its loadings are known."""

    bias: Tensor  # (width,)
    dispersion: Tensor


def has_levels(likelihood: Likelihood) -> bool:
    """Whether the shares of its levels can be held."""
    return likelihood.level_link is not None


def with_standard_scores(block: Block, head: Head) -> Head:
    """A head of normal scores, shrunk or widened to outputs and noise that are standard normal.

    How much of the variance is noise stays, as far as its floor allows.
    """
    floor = block.params()["floor"].numpy(force=True)
    signal = np.square(head.loadings).sum(1)
    noise = np.maximum(np.exp(2.0 * head.dispersion), np.square(floor))
    share = np.maximum(noise / (signal + noise), np.square(floor))
    size = np.sqrt((1.0 - share) / np.where(signal > 0, signal, 1.0))
    return Head(
        head.loadings * size[:, None],
        np.zeros_like(head.bias),
        np.where(signal > 0, 0.5 * np.log(share), 0.0),
    )


def calibrated(block: Block, loadings: Tensor, free: Free, x: Tensor, w: Tensor) -> Free:
    """Bias and dispersion of a block of levels by which each is as likely as in cells x.

    x has shape (n, c), NaN or below 0 where nothing is said; weights w have shape (n,).
    """
    link = block.likelihood.level_link
    if link is None:
        raise ValueError(f"{type(block.likelihood).__name__} has no levels.")
    return _RULES[link](block.params(), loadings, free, x, w)


def _logits(params: Params, loadings: Tensor, free: Free, x: Tensor, w: Tensor) -> Free:
    there = ~x.isnan()
    share = (w @ x.nan_to_num()) / (w @ there.to(w))
    target = torch.logit(_possible(share, len(x)))
    return free._replace(bias=_solved(free.bias, target, loadings.norm(dim=1)))


def _thresholds(params: Params, loadings: Tensor, free: Free, x: Tensor, w: Tensor) -> Free:
    """Thresholds move; the bias stays."""
    raw = free.dispersion.clone()
    slope = loadings.norm(dim=1)
    for j, n_levels in enumerate(params["n_levels"].tolist()):
        share = _possible(_frequencies(x[:, j], w, n_levels), len(x))
        up_to = (share / share.sum()).cumsum(0)[:-1]
        before = raw[j].clone()
        before[1:] = F.softplus(before[1:])
        before = before.cumsum(0)[: n_levels - 1] - free.bias[j]
        ends = _solved(before, torch.logit(up_to), slope[j].expand(n_levels - 1)) + free.bias[j]
        raw[j, : n_levels - 1] = ends
        raw[j, 1 : n_levels - 1] = torch.expm1(ends.diff().clamp(min=_SMALLEST_GAP)).log()
    return free._replace(dispersion=raw)


def _softmax(params: Params, loadings: Tensor, free: Free, x: Tensor, w: Tensor) -> Free:
    """Every softmax by itself, at points that fill the prior evenly."""
    z = _filling(loadings)
    bias, first = free.bias.clone(), 0
    for j, (size, level) in enumerate(
        zip(params["sizes"].tolist(), params["first_level"].tolist(), strict=True)
    ):
        own = slice(first, first + size)
        first = own.stop
        code = x[:, j].nan_to_num(-1.0)
        slot = params["slot_of"][level + code.clamp(min=0).long()].to(x)
        share = _possible(_frequencies(torch.where(code < 0, code, slot), w, size), len(x))
        eta, target = z @ loadings[own].T, (share / share.sum()).log()
        for _ in range(_STEPS):
            step = target - (eta + bias[own]).log_softmax(-1).logsumexp(0) + math.log(len(z))
            bias[own] += step
            if step.abs().max() < _TOLERANCE:
                break
    return free._replace(bias=bias)


_Rule = Callable[[Params, Tensor, Free, Tensor, Tensor], Free]
_RULES: dict[LevelLink, _Rule] = {
    "logit": _logits,
    "thresholds": _thresholds,
    "softmax": _softmax,
}


def _solved(logit: Tensor, target: Tensor, slope: Tensor) -> Tensor:
    """Logits b, shape (m,), for which E sigmoid(b + slope z) has the target's logits.

    The share rises with b more slowly than the sigmoid of b does, so that steps by the difference
    of logits never go too far.
    """
    z = torch.linspace(-_REACH, _REACH, _NODES, dtype=slope.dtype)
    weight = torch.softmax(-0.5 * z.square(), 0)
    eta = z[:, None] * slope
    for _ in range(_STEPS):
        # Both tails, as one of them may be too small to be 1 less the other.
        low, high = weight @ torch.sigmoid(-eta - logit), weight @ torch.sigmoid(eta + logit)
        step = target - high.log() + low.log()
        logit = logit + step
        if not len(step) or step.abs().max() < _TOLERANCE:
            break
    return logit


def _filling(loadings: Tensor) -> Tensor:
    """Standard normal points, evenly spread, shape (n, q): the same for every fit."""
    engine = SobolEngine(loadings.shape[1], scramble=True, seed=0)
    engine.fast_forward(1)  # past the first point, which comes in the caller's default dtype
    uniform = engine.draw(_POINTS, dtype=torch.float64)
    smallest = 0.5 / _POINTS / 2**10
    return torch.special.ndtri(uniform.clamp(smallest, 1.0 - smallest))


def _frequencies(code: Tensor, w: Tensor, n: int) -> Tensor:
    """Share of each of n codes among those from 0 up, by weight."""
    seen = code >= 0
    mass = torch.bincount(code[seen].long(), w[seen], minlength=n)
    return mass / mass.sum().clamp(min=1e-300)


def _possible(share: Tensor, n_rows: int) -> Tensor:
    """Shares that are neither 0 nor 1: what never was may be."""
    least = 0.5 / (n_rows + 1.0)
    return share.clamp(least, 1.0 - least)
