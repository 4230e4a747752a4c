"""Rows of a table as cells: standardised numbers, counts, codes of levels, NaN where missing."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skvae.data.batches import Values, batches
from skvae.data.units import Units
from skvae.devices import room_for_rows
from skvae.likelihoods import Block, known_levels
from skvae.model.cell_observation import CellDecoder
from skvae.model.observation import Observation
from skvae.model.rows import CellRows, CellStream, Rows
from skvae.start.representation import N_HELD, NETWORK_CELLS, Representation

# Share of the batches in training that have cells hidden: of complete rows, what a share of
# missing cells adds to it, and at most.
MASKED_SHARE = (0.1, 5.0, 0.5)


@dataclass(frozen=True)
class CellRepresentation(Representation):
    """Cells in the units of a table."""

    units: Units
    width: int  # parameters of all blocks together
    latent_dim: int

    @property
    def takes_gaps(self) -> bool:
        return True

    @property
    def row_cost(self) -> int:
        """Of each row with gaps the posterior has a matrix of its own."""
        return N_HELD * self.width + NETWORK_CELLS + self.latent_dim**2

    @property
    def decoded_cost(self) -> int:
        return self.width + NETWORK_CELLS

    @property
    def drawn_cost(self) -> int:
        return self.decoded_cost

    @property
    def n_draws(self) -> int:
        """Three for every bridge."""
        return 24

    def dtype(self, dtype: np.dtype) -> np.dtype:
        return np.dtype(np.float64)

    def training_rows(
        self, X: Values, weight: np.ndarray | None, dtype: type, device: torch.device, n_bytes: int
    ) -> Rows:
        share = None if weight is None else torch.from_numpy(weight.astype(dtype)).to(device)
        missing = self._missing_share(X)
        fewest, slope, most = MASKED_SHARE
        masked_share = min(fewest + slope * missing, most)
        probabilities = self._probabilities(device)
        needed = X.shape[0] * self.units.n_cells * np.dtype(dtype).itemsize
        if sparse.issparse(X) or needed > room_for_rows(device, n_bytes):
            return CellStream(
                self.units, X, share, dtype, device, masked_share, probabilities, missing > 0
            )
        cells = torch.from_numpy(self.units.cells(X, dtype)).to(device)
        return CellRows(
            cells,
            share,
            masked_share=masked_share,
            probabilities=probabilities,
            has_gaps=missing > 0,
        )

    def _missing_share(self, X: Values) -> float:
        """Share of the cells that are missing."""
        n, c = X.shape[0], self.units.n_cells
        if sparse.issparse(X) or not n * c:
            return 0.0
        counts = (np.isnan(X[rows][:, self.units.columns]).sum() for rows in batches(n, X.shape[1]))
        return float(sum(counts) / (n * c))

    def _probabilities(self, device: torch.device) -> Tensor | None:
        """Cells whose values are probabilities, of which training draws."""
        drawn = torch.zeros(self.units.n_cells, dtype=torch.bool)
        for part in self.units.parts:
            drawn[torch.tensor(part.columns)] = part.likelihood.is_stochastic
        return drawn.to(device) if drawn.any() else None

    def rows(self, X: Values, dtype: np.dtype, device: str) -> CellRows:
        cells = self.units.cells(X)
        cells = cells.toarray() if sparse.issparse(cells) else cells
        return CellRows(torch.from_numpy(cells).to(device))

    def whole_rows(self, X: Values, device: str) -> CellRows:
        return self.rows(X, np.dtype(np.float64), device)

    def expected(self, observation: Observation, decoded: Tensor) -> np.ndarray:
        return self.units.values(_decoder(observation).expected(decoded).numpy())

    def drawn(
        self, observation: Observation, decoded: Tensor, generator: torch.Generator
    ) -> np.ndarray:
        return self.units.values(_decoder(observation).draw(decoded, generator).numpy())

    def expected_levels(
        self, observation: Observation, decoded: Tensor, n_levels: np.ndarray
    ) -> np.ndarray:
        decoder, units = _decoder(observation), self.units
        numbers = units.values(decoder.means(decoded).numpy())
        cells = [
            np.zeros((len(decoded), n)) if n else numbers[:, [j]]
            for j, n in enumerate(n_levels.tolist())
        ]
        for (likelihood, own, constants), (block, part) in zip(
            units.parts, decoder.split(decoded), strict=True
        ):
            if likelihood.is_coded:
                known = known_levels(constants)
                found = _level_probabilities(block, part, [len(levels) for levels in known])
                for j, levels, p in zip(units.columns[own], known, found, strict=True):
                    cells[j][:, levels] = p
        return np.concatenate(cells, -1)

    def log_jacobian(self, X: Values) -> np.ndarray:
        return self.units.log_jacobian(X)

    def is_little_known(self, X: Values) -> np.ndarray:
        """Of cells alone: what never varies is no cell."""
        if sparse.issparse(X):
            return np.zeros(X.shape[0], bool)
        n_known = np.count_nonzero(~np.isnan(X[:, self.units.columns]), axis=1)
        return (n_known < self.units.n_cells) & (n_known <= self.latent_dim)


def _decoder(observation: Observation) -> CellDecoder:
    return cast(CellDecoder, observation)


def _level_probabilities(block: Block, decoded: Tensor, n_levels: list[int]) -> list[np.ndarray]:
    """Those of the levels of each column, shape (n, its levels)."""
    last = torch.tensor(n_levels, dtype=decoded.dtype, device=decoded.device) - 1
    log_prob = torch.stack(
        [
            block.log_prob(last.clamp(max=k).expand(len(decoded), -1), decoded)
            for k in range(max(n_levels))
        ]
    )
    p = log_prob.exp().numpy(force=True)
    return [p[:n, :, i].T for i, n in enumerate(n_levels)]
