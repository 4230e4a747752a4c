"""From rows to their posterior: the linear path of the encoder, and what its network sees.

Of scores the linear path is a matrix; of cells it is the exact posterior of a factor model given
the cells that are observed (docs/theory.md). A network adds to both what is nonlinear.
Shapes: n rows, D features, q latent units.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skvae.model.columns import ColumnMap
from skvae.model.latent_scale import LatentScale
from skvae.model.posterior import Posterior
from skvae.model.tails import precision, tail_weights

# Inputs of networks are clipped softly at so many standard deviations: of rows far out they see
# next to nothing, and the linear path is left.
CLIP_AT = 6.0
# Largest factor, as a logarithm, by which a network may change a posterior variance.
LOG_VARIANCE_RANGE = 4.0

Numbers = TypeVar("Numbers", Tensor, np.ndarray)
Product = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]


class Seen(NamedTuple):
    """What is seen of rows."""

    features: Tensor  # (n, D), anything where one is missing
    observed: Tensor | None  # (n, c) which cells say something of the codes; None if all do


class Evidence(NamedTuple):
    """What the linear path makes of rows."""

    posterior: Posterior
    inputs: Tensor  # complete: that the network sees, before they are clipped
    observed: Tensor | None = None  # (n, c) which cells are; None where all are


class Inference(nn.Module, ABC):
    """The linear path of the encoder."""

    @property
    @abstractmethod
    def n_inputs(self) -> int:
        """Numbers of a complete row that it takes."""

    @abstractmethod
    def evidence(self, seen: Seen) -> Evidence:
        """What the linear path makes of rows."""

    @abstractmethod
    def of_inputs(self, inputs: Tensor) -> Evidence:
        """The same of complete inputs, shape (n, n_inputs), that need not be those of a row."""

    @abstractmethod
    def network_inputs(
        self, evidence: Evidence, columns: ColumnMap | None, product: Product
    ) -> Tensor:
        """What the network sees; large products are made by `product`."""

    @abstractmethod
    def posterior(self, evidence: Evidence, change: Tensor | None, scale: LatentScale) -> Posterior:
        """The posterior in the prior's coordinates, with what the network adds."""

    @property
    @abstractmethod
    def linear_parameters(self) -> list[nn.Parameter]:
        """Those of the linear path."""

    @abstractmethod
    def forget_start(self) -> None:
        """Leave the linear path for the prior: what a model without a start begins with."""

    @abstractmethod
    def unshrink_posterior_mean(self, factor: Tensor) -> None:
        """Multiply the mean of the linear path by a factor per unit, shape (q,)."""

    @property
    def takes_gaps(self) -> bool:
        """Whether parts of a row may be missing: its posterior is a guess for each pattern."""
        return True


class ScoreInference(Inference):
    """Of principal scores: one matrix, and one variance for all rows.

    Parameters
    ----------
    path : Tensor of shape (q, k)
        Of the posterior mean.
    log_variance : Tensor of shape (q,)
        Of the posterior.
    clip_limit : Tensor of shape (k,)
        Where the inputs of the network are clipped softly.
    """

    log_variance: Tensor
    clip_limit: Tensor

    def __init__(self, path: Tensor, log_variance: Tensor, clip_limit: Tensor) -> None:
        super().__init__()
        self.encoder_path = nn.Parameter(path)
        self.register_buffer("log_variance", log_variance)
        self.register_buffer("clip_limit", clip_limit)

    @property
    def n_inputs(self) -> int:
        return len(self.clip_limit)

    def evidence(self, seen: Seen) -> Evidence:
        return self.of_inputs(seen.features)

    def of_inputs(self, inputs: Tensor) -> Evidence:
        mean = F.linear(inputs, self.encoder_path)
        return Evidence(Posterior(mean, self.log_variance.expand_as(mean)), inputs)

    def network_inputs(
        self, evidence: Evidence, columns: ColumnMap | None, product: Product
    ) -> Tensor:
        clipped = soft_clip(evidence.inputs, self.clip_limit)
        return clipped if columns is None else columns.spread(clipped)

    def posterior(self, evidence: Evidence, change: Tensor | None, scale: LatentScale) -> Posterior:
        if change is None:
            return evidence.posterior
        log_variance = self.log_variance - 2.0 * scale.spread.log()
        return changed(change, evidence.posterior.mean, log_variance, scale)

    @property
    def linear_parameters(self) -> list[nn.Parameter]:
        return [self.encoder_path]

    @torch.no_grad()
    def forget_start(self) -> None:
        self.encoder_path.zero_()
        self.log_variance.zero_()

    @torch.no_grad()
    def unshrink_posterior_mean(self, factor: Tensor) -> None:
        self.encoder_path.mul_(factor[:, None])

    @property
    def takes_gaps(self) -> bool:
        return False


class Factors(NamedTuple):
    """A factor model of features in tensors; `df` is 0 where noise is normal."""

    center: Tensor  # (D,)
    loadings: Tensor  # (D, q)
    noise: Tensor  # (D,)
    df: Tensor  # (D,)
    owner: Tensor  # (D,) the cell of each feature


