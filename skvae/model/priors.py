"""Priors of the latent points: where codes come from.

A component builds a module that has `log_prob(z, vae)`, nats per row of z (n, q), and
`sample(n, vae, generator)`, draws of shape (n, q); no module stands for a standard normal.
`vae.encode_inputs` gives the posterior of encoder inputs, with mean and log_variance of shape
(n, q). To add one: a component here, a row in PRIORS.
"""

import math
import warnings
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor, nn

_LOG_2PI = math.log(2.0 * math.pi)
_START_SPREAD = 0.2  # of the means of a mixture, enough to tell them apart
_ROWS_PER_NUMBER = 5  # of a component's mean and scale in every direction
_LEAST_VARIANCE = 1e-3  # of a component that is fitted to codes, whose variance is about 1
_NO_WEIGHT = -1e30  # log-weight of a component that is not there; no gradient is NaN, as of -inf
_LARGEST_ARRAY = 2**22  # numbers, rows times components times units


class Prior(BaseEstimator):
    """Where codes come from."""

    is_trained: ClassVar[bool] = False  # its parameters move with the model's
    is_fitted_after: ClassVar[bool] = False  # to the codes, once training has ended

    def module(self, latent_dim: int, n_inputs: int) -> nn.Module | None:
        """Build the module, which `start`, `fit` or a state fills.

        Parameters
        ----------
        latent_dim : int
            Units of a code.
        n_inputs : int
            Columns that the encoder takes.

        Returns
        -------
        module : torch.nn.Module or None
            None for a standard normal.

        Raises
        ------
        ValueError
            If an option cannot be.
        """
        raise NotImplementedError

    def start(self, module: nn.Module, inputs: Tensor, generator: torch.Generator) -> None:
        """Fill the module in place before training.

        Parameters
        ----------
        module : torch.nn.Module
            From `module`.
        inputs : torch.Tensor of shape (n, n_inputs)
            Encoder inputs of training rows.
        generator : torch.Generator
            On the module's device.
        """

    def check(self) -> None:
        """Refuse options that make no sense.

        Raises
        ------
        ValueError
            If an option is out of range.
        """


class Normal(Prior):
    """The standard normal, N(0, I)."""

    def module(self, latent_dim: int, n_inputs: int) -> None:
        return None


class _OfComponents(Prior):
    """A prior with a number of components."""

    n_components: int

    def check(self) -> None:
        n = self.n_components
        if not isinstance(n, Integral) or int(n) < 1:
            raise ValueError(f"n_components={n!r} must be a whole number from 1 up, such as 10.")


class Mixture(_OfComponents):
    """Mixture of normals that is trained with the model, as Jiang et al. (2017) do for clusters.

    p(z) = sum_k w_k N(z; m_k, S_k), with full covariances S_k. It starts near N(0, I), so that
    training starts near the bound of PCA.

    Parameters
    ----------
    n_components : int, default=10
        Normals in the mixture.

    Examples
    --------
    >>> from skvae import Mixture, VAETransformer
    >>> VAETransformer(prior=Mixture(n_components=3))
    VAETransformer(prior=Mixture(n_components=3))
    """

    is_trained = True

    def __init__(self, *, n_components=10):
        self.n_components = n_components

    def module(self, latent_dim: int, n_inputs: int) -> "MixturePrior":
        self.check()
        return MixturePrior(self.n_components, latent_dim)

    @torch.no_grad()
    def start(self, module: nn.Module, inputs: Tensor, generator: torch.Generator) -> None:
        # Components get different means, and the mixture mean 0 and variance 1.
        assert isinstance(module, MixturePrior)
        means = _START_SPREAD * torch.empty_like(module.means).normal_(generator=generator)
        means -= means.mean(0)
        log_deviation = 0.5 * torch.log1p(-means.square().mean(0))
        module.logits.zero_()
        module.means.copy_(means)
        module.factors.copy_(torch.diag(-log_deviation).expand_as(module.factors))


class Vamp(_OfComponents):
    """Mixture of posteriors at learned inputs, VampPrior (Tomczak & Welling, 2018).

    p(z) = w_0 N(z; 0, I) + sum_k w_k q(z | u_k), with pseudo-inputs u_k and weights w that are
    trained with the model. The u_k start at training rows, and w_0 at 1/2, so that training starts
    within log 2 of the bound of PCA.

    Parameters
    ----------
    n_components : int, default=50
        Pseudo-inputs. Every step encodes them beside its batch, so that 50 add 10 to 40 percent
        to batches of 512 to 128 rows.

    Examples
    --------
    >>> from skvae import VAETransformer, Vamp
    >>> VAETransformer(prior=Vamp(n_components=20))
    VAETransformer(prior=Vamp(n_components=20))
    """

    is_trained = True

    def __init__(self, *, n_components=50):
        self.n_components = n_components

    def module(self, latent_dim: int, n_inputs: int) -> "VampPrior":
        self.check()
        return VampPrior(self.n_components, n_inputs)

    @torch.no_grad()
    def start(self, module: nn.Module, inputs: Tensor, generator: torch.Generator) -> None:
        assert isinstance(module, VampPrior)
        order = torch.randperm(len(inputs), generator=generator, device=inputs.device)
        place = torch.arange(self.n_components, device=inputs.device) % len(inputs)
        module.pseudo_inputs.copy_(inputs[order[place]])
        module.logits.zero_()
        module.logits[0] = math.log(self.n_components)


