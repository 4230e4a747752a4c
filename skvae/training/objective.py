"""What training maximises: the evidence lower bound and its relatives.

All in nats per row, summed over columns. A model is anything that encodes rows, decodes latent
points and knows the log-likelihood of rows given what was decoded: VAE (vae.py) in scaled units,
MixedVAE (mixed.py) in the user's.
"""

import math
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skvae.model.posterior import Posterior
from skvae.model.rows import weighted_mean

POINT_WEIGHT = 0.5  # of the likelihood of rows that are decoded from their point codes
_PAIRED_ROWS = 256  # of a batch, between which every pair is compared


class Terms(NamedTuple):
    """Means over the batch: loss is minimised, the others are watched.

    Weights have mean 1 over all rows, not over a batch: in the loss a batch of heavy rows counts
    for more. What is watched is in nats per row whatever the batch: weights are shares of it.
    """

    loss: Tensor
    elbo: Tensor
    log_likelihood: Tensor  # of rows given draws from their posteriors


class Objective(BaseEstimator):
    """What a step of the training makes small."""

    is_deterministic: ClassVar[bool] = False  # no noise and no KL: codes are posterior means
    is_capturable: ClassVar[bool] = False  # it does the same at every step, by tensors alone

    @property
    def has_plain_kl(self) -> bool:
        """Whether any prior will do, not only the normal one of independent units."""
        return True

    @property
    def needs_columns(self) -> bool:
        """Whether a model of scores has to know its columns."""
        return False

    def __call__(
        self, vae: Any, rows: Any, generator: torch.Generator, kl_weight: float | Tensor = 1.0
    ) -> Terms:
        """Loss and bound of a batch.

        Parameters
        ----------
        vae : VAE or MixedVAE
            The model.
        rows : Rows or Cells
            The batch.
        generator : torch.Generator
            Source of the noise.
        kl_weight : float, default=1.0
            Of the KL term.

        Returns
        -------
        terms : Terms
            Scalars, on the device.
        """
        raise NotImplementedError

    def check(self) -> None:
        """Refuse options that make no sense.

        Raises
        ------
        ValueError
            If an option is out of range.
        """


class Elbo(Objective):
    """The evidence lower bound (Kingma & Welling, 2014): E_q[log p(x|z)] - KL(q(z|x) || p(z)).

    Some rows are decoded from their point codes instead of a draw, which no bound asks for and
    every user of `inverse_transform` does; it costs nothing, as each row is decoded once. Where
    cells are hidden, their point codes, shrunk as they are, have to say what was hidden: that is
    what `impute` asks for. To the bound of the other rows hidden cells are missing ones.

    Parameters
    ----------
    free_bits : float, default=0.0
        Nats of KL per unit, in the mean over the batch, that cost nothing (Kingma et al., 2016):
        sum_j max(free_bits, KL_j).
    point_share : float, default=0.25
        Share of a batch that is decoded from point codes; 0 is the bound and nothing else.
    """

    is_capturable: ClassVar[bool] = True

    def __init__(self, *, free_bits=0.0, point_share=0.25):
        self.free_bits = free_bits
        self.point_share = point_share

    @property
    def has_plain_kl(self) -> bool:
        return self.free_bits == 0.0

    def __call__(
        self, vae: Any, rows: Any, generator: torch.Generator, kl_weight: float | Tensor = 1.0
    ) -> Terms:
        n_points = int(self.point_share * rows.n_rows)
        return self._terms(vae, rows, rows.unmasked(n_points), n_points, generator, kl_weight)

    def _terms(self, vae, seen, explained, n_points, generator, kl_weight) -> Terms:
        """Of rows as the encoder sees them and as the decoder has to explain them."""
        noise = seen.draw_noise(vae.latent_dim, generator)
        q = vae.encode(seen)
        drawn = q.sample(noise)
        codes = q.mean
        if not seen.is_masked:
            codes = codes * shrinkage_undone(seen.mean(q.variance.detach()))
        z = torch.cat([codes[:n_points], drawn[n_points:]])
        log_likelihood = vae.log_likelihood(explained, vae.decode(z))
        weighted = _weighted(seen, log_likelihood)
        points = weighted[:n_points].sum() / max(n_points, 1)
        kl = vae.kl(q, drawn, noise)
        if self.free_bits:
            penalty = _mean(seen, q.kl()).clamp(min=self.free_bits).sum()
        else:
            penalty = _weighted(seen, kl).mean()
        loss = kl_weight * penalty - weighted[n_points:].mean() - POINT_WEIGHT * points
        weight = None if seen.weight is None else seen.weight[n_points:]
        of_draws = weighted_mean(log_likelihood.detach()[n_points:], weight)
        return Terms(loss, of_draws - seen.mean(kl.detach()), of_draws)

    def check(self) -> None:
        _at_least("free_bits", self.free_bits, 0.0)
        if not (isinstance(self.point_share, Real) and 0.0 <= float(self.point_share) < 1.0):
            raise ValueError(f"point_share={self.point_share!r} must be at least 0 and below 1.")