class FactorInference(Inference):
    """Of cells: the posterior of a factor model given those that are observed.

    The factors are those of the start and stay: training changes the network and `linear_gain`.

    Parameters
    ----------
    factors : Factors
        Of the features of cells.
    masked : Tensor
        Cells of which the network is told whether they are there.
    basis : Tensor of shape (k, D) or None
        Directions that the network sees of wide tables.
    """

    factor_center: Tensor
    factor_loadings: Tensor
    factor_noise: Tensor
    factor_df: Tensor
    owner: Tensor
    tailed: Tensor  # features whose noise has heavy tails
    linear_gain: Tensor
    masked: Tensor
    basis: Tensor

    def __init__(self, factors: Factors, masked: Tensor, basis: Tensor | None = None) -> None:
        super().__init__()
        # What training leaves as it was is not kept with the weights, nor rounded as they are: so
        # a complete row has the same posterior beside rows with gaps and beside complete ones.
        for name, value in factors._asdict().items():
            own = name if name == "owner" else f"factor_{name}"
            self.register_buffer(own, value, persistent=False)
        tailed = factors.df.nonzero()[:, 0]
        self.has_tails = bool(len(tailed))
        self.register_buffer("tailed", tailed, persistent=False)
        self.register_buffer("masked", masked, persistent=False)
        self.has_basis = basis is not None
        self.register_buffer("basis", basis, persistent=False)
        gain = torch.ones(factors.loadings.shape[1], dtype=torch.float64)
        self.register_buffer("linear_gain", gain)

    @property
    def n_inputs(self) -> int:
        return len(self.owner)

    @torch.no_grad()
    def evidence(self, seen: Seen) -> Evidence:
        """Features with missing ones at their conditional mean, and the posterior given the others.

        Of columns with heavy tails far features are taken for nearer ones, by their weights.
        """
        observed = seen.observed
        features = seen.features - self.factor_center
        if observed is None and not self.has_tails:
            return self.of_inputs(features)
        loadings, noise = self.factor_loadings, self.factor_noise
        there = torch.ones_like(features, dtype=torch.bool)
        if observed is not None:  # several times as fast as by brackets
            there = observed.index_select(1, self.owner)
            features = features.masked_fill_(~there, 0.0)
        weights = there.to(features)
        if self.has_tails:
            own = (loadings, noise, self.factor_df, self.tailed)
            weights = tail_weights(features, weights, *own)
        factor = torch.linalg.cholesky(precision(weights, loadings, noise))
        weighted = weights * features if self.has_tails else features
        told = weighted @ (loadings / noise[:, None])
        identity = torch.eye(loadings.shape[1], dtype=told.dtype, device=told.device)
        inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
        root = inverse.mT
        mean = (root @ (inverse @ told[..., None]))[..., 0]
        features = (mean @ loadings.T).lerp(features, weights.clamp(max=1.0))
        return Evidence(Posterior(mean, torch.zeros_like(mean), root), features, observed)

    def of_inputs(self, inputs: Tensor) -> Evidence:
        scaled = self.factor_loadings / self.factor_noise[:, None]
        precision = 1.0 + (self.factor_loadings * scaled).sum(0)
        mean = inputs @ scaled / precision
        return Evidence(Posterior(mean, -precision.log().expand_as(mean)), inputs)

    def network_inputs(
        self, evidence: Evidence, columns: ColumnMap | None, product: Product
    ) -> Tensor:
        x = evidence.inputs
        if self.has_basis:
            x = product(partial(F.linear, weight=self.basis), x)
        x = soft_clip(x, CLIP_AT)
        if columns is not None:
            x = columns.spread(x)
        if not len(self.masked):
            return x
        if evidence.observed is None:
            return torch.cat([x, x.new_ones(len(x), len(self.masked))], -1)
        return torch.cat([x, evidence.observed[:, self.masked].to(x)], -1)

    def posterior(self, evidence: Evidence, change: Tensor | None, scale: LatentScale) -> Posterior:
        linear = evidence.posterior
        if change is None:
            return linear
        q = changed(change, linear.mean * self.linear_gain, linear.log_variance, scale)
        if linear.root is None:
            return q._replace(log_variance=q.log_variance - 2.0 * scale.spread.log())
        return q._replace(root=linear.root / scale.spread[:, None])

    @property
    def linear_parameters(self) -> list[nn.Parameter]:
        return []

    def forget_start(self) -> None:
        """Nothing: what is observed tells of the codes through the factors in any case."""

    @torch.no_grad()
    def unshrink_posterior_mean(self, factor: Tensor) -> None:
        self.linear_gain.mul_(factor)


def soft_clip(x: Numbers, limit: Numbers | float) -> Numbers:
    """Values far out brought within a limit: x / sqrt(1 + (x / limit)^2)."""
    return x / ((x / limit) ** 2 + 1.0) ** 0.5


def changed(change: Tensor, mean: Tensor, log_variance: Tensor, scale: LatentScale) -> Posterior:
    """A linear posterior with what the encoder's network adds, in the prior's coordinates."""
    shift, log_factor = change.split(len(scale.spread), -1)
    log_factor = LOG_VARIANCE_RANGE * torch.tanh(log_factor / LOG_VARIANCE_RANGE)
    mean = (mean + shift - scale.center) / scale.spread
    return Posterior(mean, log_variance + scale.width + log_factor)
