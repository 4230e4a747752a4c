"""The likelihood of rows decoded from their codes."""

from typing import ClassVar

import torch

from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms
from skvae.training.objective.terms import weigh


class Autoencoder(Objective):
    """No noise, no KL: the likelihood of rows decoded from their codes, and nothing else.

    Codes are free to lie where they like. A mixture fitted to them afterwards makes it a model
    that samples and has a likelihood (Ghosh et al., 2020).
    """

    is_deterministic: ClassVar[bool] = True

    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        decoded = vae.decode(vae.codes(rows))
        log_likelihood = vae.log_likelihood(rows.unmasked(rows.n_rows), decoded)
        watched = rows.mean(log_likelihood.detach())
        return Terms(-weigh(rows, log_likelihood).mean(), watched, watched)
