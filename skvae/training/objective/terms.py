"""What objectives share: draws that are decoded, means of rows by their weights."""

import torch
from torch import Tensor

from skvae.model.inference import Numbers
from skvae.model.posterior import Posterior
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.objective.base import Terms

_PAIRED_ROWS = 256  # of a batch, between which every pair is compared


def draw_and_decode(
    vae: VAE, rows: Rows, generator: torch.Generator
) -> tuple[Posterior, Tensor, Tensor, Tensor]:
    """Posterior, a draw from it, log-likelihood of rows given that, their KL."""
    noise = rows.draw_noise(vae.latent_dim, generator)
    q = vae.encode(rows)
    z = q.sample(noise)
    return q, z, vae.log_likelihood(rows, vae.decode(z)), vae.kl(q, z, noise)


def terms_of(
    rows: Rows,
    penalty: Tensor,
    kl_weight: float,
    log_likelihood: Tensor,
    kl: Tensor,
) -> Terms:
    """Terms of a batch from its penalty and from the log-likelihood and the KL of its rows."""
    loss = kl_weight * penalty - weigh(rows, log_likelihood).mean()
    watched = rows.mean(log_likelihood.detach())
    return Terms(loss, watched - rows.mean(kl.detach()), watched)


def explained(vae: VAE, rows: Rows, noise: Tensor | None) -> tuple[Posterior, Tensor, Tensor]:
    """Posterior of rows, one draw from it decoded, KL per row.

    Without noise rows are decoded from their codes, and there is no KL: as of an autoencoder.
    """
    q = vae.encode(rows)
    if noise is None:
        return q, vae.decode(q.mean * vae.scale.code_scale), torch.zeros_like(q.mean[:, 0])
    z = q.sample(noise)
    return q, vae.decode(z), vae.kl(q, z, noise)


def paired_rows(rows: Rows, generator: torch.Generator) -> Tensor:
    """Index of the rows between which every pair is compared: by their weights, if they have."""
    n = min(rows.n_rows, _PAIRED_ROWS)
    if rows.weight is None:
        return torch.arange(n, device=generator.device)
    return torch.multinomial(rows.weight, n, replacement=True, generator=generator)


def shrinkage_undone(mean_variance: Numbers) -> Numbers:
    """Factor per unit that gives posterior means the prior's spread, from mean variances (q,).

    The aggregate posterior has variance 1 at the optimum, so means have variance 1 - E[v], and
    for probabilistic PCA 1 / (1 - v) is Tipping & Bishop's optimal reconstruction.
    """
    return 1.0 / (1.0 - mean_variance).clip(1e-2)


def weigh(rows: Rows, values: Tensor) -> Tensor:
    """Values, shape (n,) or (n, q), times the rows' weights, whose mean over all rows is 1."""
    if rows.weight is None:
        return values
    return rows.weight.view(-1, *[1] * (values.ndim - 1)) * values
