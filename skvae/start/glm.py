"""The linear start of a table: factors of its features, and a generalised linear head per block.

Features are fitted by probabilistic PCA in closed form where nothing is missing and all columns
share their noise, by EM on the observed cells otherwise. A block that is normal given z keeps
what that says; every other one gets the maximum of its own likelihood on draws of z from the
posteriors: convex for all but Student's t (docs/theory.md).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from scipy import optimize, sparse
from torch import Tensor

from skvae.data.units import Part, Units
from skvae.likelihoods import Block, GaussianDiag, Likelihood, Poisson
from skvae.model.bounds import Proposals, places
from skvae.model.rows import CellRows
from skvae.model.vae import VAE
from skvae.start.calibration import Free, calibrated, has_levels
from skvae.start.factor_start import FactorStart
from skvae.start.factors import FactorModel, NoiseRule, Observations, fit_factors, regressed
from skvae.start.ppca import ProbabilisticPCA, fit_linear

_WIDE = 512  # features; beyond, the encoder's branch sees their principal directions
_HEAD_ROWS = 10_000  # by which the heads are fitted
_HEAD_ITERATIONS = 200
_HEAD_CELLS = 6e7  # cells times iterations, at most
_FAR = 5.0  # of columns with heavy tails, in their scales: where EM begins they go no further
_N_PROPOSALS = 16  # of which one is chosen
_PRIOR_VARIANCE = 10.0  # of loadings, as of logistic regression with C = 10; of log dispersions
# A column with a noise of its own can claim a factor for itself (a Heywood case), whose codes then
# follow that column alone; training is free to go below.
_LEAST_OWN_NOISE = 1e-3
_LEAST_NOISE = 0.3  # of features that share it: levels of a category can fit perfectly
_BATCH_CELLS = 524_288

Blocks = tuple[tuple[Likelihood, np.ndarray], ...]  # with their columns


def fit_factor_start(
    values,
    likelihoods: Blocks,
    n_levels: np.ndarray,
    latent_dim: int,
    weight: np.ndarray | None,
    rng: np.random.RandomState,
) -> FactorStart:
    """The linear start of a table."""
    weight = None if weight is None else weight / weight.mean()
    units = Units.of(values, likelihoods, n_levels, weight)
    cells = units.cells(values)
    blocks = [Block(*part) for part in units.parts]
    observed = _observed(cells, units.parts)
    features = _features(cells, blocks)
    owner = _owner(blocks)
    shared = _joined([np.full(b.n_features, b.likelihood.shares_noise) for b in blocks], bool)
    floor = _joined([_noise_floor(block) for block in blocks])
    df = _joined([np.full(block.n_features, block.likelihood.tail) for block in blocks])
    seen = _without_gaps(features, observed, owner)
    if df.any():
        seen = np.where(df > 0, np.clip(seen, -_FAR, _FAR), seen)
    pca = fit_linear(seen, latent_dim, weight, rng)
    # Features of sparse rows are centred when they are dense, in a batch.
    center = pca.mean - (_sparse_center(blocks[0]) if sparse.issparse(cells) else 0.0)
    factors = replace(_as_factors(pca, center, owner, floor), df=df)
    if observed is not None or not shared.all():
        # The rows by which the model is found first must be a sample of all.
        order = rng.permutation(len(features))
        factors = fit_factors(
            Observations(features[order], _ordered(observed, order), _ordered(weight, order)),
            factors,
            NoiseRule(shared, floor),
        )
    start = FactorStart(
        units=units,
        factors=factors,
        loadings=np.zeros((sum(block.width for block in blocks), factors.latent_dim)),
        bias=_joined([part.constants["bias"] for part in units.parts]),
        masked=_ever_missing(observed, units.n_cells),
        basis=pca.components if len(owner) > _WIDE else None,
        latent_dim=factors.latent_dim,
        rank=pca.rank,
    )
    return _with_heads(start, cells, weight, rng)


def features_of(values, likelihoods: Blocks, n_levels: np.ndarray, weight=None) -> np.ndarray:
    """Features of dense cells, 0 where missing, in the order of the parts."""
    units = Units.of(values, likelihoods, n_levels, weight)
    cells, blocks = units.cells(values), [Block(*part) for part in units.parts]
    return _without_gaps(_features(cells, blocks), _observed(cells, units.parts), _owner(blocks))


def _without_gaps(features, observed: np.ndarray | None, owner: np.ndarray):
    """Features with 0 where nothing was observed; one that is 0 where there are none."""
    if not len(owner):
        return np.zeros((features.shape[0], 1))
    return features if observed is None else features * observed[:, owner]


def _joined(parts: list[np.ndarray], dtype: type = float) -> np.ndarray:
    """What blocks have, one after another."""
    return np.concatenate([np.zeros(0, dtype), *parts])


def _ever_missing(observed: np.ndarray | None, n_columns: int) -> np.ndarray:
    """Columns with missing cells."""
    return np.zeros(n_columns, bool) if observed is None else np.any(~observed, axis=0)


def _owner(blocks: list[Block]) -> np.ndarray:
    """Cell that each feature belongs to."""
    return _joined([block.columns[block.owners] for block in blocks], int)


def _observed(values, parts) -> np.ndarray | None:
    """Which cells say something, None where all do: missing ones and unseen levels do not."""
    if sparse.issparse(values):
        return None
    silent = np.isnan(values)
    for part in parts:
        if part.likelihood.is_coded:
            silent[:, part.columns] |= values[:, part.columns] < 0
    return ~silent if silent.any() else None


def _features(values, blocks):
    """All features, (n, width): float64, 0 where missing; CSR for CSR counts, not centred."""
    if sparse.issparse(values):
        return blocks[0].likelihood.sparse_features(blocks[0], values)
    x = torch.from_numpy(values)
    parts = [x.new_zeros(len(x), 0)]
    with torch.no_grad():
        parts += [b.features(x[:, b.columns]) for b in blocks]
    return np.nan_to_num(torch.cat(parts, 1).numpy())


def _sparse_center(block: Block) -> np.ndarray:
    return (block.center / block.scale).numpy()


def _as_factors(
    pca: ProbabilisticPCA, center: np.ndarray, owner: np.ndarray, floor: np.ndarray
) -> FactorModel:
    """Probabilistic PCA as a factor model; one unit without loadings where there is no rank."""
    q = max(pca.latent_dim, 1)
    loadings = np.zeros((len(owner), q))
    loadings[:, : pca.latent_dim] = pca.scale * pca.components[: pca.latent_dim].T * pca.weights
    noise = np.maximum(pca.noise_variance * pca.scale**2, floor)
    return FactorModel(center, loadings, noise, owner)


def _ordered(array: np.ndarray | None, order: np.ndarray) -> np.ndarray | None:
    return None if array is None else array[order]


def _noise_floor(block: Block) -> np.ndarray:
    if not (block.likelihood.is_gaussian or block.likelihood.tail):
        return np.full(block.n_features, _LEAST_NOISE)
    least = 1e-12 if block.likelihood.shares_noise else _LEAST_OWN_NOISE
    return np.maximum(np.square(block.floor.numpy()), least)


def _with_heads(start: FactorStart, values, weight, rng) -> FactorStart:
    """Loadings, bias and dispersions of every block.

    Rare levels lie beside the point in the factor model, whose posteriors take their features for
    normal numbers. So the blocks of levels are fitted twice: the second time, to draws from the
    posteriors under the first heads, which the prior can reach; and so are their features.
    """
    rows, w = _some_rows(values, weight, rng)
    n_levels = sum(has_levels(part.likelihood) for part in start.parts)
    z = _posterior_draws(start.module().requires_grad_(False), rows, rng)
    start = _fitted(start, rows, z, w, rng, lambda likelihood: not likelihood.is_gaussian)
    if not n_levels:
        return start
    start = _calibrated(start, rows, w)
    z = _resampled_draws(start.module().requires_grad_(False), rows, rng)
    start, turn = _with_features(start, rows, z, w)
    start = _fitted(start, rows, z @ torch.from_numpy(turn), w, rng, has_levels)
    return _calibrated(start, rows, w)


def _fitted(
    start: FactorStart, values, z: Tensor, weight, rng, is_chosen: Callable[[Likelihood], bool]
) -> FactorStart:
    """The start with heads fitted to points z, of the blocks whose likelihood is chosen."""
    blocks = [Block(*part) for part in start.parts]
    ends = np.cumsum([block.n_features for block in blocks])
    heads = []
    for part, block, head, last in zip(start.parts, blocks, _heads(start), ends, strict=True):
        if not head.loadings.any():
            head = _as_features(block, start.factors, slice(last - block.n_features, last))
        if is_chosen(part.likelihood):
            head = _fit_head(block, values[:, part.columns], z, weight, head, rng)
        heads.append(head)
    return _having(start, heads)


def _calibrated(start: FactorStart, values, weight) -> FactorStart:
    """The start with every level as likely as it is frequent."""
    w = torch.ones(values.shape[0], dtype=torch.float64)
    w = w if weight is None else torch.from_numpy(weight)
    heads = []
    for part, head in zip(start.parts, _heads(start), strict=True):
        if has_levels(part.likelihood):
            x = _dense(values[:, part.columns], slice(None))
            loadings, *free = map(torch.from_numpy, head)
            bias, dispersion = calibrated(Block(*part), loadings, Free(*free), x, w)
            head = head._replace(bias=bias.numpy(), dispersion=dispersion.numpy())
        heads.append(head)
    return _having(start, heads)


def _with_features(start: FactorStart, values, z: Tensor, weight) -> tuple[FactorStart, np.ndarray]:
    """The start whose features of levels follow points z, in new axes; the turn to these."""
    blocks = [Block(*part) for part in start.parts]
    of_levels = np.concatenate(
        [np.full(block.n_features, has_levels(block.likelihood)) for block in blocks]
    )
    observed, features = _observed(values, start.parts), _features(values, blocks)
    if sparse.issparse(features):  # which are not centred
        features = features.toarray() - _sparse_center(blocks[0])
    rows = Observations(features, observed, weight)
    factors = regressed(start.factors, rows, z.numpy(), of_levels, _LEAST_NOISE)
    turn = factors.axes
    turned = replace(start, factors=factors.turned(turn), loadings=start.loadings @ turn)
    return turned, turn


def _heads(start: FactorStart) -> list["Head"]:
    """What the start has for each block."""
    heads, first = [], 0
    for part in start.parts:
        own = slice(first, first + len(part.constants["bias"]))
        first = own.stop
        dispersion = part.constants["dispersion"]
        heads.append(Head(start.loadings[own], start.bias[own], dispersion))
    return heads


def _having(start: FactorStart, heads: "list[Head]") -> FactorStart:
    """The start with other heads."""
    parts: tuple[Part, ...] = tuple(
        part._replace(constants=part.constants | {"dispersion": head.dispersion})
        for part, head in zip(start.parts, heads, strict=True)
    )
    loadings = np.concatenate([start.loadings[:0], *(head.loadings for head in heads)])
    bias = _joined([head.bias for head in heads])
    units = start.units.with_parts(parts)
    return replace(start, units=units, loadings=loadings, bias=bias)


class Head(NamedTuple):
    """A block's share of the linear decoder."""

    loadings: np.ndarray  # (width, q)
    bias: np.ndarray  # (width,)
    dispersion: np.ndarray


