"""Point codes of rows, brought to their projection: the nearest point of the decoder's surface.

PCA's code of a row is the point of the plane nearest to it. An encoder guesses the point of a
curved surface at one look, and decoding its guess is far from the best that the decoder can do
(the amortisation gap of Cremer, Li & Duvenaud, 2018). A few steps of the decoder's own gradient
close most of the gap.
"""

import torch
from torch import Tensor

from skvae.model.posterior import Posterior
from skvae.model.rows import Rows
from skvae.model.vae import VAE

# Lengths of a step, in those of the posterior's covariance: where the decoder is linear, 1 arrives.
_SHORTEST, _LONGEST = 0.05, 4.0
_CUTS = 0.1, 0.5  # what is left of a step that went too far, at least and at most


def refined_codes(vae: VAE, rows: Rows, n_steps: int) -> Tensor:
    """Point codes of rows, shape (n, q), after so many steps of `refined`."""
    return refined(vae, rows, vae.encode(rows), n_steps)


def refined(vae: VAE, rows: Rows, q: Posterior, n_steps: int) -> Tensor:
    """Point codes of posteriors of rows, moved so that what they decode to comes nearer the rows.

    Gradient steps on the squared error, preconditioned by the posterior's covariance, of which
    each row takes its own: of a length at which, by the slopes at both ends of the step before,
    the error would be least (Barzilai & Borwein, 1988). A row that a step brings no nearer stays,
    and takes a shorter one. The networks may see z through any modules.

    Where columns do not share their noise, the nearest point is not the most probable one, and the
    codes stay the encoder's; so do those of a linear model, which are projections.
    """
    z, noise = q.mean * vae.scale.code_scale, vae.observation.noise_variance
    if n_steps == 0 or vae.decoder is None or noise is None:
        return z
    error, slope = _error_and_slope(vae, rows, z)
    length = torch.ones_like(error)
    for number in range(n_steps):
        step = -0.5 * length * q.covariance_times(slope) / noise
        tried = z + step
        if number == n_steps - 1:
            error_there, slope_there = _error(vae, rows, tried), slope
        else:
            error_there, slope_there = _error_and_slope(vae, rows, tried)
        is_nearer = error_there < error
        length = length * _stretch(step, slope, slope_there, is_nearer)
        length = length.clamp(_SHORTEST, _LONGEST)
        z, error = torch.where(is_nearer, tried, z), torch.where(is_nearer, error_there, error)
        slope = torch.where(is_nearer, slope_there, slope)
    return z


def _stretch(step: Tensor, slope: Tensor, slope_there: Tensor, is_nearer: Tensor) -> Tensor:
    """How much longer or shorter the next step of each row is to be, shape (n, 1)."""
    fall, fall_there = (-(own * step).sum(-1, keepdim=True) for own in (slope, slope_there))
    bottom = torch.where(fall > fall_there, fall / (fall - fall_there), _LONGEST)
    return torch.where(is_nearer, bottom, bottom.nan_to_num(_CUTS[0]).clamp(*_CUTS))


def _error(vae: VAE, rows: Rows, z: Tensor) -> Tensor:
    """Squared distance of each row from what its z decodes to, shape (n, 1)."""
    return vae.observation.squared_error(rows, vae.reconstruct(z))[:, None]


def _error_and_slope(vae: VAE, rows: Rows, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        error = _error(vae, rows, z)
        (slope,) = torch.autograd.grad(error.sum(), z)
    return error.detach(), slope
