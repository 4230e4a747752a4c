"""Levels in an order."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from skvae.likelihoods.base import Constants, Params, scaled
from skvae.likelihoods.draws import uniform
from skvae.likelihoods.levels import Levels, first_levels, levels_seen
from skvae.likelihoods.statistics import moments, or_one

_FAR = 1e4  # a logit beyond every threshold


class Ordinal(Levels):
    """Ordinal logistic distribution for levels with an order [1]_.

    The decoder has one output eta per column. A level is at most k with probability
    1 / (1 + exp(eta - t_k)), and the thresholds t_k are trained.

    References
    ----------
    .. [1] McCullagh, P. (1980). Regression models for ordinal data. Journal of the Royal
       Statistical Society B, 42, 109-142.

    Examples
    --------
    >>> from skvae import Ordinal, VAETransformer
    >>> VAETransformer(likelihood={"grade": Ordinal()})
    VAETransformer(likelihood={'grade': Ordinal()})
    """

    kinds = ("number", "ordered")
    level_link = "thresholds"
    outside = ("levels", "first_level")

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        """Thresholds from the frequencies of the levels. Features are logits of mean ranks."""
        unseen, thresholds, positions, levels = [], [], [], []
        for column in values.T:
            known, count, mass = levels_seen(column, weight)
            share = (mass + 0.5) / (mass + 0.5).sum()
            up_to = np.cumsum(share)
            levels.append(known)
            thresholds.append(np.log(up_to[:-1] / (1 - up_to[:-1])))
            positions.append(up_to - 0.5 * share)
            unseen.append(0.5 / (count.sum() + 1.0))
        n_levels = np.array([len(known) for known in levels])
        constants = {"levels": np.concatenate(levels), "first_level": first_levels(levels)}
        padded = np.full((len(n_levels), n_levels.max()), np.nan)
        ranks = np.zeros((len(n_levels), n_levels.max()))
        for row, rank, t, p in zip(padded, ranks, thresholds, positions, strict=True):
            row[: len(t)] = t
            rank[: len(p)] = np.log(p / (1 - p))
        raw = padded.copy()
        raw[:, 1:] = np.log(np.expm1(np.maximum(np.diff(padded, axis=1), 1e-3)))
        cells = self.standardised(constants, values)
        feature = np.take_along_axis(ranks, np.nan_to_num(cells).astype(int).clip(0).T, 1).T
        center, spread = moments(np.where(cells >= 0, feature, np.nan), weight)
        return constants | {
            "n_levels": n_levels,
            "ranks": ranks,
            "center": center,
            "scale": or_one(spread),
            "log_seen": np.log1p(-np.array(unseen)),
            "log_unseen": np.log(unseen),
            "bias": np.zeros(len(n_levels)),
            "dispersion": np.nan_to_num(raw),
        }

    def features(self, params: Params, x: Tensor) -> Tensor:
        return scaled(params, params["ranks"].gather(1, x.clamp(min=0).long().T).T)

    def indicators(self, params: Params, x: Tensor) -> tuple[Tensor, ...]:
        one_hot = F.one_hot(x.clamp(min=0).long(), params["ranks"].shape[1])
        return one_hot.to(x).unbind(1)

    def expected_features(self, params: Params, eta: Tensor) -> Tensor:
        p = self.expectation(params, eta).view(len(eta), *params["ranks"].shape)
        return scaled(params, (p * params["ranks"]).sum(-1))

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        lower, upper = level_ends(params)
        level = x.clamp(min=0).long().T
        low, high = lower.gather(1, level).T - eta, upper.gather(1, level).T - eta
        seen = _log_between(low, high) + params["log_seen"]
        return torch.where(x < 0, params["log_unseen"], seen)

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Probabilities of levels, shape (batch, c * levels); 0 beyond a column's last level."""
        lower, upper = level_ends(params)
        p = torch.sigmoid(upper - eta[..., None]) - torch.sigmoid(lower - eta[..., None])
        return p.flatten(1)

    def decide(self, params: Params, expectation: Tensor) -> Tensor:
        p = expectation.view(len(expectation), *params["ranks"].shape)
        return p.argmax(-1).to(expectation)

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        u = uniform(eta, generator)
        logistic = eta + torch.log(u) - torch.log1p(-u.clamp(max=1 - 1e-7))
        upper = level_ends(params)[1]
        level = (logistic[..., None] > upper).sum(-1)
        return torch.minimum(level, params["n_levels"] - 1).to(eta)


def level_ends(params: Params) -> tuple[Tensor, Tensor]:
    """Lower and upper end of every level, shape (c, levels)."""
    raw = params["dispersion"]
    upper = torch.cat([raw[:, :1], F.softplus(raw[:, 1:])], 1).cumsum(1)
    level = torch.arange(upper.shape[1], device=upper.device)
    upper = torch.where(level >= params["n_levels"][:, None] - 1, _FAR, upper)
    lower = torch.cat([torch.full_like(upper[:, :1], -_FAR), upper[:, :-1]], 1)
    return lower, upper


def _log_between(low: Tensor, high: Tensor) -> Tensor:
    """log(sigmoid(high) - sigmoid(low)), stable: sigmoid(h) sigmoid(-l) (1 - exp(l - h))."""
    gap = (high - low).clamp(min=1e-6)
    return F.logsigmoid(high) + F.logsigmoid(-low) + torch.log(-torch.expm1(-gap))
