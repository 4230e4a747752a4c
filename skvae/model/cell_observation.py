"""Cells of a table given z: blocks of columns, each with a likelihood of its own."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skvae.likelihoods import Block
from skvae.model.inference import Seen
from skvae.model.observation import Observation
from skvae.model.rows import CellRows, Rows

_CELL_COST = 20_000  # special functions of a cell, in multiplications


class CellSlopes(NamedTuple):
    """Log-likelihoods of rows, and the slopes of their sum by weights."""

    log_likelihood: Tensor  # (n,)
    of_decoded: Tensor  # (n, width)
    of_dispersions: list[Tensor]


class CellDecoder(Observation):
    """What decides and draws the cells of a table; dispersions are trained by gradients."""

    owner: Tensor  # (D,) the cell of each feature

    @abstractmethod
    def each_block(self) -> list[Block]:
        """Its blocks, in the order of their parameters."""

    @abstractmethod
    def split(self, decoded: Tensor) -> Iterator[tuple[Block, Tensor]]:
        """Every block with its share of the parameters."""

    @abstractmethod
    def expected(self, decoded: Tensor, x: Tensor | None = None) -> Tensor:
        """Cells that are expected, (n, c); x are the rows' cells, where some are known."""

    @abstractmethod
    def means(self, decoded: Tensor) -> Tensor:
        """Expected cells, (n, c); of levels nothing."""

    @abstractmethod
    def draw(self, decoded: Tensor, generator: torch.Generator, x: Tensor | None = None) -> Tensor:
        """Draws of cells, (n, c); x are the rows' cells, where some are known."""

    def update_noise(self, log_likelihood: Tensor, rate: float) -> None:
        """Nothing: dispersions are trained."""

    def misfit(self, rows: Rows, decoded: Tensor) -> Tensor:
        """Minus the log-likelihood, which no noise that all share explains."""
        return -self.log_likelihood(rows, decoded)

    def likelihood_at(self, misfit: np.ndarray, noise: float) -> np.ndarray:
        return -misfit

    def noise_of(self, misfit: float, widest: float) -> float:
        return math.nan

    def set_noise(self, noise: float) -> None:
        """Nothing: dispersions are trained."""

    def gain(self, error_gain: Tensor, density_gain: Tensor) -> Tensor:
        """What all kinds of columns have in common."""
        return density_gain