def _as_features(block: Block, factors: FactorModel, own: slice) -> Head:
    """The head that the factor model has already, where outputs are features; else the mean's."""
    bias, dispersion = (each.detach().numpy() for each in (block.bias, block.dispersion))
    if isinstance(block.likelihood, Poisson):  # whose features are nearly logarithms
        return Head(factors.loadings[own] * block.scale.numpy()[:, None], bias, dispersion)
    if not isinstance(block.likelihood, GaussianDiag):
        return Head(np.zeros((block.width, factors.latent_dim)), bias, dispersion)
    if block.likelihood.tail:
        dispersion = np.concatenate([0.5 * np.log(factors.noise[own]), dispersion[block.width :]])
    if block.likelihood.is_gaussian:
        dispersion = 0.5 * np.log(factors.noise[own])
        if block.likelihood.shares_noise:  # where it is not that of a floor
            dispersion = dispersion.min(keepdims=True)
    return Head(factors.loadings[own], factors.center[own], dispersion)


def _some_rows(values, weight, rng):
    n = values.shape[0]
    if n <= _HEAD_ROWS:
        return values, weight
    chosen = np.sort(rng.permutation(n)[:_HEAD_ROWS])
    return values[chosen], None if weight is None else weight[chosen]


def _dense(values, rows: slice) -> Tensor:
    x = values[rows]
    return torch.tensor(np.asarray(x.toarray() if sparse.issparse(x) else x, np.float64))


