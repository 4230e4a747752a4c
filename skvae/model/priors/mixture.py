"""Mixtures of normals: trained with the model, or fitted to the codes afterwards."""

import math
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

from skvae.model.priors.base import Encoder, Normals, PriorModule
from skvae.model.priors.components import LARGEST_ARRAY, MixtureOptions, choose, rows_at_a_time

_LOG_2PI = math.log(2.0 * math.pi)
_START_SPREAD = 0.2  # of the means of a mixture, enough to tell them apart
_ROWS_PER_NUMBER = 5  # of a component's mean and scale in every direction
_LEAST_VARIANCE = 1e-3  # of a component that is fitted to codes, whose variance is about 1
_NO_WEIGHT = -1e30  # log-weight of a component that is not there; no gradient is NaN, as of -inf


class Mixture(MixtureOptions):
    """Mixture of normals that is trained with the model [1]_.

    The density is p(z) = sum_k w_k N(z; m_k, S_k), with full covariances S_k. It starts close to
    N(0, I), so the bound starts close to that of PCA.

    Parameters
    ----------
    n_components : int, default=10
        Number of normals in the mixture.

    References
    ----------
    .. [1] Jiang, Z. et al. (2017). Variational deep embedding: an unsupervised and generative
       approach to clustering. IJCAI.

    Examples
    --------
    >>> from skvae import Mixture, VAETransformer
    >>> VAETransformer(prior=Mixture(n_components=3))
    VAETransformer(prior=Mixture(n_components=3))
    """

    is_trained = True

    def __init__(self, *, n_components: int = 10) -> None:
        self.n_components = n_components

    def module(self, latent_dim: int, n_inputs: int) -> "MixturePrior":
        self.check()
        return MixturePrior(self.n_components, latent_dim)

    @torch.no_grad()
    def start(self, module: PriorModule, inputs: Tensor, generator: torch.Generator) -> None:
        # Components get different means, and the mixture mean 0 and variance 1.
        assert isinstance(module, MixturePrior)
        means = _START_SPREAD * torch.empty_like(module.means).normal_(generator=generator)
        means -= means.mean(0)
        log_deviation = 0.5 * torch.log1p(-means.square().mean(0))
        module.logits.zero_()
        module.means.copy_(means)
        module.factors.copy_(torch.diag(-log_deviation).expand_as(module.factors))


