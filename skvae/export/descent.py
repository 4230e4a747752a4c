"""Codes brought down their rows' squared error, as a loop in the graph: what `model.descent` does.

Rows that a step promises nothing leave the loop, which ends when none is left.
"""

from collections.abc import Callable, Sequence

import numpy as np

from skvae.export.graph import Graph, Value
from skvae.export.posterior import Normal, covariance_times
from skvae.model.descent import CUTS, LONGEST, SHORTEST
from skvae.model.refinement import TOLERANCE

# Height and slope of latent points, given what is known of their rows.
Height = Callable[[Sequence[Value], Value], tuple[Value, Value]]


def descended(
    height: Height, rows: Sequence[Value], q: Normal, codes: Value, n_steps: int, n_units: int
) -> Value:
    """Codes after so many steps at most, shape (n, q)."""
    if n_steps == 0 or n_units == 0:
        return codes
    graph = codes.graph
    level, slope = height(rows, codes)
    n = len(rows)
    variance = q.log_variance + codes * 0.0  # of every row
    known = [*rows, variance] if q.root is None else [*rows, variance, q.root]
    place = graph.node("Range", *_ends(graph, codes))

    def step(number: Value, *state: Value) -> tuple[Sequence[Value], Sequence[Value], Value]:
        lowest, place, z, level, slope, length, *known = state
        own = Normal(z, known[n], known[n + 1] if q.root is not None else None)
        way = -(length.widened(1) * covariance_times(own, slope))
        promise = (slope * way).sum(1) * -0.5
        going = (promise > level * TOLERANCE).places()
        place, z, level, slope, length, way, *known = (
            each.take(going, axis=0) for each in (place, z, level, slope, length, way, *known)
        )
        tried = z + way
        level_there, slope_there = height(known[:n], tried)
        is_lower = level_there < level
        stretch = _stretch(way, slope, slope_there, is_lower)
        lower_row = is_lower.widened(1)
        z = graph.where(lower_row, tried, z)
        become = [
            lowest.put(place, z),
            *(place, z, graph.where(is_lower, level_there, level)),
            graph.where(lower_row, slope_there, slope),
            (length * stretch).clipped(SHORTEST, LONGEST),
            *known,
        ]
        return become, [], (place >= np.array(0)).any()

    begin = [codes, place, codes, level, slope, level * 0.0 + 1.0, *known]
    return graph.loop(n_steps, begin, step)[0]


def _ends(graph: Graph, codes: Value) -> tuple[Value, Value, Value]:
    """Of the places of all rows: first, last, step."""
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    return zero, graph.node("Squeeze", codes.rows(), graph.ints(0)), one


def _stretch(way: Value, slope: Value, slope_there: Value, is_lower: Value) -> Value:
    """How much longer or shorter the next step of each row is to be, shape (n,)."""
    where = way.graph.where
    fall, fall_there = (-(own * way).sum(1) for own in (slope, slope_there))
    bottom = where(fall > fall_there, fall / (fall - fall_there), LONGEST)
    cut = where(bottom.is_nan(), bottom.like(CUTS[0]), bottom).clipped(*CUTS)
    return where(is_lower, bottom, cut)