class ExPost(_OfComponents):
    """Mixture of normals that is fitted to the codes after training (Ghosh et al., 2020).

    EM fits p(z) = sum_k w_k N(z; m_k, S_k), with full covariances S_k, to draws from the
    aggregate posterior.

    Parameters
    ----------
    n_components : int, default=10
        Normals in the mixture; fewer where there are less than 5 (q + 1) rows for each.

    Examples
    --------
    >>> from skvae import ExPost, VAETransformer
    >>> VAETransformer(prior=ExPost(n_components=3))
    VAETransformer(prior=ExPost(n_components=3))
    """

    is_fitted_after = True

    def __init__(self, *, n_components=10):
        self.n_components = n_components

    def module(self, latent_dim: int, n_inputs: int) -> "MixturePrior":
        self.check()
        return MixturePrior(self.n_components, latent_dim)

    def fit(
        self, codes: np.ndarray, random_state: int, weight: np.ndarray | None = None
    ) -> "MixturePrior":
        """Fit a mixture to codes.

        Parameters
        ----------
        codes : ndarray of shape (n, q)
            Draws from the aggregate posterior, at least 2.
        random_state : int
            Seed of where EM starts, and of the rows that weights choose.
        weight : ndarray of shape (n,) or None, default=None
            Of the rows.

        Returns
        -------
        module : MixturePrior
            On the CPU, in float64.
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


class MixturePrior(nn.Module):
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
    """

    is_capturable: ClassVar[bool] = True

    def __init__(self, n_components: int, latent_dim: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_components, dtype=torch.float32))
        self.means = nn.Parameter(torch.zeros(n_components, latent_dim, dtype=torch.float32))
        self.factors = nn.Parameter(
            torch.zeros(n_components, latent_dim, latent_dim, dtype=torch.float32)
        )

    def log_prob(self, z: Tensor, vae: Any = None) -> Tensor:
        """Log-density of points (n, q), nats, shape (n,)."""
        return torch.cat([self._log_prob(part) for part in _parts(z, len(self.logits))])

    def _log_prob(self, z: Tensor) -> Tensor:
        away = (z - self.means[:, None]) @ self._triangles().mT  # (K, n, q)
        log_determinants = self.factors.diagonal(dim1=-2, dim2=-1).sum(-1)
        log_prob = log_determinants[:, None] - 0.5 * (away.square() + _LOG_2PI).sum(-1)
        return torch.logsumexp(F.log_softmax(self.logits, 0)[:, None] + log_prob, 0)

    def sample(self, n: int, vae: Any, generator: torch.Generator) -> Tensor:
        """Draws, shape (n, q)."""
        chosen = _choose(self.logits, n, generator)
        noise = self.means.new_empty(n, self.means.shape[1]).normal_(generator=generator)
        # Of every component, and one is chosen: how many draws are of each is not asked, since the
        # answer would have to come from the device.
        units = torch.eye(noise.shape[1], dtype=noise.dtype, device=noise.device)
        inverses = torch.linalg.solve_triangular(self._triangles().mT, units, upper=True)
        parts = _parts(noise, len(self.logits))
        places = torch.arange(len(parts[0]), device=noise.device)
        away = [
            (part @ inverses)[which, places[: len(part)]]
            for part, which in zip(parts, chosen.split(len(parts[0])), strict=True)
        ]
        return self.means[chosen] + torch.cat(away)

    def _triangles(self) -> Tensor:
        diagonals = self.factors.diagonal(dim1=-2, dim2=-1).exp()
        return self.factors.tril(-1) + torch.diag_embed(diagonals)


class VampPrior(nn.Module):
    """Mixture of a standard normal, which comes first, and of posteriors at pseudo-inputs.

    Parameters
    ----------
    n_components : int
        Pseudo-inputs.
    n_inputs : int
        Columns that the encoder takes.
    """

    is_capturable: ClassVar[bool] = True

    def __init__(self, n_components: int, n_inputs: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_components + 1, dtype=torch.float32))
        self.pseudo_inputs = nn.Parameter(torch.zeros(n_components, n_inputs, dtype=torch.float32))

    def log_prob(self, z: Tensor, vae: Any) -> Tensor:
        """Log-density of points (n, q), nats, shape (n,)."""
        means, log_variances = self._normals(vae)
        log_weights = F.log_softmax(self.logits, 0) - 0.5 * (log_variances + _LOG_2PI).sum(-1)
        precisions = torch.exp(-0.5 * log_variances)
        return torch.cat(
            [
                torch.logsumexp(
                    log_weights - 0.5 * ((part[:, None] - means) * precisions).square().sum(-1), 1
                )
                for part in _parts(z, len(means))
            ]
        )

    def sample(self, n: int, vae: Any, generator: torch.Generator) -> Tensor:
        """Draws, shape (n, q)."""
        means, log_variances = self._normals(vae)
        chosen = _choose(self.logits, n, generator)
        noise = means.new_empty(n, means.shape[1]).normal_(generator=generator)
        return means[chosen] + torch.exp(0.5 * log_variances)[chosen] * noise

    def _normals(self, vae: Any) -> tuple[Tensor, Tensor]:
        """Means and log-variances of the components, each of shape (K + 1, q)."""
        q = vae.encode_inputs(self.pseudo_inputs)
        standard = q.mean.new_zeros(1, q.mean.shape[1])
        return torch.cat([standard, q.mean]), torch.cat([standard, q.log_variance])


def _choose(logits: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Components of n draws."""
    return torch.multinomial(logits.softmax(0), n, replacement=True, generator=generator)


def _parts(z: Tensor, n_components: int) -> tuple[Tensor, ...]:
    """Rows, few enough at a time to be compared with every component."""
    return z.split(max(1, _LARGEST_ARRAY // (n_components * z.shape[1])))


PRIORS: dict[str, type[Prior]] = {
    "normal": Normal,
    "mixture": Mixture,
    "vamp": Vamp,
    "ex_post": ExPost,
}
