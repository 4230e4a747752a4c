"""Numbers of any distribution: points of mass, bounds, rounded and skewed ones.

Cells are normal scores (curve.py). Arrays of lines between knots have shape (c, k - 1), those of
knots (c, k), of c columns; a shorter curve goes on as its last line does.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from skvae.likelihoods.base import Constants, Head, Likelihood, Params, Slopes
from skvae.likelihoods.curve import Curve, curve_of
from skvae.likelihoods.draws import normal
from skvae.likelihoods.intervals import interval_slopes, log_interval
from skvae.likelihoods.numbers import SMALLEST_NOISE, floored
from skvae.likelihoods.statistics import moments, or_one

_LOG_2PI = math.log(2 * math.pi)
POINT = 1e-3  # length of a line, in deviations of the noise, up to which it is one point


class _Cells(NamedTuple):
    """What there is at the score of each cell, shape (batch, c)."""

    is_mass: Tensor
    is_known: Tensor
    lower: Tensor  # of the scores that are drawn as the same
    upper: Tensor
    log_share: Tensor
    mass_score: Tensor

    def ends(self, eta: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Of points of mass, in deviations of the noise from the output; of others harmless."""
        lower = torch.where(self.is_mass, (self.lower - eta) / noise, -1.0)
        return lower, torch.where(self.is_mass, (self.upper - eta) / noise, 1.0)