class Denoising(Elbo):
    """The bound of whole rows by an encoder that sees spoilt ones (Im et al., 2017).

    Parameters
    ----------
    noise : float, default=0.1
        Standard deviation of normal noise on the numbers: of complete numbers in units of the one
        scale that all columns share, of tables in standard deviations of each.
    masking : float, default=0.1
        Share of the cells that are hidden: at their mean in a model of complete numbers,
        otherwise missing.
    point_share : float, default=0.25
        As of `Elbo`.
    """

    free_bits = 0.0  # no option of this one
    is_capturable: ClassVar[bool] = True

    def __init__(self, *, noise=0.1, masking=0.1, point_share=0.25):
        self.noise = noise
        self.masking = masking
        self.point_share = point_share

    @property
    def needs_columns(self) -> bool:
        return self.masking > 0

    def __call__(
        self, vae: Any, rows: Any, generator: torch.Generator, kl_weight: float | Tensor = 1.0
    ) -> Terms:
        n_points = int(self.point_share * rows.n_rows)
        corrupted = vae.observation.corrupt(rows, self.noise, self.masking, generator)
        return self._terms(
            vae, corrupted, rows.unmasked(rows.n_rows), n_points, generator, kl_weight
        )

    def check(self) -> None:
        super().check()
        _at_least("noise", self.noise, 0.0)
        if not (isinstance(self.masking, Real) and 0.0 <= float(self.masking) < 1.0):
            raise ValueError(f"masking={self.masking!r} must be at least 0 and below 1.")


class Iwae(Objective):
    """The importance-weighted bound (Burda, Grosse & Salakhutdinov, 2016): E log mean_k p / q.

    The encoder's gradient is doubly reparametrised (Tucker et al., 2019): draws count by their
    squared share of the weight, and nothing flows through the density of q.

    Parameters
    ----------
    n_draws : int, default=5
        Draws from each row's posterior. The bound rises with them, and so does the work.
    """

    is_capturable: ClassVar[bool] = True

    def __init__(self, *, n_draws=5):
        self.n_draws = n_draws

    def __call__(
        self, vae: Any, rows: Any, generator: torch.Generator, kl_weight: float | Tensor = 1.0
    ) -> Terms:
        k, n = self.n_draws, rows.n_rows
        q = vae.encode(rows)
        z = q.sample(q.mean.new_empty(k, n, vae.latent_dim).normal_(generator=generator))
        again = rows.take(torch.arange(n, device=z.device).repeat(k))
        flat = z.flatten(0, 1)
        log_likelihood = vae.log_likelihood(again, vae.decode(flat)).view(k, n)
        log_ratio = vae.log_prior(flat).view(k, n) - q.detach().log_prob(z)
        log_weight = log_likelihood + kl_weight * log_ratio
        share = log_weight.detach().softmax(0)
        if z.requires_grad:
            z.register_hook(partial(torch.mul, share[..., None]))
        # What is watched is the plain bound, as of the held-out rows.
        return Terms(
            -_weighted(rows, (share * log_weight).sum(0)).mean(),
            rows.mean((log_likelihood + log_ratio).detach().mean(0)),
            rows.mean((share * log_likelihood.detach()).sum(0)),
        )

    def check(self) -> None:
        is_count = isinstance(self.n_draws, Integral) and not isinstance(self.n_draws, bool)
        if not (is_count and int(self.n_draws) >= 1):
            raise ValueError(f"n_draws={self.n_draws!r} must be a whole number from 1 up.")


