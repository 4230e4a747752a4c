"""Rows of a matrix as principal scores."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import Values
from skvae.devices import room_for_rows
from skvae.model.networks import MANY_SCORES
from skvae.model.observation import Observation
from skvae.model.rows import Rows, ScoreRows, ScoreStream
from skvae.start.representation import N_HELD, NETWORK_CELLS, Representation

if TYPE_CHECKING:
    from skvae.start.ppca import ProbabilisticPCA

ROUNDING = 1e-4  # noise, per column of variance 1, beside which that of single precision is none


@dataclass(frozen=True)
class ScoreRepresentation(Representation):
    """Scores on the directions of probabilistic PCA."""

    pca: "ProbabilisticPCA"

    @property
    def takes_gaps(self) -> bool:
        return False

    @property
    def row_cost(self) -> int:
        return self.pca.n_features + NETWORK_CELLS

    @property
    def decoded_cost(self) -> int:
        return self.pca.n_features + NETWORK_CELLS

    @property
    def drawn_cost(self) -> int:
        return N_HELD * self.pca.n_features + NETWORK_CELLS

    @property
    def n_draws(self) -> int:
        """Fewer of many scores: there a draw costs most, and narrow posteriors are rare."""
        return 8 if self.pca.n_directions < MANY_SCORES else 4

    def dtype(self, dtype: np.dtype) -> np.dtype:
        return dtype

    def training_rows(
        self, X: Values, weight: np.ndarray | None, dtype: type, device: torch.device, n_bytes: int
    ) -> Rows:
        pca = self.pca
        share = None if weight is None else torch.from_numpy(weight.astype(dtype)).to(device)
        if pca.noise_variance > ROUNDING:
            pca = replace(pca, components=pca.components.astype(dtype))
        stream = ScoreStream(pca, X, share, dtype, device)
        needed = X.shape[0] * pca.n_directions * np.dtype(dtype).itemsize
        return stream if needed > room_for_rows(device, n_bytes) else stream.everything()

    def rows(self, X: Values, dtype: np.dtype, device: str) -> Rows:
        scores = torch.from_numpy(self.pca.scores(X, dtype)).to(device)
        return ScoreRows(scores, scores.new_zeros(len(scores)))

    def whole_rows(self, X: Values, device: str) -> Rows:
        return ScoreRows(*(torch.as_tensor(a, device=device) for a in self.pca.project(X)))

    def expected(self, observation: Observation, decoded: Tensor) -> np.ndarray:
        return self.pca.restore(decoded.numpy(force=True))

    def drawn(
        self, observation: Observation, decoded: Tensor, generator: torch.Generator
    ) -> np.ndarray:
        means = self.expected(observation, decoded)
        noise = torch.empty(means.shape, dtype=torch.float64, device=generator.device)
        noise.normal_(generator=generator)
        assert observation.noise_variance is not None
        deviation = self.pca.scale * float(observation.noise_variance) ** 0.5
        means += deviation * noise.numpy(force=True)
        return means

    def expected_levels(
        self, observation: Observation, decoded: Tensor, n_levels: np.ndarray
    ) -> np.ndarray:
        return self.expected(observation, decoded)

    def log_jacobian(self, X: Values) -> np.ndarray:
        return np.full(X.shape[0], self.pca.log_jacobian)

    def is_little_known(self, X: Values) -> np.ndarray:
        return np.zeros(X.shape[0], bool)
