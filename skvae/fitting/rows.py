"""Rows of a fit, as its model takes them, and their linear start."""

from dataclasses import replace
from typing import cast

import numpy as np
import torch

from skvae.fitting.options import Options
from skvae.model.evidence import with_known_evidence
from skvae.model.rows import CellRows, CellStream, Rows
from skvae.model.vae import VAE
from skvae.start.base import LinearStart
from skvae.start.spectrum import Spectra
from skvae.start.tables import Matrix, TrainingTable


def new_start(
    X: TrainingTable,
    weight: np.ndarray | None,
    options: Options,
    rng: np.random.RandomState,
    spectra: Spectra | None = None,
) -> LinearStart:
    """The linear start, from what is known of the same rows."""
    sharing = options.sharing
    if sharing is not None and sharing.own is not None and isinstance(X, Matrix):
        return sharing.matrix_start(X.values, options.latent_dim, options.directions)
    return X.fit_start(options.latent_dim, weight, rng, spectra, options.directions)


def is_trainable(start: LinearStart, n_rows: int, options: Options) -> bool:
    """Whether anything can be gained: rows to judge by, and something left to reconstruct."""
    something_left = 0 < start.latent_dim < start.rank
    enough_rows = n_rows >= options.limits.min_training_rows
    return options.max_iter != 0 and enough_rows and something_left


def with_own_shards(
    options: Options, start: LinearStart, rows: Rows, held_out: np.ndarray
) -> Options:
    """The options, with the rows of a process of several as the model takes them."""
    sharing = options.sharing
    if sharing is None or sharing.own is None:
        return options
    total, n_rows = 0.0, 0
    for found in sharing.team.gather([own.total_weight for own in sharing.own.values()]):
        total, n_rows = (
            total + sum(weight for weight, _ in found),
            n_rows + sum(n for _, n in found),
        )
    dtype = np.float64 if options.dtype == torch.float64 else np.float32
    n_bytes = options.limits.held_bytes // len(sharing.own)
    made = {}
    for v, own in sharing.own.items():
        weight = None if own.weight is None else own.weight * (n_rows / total)
        shard = start.representation.training_rows(
            own.values, weight, dtype, options.device, n_bytes
        )
        if isinstance(rows, CellRows | CellStream):  # whose share of gaps is that of all
            shard = replace(
                cast(CellRows | CellStream, shard),
                masked_share=rows.masked_share,
                has_gaps=bool(rows.has_gaps),
            )
        made[v] = with_known_evidence(shard, start_vae(start, options), options.limits)
    return replace(options, sharing=sharing.prepared(made, held_out))


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
