"""The linear start of a table: factors of its features, and a generalised linear head per block.

Features are fitted by probabilistic PCA in closed form where nothing is missing and all columns
share their noise, by EM on the observed cells otherwise. A block that is normal given z keeps
what that says; every other one gets the maximum of its own likelihood on draws of z from the
posteriors: convex for all but Student's t (docs/theory.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from skvae.data.units import Part, Units
from skvae.likelihoods import Block, Head, Likelihood, Values
from skvae.model.bounds import Proposals, places
from skvae.model.rows import CellRows
from skvae.model.vae import VAE
from skvae.start.calibration import (
    Free,
    calibrated,
    has_levels,
    is_held,
    with_standard_scores,
)
from skvae.start.factor_start import FactorStart
from skvae.start.factors import FactorModel, NoiseRule, Observations, fit_factors, regressed
from skvae.start.heads import batches_of_cells, dense, fit_head
from skvae.start.ppca import ProbabilisticPCA, fit_linear

_FAR = 5.0  # of columns with heavy tails, in their scales: where EM begins they go no further
_N_PROPOSALS = 16  # of which one is chosen
# A column with a noise of its own can claim a factor for itself (a Heywood case), whose codes then
# follow that column alone; training is free to go below.
_LEAST_OWN_NOISE = 1e-3
_LEAST_NOISE = 0.3  # of features that share it: levels of a category can fit perfectly

Blocks = tuple[tuple[Likelihood, np.ndarray], ...]  # with their columns


@dataclass(frozen=True)
class StartLimits:
    """How much of a table the start sees at most."""

    widest: int = 512  # features; beyond, the encoder's network sees their principal directions
    head_rows: int = 10_000  # by which the heads are fitted


DEFAULT_LIMITS = StartLimits()


def fit_factor_start(
    values: Values,
    likelihoods: Blocks,
    latent_dim: int,
    weight: np.ndarray | None,
    rng: np.random.RandomState,
    limits: StartLimits = DEFAULT_LIMITS,
) -> FactorStart:
    """The linear start of a table."""
    weight = None if weight is None else weight / weight.mean()
    units = Units.of(values, likelihoods, weight)
    cells = units.cells(values)
    blocks = [Block(*part) for part in units.parts]
    observed = _observed(cells, units.parts)
    features = _features(cells, blocks)
    owner = _owner(blocks)
    shared = _joined([np.full(b.n_features, b.likelihood.shares_noise) for b in blocks], bool)
    floor = _joined(
        [_noise_floor(block, part) for block, part in zip(blocks, units.parts, strict=True)]
    )
    df = _joined([np.full(block.n_features, block.likelihood.tail) for block in blocks])
    seen = _without_gaps(features, observed, owner)
    if df.any():
        seen = np.where(df > 0, np.clip(seen, -_FAR, _FAR), seen)
    pca = fit_linear(seen, latent_dim, weight, rng)
    # Features of sparse rows are centred when they are dense, in a batch.
    center = pca.mean - (_sparse_center(units.parts[0]) if sparse.issparse(cells) else 0.0)
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
        basis=pca.components if len(owner) > limits.widest else None,
        latent_dim=factors.latent_dim,
        rank=pca.rank,
    )
    rows, w = _some_rows(cells, weight, rng, limits.head_rows)
    return _with_heads(start, rows, w, rng)


def features_of(
    values: Values, likelihoods: Blocks, weight: np.ndarray | None = None
) -> np.ndarray:
    """Features of dense cells, 0 where missing, in the order of the parts."""
    units = Units.of(values, likelihoods, weight)
    cells, blocks = units.cells(values), [Block(*part) for part in units.parts]
    return _without_gaps(_features(cells, blocks), _observed(cells, units.parts), _owner(blocks))


def _without_gaps(features: Values, observed: np.ndarray | None, owner: np.ndarray) -> Values:
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


def _observed(values: Values, parts: Sequence[Part]) -> np.ndarray | None:
    """Which cells say something, None where all do: missing ones and unseen levels do not."""
    if sparse.issparse(values):
        return None
    silent = np.isnan(values)
    for part in parts:
        if part.likelihood.is_coded:
            silent[:, part.columns] |= values[:, part.columns] < 0
    return ~silent if silent.any() else None


def _features(values: Values, blocks: list[Block]) -> Values:
    """All features, (n, width): float64, 0 where missing; CSR for CSR counts, not centred."""
    if sparse.issparse(values):
        return blocks[0].sparse_features(values)
    x = torch.from_numpy(values)
    parts = [x.new_zeros(len(x), 0)]
    with torch.no_grad():
        parts += [b.features(x[:, b.columns]) for b in blocks]
    return np.nan_to_num(torch.cat(parts, 1).numpy())


def _sparse_center(part: Part) -> np.ndarray:
    return part.constants["center"] / part.constants["scale"]


def _as_factors(
    pca: ProbabilisticPCA, center: np.ndarray, owner: np.ndarray, floor: np.ndarray
) -> FactorModel:
    """Probabilistic PCA as a factor model; one unit without loadings where there is no rank."""
    q = max(pca.latent_dim, 1)
    loadings = np.zeros((len(owner), q))
    loadings[:, : pca.latent_dim] = pca.scale * pca.components[: pca.latent_dim].T * pca.weights
    noise = np.maximum(pca.noise_variance * pca.scale**2, floor)
    return FactorModel(center[: len(owner)], loadings, noise, owner)


def _ordered(array: np.ndarray | None, order: np.ndarray) -> np.ndarray | None:
    return None if array is None else array[order]


def _noise_floor(block: Block, part: Part) -> np.ndarray:
    if not part.likelihood.has_floor:
        variances = part.likelihood.feature_variances(part.constants)
        return np.full(block.n_features, _LEAST_NOISE * variances)
    least = 1e-12 if part.likelihood.shares_noise else _LEAST_OWN_NOISE
    return np.maximum(np.square(part.constants["floor"]), least)


def _with_heads(
    start: FactorStart, rows: Values, w: np.ndarray | None, rng: np.random.RandomState
) -> FactorStart:
    """Loadings, bias and dispersions of every block.

    Rare levels and points of mass lie beside the point in the factor model, whose posteriors take
    their features for normal numbers. So their blocks are fitted twice: the second time, to draws
    from the posteriors under the first heads, which the prior can reach; and so are their features.
    """
    n_held = sum(is_held(part.likelihood) for part in start.parts)
    z = _posterior_draws(start.module().requires_grad_(False), rows, rng)
    start = _fitted(start, rows, z, w, rng, lambda likelihood: not likelihood.is_gaussian)
    if not n_held:
        return start
    start = _calibrated(start, rows, w)
    z = _resampled_draws(start.module().requires_grad_(False), rows, rng)
    start, turn = _with_features(start, rows, z, w)
    start = _fitted(start, rows, z @ torch.from_numpy(turn), w, rng, is_held)
    return _calibrated(start, rows, w)


def _fitted(
    start: FactorStart,
    values: Values,
    z: Tensor,
    weight: np.ndarray | None,
    rng: np.random.RandomState,
    is_chosen: Callable[[Likelihood], bool],
) -> FactorStart:
    """The start with heads fitted to points z, of the blocks whose likelihood is chosen."""
    blocks = [Block(*part) for part in start.parts]
    ends = np.cumsum([block.n_features for block in blocks])
    heads = []
    for part, block, head, last in zip(start.parts, blocks, _heads(start), ends, strict=True):
        if not head.loadings.any():
            head = _initial_head(part, start.factors, slice(last - block.n_features, last))
        if is_chosen(part.likelihood):
            head = fit_head(block, values[:, part.columns], z, weight, head, rng)
        heads.append(head)
    return _having(start, heads)


def _calibrated(start: FactorStart, values: Values, weight: np.ndarray | None) -> FactorStart:
    """The start with every level as likely as it is frequent, and scores standard normal."""
    w = torch.ones(values.shape[0], dtype=torch.float64)
    w = w if weight is None else torch.from_numpy(weight)
    heads = []
    for part, head in zip(start.parts, _heads(start), strict=True):
        if has_levels(part.likelihood):
            x = dense(values[:, part.columns])
            loadings, *free = map(torch.from_numpy, head)
            bias, dispersion = calibrated(Block(*part), loadings, Free(*free), x, w)
            head = head._replace(bias=bias.numpy(), dispersion=dispersion.numpy())
        elif part.likelihood.has_scores:
            head = with_standard_scores(Block(*part), head)
        heads.append(head)
    return _having(start, heads)


def _with_features(
    start: FactorStart, values: Values, z: Tensor, weight: np.ndarray | None
) -> tuple[FactorStart, np.ndarray]:
    """The start whose features of held columns follow points z, in new axes; the turn to these."""
    blocks = [Block(*part) for part in start.parts]
    held = _joined([np.full(block.n_features, is_held(block.likelihood)) for block in blocks], bool)
    floor = _joined([_noise_floor(*pair) for pair in zip(blocks, start.parts, strict=True)])
    observed, features = _observed(values, start.parts), _features(values, blocks)
    if not isinstance(features, np.ndarray):  # sparse ones are not centred
        features = features.toarray() - _sparse_center(start.parts[0])
    rows = Observations(features, observed, weight)
    factors = regressed(start.factors, rows, z.numpy(), held, 0.0)
    factors = replace(factors, noise=np.maximum(factors.noise, floor))
    turn = factors.axes
    turned = replace(start, factors=factors.turned(turn), loadings=start.loadings @ turn)
    return turned, turn


def _heads(start: FactorStart) -> list[Head]:
    """What the start has for each block."""
    heads, first = [], 0
    for part in start.parts:
        own = slice(first, first + len(part.constants["bias"]))
        first = own.stop
        dispersion = part.constants["dispersion"]
        heads.append(Head(start.loadings[own], start.bias[own], dispersion))
    return heads


def _having(start: FactorStart, heads: list[Head]) -> FactorStart:
    """The start with other heads."""
    parts: tuple[Part, ...] = tuple(
        part._replace(constants=part.constants | {"dispersion": head.dispersion})
        for part, head in zip(start.parts, heads, strict=True)
    )
    loadings = np.concatenate([start.loadings[:0], *(head.loadings for head in heads)])
    bias = _joined([head.bias for head in heads])
    units = start.units.with_parts(parts)
    return replace(start, units=units, loadings=loadings, bias=bias)


def _initial_head(part: Part, factors: FactorModel, own: slice) -> Head:
    """The head of a block whose features are some of the factor model's."""
    of_factors = factors.loadings[own], factors.center[own], factors.noise[own]
    return part.likelihood.initial_head(part.constants, *of_factors)