class Empirical(Likelihood):
    """Normal copula: each column keeps its own empirical distribution, whatever its shape.

    Every value becomes a normal score, the value it would be if the column were standard normal.
    Given the codes z, the score is normal around the decoder's output. The density of a value is
    the density of its score times the slope of the score. A point of mass covers an interval of
    scores, and its probability is that of the interval. Without points of mass this is the
    nonparanormal [1]_.

    The linear start makes outputs and noise together standard normal. While they are, the model
    reproduces the distribution of each column.

    Scores and values are related by straight lines between quantiles of the column. New values,
    such as a number between two points of mass, have a small probability [2]_ and are never drawn.

    References
    ----------
    .. [1] Liu, H., Lafferty, J. and Wasserman, L. (2009). The nonparanormal: semiparametric
       estimation of high dimensional undirected graphs. JMLR, 10, 2295-2328.
    .. [2] Good, I. J. (1953). The population frequencies of species and the estimation of
       population parameters. Biometrika, 40, 237-264.

    Examples
    --------
    >>> from skvae import Empirical, VAETransformer
    >>> VAETransformer(likelihood={"income": Empirical()})
    VAETransformer(likelihood={'income': Empirical()})
    """

    has_scores = True
    outside = ("center", "scale", "values", "new", "n_knots")

    @property
    def shares_noise(self) -> bool:
        return False

    def fit(
        self, values: np.ndarray, weight: np.ndarray | None = None, scale: float | None = None
    ) -> Constants:
        center, spread = moments(values, weight)
        scales, there = or_one(spread), ~np.isnan(values)
        columns = [column[own] for column, own in zip(values.T, there.T, strict=True)]
        curves = [
            curve_of(x, None if weight is None else weight[own])
            for x, own in zip(columns, there.T, strict=True)
        ]
        resolution = [curve.resolution(x) for curve, x in zip(curves, columns, strict=True)]
        lower, upper = zip(*(curve.intervals for curve in curves), strict=True)
        heights = _continued([curve.x for curve in curves])
        constants = {
            "center": center,
            "scale": scales,
            "knots": _continued([curve.u for curve in curves]),
            "values": heights,
            "n_knots": np.array([len(curve.u) for curve in curves]),
            "new": np.array([curve.new for curve in curves]),
            "is_known": _repeated([curve.is_known for curve in curves]),
            "is_mass": _repeated([curve.is_mass for curve in curves]),
            "lower": _repeated(lower),
            "upper": _repeated(upper),
            "log_share": _repeated([curve.log_shares for curve in curves]),
            "mass_score": _repeated([_mass_scores(curve) for curve in curves]),
            "heights": (heights - center[:, None]) / scales[:, None],
            "floor": np.maximum(SMALLEST_NOISE, np.array(resolution) / math.sqrt(12)),
            "bias": np.zeros(len(center)),
            "dispersion": np.zeros(len(center)),
        }
        scores = self.standardised(constants, values)
        for curve, own, worth in zip(curves, scores.T, constants["mass_score"], strict=True):
            line = curve.lines_of_scores(own)
            own[:] = np.where(curve.is_mass[line], worth[line], own)
        middle, deviation = moments(np.where(there, scores, np.nan), weight)
        return constants | {"middle": middle, "deviation": or_one(deviation)}

    def standardised(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        return _by_column(constants, values, Curve.scores)

    def restored(self, constants: Constants, cells: np.ndarray) -> np.ndarray:
        return _by_column(constants, cells, Curve.values)

    def log_jacobian(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        """Log-slope of the score, shape (n, c); 0 for a point of mass."""
        return _by_column(constants, values, Curve.log_slopes)

    def has_mass(self, constants: Constants, values: np.ndarray) -> np.ndarray:
        return _by_column(constants, values, lambda curve, x: curve.is_mass[curve.lines(x)]) > 0

    def spread(self, params: Params) -> float:
        return 1.0

    def features(self, params: Params, x: Tensor) -> Tensor:
        """Normal scores. A point of mass has the mean score of its interval."""
        found = _found(params, x)
        return _scaled(params, torch.where(found.is_mass, found.mass_score, x))

    def expected_features(self, params: Params, eta: Tensor) -> Tensor:
        """Features expected for outputs: the outputs, corrected for points of mass."""
        expected = []
        for column in _columns(params, eta):
            score, own = column.eta, column.is_mass
            if own.any():
                ends = [
                    (score[:, None] - end[own]) / column.noise
                    for end in (column.lower, column.upper)
                ]
                probability = torch.special.ndtr(ends[0]) - torch.special.ndtr(ends[1])
                worth = (column.mass_score[own] - score[:, None]) * probability
                score = score + (
                    worth - column.noise * (_density(ends[0]) - _density(ends[1]))
                ).sum(1)
            expected.append(score)
        return _scaled(params, torch.stack(expected, 1))

    def log_prob(self, params: Params, x: Tensor, eta: Tensor) -> Tensor:
        found, variance = _found(params, x), floored(params["dispersion"], params)
        lower, upper = found.ends(eta, variance.sqrt())
        density = -0.5 * ((x - eta).square() / variance + variance.log() + _LOG_2PI)
        known = torch.where(found.is_mass, log_interval(lower, upper), density)
        return torch.where(found.is_known, known, 0.0) + found.log_share

    def slopes(self, params: Params, x: Tensor, eta: Tensor, weight: Tensor) -> Slopes:
        found, variance = _found(params, x), floored(params["dispersion"], params)
        noise, is_known = variance.sqrt(), found.is_known
        away = (x - eta) / noise
        square = away.square()
        known = -0.5 * (square + (variance.log() + _LOG_2PI))
        of_log_deviation, of_output = square.sub_(1.0), away
        chosen = found.is_mass.nonzero(as_tuple=True)
        lower, upper = ((end - eta) / noise for end in (found.lower, found.upper))
        mass = interval_slopes(lower[chosen], upper[chosen])
        known[chosen], of_output[chosen] = mass.log_prob, -mass.of_shift
        of_log_deviation[chosen] = -mass.of_stretch
        weight = torch.where(is_known, weight, 0.0)
        of_output /= noise
        free = (2.0 * params["dispersion"]).exp() - params["floor"].square()
        moves = torch.heaviside(free, free.new_tensor(0.5))
        return Slopes(
            torch.where(is_known, known, 0.0) + found.log_share,
            of_output.mul_(weight),
            moves * of_log_deviation.mul_(weight).sum(0),
        )

    def expectation(self, params: Params, eta: Tensor) -> Tensor:
        """Normal scores of the mean values, shape (batch, c)."""
        return torch.stack([_score_of_mean(column) for column in _columns(params, eta)], 1)

    def sample(self, params: Params, eta: Tensor, generator: torch.Generator) -> Tensor:
        noise = floored(params["dispersion"], params).sqrt()
        drawn = eta + noise * normal(eta, generator)
        found = _found(params, drawn)
        # Scores of a point of mass are alike; those of what was never seen are the next one's.
        return torch.where(found.is_known, drawn, found.mass_score)

    def initial_head(
        self, constants: Constants, loadings: np.ndarray, center: np.ndarray, noise: np.ndarray
    ) -> Head:
        middle, deviation = constants["middle"], constants["deviation"]
        log_deviation = 0.5 * np.log(noise) + np.log(deviation)
        return Head(deviation[:, None] * loadings, middle + deviation * center, log_deviation)


def _by_column(
    constants: Constants, x: np.ndarray, ask: Callable[[Curve, np.ndarray], np.ndarray]
) -> np.ndarray:
    """What the curves of columns say of numbers, shape (n, c)."""
    names = ("n_knots", "knots", "values", "is_known", "new")
    answers = np.empty(x.shape)
    for j, (n, u, heights, known, new) in enumerate(zip(*map(constants.get, names), strict=True)):
        answers[:, j] = ask(Curve(u[:n], heights[:n], known[: n - 1] > 0, float(new)), x[:, j])
    return answers


def _continued(knots: list[np.ndarray]) -> np.ndarray:
    """Knots of curves side by side; shorter ones go on as their last line does, shape (c, k)."""
    most = max(map(len, knots))
    return np.stack(
        [np.r_[k, k[-1] + np.arange(1, most - len(k) + 1) * (k[-1] - k[-2])] for k in knots]
    )


def _repeated(lines: Sequence[np.ndarray]) -> np.ndarray:
    """What is known of lines side by side; of shorter curves the last one is repeated."""
    most = max(map(len, lines))
    return np.stack([np.pad(each, (0, most - len(each)), "edge") for each in lines])


def _mass_scores(curve: Curve) -> np.ndarray:
    """Mean of a standard normal number where it is drawn as each point of mass; else 0.

    Of what was never seen it is that of the point of mass in its place.
    """
    lower, upper = curve.intervals
    density = [np.exp(-0.5 * np.square(end)) / math.sqrt(2 * math.pi) for end in (lower, upper)]
    # By the tail that is thin: the difference of two numbers near 1 has fewer digits.
    below, above = ndtr(upper) - ndtr(lower), ndtr(-lower) - ndtr(-upper)
    score = (density[0] - density[1]) / np.where(lower > 0, above, below)
    masses = np.flatnonzero(curve.is_mass)
    if not len(masses):
        return np.zeros(len(score))
    place = np.searchsorted(masses, np.arange(len(score)), side="right") - 1
    return np.where(curve.is_mass | ~curve.is_known, score[masses[place.clip(0)]], 0.0)


def _line(params: Params, x: Tensor) -> Tensor:
    """Between which knots scores lie, shape (c, batch)."""
    knots = params["knots"]
    found = torch.searchsorted(knots, x.detach().T.contiguous(), right=True)
    return found.clamp(1, knots.shape[1] - 1) - 1


def _found(params: Params, x: Tensor) -> _Cells:
    line = _line(params, x)
    is_mass, is_known, *others = (params[name].gather(1, line).T for name in _Cells._fields)
    return _Cells(is_mass > 0, is_known > 0, *others)


def _scaled(params: Params, score: Tensor) -> Tensor:
    return (score - params["middle"]) / params["deviation"]


class _Column(NamedTuple):
    """A column with its outputs."""

    eta: Tensor  # (batch,)
    noise: Tensor
    knots: Tensor  # (k,)
    heights: Tensor  # (k,)
    is_mass: Tensor  # (k - 1,) as the others
    is_known: Tensor
    lower: Tensor
    upper: Tensor
    mass_score: Tensor


def _columns(params: Params, eta: Tensor) -> Iterator[_Column]:
    """One at a time: of all together too much would be held."""
    noises = floored(params["dispersion"], params).sqrt()
    for j, noise in enumerate(noises):
        knots, heights, is_mass, is_known, *others = (
            params[name][j] for name in _Column._fields[2:]
        )
        yield _Column(eta[:, j], noise, knots, heights, is_mass > 0, is_known > 0, *others)


def _density(away: Tensor) -> Tensor:
    """Standard normal."""
    return torch.exp(-0.5 * (away.square() + _LOG_2PI))


def _beyond(away: Tensor) -> Tensor:
    """Mean of max(away + noise, 0) for standard normal noise."""
    return away * torch.special.ndtr(away) + _density(away)


def _score_of_mean(column: _Column) -> Tensor:
    """Score of the mean value of each row: lines are integrated, and the mean is looked up.

    E x = x_0 + sum_k (x_k+1 - x_k) A_k, with A_k the mean probability, over a line, that the score
    is beyond a point of it; before the first and after the last knot the outer lines go on. What
    was never seen is not drawn: the value leaps where it ends.
    """
    noise, heights, is_known = column.noise, column.heights, column.is_known
    away = (column.eta[:, None] - column.knots) / noise
    lengths, rises = column.knots.diff(), heights.diff()
    probability, beyond = torch.special.ndtr(away), _beyond(away)
    along = (beyond[:, :-1] - beyond[:, 1:]) * noise / lengths
    at_point = torch.special.ndtr(0.5 * (away[:, :-1] + away[:, 1:]))
    share = torch.where(lengths < POINT * noise, at_point, along)
    share = torch.where(is_known, share, probability[:, 1:])
    slopes = rises / lengths
    before = slopes[0] * noise * _beyond(-away[:, 0])
    after = slopes[-1] * noise * beyond[:, -1]
    if not is_known[0]:
        share[:, 0], before = 1.0, torch.zeros_like(before)
    if not is_known[-1]:
        share[:, ~is_known & (column.upper > column.knots[-1])] = 0.0
    mean = heights[0] + share @ rises - before + after
    line = torch.searchsorted(heights, mean.contiguous(), right=True).clamp(1, len(rises)) - 1
    along = (mean - heights[line]) / torch.where(rises[line] > 0, rises[line], 1.0)
    return column.knots[line] + along * lengths[line]
