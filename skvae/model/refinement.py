"""Point codes of rows, brought to their projection: the nearest point of the decoder's surface.

PCA's code of a row is the point of the plane nearest to it. An encoder guesses the point of a
curved surface in one pass, and decoding its guess is far from the best that the decoder can do
(the amortisation gap of Cremer, Li & Duvenaud, 2018). A few steps of the decoder's own gradient
close most of the gap.
"""

from torch import Tensor

from skvae.model.descent import descend
from skvae.model.rows import Rows
from skvae.model.vae import VAE

TOLERANCE = 0.005  # a step is worth it if it promises a larger share of the row's error


def refined_codes(vae: VAE, rows: Rows, n_steps: int) -> Tensor:
    """Point codes of rows, shape (n, q), moved so that what they decode to comes nearer the rows.

    Each row takes so many steps at most, and as many as promise something; none makes its squared
    error larger. The networks may see z through any modules.

    Where columns do not share their noise, the nearest point is not the most probable one, and the
    codes stay the encoder's; so do those of a linear model, which are projections.
    """
    q = vae.encode(rows)
    codes, noise = q.mean * vae.scale.code_scale, vae.observation.noise_variance
    if vae.decoder is None or noise is None:
        return codes

    def misfit(rows: Rows, z: Tensor) -> Tensor:
        """The squared error, in nats."""
        return vae.observation.squared_error(rows, vae.reconstruct(z)) / (2.0 * noise)

    return descend(misfit, _is_worth, rows, q, codes, n_steps)


def _is_worth(promise: Tensor, misfit: Tensor) -> Tensor:
    return promise > TOLERANCE * misfit
