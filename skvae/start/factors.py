"""The linear start of tables: a factor model of the features, fitted to the observed cells.

f = center + loadings z + noise, with z ~ N(0, I) and noise of one variance for all features, or of
a column's own. Features belong to columns (`owner`), and a column is observed or not as a whole.
Given what is observed, the posterior of z is normal and exact (Roweis, 1998; docs/theory.md);
where noise is Student's t, it is that given the weights of cells (tails.py).
Shapes: n rows, D features, c columns, q latent units. numpy, float64.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from skvae.model.tails import tail_weights


@dataclass(frozen=True)
class EMConfig:
    """How a factor model is fitted."""

    max_iterations: int = 200
    tolerance: float = 1e-5  # of the log-likelihood, nats per cell
    first_rows: int = 5000  # by which the model is found before it is fitted to all rows
    last_iterations: int = 3  # over all rows
    prior_rows: float = 0.2  # weight of a loading of 0: columns seldom observed stay finite


EM = EMConfig()


@dataclass(frozen=True)
class FactorModel:
    """Units are rotated and ordered so that complete rows have a diagonal posterior."""

    center: np.ndarray  # (D,)
    loadings: np.ndarray  # (D, q)
    noise: np.ndarray  # (D,) variances
    owner: np.ndarray  # (D,) column of each feature
    df: np.ndarray | None = None  # (D,) of Student's t, 0 where noise is normal; None if all is

    @property
    def degrees(self) -> np.ndarray:
        """Degrees of freedom of the noise, 0 where it is normal."""
        return np.zeros(len(self.owner)) if self.df is None else self.df

    @property
    def has_tails(self) -> bool:
        """Whether some noise is Student's t."""
        return bool(self.degrees.any())

    @property
    def latent_dim(self) -> int:
        return self.loadings.shape[1]

    @property
    def precision_parts(self) -> np.ndarray:
        """What observing each column adds to the precision of z, shape (c, q, q)."""
        c, q = self.owner.max() + 1, self.latent_dim
        parts = np.zeros((c, q, q))
        np.add.at(parts, self.owner, _outer(self.loadings) / self.noise[:, None, None])
        return parts

    @property
    def axes(self) -> np.ndarray:
        """A turn of the units after which they are independent in complete rows, shape (q, q)."""
        gain = (self.loadings / self.noise[:, None]).T @ self.loadings
        turn = np.linalg.eigh(gain)[1][:, ::-1]
        loadings = self.loadings @ turn
        largest = np.abs(loadings).argmax(0)
        signs = np.sign(loadings[largest, np.arange(self.latent_dim)])
        return turn * np.where(signs == 0, 1, signs)

    def turned(self, turn: np.ndarray) -> "FactorModel":
        """The same density in other axes."""
        return replace(self, loadings=self.loadings @ turn)


class Observations(NamedTuple):
    """Rows to be fitted; observed is None where nothing is missing, weight where all are equal."""

    features: np.ndarray  # (n, D), finite also where they are missing
    observed: np.ndarray | None  # (n, c)
    weight: np.ndarray | None  # (n,)

    def take(self, rows: slice) -> "Observations":
        """Some of the rows."""
        observed = None if self.observed is None else self.observed[rows]
        weight = None if self.weight is None else self.weight[rows]
        return Observations(self.features[rows], observed, weight)


class NoiseRule(NamedTuple):
    """Which features share one noise variance, and the least variance of each; shape (D,)."""

    shared: np.ndarray
    floor: np.ndarray


def fit_factors(
    rows: Observations, start: FactorModel, rule: NoiseRule, config: EMConfig = EM
) -> FactorModel:
    """EM on the observed cells, from a start; the first rows must be a sample of all."""
    few = rows.take(slice(config.first_rows))
    model, before = start, -np.inf
    for _ in range(config.max_iterations):
        model, log_prob = em_step(few, model, rule, config)
        if abs(log_prob - before) < config.tolerance:  # with heavy tails it may fall
            break
        before = log_prob
    are_many = len(rows.features) > config.first_rows
    for _ in range(config.last_iterations if are_many else 0):
        model, _ = em_step(rows, model, rule, config)
    return model.turned(model.axes)


def regressed(
    model: FactorModel, rows: Observations, z: np.ndarray, chosen: np.ndarray, least: float
) -> FactorModel:
    """The model in which chosen features (D,) follow points z (n, q); each column has its noise."""
    center, loadings, noise = model.center.copy(), model.loadings.copy(), model.noise.copy()
    weight = np.ones(len(z)) if rows.weight is None else rows.weight
    ridge = np.diag(np.r_[np.full(model.latent_dim, EM.prior_rows), 1e-9])
    z = np.column_stack([z, np.ones(len(z))])
    for column in np.unique(model.owner[chosen]):
        own = np.flatnonzero(chosen & (model.owner == column))
        w = weight if rows.observed is None else weight * rows.observed[:, column]
        x, weighted = rows.features[:, own], w[:, None] * z
        solved = np.linalg.solve(weighted.T @ z + ridge, weighted.T @ x)
        loadings[own], center[own] = solved[:-1].T, solved[-1]
        error = (w @ np.square(x - z @ solved)).mean() / max(w.sum(), 1e-12)
        noise[own] = max(error, least)
    return replace(model, center=center, loadings=loadings, noise=noise)


