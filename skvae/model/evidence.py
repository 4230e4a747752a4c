"""What the linear path makes of all rows of a table, once: while networks learn it stays.

The factors of a table are those of the start and stay, and so do the cells, but for those that some
batches hide. Rows with the same gaps share one matrix. Shapes: n rows, D features, c cells, q
latent units, p patterns of gaps.
"""

from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from skvae.data.batches import batches
from skvae.limits import Limits
from skvae.model.cell_observation import CellObservation
from skvae.model.inference import FactorInference
from skvae.model.known_evidence import KnownEvidence
from skvae.model.rows import CellRows, Rows
from skvae.model.vae import VAE

_HELD_SHARE = 0.25  # of the bytes that the rows of a training may take


@torch.no_grad()
def with_known_evidence(rows: Rows, start: VAE, limits: Limits) -> Rows:
    """Rows of which is known what the linear start makes, where that stays and there is room.

    Not rows that are made when they are asked for, nor those with probabilities, of which every
    step draws others.
    """
    inference, observation = start.inference, start.observation
    if not (isinstance(rows, CellRows) and rows.probabilities is None):
        return rows
    if not (isinstance(inference, FactorInference) and isinstance(observation, CellObservation)):
        return rows
    observed = observation.observed(rows)
    first, pattern = _patterns(rows, observed, inference.has_tails)
    q, n_numbers = start.latent_dim, rows.n_rows * (start.n_inputs + start.latent_dim)
    needed = (n_numbers + len(first) * q * q) * rows.values.element_size()
    if needed > _HELD_SHARE * limits.held_bytes:
        return rows
    return replace(rows, known=_known(rows, start, observed, first, pattern))


def _known(
    rows: CellRows, start: VAE, observed: Tensor | None, first: Tensor, pattern: Tensor
) -> KnownEvidence:
    """What the linear start makes of the rows, some at a time."""
    values, q = rows.values, start.latent_dim
    inputs = values.new_empty(rows.n_rows, start.n_inputs)
    mean, roots = values.new_empty(rows.n_rows, q), []
    log_variance = values.new_zeros(q)
    for part in batches(rows.n_rows, start.n_inputs + q * q):
        found = start.evidence(CellRows(values[part], has_gaps=rows.has_gaps))
        inputs[part], mean[part] = found.inputs, found.posterior.mean
        log_variance = found.posterior.log_variance[0]
        if found.posterior.root is not None:
            own = first[(first >= part.start) & (first < part.stop)] - part.start
            roots.append(found.posterior.root[own])
    return KnownEvidence(
        inputs,
        mean,
        log_variance,
        observed,
        torch.cat(roots) if roots else None,
        pattern if roots else None,
        cast(FactorInference, start.inference).has_tails,
    )


def _patterns(rows: CellRows, observed: Tensor | None, has_tails: bool) -> tuple[Tensor, Tensor]:
    """The first row of each pattern of gaps, in order, and the pattern of every row.

    With heavy tails every row has weights, and so a matrix, of its own.
    """
    device = rows.values.device
    if has_tails:
        everything = torch.arange(rows.n_rows, device=device)
        return everything, everything
    if observed is None:
        return torch.zeros(1, dtype=torch.int64), torch.zeros(rows.n_rows, dtype=torch.int64)
    packed = np.packbits(observed.numpy(force=True), axis=1)
    keys = np.ascontiguousarray(packed).view(f"V{packed.shape[1]}").ravel()
    _, first, pattern = np.unique(keys, return_index=True, return_inverse=True)
    order = first.argsort()
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    first, pattern = first[order], rank[pattern.ravel()]
    return torch.from_numpy(first).to(device), torch.from_numpy(pattern).to(device)