class TotalCorrelation(Objective):
    """Beta-TC (Chen et al., 2018): the total correlation of the codes counts more than the rest.

    KL(q(z|x) || p(z)) holds the total correlation KL(q(z) || prod_j q(z_j)), estimated between
    the rows of a batch; codes that share less say different things. Where rows have missing
    cells, the units of a posterior are taken as independent in it.

    Parameters
    ----------
    weight : float, default=4.0
        Of the total correlation, where 1 is the plain bound.
    """

    is_capturable: ClassVar[bool] = True

    def __init__(self, *, weight=4.0):
        self.weight = weight

    @property
    def has_plain_kl(self) -> bool:
        return False

    def __call__(
        self, vae: Any, rows: Any, generator: torch.Generator, kl_weight: float | Tensor = 1.0
    ) -> Terms:
        q, z, log_likelihood, kl = _plain(vae, rows, generator)
        some = _some(rows, generator)
        correlation = total_correlation(q.mean[some], q.variance[some], z[some])
        mean_kl = _weighted(rows, kl).mean()
        penalty = mean_kl + (self.weight - 1.0) * correlation
        return _terms(rows, penalty, kl_weight, log_likelihood, kl)

    def check(self) -> None:
        _at_least("weight", self.weight, 0.0)


class Mmd(Objective):
    """InfoVAE (Zhao, Song & Ermon, 2019): the codes of all rows together follow the prior.

    Minimises -E_q[log p(x|z)] + (1 - alpha) KL(q(z|x) || p(z)) + (alpha + weight - 1) MMD, where
    MMD is the maximum mean discrepancy between codes and prior under a normal kernel.

    Parameters
    ----------
    alpha : float, default=0.0
        What is taken from the KL of single rows; 1 takes all of it.
    weight : float, default=10.0
        Of the discrepancy.
    """

    is_capturable: ClassVar[bool] = True

    def __init__(self, *, alpha=0.0, weight=10.0):
        self.alpha = alpha
        self.weight = weight

    def __call__(
        self, vae: Any, rows: Any, generator: torch.Generator, kl_weight: float | Tensor = 1.0
    ) -> Terms:
        _, z, log_likelihood, kl = _plain(vae, rows, generator)
        z = z[_some(rows, generator)]
        discrepancy = mmd(z, vae.sample_prior(len(z), generator).to(z))
        mean_kl = _weighted(rows, kl).mean()
        penalty = (1.0 - self.alpha) * mean_kl + (self.alpha + self.weight - 1.0) * discrepancy
        return _terms(rows, penalty, kl_weight, log_likelihood, kl)

    def check(self) -> None:
        if not (isinstance(self.alpha, Real) and -math.inf < float(self.alpha) <= 1.0):
            raise ValueError(f"alpha={self.alpha!r} must be a number, at most 1.")
        _at_least("weight", self.weight, 0.0)
        if not self.alpha + self.weight >= 1.0:
            raise ValueError(
                f"weight={self.weight!r} must be at least 1 - alpha = {1.0 - self.alpha:g}."
            )


class Autoencoder(Objective):
    """No noise, no KL: the likelihood of rows decoded from their codes, and nothing else.

    Codes are free to lie where they like. A mixture fitted to them afterwards makes it a model
    that samples and has a likelihood (Ghosh et al., 2020).
    """

    is_deterministic: ClassVar[bool] = True
    is_capturable: ClassVar[bool] = True

    def __call__(
        self, vae: Any, rows: Any, generator: torch.Generator, kl_weight: float | Tensor = 1.0
    ) -> Terms:
        decoded = vae.decode(vae.codes(rows))
        log_likelihood = vae.log_likelihood(rows.unmasked(rows.n_rows), decoded)
        watched = rows.mean(log_likelihood.detach())
        return Terms(-_weighted(rows, log_likelihood).mean(), watched, watched)


