"""The evidence lower bound, and that of rows which the encoder sees corrupted."""

from typing import NamedTuple

import torch

from skvae.model.rows import Rows, weighted_mean
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms, check_at_least, check_share
from skvae.training.objective.terms import shrinkage_undone, weigh

POINT_WEIGHT = 0.5  # of the likelihood of rows that are decoded from their point codes


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
    """The bound of whole rows by an encoder that sees corrupted ones (Im et al., 2017).

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
