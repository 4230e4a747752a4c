"""The aggregate posterior of some training rows, smoothed as far as other rows say."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from skvae.model.priors.base import Encoder, Normals, PriorModule
from skvae.model.priors.components import LARGEST_ARRAY, MixtureOptions, choose

_LOG_2PI = math.log(2.0 * math.pi)
_WIDTHS = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3)  # squared, of the spread of the means
_STEPS = 50  # of EM for the weight of the standard normal
_WEIGHTS = (0.01, 0.99)  # of the standard normal: rows far out need it
_LEAST_VARIANCE = 1e-3  # of a component, in codes whose variance is about 1
_NO_WEIGHT = -1e30  # log-weight of a component that is not there; no gradient is NaN, as of -inf


class Aggregate(MixtureOptions):
    """Aggregate posterior of training rows, fitted after training.

    The density is p(z) = w N(z; 0, I) + (1 - w) / K sum_k N(z; m_k, S_k), with the posteriors of
    K training rows. Their means and variances are stored. The posteriors are smoothed [1]_: means
    move toward the overall mean, and variances grow by as much. So the mean and the variance of
    the mixture stay the same. The amount of smoothing and w maximise the density of the codes of
    other rows.

    Parameters
    ----------
    n_components : int, default=5000
        Largest number K of posteriors. The density of one point costs about 2 K q multiplications
        for q codes.

    References
    ----------
    .. [1] Silverman, B. W. (1986). Density estimation for statistics and data analysis. Chapman
       and Hall.

    Examples
    --------
    >>> from skvae import Aggregate, VAETransformer
    >>> VAETransformer(prior=Aggregate(n_components=500))
    VAETransformer(prior=Aggregate(n_components=500))
    """

    is_fitted_after = True

    def __init__(self, *, n_components: int = 5000) -> None:
        self.n_components = n_components

    def module(self, latent_dim: int, n_inputs: int) -> "AggregatePrior":
        self.check()
        return AggregatePrior(self.n_components, latent_dim)

    @torch.no_grad()
    def fit(
        self,
        codes: np.ndarray,
        random_state: int,
        weight: np.ndarray | None = None,
        posteriors: Normals | None = None,
    ) -> "AggregatePrior":
        """Take the posteriors of the first rows, and smooth them.

        Parameters
        ----------
        codes : ndarray of shape (n, q)
            Draws from the posteriors of at least 2 rows, in random order.
        random_state : int
            Ignored, since nothing is drawn.
        weight : ndarray of shape (n,) or None, default=None
            Weights of the rows.
        posteriors : Normals of shape (n, q) or None, default=None
            Posteriors from which the codes were drawn. None if codes are points.

        Returns
        -------
        module : AggregatePrior
            The fitted density, on the CPU, float64.

        Raises
        ------
        ValueError
            If an option is invalid.
        """
        self.check()
        drawn_from = posteriors or Normals(codes, np.zeros_like(codes))
        shares = np.ones(len(codes)) if weight is None else weight
        z, means, variances, w = (
            torch.from_numpy(np.array(numbers, np.float64))
            for numbers in (codes, *drawn_from, shares)
        )
        n = self.n_components
        module = self.module(z.shape[1], z.shape[1]).double()
        standard = -0.5 * (z.square() + _LOG_2PI).sum(1)
        best = -math.inf
        for width in _WIDTHS:
            part = smoothed(means[:n], variances[:n], w[:n], width)
            others = part.log_prob(z, are_own=True)
            share = _share(standard, others, w)
            value = w @ torch.logaddexp(share.log() + standard, torch.log1p(-share) + others)
            if value > best:
                best = value.item()
                module.fill(part, share)
        return module


class Components(NamedTuple):
    """A mixture of normals of independent units."""

    log_weights: Tensor  # (k,) that sum to 1
    means: Tensor  # (k, q)
    log_variances: Tensor  # (k, q)

    def log_prob(self, z: Tensor, are_own: bool = False) -> Tensor:
        """Log-density of points (n, q), shape (n,).

        With are_own, the first points are of the rows of the components in turn, and each is
        judged by the others.
        """
        n = len(self.means)
        precisions = torch.exp(-self.log_variances)
        scaled = self.means * precisions
        constant = self.log_weights - 0.5 * (
            (self.log_variances + self.means * scaled + _LOG_2PI).sum(1)
        )
        found = []
        for first in range(0, len(z), step := max(1, LARGEST_ARRAY // n)):
            part = z[first : first + step]
            log_prob = torch.addmm(constant, part, scaled.T)
            log_prob = torch.addmm(log_prob, part.square(), precisions.T, alpha=-0.5)
            if are_own and first < n:
                own = torch.arange(first, min(first + len(part), n))
                log_prob[own - first, own] = -torch.inf
            found.append(log_prob.logsumexp(1))
        return torch.cat(found)


def smoothed(means: Tensor, variances: Tensor, weight: Tensor, width: float) -> Components:
    """Posteriors with a share of the spread of their means put into their variances."""
    share = weight / weight.sum()
    center = share @ means
    spread = share @ (means - center).square()
    return Components(
        share.log(),
        center + math.sqrt(1.0 - width) * (means - center),
        (variances + width * spread).clamp(min=_LEAST_VARIANCE).log(),
    )


def _share(standard: Tensor, others: Tensor, weight: Tensor) -> Tensor:
    """Weight of the standard normal, by EM on one number."""
    share, w = standard.new_tensor(0.1), weight / weight.sum()
    for _ in range(_STEPS):
        odds = torch.log(share) - torch.log1p(-share)
        share = (w @ torch.sigmoid(odds + standard - others)).clamp(*_WEIGHTS)
    return share


class AggregatePrior(PriorModule):
    """Mixture of the standard normal, which comes first, and of posteriors.

    Parameters
    ----------
    n_components : int
        Posteriors.
    latent_dim : int
        Units of a code.
    """

    def __init__(self, n_components: int, latent_dim: int) -> None:
        super().__init__()
        shape, dtype = (n_components + 1, latent_dim), torch.float32
        self.logits = nn.Parameter(torch.zeros(n_components + 1, dtype=dtype))
        self.means = nn.Parameter(torch.zeros(shape, dtype=dtype))
        self.log_variances = nn.Parameter(torch.zeros(shape, dtype=dtype))
        self.n_there = n_components + 1  # components that have a weight come first
        self.register_load_state_dict_post_hook(_count)

    @torch.no_grad()
    def fill(self, part: Components, share: Tensor) -> None:
        """Take components, of which the standard normal has a share; those left over are none."""
        n = self.n_there = len(part.means) + 1
        self.logits.fill_(_NO_WEIGHT)
        self.logits[0] = share.log()
        self.logits[1:n] = torch.log1p(-share) + part.log_weights
        self.means[1:n] = part.means
        self.log_variances[1:n] = part.log_variances

    def log_prob(self, z: Tensor, vae: Encoder | None = None) -> Tensor:
        return self._components.log_prob(z)

    def sample(self, n: int, vae: Encoder | None, generator: torch.Generator) -> Tensor:
        chosen = choose(self.logits, n, generator)
        noise = self.means.new_empty(n, self.means.shape[1]).normal_(generator=generator)
        return self.means[chosen] + torch.exp(0.5 * self.log_variances)[chosen] * noise

    @property
    def _components(self) -> Components:
        n, log_weights = self.n_there, F.log_softmax(self.logits, 0)
        return Components(log_weights[:n], self.means[:n], self.log_variances[:n])


def _count(prior: AggregatePrior, _: object) -> None:
    """How many components of loaded weights are there: asked once, and not at every density."""
    prior.n_there = int((prior.logits > 0.5 * _NO_WEIGHT).sum())