def em_step(
    rows: Observations, model: FactorModel, rule: NoiseRule, config: EMConfig = EM
) -> tuple[FactorModel, float]:
    """One step (Rubin & Thayer, 1982, with missing cells); log-likelihood per cell before it."""
    sums = _Sums(model)
    step = max(1, 2_000_000 // (model.latent_dim + 1) ** 2)
    for first in range(0, len(rows.features), step):
        sums.add(rows.take(slice(first, first + step)))
    return sums.maximised(rule, config.prior_rows), sums.log_prob / sums.n_cells


class _Sums:
    """Expected sufficient statistics given a model, summed over rows."""

    def __init__(self, model: FactorModel) -> None:
        self.model = model
        c, q = model.owner.max() + 1, model.latent_dim
        self.parts = model.precision_parts.reshape(c, -1)
        self.scaled = model.loadings / model.noise[:, None]
        self.moments = np.zeros((c, (q + 1) ** 2))  # of (z, 1), over the rows of each column
        self.cross = np.zeros((len(model.owner), q + 1))  # of features with (z, 1)
        self.squares = np.zeros(len(model.owner))
        self.second = np.zeros((q, q))  # of z over all rows
        self.counts = np.zeros(c)
        self.log_prob, self.n_cells, self.total = 0.0, 0.0, 0.0

    def add(self, rows: Observations) -> None:
        """Count rows in."""
        model, q, n = self.model, self.model.latent_dim, len(rows.features)
        observed = np.ones((n, len(self.parts))) if rows.observed is None else 1.0 * rows.observed
        weight = np.ones(n) if rows.weight is None else rows.weight
        there = observed[:, model.owner]
        centred = rows.features - model.center
        told = self._told(centred, there, observed)
        scaled = told[:, model.owner] * centred
        patterns, which = (told, np.arange(n)) if model.has_tails else _patterns(observed)
        precision = np.eye(q) + (patterns @ self.parts).reshape(-1, q, q)
        covariance = np.linalg.inv(precision)
        log_det = np.linalg.slogdet(precision)[1]
        projected = scaled @ self.scaled
        mean = np.einsum("nij,nj->ni", covariance[which], projected)
        square = (scaled * centred / model.noise).sum(1)
        log_noise = there @ np.log(model.noise) + there.sum(1) * np.log(2 * np.pi)
        log_noise -= np.log(told, where=observed > 0, out=np.zeros_like(told)).sum(1)
        log_prob = -0.5 * (square - (projected * mean).sum(1) + log_det[which] + log_noise)
        self.log_prob += weight @ log_prob
        self.n_cells += weight @ there.sum(1)
        second = covariance[which] + mean[:, :, None] * mean[:, None, :]
        augmented = np.ones((len(mean), q + 1, q + 1))
        augmented[:, :q, :q] = second
        augmented[:, :q, q] = augmented[:, q, :q] = mean
        self.moments += (weight[:, None] * told).T @ augmented.reshape(len(mean), -1)
        self.cross += (weight[:, None] * scaled).T @ augmented[:, q]
        self.squares += weight @ (scaled * centred)
        self.second += np.tensordot(weight, second, 1)
        self.counts += weight @ observed
        self.total += weight.sum()

    def _told(self, centred: np.ndarray, there: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Weights of cells, (n, c): of columns with heavy tails those of tails.py."""
        model = self.model
        if not model.has_tails:
            return observed
        tailed = np.flatnonzero(model.degrees)
        parts = (centred, there, model.loadings, model.noise, model.degrees, tailed)
        weights = tail_weights(*map(torch.from_numpy, parts)).numpy()
        return weights[:, np.unique(model.owner, return_index=True)[1]]

    def maximised(self, rule: NoiseRule, prior_rows: float) -> FactorModel:
        """The model of greatest expected likelihood."""
        model, q = self.model, self.model.latent_dim
        ridge = np.diag(np.r_[np.full(q, prior_rows), 1e-9])
        moments = self.moments.reshape(-1, q + 1, q + 1)
        solved = np.linalg.solve((moments + ridge)[model.owner], self.cross[:, :, None])[:, :, 0]
        loadings, shift = solved[:, :q], solved[:, q]
        error = self.squares - 2 * (solved * self.cross).sum(1)
        error += np.einsum("di,dij,dj->d", solved, moments[model.owner], solved)
        counts = self.counts[model.owner]
        noise = error / np.maximum(counts, 1e-12)
        if rule.shared.any():
            noise[rule.shared] = error[rule.shared].sum() / counts[rule.shared].sum()
        # The scale of z is free during EM: taking it from the posteriors is what speeds EM up
        # (parameter expansion; Liu, Rubin & Wu, 1998).
        spread = np.linalg.cholesky(self.second / self.total)
        return replace(
            model,
            center=model.center + shift,
            loadings=loadings @ spread,
            noise=np.maximum(noise, rule.floor),
        )


def _patterns(observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different rows of a mask of 0 and 1, and which of them each row is."""
    packed = np.packbits(observed > 0, axis=1)
    keys = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return observed[first], which.ravel()


def _outer(rows: np.ndarray) -> np.ndarray:
    return rows[:, :, None] * rows[:, None, :]