class ExPost(MixtureOptions):
    """Mixture of normals that is fitted to the codes after training [1]_.

    The density is p(z) = sum_k w_k N(z; m_k, S_k), with full covariances S_k. EM fits it to draws
    from the aggregate posterior.

    Parameters
    ----------
    n_components : int, default=10
        Largest number of normals. There are fewer if a normal would have fewer than 5 (q + 1)
        rows, for q codes.

    References
    ----------
    .. [1] Ghosh, P. et al. (2020). From variational to deterministic autoencoders. ICLR.

    Examples
    --------
    >>> from skvae import ExPost, VAETransformer
    >>> VAETransformer(prior=ExPost(n_components=3))
    VAETransformer(prior=ExPost(n_components=3))
    """

    is_fitted_after = True

    def __init__(self, *, n_components: int = 10) -> None:
        self.n_components = n_components

    def module(self, latent_dim: int, n_inputs: int) -> "MixturePrior":
        self.check()
        return MixturePrior(self.n_components, latent_dim)

    def fit(
        self,
        codes: np.ndarray,
        random_state: int,
        weight: np.ndarray | None = None,
        posteriors: Normals | None = None,
    ) -> "MixturePrior":
        """Fit a mixture to codes.

        Parameters
        ----------
        codes : ndarray of shape (n, q)
            Draws from the aggregate posterior, at least 2.
        random_state : int
            Seed of the first values of EM. With weights also the seed of the rows that are drawn.
        weight : ndarray of shape (n,) or None, default=None
            Weights of the rows.
        posteriors : Normals of shape (n, q) or None, default=None
            Ignored, since one draw from each posterior is enough.

        Returns
        -------
        module : MixturePrior
            The fitted density, on the CPU, float64.

        Raises
        ------
        ValueError
            If an option is invalid.
        """
        self.check()
        n_rows, latent_dim = codes.shape
        if weight is not None:  # which scikit-learn's EM does not take
            rng = np.random.RandomState(random_state)
            shares = weight.astype(np.float64)  # in which they have to sum to 1
            rows = rng.choice(n_rows, size=n_rows, p=shares / shares.sum())
            codes, n_rows = codes[rows], len(np.unique(rows))
        n_fitted = min(self.n_components, max(1, n_rows // (_ROWS_PER_NUMBER * (latent_dim + 1))))
        from sklearn.mixture import GaussianMixture  # as long to import as all of skvae

        mixture = GaussianMixture(n_fitted, reg_covar=_LEAST_VARIANCE, random_state=random_state)
        with warnings.catch_warnings():
            # EM that stops early leaves a density like any other, which held-out rows judge, and
            # the remedies that the warning names are not the user's to take.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit(codes.astype(np.float64))
        module = self.module(latent_dim, latent_dim).double()
        _copy_mixture(module, mixture)
        return module


@torch.no_grad()
def _copy_mixture(module: "MixturePrior", mixture: Any) -> None:
    """Take over a mixture of as many components or fewer; those left over get no weight."""
    n = mixture.n_components
    # scikit-learn's factor is upper triangular and multiplies from the right.
    factors = torch.from_numpy(mixture.precisions_cholesky_).mT
    diagonals = factors.diagonal(dim1=-2, dim2=-1)
    module.logits.fill_(_NO_WEIGHT)
    module.logits[:n] = torch.from_numpy(np.log(mixture.weights_))
    module.means[:n] = torch.from_numpy(mixture.means_)
    module.factors[:n] = factors.tril(-1) + torch.diag_embed(diagonals.log())


class MixturePrior(PriorModule):
    """Mixture of normals; as built, every one is standard normal.

    log p(z) = logsumexp_k [log w_k - q/2 log 2 pi + sum_j log P_kjj - 1/2 |P_k (z - m_k)|^2]

    with triangular factors P_k of the precisions. `factors` holds the logarithm of their
    diagonals; what it holds above these is not used.

    Parameters
    ----------
    n_components : int
        Normals.
    latent_dim : int
        Units of a code.
    largest_array : int
        Numbers that are held at once, rows times components times units.
    """

    def __init__(
        self, n_components: int, latent_dim: int, largest_array: int = LARGEST_ARRAY
    ) -> None:
        super().__init__()
        self.largest_array = largest_array
        self.logits = nn.Parameter(torch.zeros(n_components, dtype=torch.float32))
        self.means = nn.Parameter(torch.zeros(n_components, latent_dim, dtype=torch.float32))
        self.factors = nn.Parameter(
            torch.zeros(n_components, latent_dim, latent_dim, dtype=torch.float32)
        )

    def log_prob(self, z: Tensor, vae: Encoder | None = None) -> Tensor:
        return torch.cat(
            [
                self._log_prob(part)
                for part in rows_at_a_time(z, len(self.logits), self.largest_array)
            ]
        )

    def _log_prob(self, z: Tensor) -> Tensor:
        away = (z - self.means[:, None]) @ self._triangles().mT  # (K, n, q)
        log_determinants = self.factors.diagonal(dim1=-2, dim2=-1).sum(-1)
        log_prob = log_determinants[:, None] - 0.5 * (away.square() + _LOG_2PI).sum(-1)
        return torch.logsumexp(F.log_softmax(self.logits, 0)[:, None] + log_prob, 0)

    def sample(self, n: int, vae: Encoder | None, generator: torch.Generator) -> Tensor:
        chosen = choose(self.logits, n, generator)
        noise = self.means.new_empty(n, self.means.shape[1]).normal_(generator=generator)
        # Of every component, and one is chosen: how many draws are of each is not asked, since the
        # answer would have to come from the device.
        units = torch.eye(noise.shape[1], dtype=noise.dtype, device=noise.device)
        inverses = torch.linalg.solve_triangular(self._triangles().mT, units, upper=True)
        parts = rows_at_a_time(noise, len(self.logits), self.largest_array)
        places = torch.arange(len(parts[0]), device=noise.device)
        away = [
            (part @ inverses)[which, places[: len(part)]]
            for part, which in zip(parts, chosen.split(len(parts[0])), strict=True)
        ]
        return self.means[chosen] + torch.cat(away)

    def _triangles(self) -> Tensor:
        diagonals = self.factors.diagonal(dim1=-2, dim2=-1).exp()
        return self.factors.tril(-1) + torch.diag_embed(diagonals)
