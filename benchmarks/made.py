"""Made-up rows by which speed is measured, in memory and as a file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np


def curved(n_rows: int, n_columns: int, n_dims: int = 2) -> np.ndarray:
    """Return rows on a bent surface of so many dimensions, with noise."""
    rng = np.random.default_rng(0)
    place = rng.uniform(-1, 1, (n_rows, n_dims))
    turns = rng.standard_normal((n_dims, n_columns))
    rows = np.sin(2 * place @ turns + rng.uniform(0, 2 * np.pi, n_columns))
    return rows + 0.1 * rng.standard_normal(rows.shape)


def curved_blocks(
    n_rows: int, n_columns: int, n_dims: int = 2, rows_per_block: int = 100_000
) -> Iterator[np.ndarray]:
    """Yield such rows block by block, float32, of which only one is there at a time."""
    rng = np.random.default_rng(0)
    turns = rng.standard_normal((n_dims, n_columns), "float32")
    shift = rng.uniform(0, 2 * np.pi, n_columns).astype("float32")
    for start in range(0, n_rows, rows_per_block):
        place = rng.random((min(rows_per_block, n_rows - start), n_dims), "float32")
        rows = np.sin(2 * (2 * place - 1) @ turns + shift)
        rows += 0.1 * rng.standard_normal(rows.shape, "float32")
        yield rows


def normal(n_rows: int, n_columns: int) -> np.ndarray:
    """Return correlated normal rows: data on which nothing beats PCA."""
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((n_columns, n_columns)) * 0.7 ** np.arange(n_columns)[:, None]
    return rng.standard_normal((n_rows, n_columns)) @ mixing


def low_rank(n_rows: int, n_columns: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows of ten strong directions with noise in every column, float32."""
    loadings = np.random.default_rng(1).standard_normal((10, n_columns), "float32")
    rows = rng.standard_normal((n_rows, 10), "float32") @ loadings
    rows += rng.standard_normal(rows.shape, "float32")
    return rows


def repeated(table, n_copies: int, rng: np.random.Generator, n_rows: int) -> np.ndarray:
    """Return rows of a table, drawn with replacement, so many side by side, with noise, float32."""
    rows = table[rng.integers(len(table), size=(n_rows, n_copies))].astype("float32")
    rows += 0.01 * table.std(axis=0).astype("float32") * rng.standard_normal(rows.shape, "float32")
    return rows.reshape(n_rows, -1)


def write_rows(
    path: Path,
    n_rows: int,
    n_columns: int,
    make: Callable[[int], np.ndarray],
    rows_per_chunk: int = 10_000,
) -> None:
    """Write rows that are made a chunk at a time."""
    rows = np.lib.format.open_memmap(path, "w+", "float32", (n_rows, n_columns))
    for start in range(0, n_rows, rows_per_chunk):
        chunk = rows[start : start + rows_per_chunk]
        chunk[:] = make(len(chunk))
    rows.flush()
