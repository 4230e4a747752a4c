"""Rows of a fit, as its model takes them, and their linear start."""

from dataclasses import replace

import numpy as np
import torch

from skvae.fitting.options import Options
from skvae.model.evidence import with_known_evidence
from skvae.model.rows import Rows
from skvae.model.vae import VAE
from skvae.start.base import LinearStart
from skvae.start.spectrum import Spectra
from skvae.start.tables import TrainingTable


def new_start(
    X: TrainingTable,
    weight: np.ndarray | None,
    options: Options,
    rng: np.random.RandomState,
    spectra: Spectra | None = None,
) -> LinearStart:
    """The linear start, from what is known of the same rows."""
    return X.fit_start(options.latent_dim, weight, rng, spectra, options.directions)


def is_trainable(start: LinearStart, n_rows: int, options: Options) -> bool:
    """Whether anything can be gained: rows to judge by, and something left to reconstruct."""
    something_left = 0 < start.latent_dim < start.rank
    enough_rows = n_rows >= options.limits.min_training_rows
    return options.max_iter != 0 and enough_rows and something_left


def with_hidden_layers(options: Options, start: LinearStart, n_rows: float) -> Options:
    """The options, with hidden layers for so many rows where they were left to "auto"."""
    architecture = options.architecture
    with_auto_sizes = getattr(architecture, "with_auto_sizes", None)
    if with_auto_sizes is None:  # of networks that have none
        return options
    return replace(options, architecture=with_auto_sizes(start.auto_sizes(n_rows)))


def start_vae(start: LinearStart, options: Options) -> VAE:
    """The linear start as a module, without networks."""
    return start.module().to(options.device, options.dtype).requires_grad_(False)


def training_rows(
    start: LinearStart, X: TrainingTable, weight: np.ndarray | None, options: Options
) -> Rows:
    """Rows as the model takes them, on the device, in the training's own precision."""
    dtype = np.float64 if options.dtype == torch.float64 else np.float32
    weight = None if weight is None else weight / weight.mean()
    held_bytes = options.limits.held_bytes
    return start.representation.training_rows(X.values, weight, dtype, options.device, held_bytes)


def known_rows(
    start: LinearStart, X: TrainingTable, weight: np.ndarray | None, options: Options
) -> Rows:
    """The same, with what the linear path makes of them where that stays."""
    rows = training_rows(start, X, weight, options)
    return with_known_evidence(rows, start_vae(start, options), options.limits)
