"""What most people do with a mixed table: PCA of standardised numbers and one-hot levels."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from skvae.report.frames import is_number


class OneHotPCA:
    """PCA of standardised numbers and of levels as columns of 0 and 1; gaps are filled with means.

    Parameters
    ----------
    n_components : int
        How many.
    """

    def __init__(self, n_components: int) -> None:
        self.n_components = n_components

    def fit(self, frame: pd.DataFrame) -> "OneHotPCA":
        """Learn from a frame of numbers and levels."""
        self._levels: list[list[Any]] = []
        self._mean, self._scale = [], []
        for _, cells in frame.items():
            levels = [] if is_number(cells) else sorted(cells.dropna().unique(), key=str)
            self._levels.append(levels)
            values = cells.to_numpy(np.float64) if is_number(cells) else np.zeros(1)
            self._mean.append(np.nanmean(values))
            self._scale.append(np.nanstd(values) or 1.0)
        cells = self.encode(frame, fills=False)
        self._fill = np.nanmean(cells, axis=0)
        cells = self._filled(cells)
        self._pca = PCA(min(self.n_components, *cells.shape), random_state=0).fit(cells)
        return self

    def encode(self, frame: pd.DataFrame, fills: bool = True) -> np.ndarray:
        """Rows as numbers, shape (n, n_cells); NaN where missing unless filled."""
        blocks = []
        for n, (_, cells) in enumerate(frame.items()):
            if not self._levels[n]:
                blocks.append(
                    ((cells.to_numpy(np.float64) - self._mean[n]) / self._scale[n])[:, None]
                )
                continue
            block = np.stack(
                [(cells == level).to_numpy(bool, na_value=False) for level in self._levels[n]], 1
            )
            block = block.astype(np.float64)
            block[cells.isna().to_numpy()] = np.nan
            blocks.append(block)
        encoded = np.concatenate(blocks, axis=1)
        return self._filled(encoded) if fills else encoded

    def _filled(self, encoded: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(encoded), self._fill, encoded)

    def transform(self, frame: pd.DataFrame) -> np.ndarray:
        """Scores of rows, shape (n, n_components)."""
        return self._pca.transform(self.encode(frame))

    def reconstruct(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows as they come back from their scores: numbers, and the largest of the levels."""
        encoded = self._pca.inverse_transform(self.transform(frame))
        columns, first = {}, 0
        for n, (name, _) in enumerate(frame.items()):
            levels = self._levels[n]
            if levels:
                best = encoded[:, first : first + len(levels)].argmax(axis=1)
                columns[name] = pd.Series([levels[k] for k in best], dtype=object)
            else:
                columns[name] = pd.Series(encoded[:, first] * self._scale[n] + self._mean[n])
            first += len(levels) or 1
        return pd.DataFrame(columns).set_index(frame.index)
