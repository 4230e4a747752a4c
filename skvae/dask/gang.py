"""A fit on the workers that hold the rows, begun again where one of them is lost.

Every process that holds partitions runs one task; all of them run at the same time, and fit
together. Partitions of a lost worker are made again by Dask from what they came from; then the
workers that are left begin again, from the checkpoint where there is one.
"""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress

from dask.delayed import Delayed
from distributed import Client, Event, Future, KilledWorker, Lock, Variable, wait
from distributed.comm import CommClosedError

from skvae.dask.member import MORE_ROOM, Outcome, Seat, take_part
from skvae.estimator import VAETransformer
from skvae.team import TeamError

_LOST = (TeamError, KilledWorker, CommClosedError, CancelledError)
_SECOND = 1.0


def fit_together(
    client: Client, vae: VAETransformer, parts: list[Delayed], max_restarts: int
) -> tuple[Outcome, int]:
    """The outcome of a fit to partitions, and how often it had to begin again.

    Raises
    ------
    TeamError
        If workers have been lost more than `max_restarts` times.
    """
    seconds = vae.limits.answer_seconds
    with client.as_current():
        pieces = client.compute(parts)
        for n_restarts in range(max_restarts + 1):
            _wait_for(client, pieces, seconds)
            try:
                with Lock("skvae-gang"):  # members of two gangs would wait for each other
                    return _attempt(client, vae, pieces, seconds), n_restarts
            except _LOST as error:
                lost = error
    raise TeamError(
        f"workers were lost {max_restarts + 1} times; the last error: {lost}. Allow more restarts "
        f"with max_restarts={2 * max_restarts + 1}, and set a checkpoint_dir that all workers can "
        "read."
    ) from lost


def _wait_for(client: Client, pieces: list[Future], seconds: float) -> None:
    """Wait until workers hold all partitions."""
    alone_since = None
    while True:
        with suppress(TimeoutError):
            wait(pieces, timeout=_SECOND)
            break
        if client.nthreads():
            alone_since = None
        else:
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > seconds:
                raise TeamError("the cluster has no workers left; start some.")
    for piece in pieces:
        if piece.status == "error":
            piece.result()  # which raises what went wrong
        if piece.status in ("cancelled", "lost"):
            raise TeamError("the cluster has dropped the rows: is its scheduler still there?")


def _attempt(client: Client, vae: VAETransformer, pieces: list[Future], seconds: float) -> Outcome:
    """A fit by the workers that hold the partitions now."""
    held = _held(client, pieces)
    with _gathering(client) as (gang, off):
        members = [
            client.submit(
                take_part,
                Seat(gang, worker, rank, len(held), seconds),
                vae,
                own,
                workers=[worker],
                allow_other_workers=True,  # else it would wait for a lost worker
                pure=False,
                retries=0,
                key=f"{gang}-{rank}",
            )
            for rank, (worker, own) in enumerate(held.items())
        ]
        try:
            return _outcome(client, dict(zip(members, held, strict=True)), off, seconds)
        finally:
            off.set()
            client.cancel(members)


def _held(client: Client, pieces: list[Future]) -> dict[str, list[Future]]:
    """Partitions by a worker that has them, one worker per process."""
    where = client.who_has(pieces)
    held: dict[str, list[Future]] = {}
    chosen: dict[str, str] = {}
    for piece in pieces:
        workers = sorted(where[piece.key])
        if not workers:
            raise TeamError("a worker was lost before the fit began.")
        worker = chosen.setdefault(_process(workers[0]), workers[0])
        held.setdefault(worker, []).append(piece)
    return held


def _process(worker: str) -> str:
    """What tells workers of one process from others: only one of these can be in a group."""
    return worker.rsplit("/", 1)[0] if worker.startswith("inproc://") else worker


@contextmanager
def _gathering(client: Client) -> Iterator[tuple[str, Event]]:
    """The name of a gang, and what calls it off."""
    gang = f"skvae-{uuid.uuid4().hex}"
    try:
        yield gang, Event(f"{gang}-off", client=client)
    finally:
        Variable(gang, client=client).delete()


def _outcome(client: Client, members: dict[Future, str], off: Event, seconds: float) -> Outcome:
    """What came of it, once all have ended; those that cannot be reached are not waited for."""
    running, end = set(members), None
    while running and (end is None or time.monotonic() < end):
        with suppress(TimeoutError):
            running = wait(running, timeout=_SECOND, return_when="FIRST_COMPLETED").not_done
        if any(member.status in ("error", "cancelled") for member in members):
            off.set()
            end = end or time.monotonic() + 2 * seconds
            there = client.nthreads()  # the part of a lost worker is not worth waiting for
            running = {member for member in running if members[member] in there}
    failures = [failure for member in members if (failure := _failure(member)) is not None]
    for failure in failures:
        if isinstance(failure, MemoryError) and MORE_ROOM not in str(failure):  # of the scheduler
            raise MemoryError(f"a worker cannot hold its rows. {MORE_ROOM} ({failure})")
        if not isinstance(failure, _LOST):
            raise failure
    for failure in failures:
        raise failure
    outcome: Outcome = next(iter(members)).result()
    return outcome


def _failure(member: Future) -> BaseException | None:
    """Why a member has not ended well."""
    if not member.done():
        return TeamError("a worker does not answer.")
    if member.status == "cancelled":
        return TeamError("the cluster has dropped a part of the fit.")
    failure: BaseException | None = member.exception()
    return failure
