"""Proposals moved toward the mode of the posterior: to where a row more probably comes from.

A network says at one look where the codes of a row lie, and often not exactly (the amortisation
gap of Cremer, Li & Duvenaud, 2018). The decoder's own gradient says it better.
"""

import torch
from torch import Tensor

from skvae.model.posterior import Posterior
from skvae.model.rows import Rows
from skvae.model.vae import VAE

_LONGEST = 1.5  # step, where the parabola would go on
# Nats by which a whole step is believed in beforehand: where it gains next to nothing, the
# parabola is rounding.
_BELIEF = 0.1


def toward_mode(vae: VAE, rows: Rows, q: Posterior) -> Posterior:
    """The posterior of rows with its mean moved toward the most probable z, by one step.

    The step is the gradient of log p(x, z), preconditioned by the posterior's covariance; its
    length is where the parabola has its top that has value and slope at the mean, and the value a
    whole step further. It depends on the row and the model alone, and the networks may see z
    through any modules.
    """
    with torch.enable_grad():
        z = q.mean.detach().requires_grad_()
        here = _log_joint(vae, rows, z)
        (gradient,) = torch.autograd.grad(here.sum(), z)
    step = q.covariance_times(gradient)
    slope = (gradient * step).sum(-1)
    gain = _log_joint(vae, rows, q.mean + step) - here.detach()
    bend = 2.0 * (slope - gain) + _BELIEF
    rise = slope + _BELIEF
    length = torch.where(bend * _LONGEST > rise, rise / bend, _LONGEST)
    # A row too far off for its density to be a number stays where it is.
    is_known = gain.isfinite()[:, None]
    return q._replace(mean=torch.where(is_known, q.mean + length[:, None] * step, q.mean))


def _log_joint(vae: VAE, rows: Rows, z: Tensor) -> Tensor:
    """Log p(x, z) per row, nats."""
    return vae.log_likelihood(rows, vae.decode(z)) + vae.log_prior(z)
