"""What a graph answers of rows: codes, their reconstruction, the posterior, the score.

A matrix is answered in the dtype in which it comes, its rows with gaps in double precision; tables
are in double precision. Shapes: n rows, d columns, q latent units.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import cast

import numpy as np
import torch

from skvae.export.cells import form_of
from skvae.export.decoding import decoded
from skvae.export.descent import descended
from skvae.export.graph import Value
from skvae.export.layers import array_of
from skvae.export.posterior import Normal, of_cells, of_holed, of_scores
from skvae.export.scores import score_of_complete, score_of_holed
from skvae.fitted.model import FittedModel
from skvae.likelihoods import Block
from skvae.model.cell_observation import CellObservation
from skvae.model.gap_observation import GapObservation
from skvae.model.rows import torch_dtype
from skvae.model.score_observation import ScoreObservation
from skvae.model.vae import VAE
from skvae.start.factor_start import FactorStart
from skvae.start.ppca import ProbabilisticPCA

_NO_SCORE = (
    "outputs has 'score', which this model finds by draws and searches: it is a graph for matrices "
    "whose linear start was kept (kept_=0). There are 'codes', 'reconstruction', 'mean' and 'std'; "
    "score_samples tells the score."
)


class Answers(ABC):
    """Answers of a model about the rows of a graph, as `transform` and others give them.

    Parameters
    ----------
    model : FittedModel
        The model.
    whiten : bool
        Whether codes have unit variance.
    n_steps : int
        By which codes are refined, at most.
    dtype : dtype
        Of the answers.
    """

    def __init__(self, model: FittedModel, whiten: bool, n_steps: int, dtype: np.dtype) -> None:
        self.model, self.whiten, self.n_steps, self.dtype = model, whiten, n_steps, dtype

    @property
    @abstractmethod
    def codes(self) -> Value:
        """As `transform` returns them, shape (n, latent_dim)."""

    @property
    @abstractmethod
    def moments(self) -> tuple[Value, Value]:
        """Mean and standard deviation of the posterior, each of shape (n, latent_dim)."""

    @property
    @abstractmethod
    def rows(self) -> Value:
        """What codes decode to, shape (n, d): numbers in the user's units, codes of levels."""

    @property
    @abstractmethod
    def score(self) -> Value:
        """Log-likelihood of each row, shape (n, 1)."""

    @property
    def _unit(self) -> np.ndarray:
        return self.model.unit(self.whiten)

    def _ordered(self, units: Value, fill: float = 0.0) -> Value:
        """Numbers of units in the order of codes, and some for those that are not in use."""
        return self._padded(units.take(self.model.order), fill)

    def _padded(self, found: Value, fill: float = 0.0) -> Value:
        n_more = self.model.latent_dim - len(self.model.order)
        if not n_more:
            return found
        more = found.graph.filled(found.rows(), n_more, fill, found.dtype)
        return found.graph.joined([found, more])

    def _coded(self, points: Value) -> Value:
        """Codes of points of units."""
        return self._padded(points.take(self.model.order) * self._unit)

    def _points(self, codes: Value, dtype: np.dtype) -> Value:
        """Points of units, of their codes."""
        z = codes.between(0, len(self.model.order)) / self._unit
        return z.to(dtype).take(np.argsort(self.model.order))

    def _moments_of(self, q: Normal) -> tuple[Value, Value]:
        return self._ordered(q.mean), self._ordered(q.deviation, 1.0)


