"""Normal scores of columns as nodes: what `likelihoods.curve` and `likelihoods.empirical` say.

One column at a time: of all together too much would be held. Shapes: n rows, k knots.
"""

from typing import TypeAlias

import numpy as np

from skvae.export.graph import Value
from skvae.export.normal import density, probability_below
from skvae.likelihoods import Likelihood
from skvae.likelihoods.empirical import POINT

Arrays: TypeAlias = dict[str, np.ndarray]


def scores_of(likelihood: Likelihood, known: Arrays, values: Value) -> Value:
    """Scores of values, shape (n, c); of a point of mass the middle of its own."""
    graph, parts = values.graph, []
    for j, (u, x) in enumerate(_curves(known)):
        own = values.between(j, j + 1)
        is_mass = x[1:] == x[:-1]
        rises, masses = np.flatnonzero(~is_mass), np.flatnonzero(is_mass)
        line = _looked_up(rises, _count(own >= x[rises[1:]]))
        if len(masses):
            place = _count(own > x[masses]).clipped(None, np.array(len(masses) - 1))
            is_there = graph.node("Equal", own, _looked_up(x[masses], place), dtype=bool)
            line = graph.where(is_there, _looked_up(masses, place), line)
        width = np.diff(x)
        share = (own - _looked_up(x[:-1], line)) / _looked_up(np.where(width > 0, width, 1), line)
        share = graph.where(_looked_up(width > 0, line), share, 0.5)
        score = _looked_up(u[:-1], line) + share * _looked_up(np.diff(u), line)
        parts.append(graph.where(own.is_nan(), own, score))
    return graph.joined(parts)


def values_of(likelihood: Likelihood, known: Arrays, cells: Value) -> Value:
    """Values of scores, shape (n, c)."""
    graph, parts = cells.graph, []
    for j, (u, x) in enumerate(_curves(known)):
        own = cells.between(j, j + 1)
        line = _line(own, u)
        share = (own - _looked_up(u[:-1], line)) / _looked_up(np.diff(u), line)
        parts.append(_looked_up(x[:-1], line) + share * _looked_up(np.diff(x), line))
    return graph.joined(parts)


def features_of_scores(likelihood: Likelihood, params: Arrays, x: Value) -> Value:
    """Scores; of points of mass what these are worth."""
    graph, parts = x.graph, []
    for j, knots in enumerate(params["knots"]):
        own = x.between(j, j + 1)
        line = _line(own, knots)
        worth = _looked_up(params["mass_score"][j], line)
        parts.append(graph.where(_looked_up(params["is_mass"][j] > 0, line), worth, own))
    return (graph.joined(parts) - params["middle"]) / params["deviation"]


def expected_scores(likelihood: Likelihood, params: Arrays, outputs: Value) -> Value:
    """Scores of the mean values, shape (n, c)."""
    variance = np.maximum(np.exp(2.0 * params["dispersion"]), np.square(params["floor"]))
    names = ("knots", "heights", "is_known", "upper")
    columns = zip(*(params[name] for name in names), strict=True)
    parts = [
        _score_of_mean(outputs.between(j, j + 1), float(noise), *own)
        for j, (noise, own) in enumerate(zip(np.sqrt(variance), columns, strict=True))
    ]
    return outputs.graph.joined(parts)


def _score_of_mean(
    eta: Value,
    noise: float,
    knots: np.ndarray,
    heights: np.ndarray,
    is_known: np.ndarray,
    upper: np.ndarray,
) -> Value:
    """Lines are integrated, and their mean is looked up, as `likelihoods.empirical` tells."""
    graph, known = eta.graph, is_known > 0
    lengths, rises = np.diff(knots), np.diff(heights)
    k = len(knots)
    away = (eta - knots) / noise
    probability, near = probability_below(away), density(away)
    beyond = away * probability + near
    along = (beyond.between(0, k - 1) - beyond.between(1, k)) * (noise / lengths)
    points = np.flatnonzero(lengths < POINT * noise)
    if len(points):
        middles = (away.between(0, k - 1) + away.between(1, k)) * 0.5
        is_point = graph.constant(np.isin(np.arange(k - 1), points))
        along = graph.where(is_point, probability_below(middles), along)
    share = graph.where(graph.constant(known), along, probability.between(1, k))
    # Before the first knot and after the last one the outer lines go on, where they are known.
    first = away.between(0, 1)
    before = (first.like(0.0) - first) * probability_below(-first) + near.between(0, 1)
    before = before * (rises[0] / lengths[0] * noise * known[0])
    after = beyond.between(k - 1, k) * (rises[-1] / lengths[-1] * noise)
    factors, added = rises.copy(), heights[0]
    if not known[0]:
        factors[0], added = 0.0, added + rises[0]
    if not known[-1]:
        factors[~known & (upper > knots[-1])] = 0.0
    mean = share @ factors[:, None] - before + after + added
    line = _line(mean, heights)
    own = (mean - _looked_up(heights[:-1], line)) / _looked_up(np.where(rises > 0, rises, 1), line)
    return _looked_up(knots[:-1], line) + own * _looked_up(lengths, line)


def _curves(known: Arrays) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scores and values of the knots of every column."""
    names = ("n_knots", "knots", "values")
    return [(u[:n], x[:n]) for n, u, x in zip(*(known[name] for name in names), strict=True)]


def _line(x: Value, knots: np.ndarray) -> Value:
    """Between which knots numbers lie, shape (n, 1)."""
    return _count(x >= knots).clipped(np.array(1), np.array(len(knots) - 1)) - np.array(1)


def _count(found: Value) -> Value:
    """How many are true of each row, shape (n, 1)."""
    return found.to(np.int64).sum(1, keep=True)


def _looked_up(table: np.ndarray, place: Value) -> Value:
    """What stands at a place of a table, shape (n, 1)."""
    return place.graph.constant(table).take(place, axis=0)
