"""What is drawn when it is asked for: each chunk has a seed of its own, whoever draws it."""

from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask.delayed import delayed

from skvae.dask.answers import Meta, Model, collected, in_kind, index_of, starts_of
from skvae.dask.rows import partitions
from skvae.estimator import VAETransformer

CHUNK_ROWS = 65_536


def drawn(model: Model, n_samples: int, seed: int, given: dict[Any, Any] | None) -> Any:
    """So many rows of the model."""
    whole, rest = divmod(n_samples, CHUNK_ROWS)
    sizes = [CHUNK_ROWS] * whole + [rest] * (rest > 0)
    meta = model.local(model.asked).sample(1, random_state=0, given=given)[:0]
    vae, make = model.sent(model.asked), delayed(_draw)
    parts = [
        make(vae, size, [seed, i], given, meta, i * CHUNK_ROWS) for i, size in enumerate(sizes)
    ]
    return collected(parts, tuple(sizes), meta)


def imputed(model: Model, X: Any, n_draws: int, seed: int, meta: Meta) -> list[Any]:
    """Copies of X whose gaps are drawn."""
    is_frame = isinstance(X, dd.DataFrame)
    tables = partitions(X)
    starts = [0] * len(tables) if is_frame else starts_of(X.chunks[0])
    vae, make = model.sent(model.container(X)), delayed(_fill)
    filled = [
        make(rows, vae, n_draws, [seed, i], meta, start)
        for i, (rows, start) in enumerate(zip(tables, starts, strict=True))
    ]
    copies = [[own[k] for own in filled] for k in range(n_draws)]
    if is_frame:
        ends = X.divisions if X.known_divisions else None
        return [dd.from_delayed(parts, meta=meta, divisions=ends) for parts in copies]
    return [collected(parts, X.chunks[0], meta) for parts in copies]


def _draw(
    vae: VAETransformer, size: int, seed: list[int], given: Any, like: Meta, start: int
) -> Any:
    """A chunk of rows."""
    rows = vae.sample(size, random_state=np.random.RandomState(seed), given=given)
    return in_kind(rows, like, pd.RangeIndex(start, start + size))


def _fill(
    rows: Any, vae: VAETransformer, n_draws: int, seed: list[int], like: Meta, start: int
) -> list[Any]:
    """Copies of a partition."""
    if not rows.shape[0]:
        return [like] * n_draws
    copies = vae.impute(rows, n_draws, np.random.RandomState(seed))
    return [in_kind(own, like, index_of(rows, start)) for own in copies]