class ScoreAnswers(Answers):
    """Of a matrix whose complete rows are principal scores; `X` as it comes.

    Whether a step of the refinement is worth it is decided by a threshold, which rounding must not
    pass: with such steps the networks are in double precision, whatever the rows are.
    """

    def __init__(self, X: Value, *about: "FittedModel | bool | int | np.dtype") -> None:
        super().__init__(*about)  # type: ignore[arg-type]
        self.X, self.pca = X, cast(ProbabilisticPCA, self.model.start)
        decides = self.model.architecture is not None and self.n_steps > 0
        self._inner = np.dtype(np.float64) if decides else self.dtype
        self._vae = self.model.module(torch_dtype(self._inner))
        self._holed = X.is_nan().to(np.int64).sum(1) > np.array(0)

    @cached_property
    def _scores(self) -> Value:
        return self._standardised(self.X.to(self._inner)) @ self._rounded(self.pca.components.T)

    @cached_property
    def _complete(self) -> Normal:
        return of_scores(self._vae, self._scores)

    def _standardised(self, x: Value) -> Value:
        return (x - self._rounded(self.pca.mean)) / self._rounded(self.pca.scale)

    def _rounded(self, array: "np.ndarray | float") -> np.ndarray:
        """Constants as arithmetic in the dtype of the rows has them."""
        return np.asarray(array, self.dtype).astype(np.float64)

    @cached_property
    def codes(self) -> Value:
        vae, q = self._vae, self._complete
        points = q.mean * array_of(vae.scale.code_scale)
        if vae.decoder is not None:
            observation = cast(ScoreObservation, vae.observation)
            noise = float(observation.noise_variance)

            def height(rows: Sequence[Value], z: Value) -> tuple[Value, Value]:
                mean, back = decoded(vae, z, observation)
                error = mean - rows[0]
                return (error * error).sum(1) / (2.0 * noise), back(error / noise)

            points = descended(height, [self._scores], q, points, self.n_steps, vae.latent_dim)
            points = points.to(self.dtype)
        (found,) = self._with_holed([self._coded(points)], self._holed_codes)
        return found

    @cached_property
    def moments(self) -> tuple[Value, Value]:
        own = [moment.to(self.dtype) for moment in self._moments_of(self._complete)]
        mean, deviation = self._with_holed(own, self._holed_moments)
        return mean, deviation

    def _with_holed(
        self, found: list[Value], ask: "Callable[[HoledRows], Sequence[Value]]"
    ) -> list[Value]:
        """Answers of which those of rows with gaps are others."""
        graph = self.X.graph

        def some() -> list[Value]:
            place = self._holed.places()
            rows = HoledRows(self, self.X.take(place, axis=0).to(np.float64))
            theirs = [answer.to(self.dtype) for answer in ask(rows)]
            return [own.put(place, other) for own, other in zip(found, theirs, strict=True)]

        return graph.choose(self._holed.any(), some, lambda: found)

    def _holed_codes(self, rows: "HoledRows") -> list[Value]:
        return [self._coded(rows.points)]

    def _holed_moments(self, rows: "HoledRows") -> list[Value]:
        return list(self._moments_of(rows.q))

    @cached_property
    def rows(self) -> Value:
        vae = self.model.module(torch_dtype(self.dtype))
        z = self._points(self.codes, self.dtype)
        scores, _ = decoded(vae, z, cast(ScoreObservation, vae.observation))
        return scores @ self.pca.components * self.pca.scale + self.pca.mean

    @cached_property
    def score(self) -> Value:
        if self.model.architecture is not None:
            raise ValueError(_NO_SCORE)
        x = (self.X.to(np.float64) - self.pca.mean) / self.pca.scale
        complete = score_of_complete(self.pca, x).to(self.dtype)
        (found,) = self._with_holed([complete], self._holed_score)
        return found

    def _holed_score(self, rows: "HoledRows") -> list[Value]:
        return [score_of_holed(self.pca, rows.features, rows.there)]


class HoledRows:
    """Rows of a matrix some of whose cells are missing, in double precision."""

    def __init__(self, whole: ScoreAnswers, X: Value) -> None:
        self._whole, graph = whole, X.graph
        self.there = ~X.is_nan()
        cells = (X - whole.pca.mean) / whole.pca.scale
        self.features = graph.where(self.there, cells, 0.0)

    @cached_property
    def vae(self) -> VAE:
        """The model as it takes such rows."""
        return self._whole.model.of_cells().module(torch.float64)

    @cached_property
    def q(self) -> Normal:
        """Their posterior."""
        return of_holed(self.vae, self.features, self.there)

    @cached_property
    def points(self) -> Value:
        """Points of units, refined."""
        vae, q = self.vae, self.q
        points = q.mean * array_of(vae.scale.code_scale)
        if vae.decoder is None:
            return points
        observation = cast(GapObservation, vae.observation)
        noise = float(observation.noise_variance)
        components = array_of(observation.components)

        def height(rows: Sequence[Value], z: Value) -> tuple[Value, Value]:
            features, there = rows
            mean, back = decoded(vae, z, observation.complete)
            error = z.graph.where(there, mean @ components - features, 0.0)
            return (error * error).sum(1) / (2.0 * noise), back(error @ components.T / noise)

        known = [self.features, self.there]
        return descended(height, known, q, points, self._whole.n_steps, vae.latent_dim)


