"""The evidence lower bound, and that of rows which the encoder sees corrupted."""

from typing import NamedTuple

import torch

from skvae.model.rows import Rows, weighted_mean
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms, check_at_least, check_share
from skvae.training.objective.terms import shrinkage_undone, weigh

POINT_WEIGHT = 0.5  # of the likelihood of rows that are decoded from their point codes


class Elbo(Objective):
    """Evidence lower bound (ELBO) [1]_: E_q[log p(x|z)] - KL(q(z|x) || p(z)).

    A share of the rows is decoded from point codes instead of draws, since `inverse_transform`
    decodes point codes. This costs nothing, because each row is still decoded once. Hidden cells
    count as missing in the bound. The rows with point codes have to predict their hidden cells,
    as `impute` does, and there the shrinkage of the codes is not undone.

    Parameters
    ----------
    free_bits : float, default=0.0
        KL per code without cost, nats, in the mean over the batch: the KL term is
        sum_j max(free_bits, KL_j) [2]_. Values above 0 need the prior "normal" or one that is
        fitted after training.
    point_share : float, default=0.25
        Share of a batch that is decoded from point codes, at least 0 and below 1. With 0 the loss
        is the bound alone.

    References
    ----------
    .. [1] Kingma, D. P. and Welling, M. (2014). Auto-encoding variational Bayes. ICLR.
    .. [2] Kingma, D. P. et al. (2016). Improved variational inference with inverse autoregressive
       flow. NeurIPS.

    Examples
    --------
    >>> from skvae import Elbo, VAETransformer
    >>> VAETransformer(objective=Elbo(free_bits=0.1))
    VAETransformer(objective=Elbo(free_bits=0.1))
    """

    def __init__(self, *, free_bits: float = 0.0, point_share: float = 0.25) -> None:
        self.free_bits = free_bits
        self.point_share = point_share

    @property
    def has_plain_kl(self) -> bool:
        return self.free_bits == 0.0

    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        n_points = int(self.point_share * rows.n_rows)
        shown = Shown(rows, rows.unmasked(n_points), n_points)
        return bound_of(vae, shown, generator, kl_weight, self.free_bits)

    def check(self) -> None:
        check_at_least("free_bits", self.free_bits, 0.0)
        check_share("point_share", self.point_share)


class Denoising(Objective):
    """Evidence lower bound of complete rows, with an encoder that sees corrupted rows [1]_.

    Parameters
    ----------
    noise : float, default=0.1
        Standard deviation of the normal noise on numbers. Its unit is the common scale of all
        columns for complete numbers, and each column's standard deviation for other tables.
    masking : float, default=0.1
        Share of the cells that are hidden, at least 0 and below 1. A model of complete numbers
        sees them at their mean, other models as missing.
    point_share : float, default=0.25
        As in `Elbo`.

    References
    ----------
    .. [1] Im, D. J. et al. (2017). Denoising criterion for variational auto-encoding framework.
       AAAI.

    Examples
    --------
    >>> from skvae import Denoising, VAETransformer
    >>> VAETransformer(objective=Denoising(masking=0.3))
    VAETransformer(objective=Denoising(masking=0.3))
    """

    def __init__(
        self, *, noise: float = 0.1, masking: float = 0.1, point_share: float = 0.25
    ) -> None:
        self.noise = noise
        self.masking = masking
        self.point_share = point_share

    @property
    def needs_columns(self) -> bool:
        return self.masking > 0

    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        n_points = int(self.point_share * rows.n_rows)
        corrupted = vae.observation.corrupt(rows, self.noise, self.masking, generator)
        shown = Shown(corrupted, rows.unmasked(rows.n_rows), n_points)
        return bound_of(vae, shown, generator, kl_weight)

    def check(self) -> None:
        check_share("point_share", self.point_share)
        check_at_least("noise", self.noise, 0.0)
        check_share("masking", self.masking)


class Shown(NamedTuple):
    """A batch as the encoder sees it, and as the decoder has to explain it."""

    seen: Rows
    explained: Rows
    n_points: int  # of the rows, the first, are decoded from their point codes


def bound_of(
    vae: VAE,
    shown: Shown,
    generator: torch.Generator,
    kl_weight: float,
    free_bits: float = 0.0,
) -> Terms:
    """The evidence lower bound, in part of point codes."""
    seen, explained, n_points = shown
    noise = seen.draw_noise(vae.latent_dim, generator)
    q = vae.encode(seen)
    drawn = q.sample(noise)
    codes = q.mean
    if not seen.is_masked:
        codes = codes * shrinkage_undone(seen.mean(q.variance.detach()))
    z = torch.cat([codes[:n_points], drawn[n_points:]])
    log_likelihood = vae.log_likelihood(explained, vae.decode(z))
    weighted = weigh(seen, log_likelihood)
    points = weighted[:n_points].sum() / max(n_points, 1)
    kl = vae.kl(q, drawn, noise)
    if free_bits:
        penalty = weigh(seen, q.kl()).mean(0).clamp(min=free_bits).sum()
    else:
        penalty = weigh(seen, kl).mean()
    loss = kl_weight * penalty - weighted[n_points:].mean() - POINT_WEIGHT * points
    weight = None if seen.weight is None else seen.weight[n_points:]
    of_draws = weighted_mean(log_likelihood.detach()[n_points:], weight)
    return Terms(loss, of_draws - seen.mean(kl.detach()), of_draws)
