"""What a worker does in a gang: it meets the others, and fits the partitions that it holds.

A gang is a group of torch.distributed for as long as one fit lasts. Its first member opens a port
that the system chooses and tells the others, by a variable of Dask, where it is.
"""

import copy
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import dask
import numpy as np
import torch.distributed as dist
from dask.sizeof import sizeof
from distributed import Event, Variable, get_client, get_worker

from skvae.dask.rows import Piece
from skvae.distributed.pieces import Pieces
from skvae.estimator import VAETransformer
from skvae.team import TeamError, is_group_there

_START_SECONDS = 300.0  # that a worker may be busy with something else
_GLANCE_SECONDS = 0.1

MORE_ROOM = (
    "Fit on more workers, or workers of more memory; or let partial_fit of a VAETransformer learn "
    "block by block."
)


@dataclass(frozen=True)
class Seat:
    """The place of a worker in a gang."""

    gang: str  # its name: that of the variable and of the event
    worker: str  # the address that holds the partitions
    rank: int
    size: int
    seconds: float  # that the members wait for each other


class Outcome(NamedTuple):
    """What a member leaves."""

    vae: Any  # the fitted estimator, of the first
    warned: list[UserWarning]


def take_part(seat: Seat, vae: VAETransformer, pieces: list[Piece]) -> Outcome:
    """Fit the partitions of a worker together with the other members.

    Raises
    ------
    TeamError
        If the others are gone, or the task came to a worker that does not hold the partitions.
    MemoryError
        If the partitions and a copy of them are more than the worker may hold.
    """
    here = get_worker().address
    if here != seat.worker:
        raise TeamError(
            f"the worker {seat.worker} is gone; its part of the fit was sent to {here}."
        )
    vae = copy.copy(vae)  # workers of one process have one object
    _refuse_crowding(pieces, _most_bytes())
    own = Pieces(*map(list, zip(*pieces, strict=True)))
    # A process warns its own people; who asked for the fit is somewhere else.
    with _meeting(seat), warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always", UserWarning)
        vae.fit(own)
    warned = [each.message for each in heard if isinstance(each.message, UserWarning)]
    return Outcome(vae, warned) if seat.rank == 0 else Outcome(None, [])


def _most_bytes() -> int | None:
    """Of this worker; None where nobody ends it for holding more."""
    worker = get_worker()
    limit: int | None = worker.memory_manager.memory_limit
    is_ended = worker.nanny and dask.config.get("distributed.worker.memory.terminate")
    return limit if is_ended else None


def _n_bytes(table: Any) -> int:
    """Of a table and a copy of it as numbers of float64, at least."""
    held: int = sizeof(table)
    return held + min(held, 8 * math.prod(np.shape(table)))


def _refuse_crowding(pieces: list[Piece], most: int | None) -> None:
    """Raise a MemoryError before a worker begins that would be killed for what it holds."""
    tables = [table for _, table, _ in pieces]
    needed = sum(map(_n_bytes, tables))
    if most and needed > most:
        raise MemoryError(
            f"the partitions of a worker and a copy of them take {needed / 1e9:.3g} GB, and it may "
            f"hold {most / 1e9:.3g} GB. {MORE_ROOM}"
        )


@contextmanager
def _meeting(seat: Seat) -> Iterator[None]:
    """A group of all members, which ends with the fit."""
    is_off = Event(f"{seat.gang}-off", client=get_client()).is_set
    _wait(seat, is_off, lambda: not is_group_there(), "the process belongs to another group")
    store = _store(seat, is_off)
    names = [f"here-{rank}" for rank in range(seat.size)]
    store.set(names[seat.rank], "")
    _wait(seat, is_off, lambda: store.check(names), "others are busy, or gone")
    limit = timedelta(seconds=seat.seconds)
    try:
        dist.init_process_group(
            "gloo", store=store, rank=seat.rank, world_size=seat.size, timeout=limit
        )
    except (dist.DistError, RuntimeError) as error:
        raise TeamError(f"the members could not connect: {error!s:.200}") from error
    try:
        yield
    finally:
        dist.destroy_process_group()


def _store(seat: Seat, is_off: Callable[[], bool]) -> dist.TCPStore:
    """Where members leave notes for each other, at the first."""
    board, limit = Variable(seat.gang, client=get_client()), timedelta(seconds=seat.seconds)
    if seat.rank == 0:
        host = _host(seat.worker)
        store = dist.TCPStore(host, 0, is_master=True, wait_for_workers=False, timeout=limit)
        board.set([host, store.port])
        return store
    told: list[Any] = []

    def is_told() -> bool:
        with suppress(TimeoutError):
            told.extend(board.get(timeout=_GLANCE_SECONDS))
        return bool(told)

    _wait(seat, is_off, is_told, "the first is busy, or gone")
    host, port = told
    try:
        return dist.TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=limit)
    except (dist.DistError, RuntimeError) as error:
        raise TeamError(f"the first member cannot be reached: {error!s:.200}") from error


def _host(address: str) -> str:
    """The host of the address of a worker."""
    scheme, _, place = address.partition("://")
    return "127.0.0.1" if scheme == "inproc" else place.rsplit(":", 1)[0].strip("[]")


def _wait(seat: Seat, is_off: Callable[[], bool], holds: Callable[[], bool], reason: str) -> None:
    """Wait until something holds, unless the fit is called off."""
    end = time.monotonic() + _START_SECONDS
    while not _holds(holds):
        if is_off():
            raise TeamError("the fit was cancelled: another member has failed.")
        if time.monotonic() > end:
            raise TeamError(
                f"member {seat.rank} of {seat.size} has waited {_START_SECONDS:g} s: {reason}."
            )
        time.sleep(_GLANCE_SECONDS)


def _holds(holds: Callable[[], bool]) -> bool:
    try:
        return holds()
    except (dist.DistError, RuntimeError) as error:  # the store is gone
        raise TeamError(f"the first member is gone: {error!s:.200}") from error
