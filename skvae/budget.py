"""How long to train: batch size and passes, by what a fixed amount of arithmetic pays for."""

import math

import numpy as np

from skvae.model.vae import VAE
from skvae.options import Options
from skvae.training.annealing import Annealing
from skvae.training.loop import MIN_STEPS, Budget, steps_of_pass

_FLOPS = 3e12  # of a whole training run, about half a minute on two cores
_STEPS = (2000, 6000)
_BATCH_SIZES = (128, 512)
_EXTENSION = 2.2  # times that arithmetic, at most, for the fewest steps


def count_products(vae: VAE) -> int:
    """Multiplications of a row on its way through the model.

    A parameter of a dense layer is one; those of a convolution are many.
    """
    return max(sum(parameter.numel() for parameter in vae.parameters()), vae.products())


def make_budget(n_rows: int, vae: VAE, options: Options) -> Budget:
    """Batch size and passes: as many steps as a fixed amount of arithmetic pays for."""
    max_passes = options.max_iter
    batch_size = min(options.batch_size or auto_batch_size(n_rows, max_passes), n_rows)
    if max_passes is None:
        cost = 6 * count_products(vae) + vae.observation.cost
        affordable = _FLOPS / (batch_size * cost)
        steps = np.clip(affordable, min(_STEPS[0], affordable * _EXTENSION), _STEPS[1])
        steps *= 1 + vae.latent_dim / 64  # the more codes, the more there is to learn
        max_passes = max(1, int(np.ceil(steps / steps_of_pass(n_rows, batch_size))))
    budget = Budget(batch_size, options.batch_size is None, max_passes, options.early_stopping)
    return budget if options.max_iter is None else _shared(budget, options.annealing, n_rows)


def _shared(budget: Budget, annealing: Annealing | None, n_rows: int) -> Budget:
    """The passes that a person allows, of which annealing may have up to half."""
    total, wanted = budget.max_passes, 0
    if annealing is not None:
        wanted = math.ceil(annealing.n_steps_after() / steps_of_pass(n_rows, budget.batch_size))
    return budget._replace(max_passes=total - min(wanted, total // 2), total_passes=total)


def auto_batch_size(n_rows: int, max_passes: int | None) -> int:
    """Rows per step: more of more rows, but no more than leave steps enough in so many passes."""
    least, most = _BATCH_SIZES
    size = int(np.clip(2 ** round(np.log2(n_rows / 16)), least, most))
    if max_passes is not None:
        while size > least and max_passes * steps_of_pass(n_rows, size) < MIN_STEPS:
            size //= 2
    return size
