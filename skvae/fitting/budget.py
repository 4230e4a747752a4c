"""How long to train: batch size and passes, by what a fixed amount of arithmetic pays for."""

import math

import numpy as np

from skvae.fitting.options import Options
from skvae.limits import Limits
from skvae.model.vae import VAE
from skvae.training.config import Budget
from skvae.training.sampler import steps_of_pass


def count_products(vae: VAE) -> int:
    """Multiplications of a row on its way through the model.

    A parameter of a dense layer is one; those of a convolution are many.
    """
    return max(sum(parameter.numel() for parameter in vae.parameters()), vae.products())


def make_budget(n_rows: int, vae: VAE, options: Options) -> Budget:
    """Batch size and passes: as many steps as a fixed amount of arithmetic pays for."""
    max_passes, limits = options.max_iter, options.limits
    batch_size = min(options.batch_size or auto_batch_size(n_rows, max_passes, limits), n_rows)
    if max_passes is None:
        cost = 6 * count_products(vae) + vae.observation.cost
        affordable = limits.flops / (batch_size * cost)
        fewest, most = limits.steps
        steps = np.clip(affordable, min(fewest, affordable * limits.extension), most)
        steps *= 1 + vae.latent_dim / 64  # the more codes, the more there is to learn
        pass_steps = steps_of_pass(n_rows, batch_size, limits.pass_rows)
        max_passes = max(1, int(np.ceil(steps / pass_steps)))
    budget = Budget(batch_size, options.batch_size is None, max_passes, options.early_stopping)
    if is_small(vae, limits):
        budget = budget._replace(auto_rate=limits.small_rate, patience=limits.small_patience)
    else:
        budget = budget._replace(auto_rate=limits.learning_rate, patience=limits.patience)
    return budget if options.max_iter is None else _shared(budget, options, n_rows)


def is_small(vae: VAE, limits: Limits) -> bool:
    """Whether networks are small ones of a matrix: they bear a higher rate, and need patience."""
    is_of_matrix = vae.observation.noise_variance is not None
    return is_of_matrix and count_products(vae) < limits.small_network


def _shared(budget: Budget, options: Options, n_rows: int) -> Budget:
    """The passes that a person allows, of which annealing may have up to half."""
    total, wanted = budget.max_passes, 0
    if options.annealing is not None:
        n_steps = steps_of_pass(n_rows, budget.batch_size, options.limits.pass_rows)
        wanted = math.ceil(options.annealing.n_steps_after() / n_steps)
    return budget._replace(max_passes=total - min(wanted, total // 2), total_passes=total)


def auto_batch_size(n_rows: int, max_passes: int | None, limits: Limits) -> int:
    """Rows per step: more of more rows, but no more than leave steps enough in so many passes."""
    least, most = limits.batch_sizes
    size = int(np.clip(2 ** round(np.log2(n_rows / 16)), least, most))
    if max_passes is not None:
        while size > least and (
            max_passes * steps_of_pass(n_rows, size, limits.pass_rows) < limits.min_steps
        ):
            size //= 2
    return size
