"""Cells of a matrix with gaps given z, by a decoder that was trained on complete scores."""

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from skvae.likelihoods import Block
from skvae.model.cell_observation import CellDecoder, CellObservation
from skvae.model.inference import Seen
from skvae.model.rows import CellRows, Rows
from skvae.model.score_observation import ScoreObservation


class GapObservation(CellDecoder):
    """Cells of a matrix with gaps, by a decoder that was trained on complete scores.

    Parameters
    ----------
    complete : ScoreObservation
        Of complete rows.
    cells : CellObservation
        One block of Gaussian cells, of the model's noise.
    components : Tensor of shape (k, d)
        The way from scores to cells.
    """

    components: Tensor

    def __init__(
        self, complete: ScoreObservation, cells: CellObservation, components: Tensor
    ) -> None:
        super().__init__()
        self.complete, self.cells = complete, cells
        self.register_buffer("components", components)

    @property
    def is_gaussian(self) -> bool:
        return True

    @property
    def owner(self) -> Tensor:  # type: ignore[override]
        return self.cells.owner

    def each_block(self) -> list[Block]:
        return self.cells.each_block()

    def seen(self, rows: Rows) -> Seen:
        return self.cells.seen(rows)

    def decode(self, z: Tensor, change: Tensor | None) -> Tensor:
        return self.complete.decode(z, change) @ self.components

    def log_likelihood(self, rows: Rows, decoded: Tensor) -> Tensor:
        """The sum of squares says it, for all cells share their noise."""
        ((block, _),) = self.cells.split(decoded)
        dispersion = block.dispersion[0]
        values = cast(CellRows, rows).values
        missing = values.isnan()
        n_observed = values.shape[1] - missing.sum(-1)
        error = (values - decoded).masked_fill(missing, 0.0)
        squares = error.square().sum(-1) * torch.exp(-2.0 * dispersion)
        constant = 2.0 * dispersion + math.log(2.0 * math.pi)
        return -0.5 * (squares + n_observed * constant)

    def reconstruction(self, decoded: Tensor) -> Tensor:
        return self.cells.reconstruction(decoded)

    def squared_error(self, rows: Rows, features: Tensor) -> Tensor:
        return self.cells.squared_error(rows, features)

    def energy(self, rows: Rows) -> Tensor:
        return self.cells.energy(rows)

    def forget_start(self) -> None:
        self.complete.forget_start()

    @property
    def linear_parameters(self) -> list[nn.Parameter]:
        return self.complete.linear_parameters

    @property
    def dispersions(self) -> list[nn.Parameter]:
        return self.complete.dispersions

    @property
    def cost(self) -> int:
        return self.complete.cost

    @property
    def noise_variance(self) -> Tensor:
        return self.complete.noise_variance

    def corrupt(self, rows: Rows, noise: float, masking: float, generator: torch.Generator) -> Rows:
        return self.cells.corrupt(rows, noise, masking, generator)

    def split(self, decoded: Tensor) -> Iterator[tuple[Block, Tensor]]:
        return self.cells.split(decoded)

    def expected(self, decoded: Tensor, x: Tensor | None = None) -> Tensor:
        return self.cells.expected(decoded, x)

    def means(self, decoded: Tensor) -> Tensor:
        return self.cells.means(decoded)

    def draw(self, decoded: Tensor, generator: torch.Generator, x: Tensor | None = None) -> Tensor:
        return self.cells.draw(decoded, generator, x)