class CellObservation(CellDecoder):
    """A generalised linear model of every block, to whose parameters the network adds.

    Parameters
    ----------
    blocks : sequence of Block
        Of the cells, in the order of their parameters.
    path : Tensor of shape (width, q)
        Linear path from z to the blocks' parameters.
    bias : Tensor of shape (width,)
        Of that path.
    center : Tensor of shape (D,)
        The mean row, in features.
    """

    coded: Tensor  # whether the values of a column are codes of levels
    center: Tensor

    def __init__(self, blocks: Sequence[Block], path: Tensor, bias: Tensor, center: Tensor) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.decoder_path = nn.Parameter(path)
        self.decoder_bias = nn.Parameter(bias)
        n_cells = sum(len(block.columns) for block in blocks)
        coded = torch.zeros(n_cells, dtype=torch.bool)
        owners = [torch.zeros(0, dtype=torch.int64)]
        for block in blocks:
            coded[torch.tensor(block.columns)] = block.likelihood.is_coded
            owners.append(torch.tensor(block.columns[block.owners], dtype=torch.int64))
        self.register_buffer("coded", coded, persistent=False)
        self.register_buffer("owner", torch.cat(owners), persistent=False)
        self.register_buffer("center", center, persistent=False)

    @property
    def is_gaussian(self) -> bool:
        return all(block.likelihood.is_gaussian for block in self.each_block())

    def seen(self, rows: Rows) -> Seen:
        cells = cast(CellRows, rows)
        known = None if cells.unhidden is None else cells.unhidden.features(self.center)
        features = self._features(cells.values) if known is None else known
        return Seen(features, self.observed(cells))

    def decode(self, z: Tensor, change: Tensor | None) -> Tensor:
        linear = F.linear(z, self.decoder_path, self.decoder_bias)
        return linear if change is None else linear + change

    def log_likelihood(self, rows: Rows, decoded: Tensor) -> Tensor:
        cells = cast(CellRows, rows)
        observed = self.observed(cells, unseen_too=True)
        total = torch.zeros(rows.n_rows, dtype=decoded.dtype, device=decoded.device)
        for block, part in self.split(decoded):
            log_prob = block.log_prob(self._columns(cells.values, block), part)
            if observed is not None:
                log_prob = log_prob.masked_fill(~self._columns(observed, block), 0.0)
            total = total + log_prob.sum(-1)
        return total

    def slopes(self, rows: Rows, decoded: Tensor, weight: Tensor) -> CellSlopes:
        """Log p(x|z) per row, and the slopes of its sum over rows by weights, shape (n,)."""
        cells = cast(CellRows, rows)
        observed = self.observed(cells, unseen_too=True)
        of_cells = weight[:, None].expand_as(cells.values)
        if observed is not None:
            of_cells = of_cells * observed
        total, of_decoded, of_dispersions = torch.zeros_like(weight), [], []
        for block, part in self.split(decoded):
            found = block.slopes(
                self._columns(cells.values, block), part, self._columns(of_cells, block)
            )
            log_prob = found.log_prob
            if observed is not None:
                log_prob = log_prob.masked_fill_(~self._columns(observed, block), 0.0)
            total += log_prob.sum(-1)
            of_decoded.append(found.of_outputs)
            of_dispersions.append(found.of_dispersion)
        return CellSlopes(total, _joined(cells.values, of_decoded), of_dispersions)

    def reconstruction(self, decoded: Tensor) -> Tensor:
        parts = [block.expected_features(part) for block, part in self.split(decoded)]
        return _joined(decoded, parts)

    def squared_error(self, rows: Rows, features: Tensor) -> Tensor:
        seen = self.seen(rows)
        error = seen.features - features
        if seen.observed is not None:
            error = error.masked_fill(~seen.observed.index_select(1, self.owner), 0.0)
        return error.square().sum(-1)

    def energy(self, rows: Rows) -> Tensor:
        return self.squared_error(rows, self.center)

    @torch.no_grad()
    def forget_start(self) -> None:
        self.decoder_path.zero_()

    @property
    def linear_parameters(self) -> list[nn.Parameter]:
        return [self.decoder_path, self.decoder_bias]

    @property
    def dispersions(self) -> list[nn.Parameter]:
        return [cast(nn.Parameter, block.dispersion) for block in self.each_block()]

    @property
    def cost(self) -> int:
        return _CELL_COST * len(self.decoder_bias)

    @property
    def noise_variance(self) -> None:
        return None

    def corrupt(self, rows: Rows, noise: float, masking: float, generator: torch.Generator) -> Rows:
        """Where cells are hidden, those that there were are the targets."""
        cells = cast(CellRows, rows)
        values = cells.values
        if noise:
            values = values.clone()
            for block in self.each_block():
                if block.likelihood.takes_noise:
                    draw = torch.empty_like(values[:, block.columns]).normal_(generator=generator)
                    values[:, block.columns] += noise * block.spread() * draw
        if masking:
            hidden = torch.empty_like(values).uniform_(generator=generator) < masking
            values = values.masked_fill(hidden, torch.nan)
        targets = cells.values if masking and cells.targets is None else cells.targets
        has_gaps = True if masking else cells.has_gaps
        return replace(
            cells, values=values, targets=targets, has_gaps=has_gaps, known=None, unhidden=None
        )

    def split(self, decoded: Tensor) -> Iterator[tuple[Block, Tensor]]:
        blocks = self.each_block()
        return zip(blocks, decoded.split([b.width for b in blocks], -1), strict=True)

    def expected(self, decoded: Tensor, x: Tensor | None = None) -> Tensor:
        return self._assembled(
            decoded,
            [
                block.decide(block.expectation(part, None if x is None else x[:, block.columns]))
                for block, part in self.split(decoded)
            ],
        )

    def means(self, decoded: Tensor) -> Tensor:
        return self._assembled(
            decoded,
            [
                decoded.new_zeros(len(decoded), len(block.columns))
                if block.likelihood.is_coded
                else block.expectation(part)
                for block, part in self.split(decoded)
            ],
        )

    def draw(self, decoded: Tensor, generator: torch.Generator, x: Tensor | None = None) -> Tensor:
        return self._assembled(
            decoded,
            [
                block.sample(part, generator, None if x is None else x[:, block.columns])
                for block, part in self.split(decoded)
            ],
        )

    def observed(self, cells: CellRows, unseen_too: bool = False) -> Tensor | None:
        """Which cells tell something, None if all do; of an unseen level only the likelihood."""
        if cells.has_gaps is False:
            return None
        missing = cells.values.isnan()
        if not unseen_too:
            missing |= self.coded & (cells.values < 0)
        return ~missing if cells.has_gaps or missing.any() else None

    def _assembled(self, decoded: Tensor, parts: list[Tensor]) -> Tensor:
        cells = torch.empty(len(decoded), len(self.coded), dtype=torch.float64)
        for block, part in zip(self.each_block(), parts, strict=True):
            cells[:, block.columns] = part.double().cpu()
        return cells

    def _features(self, values: Tensor) -> Tensor:
        parts = [b.features(self._columns(values, b)) for b in self.each_block()]
        return _joined(values, parts)

    def _columns(self, values: Tensor, block: Block) -> Tensor:
        return values if len(self.blocks) == 1 else values.index_select(1, block.where)

    def each_block(self) -> list[Block]:
        return [cast(Block, block) for block in self.blocks]


def _joined(rows: Tensor, parts: list[Tensor]) -> Tensor:
    """What blocks say of rows, side by side; nothing of rows without blocks."""
    return torch.cat(parts, -1) if parts else rows.new_zeros(len(rows), 0)
