"""The likelihood of rows decoded from their codes."""

from typing import ClassVar

import torch

from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.training.objective.base import Objective, Terms
from skvae.training.objective.terms import weigh


class Autoencoder(Objective):
    """Deterministic autoencoder: the log-likelihood of rows given their codes, without KL or noise.

    Nothing constrains the distribution of the codes. The prior "normal" therefore becomes
    "ex_post", a mixture that is fitted to the codes after training. With it the model can sample
    and has a likelihood [1]_.

    References
    ----------
    .. [1] Ghosh, P. et al. (2020). From variational to deterministic autoencoders. ICLR.

    Examples
    --------
    >>> from skvae import Autoencoder, VAETransformer
    >>> VAETransformer(objective=Autoencoder())
    VAETransformer(objective=Autoencoder())
    """

    is_deterministic: ClassVar[bool] = True

    def __call__(
        self, vae: VAE, rows: Rows, generator: torch.Generator, kl_weight: float = 1.0
    ) -> Terms:
        decoded = vae.decode(vae.codes(rows))
        log_likelihood = vae.log_likelihood(rows.unmasked(rows.n_rows), decoded)
        watched = rows.mean(log_likelihood.detach())
        return Terms(-weigh(rows, log_likelihood).mean(), watched, watched)