class CellAnswers(Answers):
    """Of a table; `values` as `Columns.encode` makes them, but NaN where a level is not known."""

    def __init__(self, values: Value, *about: "FittedModel | bool | int | np.dtype") -> None:
        super().__init__(*about)  # type: ignore[arg-type]
        self._values, self._start = values, cast(FactorStart, self.model.start)
        self._vae = self.model.module(torch.float64)

    @property
    def _blocks(self) -> list[Block]:
        return cast(CellObservation, self._vae.observation).each_block()

    @cached_property
    def _q(self) -> Normal:
        """The posterior of rows."""
        graph, units = self._values.graph, self._start.units
        features, there, cells = [], [], []
        for (likelihood, own, known), block in zip(units.parts, self._blocks, strict=True):
            form = form_of(likelihood)
            x = form.cells(likelihood, known, self._values.take(units.columns[own]))
            cells.append(~x.is_nan())
            features.append(form.features(likelihood, params_of(block), x))
            there.append(cells[-1].take(block.owners))
        place = np.concatenate([part.columns for part in units.parts])
        observed = graph.joined(cells).take(np.argsort(place))
        return of_cells(self._vae, graph.joined(features), graph.joined(there), observed)

    @cached_property
    def codes(self) -> Value:
        points = self._q.mean * array_of(self._vae.scale.code_scale)
        return self._coded(points).to(self.dtype)

    @cached_property
    def moments(self) -> tuple[Value, Value]:
        mean, deviation = self._moments_of(self._q)
        return mean.to(self.dtype), deviation.to(self.dtype)

    @cached_property
    def rows(self) -> Value:
        observation, units = cast(CellObservation, self._vae.observation), self._start.units
        z = self._points(self.codes, np.dtype(np.float64))
        outputs, _ = decoded(self._vae, z, observation)
        graph, first, parts = z.graph, 0, []
        for (likelihood, _, known), block in zip(units.parts, self._blocks, strict=True):
            form, own = form_of(likelihood), outputs.between(first, first + block.width)
            first += block.width
            cells = form.expected(likelihood, params_of(block), own)
            parts.append(form.restored(likelihood, known, cells))
        place = [units.columns[part.columns] for part in units.parts]
        fixed = units.fixed
        if len(fixed.columns):
            nothing = graph.filled(z.rows(), len(fixed.columns), 0.0, np.float64)
            parts.append(nothing + fixed.values)
            place.append(fixed.columns)
        return graph.joined(parts).take(np.argsort(np.concatenate(place)))

    @property
    def score(self) -> Value:
        raise ValueError(_NO_SCORE)


class AlikeAnswers(Answers):
    """Of rows that are all alike, which have no units: codes are 0, and the row is the mean row."""

    def __init__(
        self,
        n_rows: Value,
        complete: ScoreAnswers | None,
        *about: "FittedModel | bool | int | np.dtype",
    ) -> None:
        super().__init__(*about)  # type: ignore[arg-type]
        self._n_rows, self._complete = n_rows, complete

    def _filled(self, width: int, value: float, dtype: np.dtype) -> Value:
        return self._n_rows.graph.filled(self._n_rows, width, value, dtype)

    @property
    def codes(self) -> Value:
        return self._filled(self.model.latent_dim, 0.0, self.dtype)

    @property
    def moments(self) -> tuple[Value, Value]:
        return self.codes, self._filled(self.model.latent_dim, 1.0, self.dtype)

    @property
    def rows(self) -> Value:
        (row,) = self.model.decode(np.zeros((1, self.model.latent_dim)))
        return self._filled(len(row), 0.0, np.dtype(np.float64)) + row

    @property
    def score(self) -> Value:
        if self._complete is None:
            raise ValueError(_NO_SCORE)
        return self._complete.score


def params_of(block: Block) -> dict[str, np.ndarray]:
    """What a likelihood has learnt, in numpy."""
    return {name: array_of(tensor) for name, tensor in block.params().items()}


def answers_of(
    model: FittedModel,
    matrix: Value | None,
    values: Value,
    *about: "bool | int | np.dtype",
) -> Answers:
    """Answers about rows as they come: a matrix of scores, or values of a table."""
    own: Answers
    if isinstance(model.start, ProbabilisticPCA):
        assert matrix is not None
        own = ScoreAnswers(matrix, model, *about)
    else:
        own = CellAnswers(values, model, *about)
    if model.start.latent_dim and model.start.n_inputs:
        return own
    complete = own if isinstance(own, ScoreAnswers) else None
    return AlikeAnswers(values.rows(), complete, model, *about)
