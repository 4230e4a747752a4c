"""Columns of every likelihood as nodes: from values to cells and features, and back from outputs.

What `likelihoods` say in tensors and arrays. Values and cells are in double precision, NaN where
missing; a level that fit has not seen is as good as missing, since it tells nothing of the codes.
`known` are the constants of a part, in numpy; `params` those of its block. To add one: a `Form`,
and its row in FORMS.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from skvae.export.curves import expected_scores, features_of_scores, scores_of, values_of
from skvae.export.graph import Value
from skvae.export.normal import probability_below
from skvae.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Empirical,
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
from skvae.likelihoods.counts import LOG_RATE, Counts
from skvae.likelihoods.lognormal import BELOW_ZERO, SMALLEST
from skvae.likelihoods.ordinal import level_ends

Arrays: TypeAlias = dict[str, np.ndarray]


class Form(NamedTuple):
    """What a likelihood makes of the columns of a block."""

    cells: Callable[[Likelihood, Arrays, Value], Value]  # of values, (n, c)
    features: Callable[[Likelihood, Arrays, Value], Value]  # of cells, (n, n_features)
    expected: Callable[[Likelihood, Arrays, Value], Value]  # cells of outputs, (n, c)
    restored: Callable[[Likelihood, Arrays, Value], Value]  # values of cells, (n, c)


def form_of(likelihood: Likelihood) -> Form:
    """The nodes of a likelihood.

    Raises
    ------
    TypeError
        If it is none of skvae.
    """
    if type(likelihood) not in FORMS:
        known = ", ".join(repr(name) for name, each in LIKELIHOODS.items() if each in FORMS)
        raise TypeError(
            f"likelihood {type(likelihood).__name__} cannot be exported to ONNX; use one of "
            f"{known}."
        )
    return FORMS[type(likelihood)]


def _same(likelihood: Likelihood, known: Arrays, x: Value) -> Value:
    return x


def _standardised(likelihood: Likelihood, known: Arrays, values: Value) -> Value:
    return (values - known["center"]) / known["scale"]


def _restored(likelihood: Likelihood, known: Arrays, cells: Value) -> Value:
    return cells * known["scale"] + known["center"]


def _scaled(likelihood: Likelihood, params: Arrays, x: Value) -> Value:
    return (x - params["center"]) / params["scale"]


def _logarithms(likelihood: Likelihood, known: Arrays, values: Value) -> Value:
    logs = (values + known["shift"]).clipped(SMALLEST, None).apply("Log")
    below = np.where(known["shift"] > 0, BELOW_ZERO, 0.0)
    is_zero = ((values <= 0.0) & (values >= 0.0)).to(logs.dtype)
    logs = logs - is_zero * below
    return values.graph.where(values.is_nan(), values, _standardised(likelihood, known, logs))


def _exponentials(likelihood: Likelihood, known: Arrays, cells: Value) -> Value:
    return (_restored(likelihood, known, cells).apply("Exp") - known["shift"]).clipped(0.0, None)


def _mean_logarithms(likelihood: Likelihood, params: Arrays, outputs: Value) -> Value:
    variance = np.maximum(np.exp(2.0 * params["dispersion"]), np.square(params["floor"]))
    scale, has_zeros = params["scale"], params["shift"] > 0
    mean = outputs + 0.5 * variance * scale
    if not has_zeros.any():
        return mean
    zero = (np.log(np.where(has_zeros, params["shift"], 1.0)) - params["center"]) / scale
    deviations = (outputs - zero) / np.sqrt(variance)
    above = ((mean - zero) * scale).apply("Exp") * probability_below(
        deviations + np.sqrt(variance) * scale
    )
    logs = (above + probability_below(deviations * -1.0)).apply("Log")
    return outputs.graph.where(outputs.graph.constant(has_zeros), logs / scale + zero, mean)


def _shares(likelihood: Likelihood, params: Arrays, outputs: Value) -> Value:
    share = outputs.apply("Sigmoid")
    return share if likelihood.is_stochastic else (share >= 0.5).to(share.dtype)


def _mean_intensities(likelihood: Likelihood, params: Arrays, outputs: Value) -> Value:
    where, small = outputs.graph.where, outputs.apply("Abs") < 1e-2
    safe = where(small, outputs.like(1.0), outputs)
    exact = 0.5 / (safe * 0.5).apply("Tanh") + 0.5 - 1.0 / safe
    return where(small, outputs / 12.0 + 0.5, exact)


def _log_counts(likelihood: Likelihood, params: Arrays, x: Value) -> Value:
    """Logarithms of counts, in rows of the median total where totals count."""
    assert isinstance(likelihood, Counts)
    counts = x.graph.where(x.is_nan(), 0.0, x)
    if likelihood.size_factor is True:
        share = (~x.is_nan()).to(x.dtype) @ params["share"][:, None]
        total = (counts.sum(1, keep=True) / share.clipped(1e-8, None)).clipped(1e-8, None)
        counts = counts * (float(params["median"]) / total)
    return _scaled(likelihood, params, (counts + 1.0).apply("Log"))


def _mean_counts(likelihood: Likelihood, params: Arrays, outputs: Value) -> Value:
    low, high = (part(params["bias"], 0.0) for part in (np.minimum, np.maximum))
    bounded = outputs.clipped(low - LOG_RATE, high + LOG_RATE)
    return bounded.apply("Exp") * max(float(params["median"]), 1.0)


def _places_of_levels(likelihood: Likelihood, known: Arrays, values: Value) -> Value:
    """Cells of codes of levels: their places among those that fit has seen."""
    parts = []
    for j, codes in enumerate(known_levels(known)):
        places = np.full(int(codes.max(initial=-1)) + 2, np.nan)
        places[codes.astype(int)] = np.arange(len(codes))
        own = values.between(j, j + 1)
        safe = own.graph.where(own.is_nan(), -1.0, own).clipped(-1.0, len(places) - 1.0)
        index = safe.to(np.int64)  # -1 is the last one, which is no level
        parts.append(own.graph.constant(places).take(index, axis=0))
    return values.graph.joined(parts)


def _codes_of_places(likelihood: Likelihood, known: Arrays, cells: Value) -> Value:
    levels = [codes.astype(np.float64) for codes in known_levels(known)]
    return _looked_up(levels, cells)


def _looked_up(tables: list[np.ndarray], cells: Value) -> Value:
    """What stands in a table of each column at the place of its cell; anything where missing."""
    graph = cells.graph
    index = graph.where(cells.is_nan(), 0.0, cells).to(np.int64)
    parts = [
        graph.constant(table).take(index.between(j, j + 1), axis=0)
        for j, table in enumerate(tables)
    ]
    return graph.joined(parts)


def _contrasts(likelihood: Likelihood, params: Arrays, x: Value) -> Value:
    graph, parts = x.graph, []
    index = graph.where(x.is_nan(), 0.0, x).to(np.int64)
    column = 0
    for j, slot_of in enumerate(_by_level(params)):
        first, size = int(params["first_slot"][j]), int(params["sizes"][j])
        width = max(size - 1, 1)
        own = params["contrasts"][first : first + size, column : column + width]
        slot = graph.constant(slot_of).take(index.take(j), axis=0)
        parts.append(graph.constant(own).take(slot, axis=0))
        column += width
    return graph.joined(parts)


def _likeliest_levels(likelihood: Likelihood, params: Arrays, outputs: Value) -> Value:
    """Of each column the likeliest output, and the most frequent level of those that share it."""
    graph, parts = outputs.graph, []
    for j, slot_of in enumerate(_by_level(params)):
        first, size = int(params["first_slot"][j]), int(params["sizes"][j])
        last = int(params["first_level"][j]) + len(slot_of)
        log_within = params["log_within"][int(params["first_level"][j]) : last]
        best = [np.where(slot_of == s, log_within, -np.inf).argmax() for s in range(size)]
        own = outputs.between(first, first + size)
        slot = graph.node("ArgMax", own, dtype=np.int64, axis=1, keepdims=1)
        parts.append(graph.constant(np.array(best, float)).take(slot, axis=0))
    return graph.joined(parts)


def _by_level(params: Arrays) -> list[np.ndarray]:
    """Output of each level, of every column."""
    return np.split(params["slot_of"], params["first_level"][1:])


def _ranks(likelihood: Likelihood, params: Arrays, x: Value) -> Value:
    return _scaled(likelihood, params, _looked_up(list(params["ranks"]), x))


def _likeliest_ranks(likelihood: Likelihood, params: Arrays, outputs: Value) -> Value:
    tensors = {name: torch.from_numpy(array) for name, array in params.items()}
    lower, upper = (ends.numpy(force=True) for ends in level_ends(tensors))
    eta = outputs.widened(2)
    share = (upper - eta).apply("Sigmoid") - (lower - eta).apply("Sigmoid")
    level = outputs.graph.node("ArgMax", share, dtype=np.int64, axis=2, keepdims=0)
    return level.to(outputs.dtype)


_NUMBERS = Form(_standardised, _same, _same, _restored)
_COUNTS = Form(_same, _log_counts, _mean_counts, _same)

FORMS: dict[type[Likelihood], Form] = {
    Gaussian: _NUMBERS,
    GaussianDiag: _NUMBERS,
    StudentT: _NUMBERS,
    LogNormal: Form(_logarithms, _same, _mean_logarithms, _exponentials),
    Empirical: Form(scores_of, features_of_scores, expected_scores, values_of),
    Bernoulli: Form(_same, _scaled, _shares, _same),
    ContinuousBernoulli: Form(_same, _scaled, _mean_intensities, _same),
    Categorical: Form(_places_of_levels, _contrasts, _likeliest_levels, _codes_of_places),
    Ordinal: Form(_places_of_levels, _ranks, _likeliest_ranks, _codes_of_places),
    Poisson: _COUNTS,
    NegativeBinomial: _COUNTS,
}
