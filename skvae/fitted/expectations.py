"""Expected values of cells, as numbers to which something can be added.

Of numbers they are values in the user's units, of booleans and levels the probabilities that their
likelihood decides from. Each belongs to one cell of a row.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from skvae.data.units import Units
from skvae.likelihoods.levels import Levels
from skvae.model.cell_observation import CellDecoder


class Expectations:
    """Expected values of the cells of a table, and the way from them to its values.

    Parameters
    ----------
    units : Units
        Of the table.
    decoder : CellDecoder
        Of its cells.
    """

    def __init__(self, units: Units, decoder: CellDecoder) -> None:
        self.units, self.decoder = units, decoder
        self._parts = list(zip(units.parts, decoder.each_block(), strict=True))
        owners = [np.zeros(0, int)]
        for (likelihood, own, _), block in self._parts:
            widths = [1] * len(own)
            if isinstance(likelihood, Levels):
                nothing = torch.zeros(1, len(own), dtype=torch.float64, device=block.where.device)
                widths = [one.shape[1] for one in likelihood.indicators(block.params(), nothing)]
            owners.append(np.repeat(own, widths))
        self._ends = np.cumsum([*map(len, owners)]).tolist()
        self.owners = np.concatenate(owners)  # (k,) the cell of each

    def of(self, decoded: Tensor, cells: Tensor) -> np.ndarray:
        """Those of decoded points, shape (n, k), for rows of which some cells are known."""
        found = []
        for ((likelihood, _, constants), _), (block, eta) in zip(
            self._parts, self.decoder.split(decoded), strict=True
        ):
            expected = block.expectation(eta, cells[:, block.columns]).numpy(force=True)
            coded = likelihood.is_coded
            found.append(expected if coded else likelihood.restored(constants, expected))
        return np.concatenate(found, 1)

    def known(self, values: np.ndarray, cells: Tensor) -> np.ndarray:
        """What they are of cells that are known, shape (n, k); NaN of the others.

        A level that fit has not seen is none that could be expected.
        """
        found = []
        for (likelihood, own, _), block in self._parts:
            if not isinstance(likelihood, Levels):
                found.append(values[:, self.units.columns[own]])
                continue
            x = cells[:, block.columns]
            sure = likelihood.indicators(block.params(), x.nan_to_num())
            for one, is_seen in zip(sure, (x >= 0).unbind(1), strict=True):
                found.append(torch.where(is_seen[:, None], one, torch.nan).numpy(force=True))
        return np.concatenate(found, 1)

    def decided(self, expected: np.ndarray) -> np.ndarray:
        """Values of expected ones, shape (n, d): of levels the most probable."""
        cells = np.empty((len(expected), self.units.n_cells))
        for ((likelihood, own, constants), block), (first, last) in zip(
            self._parts, pairwise(self._ends), strict=True
        ):
            chosen = expected[:, first:last]
            if not likelihood.is_coded:
                chosen = likelihood.standardised(constants, chosen)
            decided = block.decide(torch.from_numpy(chosen.copy()).to(block.where.device))
            cells[:, own] = decided.numpy(force=True)
        return self.units.values(cells)
