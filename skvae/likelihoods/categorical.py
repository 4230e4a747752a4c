"""Levels in no order."""

import math
from numbers import Integral

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from skvae._sklearn import Interval, StrOptions
from skvae.likelihoods.base import Constants, Params, Slopes
from skvae.likelihoods.levels import Levels, first_levels, levels_seen


class Categorical(Levels):
    """Categorical distribution (softmax) for levels without an order.

    The most frequent levels have one output each. All other levels share one output and keep
    their relative frequencies. A level that `fit` has not seen tells nothing about the codes. Its
    probability is about the share of cells whose level occurs once in the column, at most one
    half [1]_.

    Parameters
    ----------
    max_levels : int, default=64
        Largest number of levels of a column that get an output of their own; at least 2.
    weight : {"levels", "columns"}, default="levels"
        What counts alike in the linear start. With "levels", each level but one counts as much as
        a number: its indicator is divided by the root of its share [2]_. With "columns", the levels
        of a column together vary as much as their indicators do. A column of many levels then
        counts hardly more than one of two, as in PCA of one-hot columns.

    References
    ----------
    .. [1] Good, I. J. (1953). The population frequencies of species and the estimation of
       population parameters. Biometrika, 40, 237-264.
    .. [2] Pagès, J. (2004). Analyse factorielle de données mixtes. Revue de statistique
       appliquée, 52, 93-111.

    Examples
    --------
    >>> from skvae import Categorical, VAETransformer
    >>> VAETransformer(likelihood={"city": Categorical(max_levels=200)})
    VAETransformer(likelihood={'city': Categorical(max_levels=200)})
    """

    _parameter_constraints = {
        "max_levels": [Interval(Integral, 2, None, closed="left")],
        "weight": [StrOptions({"levels", "columns"})],
    }

    kinds = ("number", "boolean", "category", "ordered")
    level_link = "softmax"
    outside = ("levels",)

    def __init__(self, *, max_levels: int = 64, weight: str = "levels") -> None:
        self.max_levels = max_levels
        self.weight = weight

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        slots, within, shares, log_seen, log_unseen, levels = [], [], [], [], [], []
        for column in values.T:
            known, count, mass = levels_seen(column, weight)
            slot, within_slot, share = _slots(mass, count, self.max_levels)
            unseen = ((count == 1).sum() + 0.5) / (count.sum() + 1.0)
            levels.append(known)
            slots.append(slot)
            within.append(within_slot)
            shares.append(share)
            log_seen.append(math.log1p(-min(unseen, 0.5)))
            log_unseen.append(math.log(min(unseen, 0.5)))
        sizes = np.array([len(share) for share in shares])
        share = np.concatenate(shares)
        return {
            "sizes": sizes,
            "first_slot": np.cumsum(sizes) - sizes,
            "slot_of": np.concatenate(slots),
            "log_within": np.concatenate(within),
            "levels": np.concatenate(levels),
            "first_level": first_levels(levels),
            "contrasts": linalg.block_diag(*map(self._weighted, shares)),
            "log_seen": np.array(log_seen),
            "log_unseen": np.array(log_unseen),
            "bias": np.log(share),
            "dispersion": np.zeros(0),
        }

    def owners(self, constants: Constants) -> np.ndarray:
        n_features = np.maximum(constants["sizes"] - 1, 1)
        return np.repeat(np.arange(len(n_features)), n_features)

    def feature_variances(self, constants: Constants) -> np.ndarray | float:
        shares = np.split(np.exp(constants["bias"]), np.cumsum(constants["sizes"])[:-1])
        return np.array([self._variance(share) for share in shares])[self.owners(constants)]

    def _variance(self, share: np.ndarray) -> float:
        """Of each feature of a column: one, or the indicators' variances shared out among them."""
        if self.weight == "levels":
            return 1.0
        return float((share * (1.0 - share)).sum()) / max(len(share) - 1, 1)

    def _weighted(self, share: np.ndarray) -> np.ndarray:
        return _contrasts(share) * math.sqrt(self._variance(share))

    def features(self, params: Params, x: Tensor) -> Tensor:
        return _one_hot(params, x) @ params["contrasts"]

    def indicators(self, params: Params, x: Tensor) -> tuple[Tensor, ...]:
        return _by_column(params, _one_hot(params, x))

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        slot, level = _slot(params, x)
        normaliser = torch.stack([part.logsumexp(-1) for part in _by_column(params, eta)], -1)
        known = params["log_within"].take(level) + params["log_seen"]
        return torch.where(x < 0, params["log_unseen"], eta.gather(1, slot) - normaliser + known)

    def slopes(self, params: Params, x: Tensor, eta: Tensor, weight: Tensor) -> Slopes:
        """Log-densities and gradients of all columns at once, as `Likelihood.slopes`."""
        slot, level = _slot(params, x)
        outputs, shares = _by_column(params, eta), torch.empty_like(eta)
        top = torch.stack([part.amax(-1) for part in outputs], -1)
        for part, own, most in zip(
            outputs, _by_column(params, shares), top.unbind(-1), strict=True
        ):
            torch.sub(part, most[:, None], out=own)
        shares.exp_()
        total = torch.stack([own.sum(-1) for own in _by_column(params, shares)], -1)
        known = params["log_within"].take(level) + params["log_seen"]
        seen = eta.gather(1, slot).sub_(top).sub_(total.log()).add_(known)
        is_unseen = x < 0
        log_prob = torch.where(is_unseen, params["log_unseen"], seen)
        weight = weight.masked_fill(is_unseen, 0.0)
        of_share = (weight / total).neg_()
        for own, factor in zip(_by_column(params, shares), of_share.unbind(-1), strict=True):
            own.mul_(factor[:, None])
        of_outputs = shares.scatter_add_(1, slot, weight)
        return Slopes(log_prob, of_outputs, params["dispersion"])

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Probabilities of the outputs of each column, shape (batch, width)."""
        return torch.cat([part.softmax(-1) for part in _by_column(params, eta)], -1)

    def expected_features(self, params: Params, eta: Tensor) -> Tensor:
        return self.expectation(params, eta) @ params["contrasts"]

    def decide(self, params: Params, expectation: Tensor) -> Tensor:
        return _levels(params, [p.argmax(-1) for p in _by_column(params, expectation)])

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        shares = _by_column(params, self.expectation(params, eta))
        drawn = [torch.multinomial(p, 1, generator=generator)[:, 0] for p in shares]
        return _levels(params, drawn, generator)


def _slot(params: Params, x: Tensor) -> tuple[Tensor, Tensor]:
    """Index among all outputs of the block, shape (batch, c), and level; a guess where unseen."""
    level = params["first_level"] + x.clamp(min=0).long()
    return params["first_slot"] + params["slot_of"].take(level), level


def _one_hot(params: Params, x: Tensor) -> Tensor:
    return x.new_zeros(len(x), len(params["bias"])).scatter_(1, _slot(params, x)[0], 1.0)


def _by_column(params: Params, outputs: Tensor) -> tuple[Tensor, ...]:
    return outputs.split(params["sizes"].tolist(), -1)


def _levels(
    params: Params, slots: list[Tensor], generator: torch.Generator | None = None
) -> Tensor:
    """Codes of levels from slots: within a shared one the most frequent, or a draw."""
    levels = []
    bounds = [*params["first_level"].tolist(), len(params["slot_of"])]
    for slot, first, last in zip(slots, bounds[:-1], bounds[1:], strict=True):
        owner, log_within = params["slot_of"][first:last], params["log_within"][first:last]
        best = [log_within.masked_fill(owner != s, -torch.inf).argmax() for s in owner.unique()]
        level = torch.stack(best)[slot]
        shared = slot == len(best) - 1
        if generator is not None and shared.any() and (owner == len(best) - 1).sum() > 1:
            share = torch.where(owner == len(best) - 1, log_within.exp(), 0.0)
            n = int(shared.sum())
            level[shared] = torch.multinomial(share, n, replacement=True, generator=generator)
        levels.append(level)
    return torch.stack(levels, -1).to(params["contrasts"])


def _contrasts(share: np.ndarray) -> np.ndarray:
    """Levels in K - 1 uncorrelated numbers of variance one, shape (K, K - 1).

    Indicators divided by the root of their share (Pages, 2004), in coordinates across the one
    direction in which they cannot vary; so two levels are one number, as a boolean is.
    """
    if len(share) == 1:
        return np.zeros((1, 1))
    root = np.sqrt(share)
    axis = root + np.sign(root[0]) * np.eye(len(root))[0]
    reflection = np.eye(len(root)) - 2 * np.outer(axis, axis) / (axis @ axis)
    return reflection[:, 1:] / root[:, None]


def _slots(
    mass: np.ndarray, count: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slot of each level, log-probability within it, share of each slot.

    The most frequent levels come first in their own order; the rest share the last slot.
    """
    if len(count) > most:
        own = np.sort(np.argsort(-mass, kind="stable")[: most - 1])
        slot = np.full(len(count), most - 1)
        slot[own] = np.arange(most - 1)
    else:
        slot = np.arange(len(count))
    mass = mass * count.sum() / max(mass.sum(), 1e-300) + 0.5
    total = np.bincount(slot, mass)
    return slot, np.log(mass / total[slot]), total / total.sum()