def _some_rows(
    values: Values, weight: np.ndarray | None, rng: np.random.RandomState, most: int
) -> tuple[Values, np.ndarray | None]:
    n = values.shape[0]
    if n <= most:
        return values, weight
    chosen = np.sort(rng.permutation(n)[:most])
    return values[chosen], None if weight is None else weight[chosen]


def _posterior_draws(vae: VAE, values: Values, rng: np.random.RandomState) -> Tensor:
    """One draw from the posterior of every row, shape (n, q)."""
    draws = []
    for rows in batches_of_cells(values):
        q = vae.encode(CellRows(dense(values, rows)))
        noise = torch.from_numpy(rng.standard_normal(tuple(q.mean.shape)))
        draws.append(q.sample(noise))
    return torch.cat(draws)


def _resampled_draws(vae: VAE, values: Values, rng: np.random.RandomState) -> Tensor:
    """One of a few proposals for every row, chosen by the posterior under its heads."""
    chosen = []
    for rows in batches_of_cells(values):
        cells = CellRows(dense(values, rows))
        proposals = Proposals(vae, vae.encode(cells), places(vae, _N_PROPOSALS))
        shape = tuple(proposals.q.mean.shape)
        best, z = torch.full(shape[:1], -torch.inf, dtype=torch.float64), proposals.q.mean
        for number in range(_N_PROPOSALS):
            drawn = proposals.draw(number, torch.from_numpy(rng.standard_normal(shape)))
            weight = proposals.log_weight(cells, drawn)
            weight = weight + torch.from_numpy(rng.gumbel(size=shape[0]))
            z = torch.where((weight > best)[:, None], drawn, z)
            best = torch.maximum(weight, best)
        chosen.append(z)
    return torch.cat(chosen)
