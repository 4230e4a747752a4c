"""What a page shows of a model and of rows, as a tree of numbers, text and arrays."""

from typing import Any

import numpy as np

from skvae.data.containers import index_of
from skvae.data.input import Input
from skvae.data.joined import taken
from skvae.data.times import times_of
from skvae.explorer.curves import MOST_ROWS, by_codes, training
from skvae.explorer.decoder import decoder_of
from skvae.explorer.loadings import scaled_loadings
from skvae.explorer.pictures import picture_of
from skvae.explorer.table import column_of, columns_of, shortened
from skvae.extents import extent_of

ROWS = 50_000  # on the map, at most
BYTES = 5_000_000  # of codes and cells before they are compressed: the page stays below 10 MB
ODDEST = 20  # rows of least score, whose cells are there in any case
_SEED = 0


def content_of(estimator: Any, X: Any, values: Any, y: Any, image_shape: Any) -> dict[str, Any]:
    """All that the page shows; values are the rows as the estimator has read them.

    Of more rows than fit on it the page has some that are drawn without replacement.
    """
    n_rows = values.shape[0]
    of_rows = None if y is None else _one_each(y, n_rows)
    rng = np.random.RandomState(_SEED)
    rows = _some(rng, np.arange(n_rows), min(ROWS, BYTES // (12 + 4 * estimator.latent_dim_)))
    X, values = taken(X, rows), values[rows]
    codes = np.asarray(estimator.transform(X), dtype=np.float64)
    scores = np.asarray(estimator.score_samples(X), dtype=np.float64)
    part = np.sort(rng.permutation(len(rows))[:MOST_ROWS])
    sample = taken(X, part)
    return {
        "facts": _facts(estimator, n_rows, scores),
        "rows": rows.astype(np.int32),
        "labels": _labels(X, rows),
        "codes": codes.astype(np.float32),
        "scores": scores,
        "extents": _extents(codes, scores),
        "target": None if of_rows is None else column_of(_name_of(y), of_rows[rows]),
        "picture": picture_of(estimator, X, image_shape),
        "decoder": decoder_of(estimator, codes),
        "loadings": _loadings(estimator, sample),
        "by_codes": by_codes(estimator, sample, values[part], codes[part]),
        "training": training(estimator),
    } | _cells(estimator, X, codes, scores, rng)


def _one_each(y: Any, n_rows: int) -> np.ndarray:
    """Values as one for each row, also where they come as a column."""
    times = times_of(y)
    values = np.asarray(y) if times is None else times
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"y has shape {values.shape}: give one value for each row.")
    if len(values) != n_rows:
        raise ValueError(f"y has {len(values)} values, but X has {n_rows} rows.")
    return values


def _cells(
    estimator: Any, X: Any, codes: np.ndarray, scores: np.ndarray, rng: np.random.RandomState
) -> dict[str, Any]:
    """Columns of as many rows as fit, the oddest among them, and which rows these are."""
    columns = columns_of(estimator, X)
    cost = sum(column["values"].itemsize for column in columns)
    most = max(int((BYTES - 4 * codes.size - 12 * len(codes)) // cost), 2 * ODDEST)
    oddest = np.argsort(scores, kind="stable")[:ODDEST]
    others = np.setdiff1d(np.arange(len(codes)), oddest)
    kept = np.union1d(oddest, _some(rng, others, max(most - len(oddest), 0)))
    return {
        "columns": [column | {"values": column["values"][kept]} for column in columns],
        "kept": kept.astype(np.int32),
    }


def _facts(estimator: Any, n_rows: int, scores: np.ndarray) -> dict[str, Any]:
    return {
        "n_rows": n_rows,
        "n_codes": int(estimator.latent_dim_),
        "score": float(scores.mean()),
        "pca_score": float(estimator.pca_score_),
        "kept": float(estimator.kept_),
        "explained": np.asarray(estimator.explained_variance_ratio_, float).tolist(),
    }


def _extents(codes: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """Ends of the axes of the map: of each code, and of the score."""
    of_codes = [extent_of(code)._asdict() for code in codes.T]
    return {"codes": of_codes, "score": extent_of(scores)._asdict()}


def _loadings(estimator: Any, X: Any) -> dict[str, Any]:
    found = scaled_loadings(estimator, X)
    return {"cells": list(found.columns), "values": found.to_numpy().astype(np.float32)}


def _labels(X: Any, rows: np.ndarray) -> list[str] | None:
    """Names of the rows, where a frame of pandas has others than their positions."""
    given = Input.of(X)
    index = index_of(given.native) if given.is_frame else None
    if index is None or np.array_equal(index, rows):
        return None
    return [shortened(label) for label in index]


def _name_of(y: Any) -> str:
    return shortened(getattr(y, "name", None) or "y")


def _some(rng: np.random.RandomState, rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of them, in their order."""
    return rows if len(rows) <= most else np.sort(rng.permutation(rows)[:most])