def _plain(vae, rows, generator) -> tuple[Posterior, Tensor, Tensor, Tensor]:
    """Posterior, a draw from it, log-likelihood of rows given that, their KL."""
    noise = rows.draw_noise(vae.latent_dim, generator)
    q = vae.encode(rows)
    z = q.sample(noise)
    return q, z, vae.log_likelihood(rows, vae.decode(z)), vae.kl(q, z, noise)


def _terms(rows, penalty: Tensor, kl_weight, log_likelihood: Tensor, kl: Tensor) -> Terms:
    """Terms of a batch from its penalty and from the log-likelihood and the KL of its rows."""
    loss = kl_weight * penalty - _weighted(rows, log_likelihood).mean()
    watched = rows.mean(log_likelihood.detach())
    return Terms(loss, watched - rows.mean(kl.detach()), watched)


def explained(vae: Any, rows: Any, noise: Tensor | None) -> tuple[Posterior, Tensor, Tensor]:
    """Posterior of rows, one draw from it decoded, KL per row.

    Without noise rows are decoded from their codes, and there is no KL: as of an autoencoder.
    """
    q = vae.encode(rows)
    if noise is None:
        return q, vae.decode(q.mean * vae.scale.code_scale), torch.zeros_like(q.mean[:, 0])
    z = q.sample(noise)
    return q, vae.decode(z), vae.kl(q, z, noise)


def _some(rows: Any, generator: torch.Generator) -> Tensor:
    """Index of the rows between which every pair is compared: by their weights, if they have."""
    n = min(rows.n_rows, _PAIRED_ROWS)
    if rows.weight is None:
        return torch.arange(n, device=generator.device)
    return torch.multinomial(rows.weight, n, replacement=True, generator=generator)


def total_correlation(mean: Tensor, variance: Tensor, z: Tensor) -> Tensor:
    """KL(q(z) || prod_j q(z_j)) from a batch of draws z, up to a constant (Chen et al., 2018).

    The aggregate posterior at a row's draw is taken as the mean over the posteriors of the batch,
    whose means and variances have the shape of z, (n, q).
    """
    away = (z[:, None] - mean).square() / variance + variance.log()
    pairs = -0.5 * (away + math.log(2 * math.pi))  # (batch, batch, q)
    return (torch.logsumexp(pairs.sum(-1), 1) - torch.logsumexp(pairs, 1).sum(-1)).mean()


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """Squared maximum mean discrepancy of two sets of points (Gretton et al., 2012), unbiased.

    The kernel is exp(-|a - b|^2 / 2q), for q coordinates.
    """

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return torch.exp(-0.5 * (x[:, None] - y).square().sum(-1) / a.shape[1])

    n, m = len(a), len(b)
    within_a = (kernel(a, a).sum() - n) / max(n * (n - 1), 1)
    within_b = (kernel(b, b).sum() - m) / max(m * (m - 1), 1)
    return within_a + within_b - 2.0 * kernel(a, b).mean()


def shrinkage_undone(mean_variance: Tensor) -> Tensor:
    """Factor per unit that gives posterior means the prior's spread, from mean variances (q,).

    The aggregate posterior has variance 1 at the optimum, so means have variance 1 - E[v], and
    for probabilistic PCA 1 / (1 - v) is Tipping & Bishop's optimal reconstruction.
    """
    return 1.0 / (1.0 - mean_variance).clamp(min=1e-2)


def _weighted(rows: Any, values: Tensor) -> Tensor:
    """Values per row times the rows' weights, whose mean over all rows is 1."""
    return values if rows.weight is None else rows.weight * values


def _mean(rows: Any, values: Tensor) -> Tensor:
    """Mean over rows of values (n, q) times the rows' weights."""
    return values.mean(0) if rows.weight is None else (rows.weight[:, None] * values).mean(0)


def _at_least(name: str, value, least: float) -> None:
    if not (isinstance(value, Real) and least <= float(value) < math.inf):
        raise ValueError(f"{name}={value!r} must be {least:g} or more.")


OBJECTIVES: dict[str, type[Objective]] = {
    "elbo": Elbo,
    "iwae": Iwae,
    "tc": TotalCorrelation,
    "mmd": Mmd,
    "autoencoder": Autoencoder,
    "denoising": Denoising,
}