def _posterior_draws(vae: VAE, values, rng) -> Tensor:
    """One draw from the posterior of every row, shape (n, q)."""
    draws = []
    for rows in _batches(values):
        q = vae.encode(CellRows(_dense(values, rows)))
        noise = torch.from_numpy(rng.standard_normal(tuple(q.mean.shape)))
        draws.append(q.sample(noise))
    return torch.cat(draws)


def _resampled_draws(vae: VAE, values, rng) -> Tensor:
    """One of a few proposals for every row, chosen by the posterior under its heads."""
    chosen = []
    for rows in _batches(values):
        cells = CellRows(_dense(values, rows))
        proposals = Proposals(vae.encode(cells), places(vae, _N_PROPOSALS))
        shape = tuple(proposals.q.mean.shape)
        best, z = torch.full(shape[:1], -torch.inf, dtype=torch.float64), proposals.q.mean
        for number in range(_N_PROPOSALS):
            drawn = proposals.draw(number, torch.from_numpy(rng.standard_normal(shape)))
            weight = proposals.log_weight(vae, cells, drawn)
            weight = weight + torch.from_numpy(rng.gumbel(size=shape[0]))
            z = torch.where((weight > best)[:, None], drawn, z)
            best = torch.maximum(weight, best)
        chosen.append(z)
    return torch.cat(chosen)


