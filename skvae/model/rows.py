"""Rows as models take them: principal scores of a matrix, or cells of a table.

A model of either knows its own representation; training, evaluation and objectives know what is
declared here. Weights have mean 1 over the rows of a training.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skvae.data.batches import Values, batches
from skvae.data.units import Units
from skvae.devices import send
from skvae.model.inference import Evidence
from skvae.model.known_evidence import KnownEvidence

MOST_HIDDEN = 0.5  # share of the cells of a batch that training hides, at most


class Rows(ABC):
    """Rows that a model encodes and explains."""

    weight: Tensor | None

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """How many there are."""

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Numbers per row that a model is fitted to."""

    @abstractmethod
    def take(self, index: Tensor) -> "Rows":
        """Some of the rows."""

    @abstractmethod
    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        """Standard normal noise for one draw from each row's posterior, shape (n, q)."""

    def load(self, index: Tensor) -> "tuple[Rows, Tensor]":
        """Rows that hold those of the index, and where each is among them: all are at hand."""
        return self, index

    def batches(
        self,
        index: Tensor,
        size: int | list[int],
        generator: torch.Generator,
        luck: torch.Generator | None = None,
    ) -> "Iterator[Rows]":
        """Rows as the steps of the training see them: so many each, or so many in turn.

        What is drawn for a batch as a whole is drawn by luck, where that is given.
        """
        return map(self.take, index.split(size))

    def drawn(self, generator: torch.Generator) -> "Rows":
        """The same rows, with 0 or 1 drawn where a value is a probability."""
        return self

    def unmasked(self, n: int) -> "Rows":
        """The same rows, the first n with all their cells."""
        return self

    @property
    def is_masked(self) -> bool:
        """Whether cells are hidden that the training knows."""
        return False

    @property
    def evidence(self) -> Evidence | None:
        """What the linear path makes of them, where that is known."""
        return None

    def mean(self, values: Tensor) -> Tensor:
        """Weighted mean over the rows of values, shape (n,) or (n, ...)."""
        return weighted_mean(values, self.weight)


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over rows of values, shape (n,) or (n, ...)."""
    if weight is None:
        return values.mean(0)
    return torch.tensordot(weight, values, 1) / weight.sum()


@dataclass(frozen=True, slots=True)
class ScoreRows(Rows):
    """Rows in the space of principal scores: scores (n, k), squared length outside of it (n,)."""

    scores: Tensor
    residual: Tensor
    weight: Tensor | None = None

    @property
    def n_rows(self) -> int:
        return len(self.scores)

    @property
    def n_inputs(self) -> int:
        return self.scores.shape[1]

    def take(self, index: Tensor) -> "ScoreRows":
        # Several times as fast as the same by brackets.
        scores, residual = self.scores.index_select(0, index), self.residual.index_select(0, index)
        weight = None if self.weight is None else self.weight[index]
        return ScoreRows(scores, residual, weight)

    def to(self, dtype: torch.dtype) -> "ScoreRows":
        """The same rows, of numbers of this dtype."""
        weight = None if self.weight is None else self.weight.to(dtype)
        return ScoreRows(self.scores.to(dtype), self.residual.to(dtype), weight)

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        return self.scores.new_empty(self.n_rows, latent_dim).normal_(generator=generator)


class Projection(Protocol):
    """What makes scores of the rows of a matrix."""

    @property
    def n_directions(self) -> int: ...

    def project(self, X: Values, dtype: type) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class ScoreStream(Rows):
    """Rows whose scores are made when they are asked for: of many rows, or of a mapped file."""

    projection: Projection
    X: Values  # dense or sparse
    weight: Tensor | None
    dtype: type  # of the scores
    device: torch.device

    @property
    def n_rows(self) -> int:
        return self.X.shape[0]

    @property
    def n_inputs(self) -> int:
        return self.projection.n_directions

    def take(self, index: Tensor) -> ScoreRows:
        chosen = index.numpy(force=True)
        weight = None if self.weight is None else self.weight[index]
        return self._made(len(chosen), lambda part: self.X[chosen[part]], weight)

    def load(self, index: Tensor) -> tuple[Rows, Tensor]:
        """Those of the index, read in the order of the file, and where each is among them."""
        ordered, place = index.sort()
        return self.take(ordered), place.argsort()

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        dtype = torch_dtype(self.dtype)
        noise = torch.empty(self.n_rows, latent_dim, dtype=dtype, device=self.device)
        return noise.normal_(generator=generator)

    def everything(self) -> ScoreRows:
        """All of the rows."""
        return self._made(self.n_rows, lambda part: self.X[part], self.weight)

    def _made(self, n: int, rows_of: Callable[[slice], Values], weight: Tensor | None) -> ScoreRows:
        """Rows with their scores, which go to the device part by part."""
        dtype = torch_dtype(self.dtype)
        scores = torch.empty(n, self.n_inputs, dtype=dtype, device=self.device)
        residual = torch.empty(n, dtype=dtype, device=self.device)
        for part in batches(n, self.X.shape[1]):
            made, left = self.projection.project(rows_of(part), self.dtype)
            send(torch.from_numpy(made), scores[part])
            send(torch.from_numpy(left), residual[part])
        return ScoreRows(scores, residual, weight)


@dataclass(frozen=True, slots=True)
class CellRows(Rows):
    """Rows of a table: cells (n, c), NaN where missing.

    Some batches of the training, as many as masked_share says, have cells hidden: targets then
    has them as well. Where nobody says whether cells are missing, the cells are asked.
    """

    values: Tensor
    weight: Tensor | None = None
    targets: Tensor | None = None
    masked_share: float = 0.0
    probabilities: Tensor | None = None  # (c,) of which columns training draws
    has_gaps: bool | None = None  # whether cells are missing
    known: KnownEvidence | None = None  # of a whole table that they are rows of
    unhidden: KnownEvidence | None = None  # the same, before some of the cells were hidden

    @property
    def n_rows(self) -> int:
        return self.values.shape[0]

    @property
    def n_inputs(self) -> int:
        return self.values.shape[1]

    def take(self, index: Tensor) -> "CellRows":
        weight = None if self.weight is None else self.weight[index]
        values = self.values.index_select(0, index)  # several times as fast as brackets
        known = None if self.known is None else self.known.take(index)
        return CellRows(values, weight, None, 0.0, self.probabilities, self.has_gaps, known)

    @property
    def evidence(self) -> Evidence | None:
        return None if self.known is None else self.known.evidence()

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        return self.values.new_empty(self.n_rows, latent_dim).normal_(generator=generator)

    def drawn(self, generator: torch.Generator) -> "CellRows":
        if self.probabilities is None:
            return self
        values = self.values
        draw = torch.empty_like(values).uniform_(generator=generator) < values
        values = torch.where(self.probabilities & ~values.isnan(), draw.to(values), values)
        return replace(self, values=values, probabilities=None, known=None)

    def batches(
        self,
        index: Tensor,
        size: int | list[int],
        generator: torch.Generator,
        luck: torch.Generator | None = None,
    ) -> "Iterator[Rows]":
        parts = index.split(size)
        return hidden_batches(self.take, parts, self.masked_share, generator, luck)

    def hiding(self, rate: float, generator: torch.Generator) -> "CellRows":
        """The same rows, a share of their cells hidden."""
        hidden = torch.empty_like(self.values).uniform_(generator=generator) < rate * MOST_HIDDEN
        values = self.values.masked_fill(hidden, torch.nan)
        return replace(
            self,
            values=values,
            targets=self.values,
            has_gaps=True,
            known=None,
            unhidden=self.known,
        )

    @property
    def is_masked(self) -> bool:
        return self.targets is not None

    def unmasked(self, n: int) -> "CellRows":
        if self.targets is None:
            return self
        values = torch.cat([self.targets[:n], self.values[n:]])
        return replace(self, values=values, known=None, unhidden=None)


def hidden_batches(
    take: Callable[[Tensor], CellRows],
    parts: tuple[Tensor, ...],
    masked_share: float,
    generator: torch.Generator,
    luck: torch.Generator | None = None,
) -> Iterator[Rows]:
    """Batches of which a share, drawn at random, have cells hidden."""
    # All at once, so that no step has to wait for the device.
    draws = torch.empty(len(parts), 2, dtype=torch.float32, device=generator.device)
    draws = draws.uniform_(generator=luck or generator)
    for part, (rate, chance) in zip(parts, draws.tolist(), strict=True):
        rows = take(part).drawn(generator)
        yield rows if chance >= masked_share else rows.hiding(rate, generator)


@dataclass(frozen=True, slots=True)
class CellStream(Rows):
    """Rows of a table whose cells are made when they are asked for: of sparse or many rows."""

    units: Units
    X: Values  # values in the user's units, dense or CSR
    weight: Tensor | None
    dtype: type  # of the cells
    device: torch.device
    masked_share: float
    probabilities: Tensor | None
    has_gaps: bool

    @property
    def n_rows(self) -> int:
        return self.X.shape[0]

    @property
    def n_inputs(self) -> int:
        return self.units.n_cells

    def take(self, index: Tensor) -> CellRows:
        weight = None if self.weight is None else self.weight[index]
        values = self.units.cells(self.X[index.numpy(force=True)], self.dtype)
        values = values.toarray() if sparse.issparse(values) else values
        cells = torch.from_numpy(values).to(self.device)
        return CellRows(cells, weight, probabilities=self.probabilities, has_gaps=self.has_gaps)

    def draw_noise(self, latent_dim: int, generator: torch.Generator) -> Tensor:
        dtype = torch_dtype(self.dtype)
        noise = torch.empty(self.n_rows, latent_dim, dtype=dtype, device=self.device)
        return noise.normal_(generator=generator)

    def batches(
        self,
        index: Tensor,
        size: int | list[int],
        generator: torch.Generator,
        luck: torch.Generator | None = None,
    ) -> "Iterator[Rows]":
        parts = index.split(size)
        return hidden_batches(self.take, parts, self.masked_share, generator, luck)


def torch_dtype(dtype: np.dtype | type) -> torch.dtype:
    """Single precision for float32, double for all others."""
    return torch.float32 if np.dtype(dtype) == np.float32 else torch.float64
