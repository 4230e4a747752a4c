"""Rows on their way to the processes that train on them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

from skvae.data.batches import Values
from skvae.data.input import Input
from skvae.distributed.layout import Layout
from skvae.distributed.pieces import Pieces
from skvae.fitting.sharing import OwnRows

Part = tuple[int, int, int, Values, "np.ndarray | None"]  # shard, places, rows, their weights


def own_rows(
    layout: Layout, pieces: Pieces, read: Callable[[Any], Values], n_columns: int
) -> dict[int, OwnRows]:
    """The rows of the shards of this process, read as the model's columns have them."""
    team = layout.team
    for_each: list[list[Part]] = [[] for _ in range(team.size)]
    for place, table, weight in zip(*pieces.ordered(), strict=True):
        if not Input.of(table).n_rows:
            continue
        values, first = read(table), layout.firsts[place]
        for shard, begins, ends in layout.parts_of(first, first + values.shape[0]):
            own = slice(begins - first, ends - first)
            own_weight = None if weight is None else weight[own]
            part = (shard, begins, ends, values[own], own_weight)
            for_each[layout.owner(shard)].append(part)
    found = team.exchange(for_each) if team.has_one_order else [for_each[team.rank]]
    parts = sorted((part for own in found for part in own), key=lambda part: part[1])
    none = np.zeros((0, n_columns))
    return {v: _together([part for part in parts if part[0] == v], none) for v in team.own}


def _together(parts: list[Part], none: np.ndarray) -> OwnRows:
    """The parts of a shard, in their order."""
    ranges = [(begins, ends) for _, begins, ends, *_ in parts]
    values = [each for *_, each, _ in parts]
    weights = [each for *_, each in parts if each is not None]
    if len(values) > 1:
        is_sparse = sparse.issparse(values[0])
        values = [sparse.vstack(values, format="csr") if is_sparse else np.concatenate(values)]
    weight = np.concatenate(weights) if weights else None
    return OwnRows(ranges, values[0] if values else none, weight)