def _batches(values):
    step = max(1, _BATCH_CELLS // max(values.shape[1], 1))
    for first in range(0, values.shape[0], step):
        yield slice(first, first + step)


def _fit_head(block: Block, values, z: Tensor, weight, guess: Head, rng) -> Head:
    """The head of greatest likelihood, with a normal prior on loadings and dispersions (L-BFGS).

    The prior says little; without it, counts that are Poisson's draw the dispersion of a negative
    binomial head, and columns without noise the scale of a Student's t head, towards infinity.

    It is searched in units in which loadings and bias are about equally curved: a column of large
    counts is a thousand times as steep as one of small ones, the search would take many times as
    long, and where it stopped would hang on how numbers are rounded.
    """
    n, q = z.shape
    w = torch.from_numpy(np.ones(n) if weight is None else weight / weight.mean())
    expected = torch.tensor(guess.dispersion)  # a copy: it can be the block's own
    unit = _curvature(block, values, z, w, guess, rng) ** -0.5
    unit = np.concatenate([unit[:, :q].ravel(), unit[:, q], np.ones(expected.numel())])

    def head(scaled: np.ndarray) -> Head:
        parts = np.split(scaled * unit, np.cumsum([array.size for array in guess])[:-1])
        return Head(*(part.reshape(array.shape) for part, array in zip(parts, guess, strict=True)))

    def loss(scaled: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias, dispersion = map(torch.from_numpy, head(scaled))
        with torch.no_grad():
            block.dispersion.copy_(dispersion)
        leaves = [weights.requires_grad_(True), bias.requires_grad_(True), block.dispersion]
        block.zero_grad()
        away = weights.square().sum() + (block.dispersion - expected).square().sum()
        value = 0.5 * away / _PRIOR_VARIANCE / n
        value.backward()
        for rows in _batches(values):
            x = _dense(values, rows)
            part = -_log_prob(block, x, z[rows] @ weights.T + bias, w[rows]) / n
            part.backward()
            value = value.detach() + part.detach()
        slopes = [np.zeros(0) if leaf.grad is None else leaf.grad.ravel() for leaf in leaves]
        return value.item(), np.concatenate(slopes) * unit

    flat = np.concatenate([array.ravel() for array in guess])
    n_iterations = int(np.clip(_HEAD_CELLS / (n * block.width), 10, _HEAD_ITERATIONS))
    found = optimize.minimize(
        loss, flat / unit, jac=True, method="L-BFGS-B", options={"maxiter": n_iterations}
    )
    return head(found.x)


def _log_prob(block: Block, x: Tensor, outputs: Tensor, weight: Tensor) -> Tensor:
    """Log-likelihood of the observed cells of all rows."""
    return weight @ block.log_prob(x, outputs).masked_fill(x.isnan(), 0.0).sum(1)


def _curvature(block: Block, values, z: Tensor, weight: Tensor, guess: Head, rng) -> np.ndarray:
    """Mean second derivatives of the loss by loadings and bias at the guess, (width, q + 1).

    The diagonal by the outputs of a row is estimated with one vector of random signs (Hutchinson,
    1990); the mean over rows takes out its noise.
    """
    loadings, bias, dispersion = map(torch.from_numpy, guess)
    with torch.no_grad():
        block.dispersion.copy_(dispersion)
    total = z.new_zeros(block.width, z.shape[1] + 1)
    for rows in _batches(values):
        x = _dense(values, rows)
        outputs = (z[rows] @ loadings.T + bias).requires_grad_(True)
        loss = -_log_prob(block, x, outputs, weight[rows])
        (slope,) = torch.autograd.grad(loss, outputs, create_graph=True)
        signs = torch.from_numpy(rng.choice([-1.0, 1.0], size=tuple(outputs.shape)))
        (curvature,) = torch.autograd.grad((slope * signs).sum(), outputs)
        by = torch.cat([z[rows].square(), z.new_ones(len(x), 1)], 1)
        total += (signs * curvature).T @ by
    n = len(z)
    return np.fmax(total.numpy() / n, 1 / (_PRIOR_VARIANCE * n))
